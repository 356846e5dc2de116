//! What a node tells of itself, while payments go through it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watch::{Participant, Severity, Snapshot, StageName};
use wire::client::{Client, Options, Reply, Transfer};
use wire::{Currency, Message, Money, Reason};

use crate::support::{Node, run};

/// The latest snapshot.
fn snapshot(node: &Node) -> Snapshot {
    use crosstie::admin::protocol::{Command, Reply};
    let line = crosstie::admin::client::exchange(&node.socket(), Command::Watch, "", Duration::from_secs(10));
    match line.unwrap().reply {
        Reply::Ok(value) => serde_json::from_value(value).unwrap(),
        Reply::Error(problem) => panic!("{problem:?}"),
    }
}

/// The first snapshot that is as it should be.
async fn until(node: &Node, what: &str, is_it: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let now = snapshot(node);
        if is_it(&now) {
            return now;
        }
        assert!(Instant::now() < until, "{what}: {now:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn participant<'a>(now: &'a Snapshot, id: &str) -> &'a Participant {
    now.participants.iter().find(|own| own.id == id).unwrap()
}

/// A bank that takes its time and says yes to whole amounts.
async fn answer_all(address: String) {
    let (client, mut notices) = Client::connect(Options::new(address, "BANK-0002".parse().unwrap())).await.unwrap();
    while let Ok(Some(notice)) = notices.next().await {
        if let Message::TransferNotice(offer) = notice.view() {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let (payer, uetr) = (offer.transfer.debtor_agent, offer.transfer.uetr);
            let says_yes = offer.transfer.amount_minor % 100 == 0;
            let reply = if says_yes { Reply::yes(payer, uetr) } else { Reply::no(payer, uetr, Reason::AC04) };
            client.answer(&reply).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn everything_is_counted_once_and_told_alike() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let text = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(&file, text).unwrap();
    let node = Node::start(&data.path().join("log"), &["--config", file.to_str().unwrap()]);
    let first = snapshot(&node);
    assert!(first.number > 0 && first.payments.started == 0 && first.participants.len() == 2, "{first:#?}");

    let bank = tokio::spawn(answer_all(node.address()));
    until(&node, "the bank is there", |now| participant(now, "BANK-0002").sessions == 1).await;
    let (debtor, _notices) = Client::connect(Options::new(node.address(), "BANK-0001".parse().unwrap())).await.unwrap();
    let pay = async |amount: &str| {
        let amount = Money::parse(amount, Currency::EUR).unwrap();
        let transfer = Transfer::new("BANK-0002".parse().unwrap(), amount).from("A", "DE01").to("B", "DE02");
        _ = debtor.submit(&transfer).await.unwrap().outcome().await;
    };
    for amount in ["10.00", "20.00", "30.00", "1.50", "400.00"] {
        pay(amount).await;
    }
    node.ask(&["audit", "verify"]).with(0);
    node.ask(&["report", "self-check"]).with(5);
    node.ask(&["snapshot"]).with(0);
    let written = |now: &Snapshot, id| participant(now, id).messages.sent.get("StatusNotice").copied().unwrap_or(0);
    let is_told = |now: &Snapshot| {
        let is_noted = !now.actions.is_empty() && now.checks.audit.is_some();
        is_noted && written(now, "BANK-0001") == 5 && written(now, "BANK-0002") == 3
    };
    let now = until(&node, "all are counted", |now| now.payments.started == 5 && is_told(now)).await;

    let payments = &now.payments;
    assert_eq!((payments.outcomes.settled, payments.outcomes.rejected, payments.outcomes.timed_out), (3, 2, 0));
    assert_eq!((payments.within_objective, payments.beyond_objective, payments.in_flight), (5, 0, 0));
    let expected = [("AC04".to_string(), 1), ("AM04".to_string(), 1)].into();
    assert_eq!((&payments.reasons, payments.reasons_by_creditor.get("AC04")), (&expected, Some(&1)));
    assert_eq!((payments.settled.count, payments.failed.count), (3, 1), "what was refused at once took no time");
    assert!(payments.settled.p50_us >= 30_000, "the bank took 30 ms: {:?}", payments.settled);
    let outcomes: BTreeSet<&str> = payments.exemplars.iter().map(|own| own.outcome.words()).collect();
    assert_eq!(outcomes, ["rejected", "settled"].into());
    assert!(payments.exemplars.iter().all(|own| own.took_us >= 30_000 && own.at_ms > 0), "{:?}", payments.exemplars);

    let (payer, payee) = (participant(&now, "BANK-0001"), participant(&now, "BANK-0002"));
    assert_eq!((payer.started, payer.outcomes.settled, payer.total.count, payer.received), (5, 3, 4, 0));
    assert_eq!((payee.received, payee.answered.settled, payee.answered.rejected, payee.answer.count), (4, 3, 1, 4));
    assert!(payee.answer.p50_us >= 28_000 && payee.answer.p50_us <= payer.total.p50_us.max(payee.answer.max_us));
    let position = &payer.positions[0];
    assert_eq!((position.balance_minor, position.reserved_minor, position.headroom), (4_000, 0, 0.4));
    assert_eq!((payer.started_in["EUR"], payee.started_in["EUR"]), (5, 0));
    assert_eq!((payer.state.as_str(), payer.sessions), ("signed_on", 1));
    check_messages(payer, payee);
    assert_eq!(now.actions.iter().map(|own| (own.action.as_str(), own.count)).collect::<Vec<_>>(), [("snapshot", 1)]);
    let check = now.checks.self_check.as_ref().unwrap();
    assert_eq!((check.differences, &check.date), (0, &None), "no date is over");
    assert_eq!(now.node.imbalance_minor, [("EUR".to_string(), 0)].into());

    let counted = |name| now.stages.iter().find(|stage| stage.name == name).unwrap().latency.count;
    use StageName::{Append, Apply, Commit, CreditorWait, Decide, Decode, Replicate, Sync, Wait, Write};
    assert_eq!(counted(CreditorWait), 4);
    assert!(counted(Decode) >= 9 && counted(Decide) >= 9, "five payments, four answers, two sign-ons");
    for name in [Wait, Append, Sync, Commit, Apply, Write] {
        assert!(counted(name) >= 9, "{name:?}: {}", counted(name));
    }
    assert_eq!(counted(Replicate), 0, "a node alone replicates nothing");

    let actors = &now.actors[0];
    assert_eq!((actors.kind.as_str(), actors.instances, actors.queued), ("participant", 2, 0));
    assert!(actors.handled["instructions"] >= 11 && actors.handled["letters"] >= 8, "{:?}", actors.handled);
    assert_eq!(
        (now.node.role.as_str(), now.node.leader.as_deref(), now.node.not_ready().count()),
        ("leader", Some("n1"), 0)
    );
    assert!(now.log.written_bytes > 0 && now.log.free_bytes > 0 && now.node.resident_bytes > 1 << 20);
    assert!(now.warnings.iter().all(|warning| warning.code != "no_leader"), "{:?}", now.warnings);

    told_alike(&node, &now);
    debtor.close().await;
    bank.abort();
    node.stop();
}

/// Five payments, four of which were offered, three of which settled: who says no is not told so.
fn check_messages(payer: &Participant, payee: &Participant) {
    let (own, other) = (&payer.messages, &payee.messages);
    assert_eq!((own.received["CreditTransfer"], own.received["SignOn"], own.sent["SignedOn"]), (5, 1, 1), "{own:?}");
    assert_eq!((other.received["Answer"], other.sent["TransferNotice"]), (4, 4), "{other:?}");
    assert!(!own.received.contains_key("Answer") && !own.sent.contains_key("TransferNotice"), "{own:?}");
    assert_eq!((own.events["connect"], own.events["disconnect"], own.events.len()), (1, 0, 6));
    assert!(own.errors.len() == 3 && own.errors.values().all(|count| *count == 0), "{:?}", own.errors);
}

/// Every surface has the same figures.
fn told_alike(node: &Node, now: &Snapshot) {
    let metrics = node.ask(&["metrics", "show"]).with(0).stdout;
    let has = |line: &str| assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    has(r#"crosstie_transfers_finished_total{debtor="BANK-0001",outcome="settled"} 3.0"#);
    has(r#"crosstie_transfer_rejects_total{reason="AM04",by="switch"} 1.0"#);
    has(r#"crosstie_creditor_response_duration_seconds_count{creditor="BANK-0002"} 4"#);
    has("crosstie_leader_known 1.0");
    has(r#"crosstie_transfers_started_total{debtor="BANK-0001",currency="EUR"} 5.0"#);
    has(r#"crosstie_messages_total{participant="BANK-0002",direction="out",type="TransferNotice"} 4.0"#);
    has(r#"crosstie_operator_actions_total{action="snapshot",result="done"} 1.0"#);
    has("crosstie_audit_broken 0.0");
    let read = node.ask(&["metrics", "show", "--json"]).with(0).json();
    let of = |name: &str| read.as_array().unwrap().iter().find(|own| own["name"] == name).unwrap()["series"][0].clone();
    assert_eq!(of("crosstie_leader_known"), json!({ "labels": {}, "value": 1.0 }));
    assert_eq!(of("crosstie_transfers_started_total")["labels"], json!({ "currency": "EUR", "debtor": "BANK-0001" }));
    let times = of("crosstie_creditor_response_duration_seconds");
    assert!(times["count"].is_u64() && times["buckets"].as_array().unwrap().len() > 5, "{times}");
    let columns = node.ask(&["metrics", "show", "--plain"]).with(0).stdout;
    assert!(columns.lines().any(|line| line == "crosstie_leader_known\t1.0"), "{columns}");
    let listed = run(&["metrics", "list", "--json"]).with(0).json();
    for metric in listed.as_array().unwrap() {
        let name = metric["name"].as_str().unwrap();
        let only_at_times = ["peer", "replication_lag", "certificate", "clock_offset", "drain_remaining"]
            .map(|part| name.contains(part));
        let is_there = metrics.contains(&format!("# TYPE {name} "));
        assert!(is_there || only_at_times.contains(&true) || name == "crosstie_position_limit_minor_units", "{name}");
    }
    check_by_promtool(&metrics);

    // A node alone looks at its members once, and has no majority to agree with.
    let cluster = node.ask(&["cluster", "status", "--json"]).with(0).json();
    let (last, committed) = (cluster["last_index"].as_u64(), cluster["leadership"]["committed_index"].as_u64());
    assert!(last == committed && last >= Some(now.log.committed_index), "{cluster}");
    assert_eq!((&cluster["agreed_index"], &cluster["members"][0]["book"]), (&0.into(), &Value::Null), "{cluster}");

    let status = node.ask(&["status", "--json"]).with(0).json();
    assert_eq!(status["settled"]["count"], 3);
    assert!(status["checks"]["audit"]["at_ms"].as_u64() > Some(0), "{status}");
    assert_eq!(
        (&status["budget"]["goal"], &status["budget"]["within"]),
        (&0.9995.into(), &Value::Null),
        "five are too few"
    );
    let table = node.ask(&["status"]).with(0).stdout;
    for part in ["payments settling", "no business date with movements is over", "no data: "] {
        assert!(table.contains(part), "{table}");
    }
    let kinds = node.ask(&["actor", "kinds", "--json"]).with(0).json();
    assert_eq!(kinds[0]["instances"], 2);
    // Four answers; what of sessions is not measured is not 0.
    let sessions = node.ask(&["actor", "top", "session", "--plain"]).with(0).stdout;
    assert!(sessions.lines().any(|line| line == "BANK-0002\t0\t-\t4\t-\t-"), "{sessions}");
    node.ask(&["actor", "top", "pumpkin"]).with(2);
    let shown = node.ask(&["actor", "show", "BANK-0002", "--json"]).with(0).json();
    let deeds: Vec<&Value> = shown["deeds"].as_array().unwrap().iter().map(|deed| &deed["what"]).collect();
    assert_eq!(deeds[..4], ["rejected", "settled", "settled", "settled"]);
    node.ask(&["actor", "show", "BANK-0009"]).with(5);
    assert!(now.verdict.severity == Severity::Fine || !now.warnings.is_empty());
}

/// Where promtool is, it has nothing to say against the names.
fn check_by_promtool(metrics: &str) {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: tests/run installs it");
        return;
    };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_wrong_is_told_in_words() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let text = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(&file, text).unwrap();
    // Longer than the time between two snapshots, so that one of them sees it.
    let arguments = [
        "--config",
        file.to_str().unwrap(),
        "--set",
        "scheme.payment_timeout=4s",
        "--set",
        "scheme.creditor_share=100ms",
    ];
    let node = Node::start(&data.path().join("log"), &arguments);
    let connect = async |id: &str| Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap();
    let (debtor, _notices) = connect("BANK-0001").await;
    let (silent, _offers) = connect("BANK-0002").await;
    let transfer = Transfer::new("BANK-0002".parse().unwrap(), Money::parse("95.00", Currency::EUR).unwrap());
    let handle = debtor.submit(&transfer.from("A", "DE01").to("B", "DE02")).await.unwrap();
    let has = |now: &Snapshot, code: &str| now.warnings.iter().any(|warning| warning.code == code);
    let now = until(&node, "the payer runs low", |now| has(now, "headroom_low")).await;
    assert_eq!((now.payments.in_flight, participant(&now, "BANK-0002").in_flight_in), (1, 1));
    let oldest = now.payments.oldest_in_flight_us.unwrap();
    assert!((1..5_000_000).contains(&oldest), "{oldest}");
    _ = handle.outcome().await;
    let now = until(&node, "it timed out", |now| now.payments.outcomes.timed_out == 1).await;
    assert_eq!(participant(&now, "BANK-0002").answered.timed_out, 1);
    assert_eq!(participant(&now, "BANK-0002").answer.count, 0, "it never answered");
    until(&node, "and has its money back", |now| !has(now, "headroom_low")).await;

    silent.close().await;
    let now = until(&node, "who is gone is missed", |now| has(now, "not_connected")).await;
    assert!(now.verdict.severity > Severity::Fine && !now.verdict.sentence.is_empty(), "{:?}", now.verdict);
    debtor.close().await;
    node.stop();
}
