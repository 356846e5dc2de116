//! Payments that memory has forgotten: their parties and operators still find them, also after a crash.

use std::time::Duration;

use wire::client::{Client, FinalStatus, Options, Report, Transfer};
use wire::{Currency, Money, Uetr};

use crate::support::{Node, run};

async fn connect(node: &Node, id: &str) -> Client {
    let (client, mut notices) = Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap();
    // It takes what it is offered and never answers.
    tokio::spawn(async move { while let Ok(Some(_)) = notices.next().await {} });
    client
}

/// Sends a payment that expires; returns when it has.
async fn expired(debtor: &Client, amount: &str) -> Uetr {
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

    let first = expired(&debtor, "60.00").await;
    let id = first.to_string();
    let shown = |node: &Node| node.ask(&["payment", &id, "--json"]).with(0).json()[0].clone();
    assert_eq!(shown(&node)["returned"], "0.00", "the book knows it: {}", shown(&node));
    let mut sent = 1;
    while shown(&node)["returned"] == "0.00" {
        assert!(sent < 40, "the book does not forget");
        tokio::time::sleep(Duration::from_millis(100)).await;
        expired(&debtor, "1.00").await;
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
    assert_eq!((&payment["state"], &payment["reasons"][0]), (&"expired".into(), &"AB05".into()), "{payment}");
    assert!(payment["summary"].as_str().unwrap().contains("expired at"), "{payment}");
    let find = |node: &Node, more: &[&str]| {
        node.ask(&[&["payment", "find", "--participant", "BANK-0002", "--json"], more].concat()).with(0).json()
    };
    let found = find(&node, &[]);
    assert_eq!(found.as_array().unwrap().len(), sent);
    assert_eq!(found.as_array().unwrap().last().unwrap(), &payment, "the latest come first");
    assert_eq!(find(&node, &["--limit", "1", "--since", "1h"]).as_array().unwrap().len(), 1);
    for none in [["--since", "2100-01-01"], ["--until", "1h"], ["--state", "settled"]] {
        assert_eq!(find(&node, &none).as_array().unwrap().len(), 0, "{none:?}");
    }
    let table = node.ask(&["payment", "find", "--participant", "BANK-0001", "--plain"]).with(0).stdout;
    assert_eq!(table.lines().count(), sent);
    assert_eq!(node.ask(&["status", "--json"]).with(0).json()["archive"]["payments"], sent);
    node.ask(&["payment", "find", "--participant", "BANK-9999"]).with(5);
    node.ask(&["payment", "find", "--participant", "BANK-0001", "--since", "soon"]).with(2);
    run(&["payment", "find"]).with(2);

    // Nothing of it was written yet; a killed node reads it from its log.
    drop(node);
    let node = Node::start(&log, &arguments);
    assert_eq!(shown(&node)["ended_at"], payment["ended_at"]);
    assert_eq!(find(&node, &[]).as_array().unwrap().len(), sent);
    node.stop();
    let runs = || std::fs::read_dir(log.join("archive")).unwrap().count();
    assert_eq!(runs(), 1, "an orderly stop writes what it has");
    let node = Node::start(&log, &arguments);
    assert_eq!(find(&node, &[]).as_array().unwrap().len(), sent);
    assert_eq!(shown(&node), payment);
}
