//! What operators see of payments, and what they must not see in the log lines.

use std::path::PathBuf;
use std::time::Duration;

use wire::client::{Client, Notices, Options, Reply, Return, Transfer};
use wire::{Currency, Message, Money, Reason, Uetr};

use crate::support::{Node, exposed, run};

const CANARY: &str = "Canary Vogel";

async fn connect(node: &Node, id: &str) -> (Client, Notices) {
    Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap()
}

fn transfer(amount: &str) -> Transfer {
    Transfer::new("BANK-0002".parse().unwrap(), Money::parse(amount, Currency::EUR).unwrap())
        .from(CANARY, "DE02CANARY00000000001")
        .to("Ben Canary", "DE02CANARY00000000002")
        .remittance_information("canary remittance")
}

async fn until_offered(notices: &mut Notices, uetr: Uetr) {
    loop {
        let notice = notices.next().await.unwrap().unwrap();
        if matches!(notice.view(), Message::TransferNotice(offer) if offer.transfer.uetr == uetr) {
            return;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_payment_is_told_in_a_sentence_whatever_became_of_it() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    std::fs::write(&file, "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n")
        .unwrap();
    let node =
        Node::start(&data.path().join("log"), &["--config", file.to_str().unwrap(), "--set", "logs.level=trace"]);
    let (debtor, _ignored) = connect(&node, "BANK-0001").await;
    let (creditor, mut offers) = connect(&node, "BANK-0002").await;
    let payer = debtor.participant();
    let show = |uetr: Uetr| {
        let payments = node.ask(&["payment", &uetr.to_string(), "--json"]).with(0).json();
        assert_eq!(payments.as_array().unwrap().len(), 1);
        payments[0].clone()
    };

    let handle = debtor.submit(&transfer("60.00")).await.unwrap();
    let uetr = handle.uetr();
    until_offered(&mut offers, uetr).await;
    let shown = show(uetr);
    assert_eq!((&shown["state"], &shown["must_act"]), (&"in_process".into(), &"BANK-0002".into()));
    let summary = shown["summary"].as_str().unwrap();
    assert!(summary.starts_with("The payment of 60.00 EUR from BANK-0001 to BANK-0002 is in process"), "{summary}");
    let status = node.ask(&["status", "--json"]).with(0).json();
    assert_eq!((&status["payments"]["in_process"], &status["sessions"]), (&1.into(), &2.into()));
    let position = node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json()["positions"][0].clone();
    assert_eq!((&position["reserved"], &position["available"]), (&"60.00".into(), &"40.00".into()));

    let found = |words: &[&str]| {
        let found = node.ask(&[&["payment", "find", "--json"], words].concat()).with(0).json();
        found["payments"].as_array().unwrap().iter().filter(|payment| payment["uetr"] == uetr.to_string()).count()
    };
    assert_eq!((found(&["state:in_process", "to:BANK-0002"]), found(&["amount:60.00", "since:1h"])), (1, 1));
    assert_eq!((found(&["state:settled"]), found(&["from:BANK-0002"]), found(&["amount:60.01"])), (0, 0, 0));

    creditor.answer(&Reply::yes(payer, uetr)).await.unwrap();
    handle.outcome().await.unwrap();
    assert_eq!((found(&["state:in_process"]), found(&["BANK-0001", "BANK-0002"])), (0, 1));
    let shown = show(uetr);
    assert_eq!(
        (&shown["state"], &shown["status"], &shown["must_act"]),
        (&"settled".into(), &"ACSC".into(), &"nobody".into())
    );

    // More than is left: refused by the switch. Then refused by the creditor agent.
    let handle = debtor.submit(&transfer("50.00")).await.unwrap();
    let uetr = handle.uetr();
    _ = handle.outcome().await;
    let shown = show(uetr);
    assert_eq!((&shown["state"], &shown["must_act"]), (&"rejected".into(), &"BANK-0001".into()));
    assert!(shown["summary"].as_str().unwrap().contains("no money moved. AM04: "), "{shown}");
    let handle = debtor.submit(&transfer("5.00")).await.unwrap();
    let uetr = handle.uetr();
    until_offered(&mut offers, uetr).await;
    creditor.answer(&Reply::no(payer, uetr, Reason::AC04)).await.unwrap();
    _ = handle.outcome().await;
    assert_eq!(show(uetr)["reasons"][0], "AC04");

    let unknown = Uetr::from_random([7; 16]).to_string();
    node.ask(&["payment", &unknown]).with(5);
    node.ask(&["payment", "no-uetr"]).with(2);
    node.ask(&["payment", &uetr.to_string(), "--debtor", "BANK-0002"]).with(5);
    let table = node.ask(&["payment", &uetr.to_string()]).with(0).stdout;
    assert!(table.contains("Must act: BANK-0001") && !table.contains(CANARY), "{table}");

    debtor.close().await;
    creditor.close().await;
    let log = node.stop();
    assert!(log.contains("\"event\":\"signed_on\""), "{log}");
    assert!(!log.to_lowercase().contains("canary"), "a customer's data stands in the log lines");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["ts"].is_string() && line["level"].is_string() && line["event"].is_string(), "{line}");
    }
    let verified =
        run(&["log", "verify", "--json", "--data", data.path().join("log").to_str().unwrap()]).with(0).json();
    assert_eq!((&verified["payments"]["settled"], &verified["payments"]["rejected"]), (&1.into(), &2.into()));
    assert_eq!(verified["violations"].as_array().unwrap().len(), 0);
}

/// Every step has its place in the log and its notices their numbers, the same after a crash.
#[tokio::test(flavor = "current_thread")]
async fn a_story_is_the_same_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    std::fs::write(&file, "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n")
        .unwrap();
    let (log, config) = (data.path().join("log"), ["--config", file.to_str().unwrap()]);
    let node = Node::start(&log, &config);
    let (debtor, mut returns) = connect(&node, "BANK-0001").await;
    let (creditor, mut offers) = connect(&node, "BANK-0002").await;
    let payer = debtor.participant();
    let mut told = Vec::new();
    for answer in [Reply::yes, |payer, uetr| Reply::no(payer, uetr, Reason::AC04)] {
        let handle = debtor.submit(&transfer("6.00")).await.unwrap();
        let uetr = handle.uetr();
        until_offered(&mut offers, uetr).await;
        creditor.answer(&answer(payer, uetr)).await.unwrap();
        _ = handle.outcome().await;
        told.push(node.ask(&["payment", &uetr.to_string(), "--json"]).with(0).json()[0].clone());
    }
    // The creditor agent's feed has the two offers and the settlement; the debtor agent's its funding and two outcomes.
    let numbers = |story: &serde_json::Value, moment: usize| -> Vec<(String, u64)> {
        let notices = story["timeline"][moment]["notices"].as_array().unwrap().clone();
        let number =
            |notice: serde_json::Value| (notice["to"].as_str().unwrap().into(), notice["number"].as_u64().unwrap());
        notices.into_iter().map(number).collect()
    };
    let bank = |number: u64| format!("BANK-{number:04}");
    assert_eq!(numbers(&told[0], 1), [(bank(2), 2)], "{}", told[0]);
    assert_eq!(numbers(&told[0], 2), [(bank(1), 2), (bank(2), 3)]);
    assert_eq!(numbers(&told[1], 1), [(bank(2), 4)]);
    assert_eq!(numbers(&told[1], 2), [(bank(1), 3)]);
    for story in &told {
        let entry = |moment: usize| story["timeline"][moment]["entry"].as_u64().unwrap();
        assert!(entry(1) < entry(2) && story["timeline"].as_array().unwrap().len() == 3, "{story}");
        assert_eq!(story["postings"].as_array().unwrap().last().unwrap()["entry"], entry(2));
        assert_eq!(story["budget"]["total_us"], 10_000_000);
        assert!(story["message_id"].is_string());
    }

    // A part is given back: both stories name the other payment.
    let show = |uetr: &str| node.ask(&["payment", uetr, "--json"]).with(0).json()[0].clone();
    let original: Uetr = told[0]["uetr"].as_str().unwrap().parse().unwrap();
    let back = Return {
        uetr: Uetr::random(),
        original_uetr: original,
        creditor_agent: payer,
        amount: Money::parse("2.50", Currency::EUR).unwrap(),
        reason: Reason::FOCR,
        additional_information: None,
        created_at: None,
    };
    let handle = creditor.submit(&back).await.unwrap();
    loop {
        let notice = returns.next().await.unwrap().unwrap();
        if matches!(notice.view(), Message::ReturnNotice(offer) if offer.payment_return.uetr == back.uetr) {
            break;
        }
    }
    assert_eq!(show(&original.to_string())["returns"][0]["state"], "in_process");
    debtor.answer(&Reply::yes(creditor.participant(), back.uetr)).await.unwrap();
    _ = handle.outcome().await;
    told[0] = show(&original.to_string());
    assert_eq!(told[0]["returned"], "2.50");
    assert_eq!(
        (&told[0]["returns"][0]["uetr"], told[0]["returns"].as_array().unwrap().len()),
        (&back.uetr.to_string().into(), 1)
    );
    told.push(show(&back.uetr.to_string()));
    assert_eq!((&told[2]["original"]["uetr"], &told[2]["original"]["amount"]), (&told[0]["uetr"], &"6.00".into()));
    drop(node);

    let node = Node::start(&log, &config);
    for story in &told {
        let uetr = story["uetr"].as_str().unwrap();
        assert_eq!(node.ask(&["payment", uetr, "--json"]).with(0).json()[0], *story);
        assert_eq!(node.ask(&["payment", &uetr.replace('-', ""), "--json"]).with(0).json()[0], *story);
        let found = node.ask(&["payment", "find", "--json", story["message_id"].as_str().unwrap()]).with(0).json();
        assert_eq!((&found["payments"][0]["uetr"], &found["more"]), (&story["uetr"], &serde_json::Value::Null));
        let page = node.ask(&["payment", uetr]).with(0).stdout;
        assert!(
            page.contains("Timeline, from the book and the log") && page.contains("\n               notice "),
            "{page}"
        );
    }
    node.stop();
}

#[tokio::test(flavor = "current_thread")]
async fn a_drain_waits_for_payments_in_process_until_a_second_signal() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let text = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(&file, text).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let log = data.path().join("log");
    let node = Node::start(&log, &[&config[..], &["--set", "drain.deadline=10m"]].concat());
    let (debtor, _ignored) = connect(&node, "BANK-0001").await;
    let (_creditor, mut offers) = connect(&node, "BANK-0002").await;
    let handle = debtor.submit(&transfer("60.00")).await.unwrap();
    until_offered(&mut offers, handle.uetr()).await;
    node.signal("TERM");
    let mut left = 200;
    while node.ask(&["status", "--json"]).with(0).json()["refusing"] != "DRAN" {
        left -= 1;
        assert!(left > 0, "the node does not drain");
    }
    node.until_told(&["crosstie_drain_remaining_transfers 1.0"]);
    node.signal("TERM");
    let (code, lines) = node.ended();
    assert_eq!(code, Some(130), "{lines}");

    // The payment goes on where it was.
    let node = Node::start(&log, &config);
    let shown = node.ask(&["payment", &handle.uetr().to_string(), "--json"]).with(0).json();
    assert_eq!(shown[0]["amount"], "60.00");
    node.stop();
}

#[test]
fn what_is_refused_says_why_and_what_next() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    let why = ["--currency", "EUR", "--reason", "a test"];
    node.ask(&[&["participant", "register", "BANK-0001"], &why[..]].concat()).with(0);
    let check = |arguments: &[&str], code: i32, part: &str| {
        let ended = node.ask(arguments).with(code);
        assert!(ended.stderr.contains(part), "{arguments:?}: {ended:#?}");
        assert!(ended.stdout.is_empty(), "{arguments:?}: {ended:#?}");
    };
    let with = |arguments: &[&'static str]| [arguments, &why[..]].concat();
    check(&with(&["participant", "register", "BANK-0001"]), 4, "registered already");
    check(&with(&["participant", "register", "bank"]), 2, "A-Z");
    check(&with(&["participant", "fund", "BANK-0002", "1"]), 5, "crosstie participant list");
    check(&with(&["participant", "fund", "BANK-0001", "0"]), 4, "error: AM01: The amount must be above 0.");
    check(&with(&["participant", "fund", "BANK-0001", "1.234"]), 2, "3 decimals");
    check(&with(&["participant", "fund", "BANK-0001", "1e9"]), 2, "no amount");
    check(&with(&["participant", "defund", "BANK-0001", "1"]), 4, "AM04");
    check(&with(&["participant", "limit", "BANK-0001", "--payment-max", "x"]), 2, "no amount");
    check(&["participant", "fund", "BANK-0001", "1", "--currency", "XXX", "--reason", "x"], 2, "no active currency");
    check(&["participant", "fund", "BANK-0001", "1", "--currency", "EUR", "--reason", " "], 2, "needs a reason");
    check(&["participant", "fund", "BANK-0001", "1", "--currency", "EUR"], 2, "--reason");
    check(
        &["participant", "fund", "BANK-0001", "1", "--currency", "EUR", "--reason", "x\u{202e}y"],
        2,
        "format characters",
    );
    check(&["day", "roll", "--to", "2099-01-01", "--reason", "x"], 4, "more than 7 days ahead");
    check(&["day", "roll"], 2, "--reason");
    check(&["day", "roll", "--to", "2001-01-01", "--reason", "x"], 4, "cannot become");
    check(&["day", "roll", "--to", "tomorrow", "--reason", "x"], 2, "no date");
    let today = node.ask(&["day", "show", "--json"]).with(0).json()["business_date"].clone();
    let rolled = node.ask(&["day", "roll", "--reason", "a test", "--json"]).with(0).json()["business_date"].clone();
    assert!(rolled.as_str() > today.as_str(), "{rolled} {today}");
    node.stop();
}

#[test]
fn a_snapshot_is_taken_when_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(&data.path().join("log"), &[]);
    node.ask(&["snapshot"]).with(0);
    for attempt in 0.. {
        node.ask(&["day", "roll", "--reason", "a test"]).with(0);
        if node.ask(&["status", "--json"]).with(0).json()["journal"]["snapshots"] != 0 {
            break;
        }
        assert!(attempt < 200, "no snapshot came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(exposed(&data.path().join("log")), Vec::<PathBuf>::new());
    node.stop();
    run(&["log", "verify", "--data", data.path().join("log").to_str().unwrap()]).with(0);
}

#[test]
fn what_needs_no_node() {
    assert!(run(&["errors"]).with(0).stdout.contains("AM04"));
    assert_eq!(run(&["errors", "am04", "--json"]).with(0).json()["must_act"], "debtor agent");
    run(&["errors", "ZZZZ"]).with(5);
    assert!(run(&["completions", "bash"]).with(0).stdout.contains("crosstie"));
    assert!(run(&["config", "example"]).with(0).stdout.contains("[scheme]"));
    run(&["serve", "--nonsense"]).with(2);
    let help = run(&["--help"]).with(0).stdout;
    assert!(help.contains("Exit codes") && help.contains("Examples"));
}
