//! Statements of a business date, and a participant's own list compared with them.

use wire::client::{Client, FinalStatus, Options, Reply, Transfer};
use wire::{Currency, Message, Money, Reason};

use crate::support::{Node, run};

/// A bank that takes whole amounts and refuses others.
async fn bank(node: &Node, id: &str) {
    let (client, mut notices) = Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap();
    tokio::spawn(async move {
        while let Ok(Some(notice)) = notices.next().await {
            if let Message::TransferNotice(offer) = notice.view() {
                let (debtor_agent, uetr) = (offer.transfer.debtor_agent, offer.transfer.uetr);
                let reply = match offer.transfer.amount_minor % 100 {
                    0 => Reply::yes(debtor_agent, uetr),
                    _ => Reply::no(debtor_agent, uetr, Reason::AC04),
                };
                client.answer(&reply).await.unwrap();
            }
            notices.processed(&notice);
        }
    });
}

async fn pay(debtor: &Client, amount: &str) -> (String, FinalStatus) {
    let amount = Money::parse(amount, Currency::EUR).unwrap();
    let transfer = Transfer::new("BANK-0002".parse().unwrap(), amount).from("Ann", "DE01").to("Ben", "DE02");
    let handle = debtor.submit(&transfer).await.unwrap();
    (handle.uetr().to_string(), handle.outcome().await.unwrap().status)
}

#[tokio::test(flavor = "current_thread")]
async fn a_statement_is_the_same_whenever_it_is_made() {
    let data = tempfile::tempdir().unwrap();
    let path = |name: &str| data.path().join(name).to_str().unwrap().to_string();
    let participants = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(path("node.toml"), participants).unwrap();
    let config = path("node.toml");
    let arguments = ["--config", &config];
    let log = data.path().join("log");
    let node = Node::start(&log, &arguments);
    let (debtor, mut notices) =
        Client::connect(Options::new(node.address(), "BANK-0001".parse().unwrap())).await.unwrap();
    tokio::spawn(async move {
        while let Ok(Some(notice)) = notices.next().await {
            notices.processed(&notice)
        }
    });
    bank(&node, "BANK-0002").await;

    let date = node.ask(&["day", "show", "--json"]).with(0).json()["business_date"].as_str().unwrap().to_string();
    let (first, status) = pay(&debtor, "30.00").await;
    assert_eq!(status, FinalStatus::Settled);
    assert_eq!(pay(&debtor, "5.01").await.1, FinalStatus::Rejected);
    let (second, _) = pay(&debtor, "7.00").await;
    node.ask(&["day", "roll", "--reason", "a test"]).with(0);
    let (third, _) = pay(&debtor, "1.00").await;

    let totals = |node: &Node, id: &str, date: &str| {
        node.ask(&["report", "totals", id, "--date", date, "--json"]).with(0).json()[0].clone()
    };
    let own = totals(&node, "BANK-0001", &date);
    assert_eq!((&own["opening"], &own["closing"]), (&"0.00".into(), &"63.00".into()), "{own}");
    assert_eq!((&own["sent"]["count"], &own["funded"]["amount"]), (&2.into(), &"100.00".into()), "{own}");
    assert_eq!(own["is_final"], true);
    let today = node.ask(&["report", "totals", "BANK-0001", "--json"]).with(0).json()[0].clone();
    assert_eq!((&today["opening"], &today["closing"], &today["number"]), (&own["closing"], &"62.00".into(), &2.into()));
    assert_eq!(totals(&node, "BANK-0002", &date)["closing"], "137.00");

    let statement = |node: &Node, out: &str| {
        let file = path(out);
        let made = ["report", "statement", "BANK-0001", "--date", &date, "--format", "csv", "--out", &file];
        node.ask(&made).with(0);
        let text = std::fs::read_to_string(&file).unwrap();
        let again = node.ask(&made).with(4);
        assert!(again.stderr.contains("is there already") && again.stderr.contains("--force"), "{again:?}");
        node.ask(&[&made[..], &["--force"]].concat()).with(0);
        text
    };
    let before = statement(&node, "before.csv");
    let lines: Vec<&str> = before.lines().collect();
    assert_eq!(lines.len(), 6, "{before}");
    assert!(lines[0].starts_with("at,uetr,direction,kind,"), "{before}");
    assert_eq!((lines[1], lines[5]), (",,,opening_balance,,,0.00,EUR,,", ",,,closing_balance,,,63.00,EUR,,"));
    assert!(lines[2].ends_with(",,credit,funding,,,100.00,EUR,,"), "{before}");
    assert!(lines[3].contains(&first) && lines[4].contains(&second) && !before.contains(&third), "{before}");
    let checksum = std::fs::read_to_string(path("before.csv.sha256")).unwrap();
    assert!(checksum.ends_with("  before.csv\n") && checksum.len() == 64 + 13, "{checksum}");

    // A killed node reads its book and its archive from the log.
    drop(node);
    let node = Node::start(&log, &arguments);
    assert_eq!(statement(&node, "after.csv"), before);
    assert_eq!(totals(&node, "BANK-0001", &date), own);

    let reconcile = |text: &str, code: i32| {
        std::fs::write(path("mine.csv"), text).unwrap();
        let (mine, named) = (path("mine.csv"), ["--participant", "BANK-0001", "--date", &date, "--json"]);
        node.ask(&[&["report", "reconcile", &mine], &named[..]].concat()).with(code)
    };
    let equal = reconcile(&format!("UETR,Amount,Direction\n{second},7,debit\n{first},30.00,debit\n"), 0).json();
    assert_eq!(reconcile(&before, 0).json()["equal"], 2, "its own statement");
    assert_eq!(
        (&equal["equal"], &equal["switch_sums"]["debit EUR"]["amount"]),
        (&2.into(), &"37.00".into()),
        "{equal}"
    );
    let differing = reconcile(&format!("uetr,amount\n{first},30.01\n{third},1.00\n"), 1).json();
    assert_eq!(
        (&differing["counts"]["amount"], &differing["counts"]["only_in_file"], &differing["counts"]["only_at_switch"]),
        (&1.into(), &1.into(), &1.into()),
        "{differing}"
    );
    assert!(reconcile("uetr,amount\nx,1\n", 2).stderr.contains("row 2"));

    let check = node.ask(&["report", "self-check", "--json"]).with(0).json();
    assert_eq!(
        (&check["date"], &check["positions"], &check["payments"]),
        (&date.as_str().into(), &2.into(), &2.into())
    );
    assert_eq!(check["faults"].as_array().unwrap().len(), 0, "{check}");

    assert_eq!(check["unchecked"].as_array().unwrap().len(), 0, "{check}");
    let not_over = node.ask(&["report", "self-check", "--date", today["date"].as_str().unwrap()]).with(2);
    assert!(not_over.stderr.contains("is not over"), "{}", not_over.stderr);

    // Two dates of each of the two.
    let listed = node.ask(&["report", "list", "--json"]).with(0).json();
    let listed = listed.as_array().unwrap();
    let of = |own: &serde_json::Value| (own["participant"].clone(), own["number"].clone(), own["is_final"].clone());
    let expected =
        ["BANK-0001", "BANK-0002"].map(|id| [(1, true), (2, false)].map(|(number, is_final)| (id, number, is_final)));
    let expected =
        expected.concat().into_iter().map(|(id, number, is_final)| (id.into(), number.into(), is_final.into()));
    assert!(listed.iter().map(of).eq(expected), "{listed:?}");
    assert!(listed.iter().all(|own| own["has_payments"] == true && own["currency"] == "EUR"), "{listed:?}");
    let one = node.ask(&["report", "list", "BANK-0002", "--date", &date, "--plain"]).with(0).stdout;
    assert_eq!(one, format!("BANK-0002\tEUR\t{date}\t1\tyes\tyes\n"));
    node.ask(&["report", "list", "BANK-9999"]).with(5);

    node.ask(&["report", "totals", "BANK-9999"]).with(5);
    // Of a date that the switch does not know there is no sum of 0.00.
    for date in ["2020-01-01", "2100-01-01"] {
        for report in [&["totals", "BANK-0001"][..], &["statement", "BANK-0001"], &["self-check"]] {
            let refused = node.ask(&[&["report"], report, &["--date", date]].concat()).with(5);
            let why = if date < "2026" { "the first movement was on" } else { "has not begun" };
            assert!(refused.stderr.contains(why) && refused.stdout.is_empty(), "{refused:#?}");
        }
    }
    let checks = node.ask(&["status", "--json"]).with(0).json()["checks"].clone();
    assert_eq!((&checks["self_check"]["date"], &checks["self_check"]["payments"]), (&date.as_str().into(), &2.into()));
    node.ask(&["report", "totals", "BANK-0001", "--date", "tomorrow"]).with(2);
    node.ask(&["report", "statement", "BANK-0001", "--currency", "USD"]).with(5);
    run(&["report", "statement", "BANK-0001", "--out", "x"]).with(2);
}
