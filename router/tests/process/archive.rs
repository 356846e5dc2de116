//! Payments that memory has forgotten: their parties and operators still find them, also after a crash.

use std::time::Duration;

use serde_json::Value;
use wire::client::{Client, FinalStatus, Options, Report, Transfer};
use wire::{Currency, Money, Uetr};

use crate::support::{Node, run};

async fn connect(node: &Node, id: &str) -> Client {
    let (client, mut notices) = Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap();
    // It takes what it is offered and never answers.
    tokio::spawn(async move { while let Ok(Some(_)) = notices.next().await {} });
    client
}

fn find(node: &Node, words: &[&str]) -> Vec<Value> {
    let found = node.ask(&[&["payment", "find", "--json"], words].concat()).with(0).json();
    found["payments"].as_array().unwrap().clone()
}

/// Sends a payment that times out; returns when it has.
async fn timed_out(debtor: &Client, amount: &str) -> Uetr {
    let amount = Money::parse(amount, Currency::EUR).unwrap();
    let transfer = Transfer::new("BANK-0002".parse().unwrap(), amount).from("Ann", "DE01").to("Ben", "DE02");
    let handle = debtor.submit(&transfer).await.unwrap();
    let uetr = handle.uetr();
    assert_eq!(handle.outcome().await.unwrap().status, FinalStatus::Rejected);
    uetr
}

#[tokio::test(flavor = "current_thread")]
async fn a_forgotten_payment_is_still_found() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    std::fs::write(&file, "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 3\n")
        .unwrap();
    let settings = [
        "scheme.duplicate_window=1s",
        "scheme.payment_timeout=300ms",
        "scheme.creditor_share=50ms",
        "scheme.skew_max=0ms",
    ];
    let mut arguments = vec!["--config", file.to_str().unwrap()];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let log = data.path().join("log");
    let node = Node::start(&log, &arguments);
    let (debtor, creditor) = (connect(&node, "BANK-0001").await, connect(&node, "BANK-0002").await);
    let stranger = connect(&node, "BANK-0003").await;

    let first = timed_out(&debtor, "60.00").await;
    let id = first.to_string();
    let shown = |node: &Node| node.ask(&["payment", &id, "--json"]).with(0).json()[0].clone();
    assert_eq!(shown(&node)["returned"], "0.00", "the book knows it: {}", shown(&node));
    let mut sent = 1;
    while shown(&node)["returned"] == "0.00" {
        assert!(sent < 40, "the book does not forget");
        tokio::time::sleep(Duration::from_millis(100)).await;
        timed_out(&debtor, "1.00").await;
        sent += 1;
    }

    let bank = debtor.participant();
    for party in [&debtor, &creditor] {
        let Report::Final(outcome) = party.status(bank, first).await.unwrap() else { panic!("it has ended") };
        assert_eq!(outcome.status, FinalStatus::Rejected);
    }
    let refusal = stranger.status(bank, first).await.unwrap_err().to_string();
    assert!(refusal.contains("AG09"), "{refusal}");

    let payment = shown(&node);
    assert_eq!((&payment["state"], &payment["reasons"][0]), (&"timed_out".into(), &"AB05".into()), "{payment}");
    assert!(payment["summary"].as_str().unwrap().contains("timed out at"), "{payment}");
    let ended = node.ask(&["payment", "find", "BANK-0002", "--json"]).with(0).json();
    assert_eq!(ended["more"], Value::Null);
    let ended = ended["payments"].as_array().unwrap().clone();
    assert_eq!(ended.len(), sent);
    let last = ended.last().unwrap();
    assert!(last["uetr"] == payment["uetr"] && last["summary"] == payment["summary"], "the latest come first: {last}");
    let count = |words: &[&str]| find(&node, words).len();
    assert_eq!(count(&["BANK-0002", "since:1h", "--limit", "1"]), 1);
    for (words, expected) in [
        ("BANK-0002 since:2100-01-01", 0),
        ("BANK-0002 until:1h", 0),
        ("BANK-0002 state:settled", 0),
        ("BANK-0003", 0),
        ("from:BANK-0002", 0),
        ("state:timed_out", sent),
        ("BANK-0002 BANK-0001 reason:AB05 currency:EUR", sent),
        ("to:BANK-0002 amount:60", 1),
        ("amount:1.00", sent - 1),
        ("amount:59..61 since:1h", 1),
        ("state:in_process", 0),
    ] {
        assert_eq!(count(&words.split(' ').collect::<Vec<_>>()), expected, "{words}");
    }
    assert_eq!(count(&[&id]), 1);
    assert_eq!(count(&[&format!("uetr:{}", &id[..13])]), 1);
    let one = node.ask(&["payment", "find", "state:timed_out", "--limit", "1", "--json"]).with(0);
    assert!(one.stderr.contains("more than 1") && one.json()["more"].is_string(), "{one:#?}");
    let table = node.ask(&["payment", "find", "BANK-0001", "--plain"]).with(0).stdout;
    assert_eq!(table.lines().count(), sent);
    assert_eq!(node.ask(&["status", "--json"]).with(0).json()["archive"]["payments"], sent);
    node.ask(&["payment", "find", "BANK-9999"]).with(5);
    assert!(node.ask(&["payment", "find", "BANK-0001", "since:soon"]).with(2).stderr.contains("two hours ago"));
    assert!(node.ask(&["payment", "find", "colour:red"]).with(2).stderr.contains("reason:"));
    run(&["payment", "find"]).with(2);
    let unknown = format!("{}0000-4000-8000-000000000000", &id[..9]);
    let refusal = node.ask(&["payment", &unknown]).with(5).stderr;
    assert!(refusal.contains(&format!("these begin alike: {id}")), "{refusal}");

    // Nothing of it was written yet; a killed node reads it from its log.
    drop(node);
    let node = Node::start(&log, &arguments);
    assert_eq!(shown(&node), payment);
    assert_eq!(find(&node, &["BANK-0002"]).len(), sent);
    node.stop();
    let runs = || std::fs::read_dir(log.join("archive")).unwrap().count();
    assert_eq!(runs(), 1, "an orderly stop writes what it has");
    let node = Node::start(&log, &arguments);
    assert_eq!(find(&node, &["BANK-0002"]), ended);
    assert_eq!(shown(&node), payment);
}
