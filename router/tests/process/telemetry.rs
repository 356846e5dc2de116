//! Log lines and traces: what is in them, what never is, and that no payment waits for them.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use wire::client::{Client, FinalStatus, Notices, Options, Outcome, Reply, Return, Transfer};
use wire::message::SignOn;
use wire::{Currency, Message, Money, Reason, Uetr};

use crate::collector::{Collector, attribute};
use crate::support::{Node, run};

/// Stands, in capitals and otherwise, in every text that a customer, a participant or an operator can write.
const CANARY: &str = "canary";

const SETTINGS: [&str; 6] = [
    "scheme.payment_timeout=700ms",
    "scheme.creditor_share=50ms",
    "scheme.skew_max=100ms",
    "traces.share=100%",
    "traces.slow=300ms",
    "logs.level=trace",
];

/// A node with two banks of 100 EUR each, and its settings.
fn arguments(directory: &std::path::Path, endpoint: &str) -> Vec<String> {
    let file = directory.join("node.toml");
    let banks = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(&file, banks).unwrap();
    let endpoint = format!("traces.endpoint={endpoint}");
    let settings = SETTINGS.iter().copied().chain([endpoint.as_str()]).flat_map(|set| ["--set", set]);
    ["--config", file.to_str().unwrap()].into_iter().chain(settings).map(String::from).collect()
}

async fn connect(node: &Node, id: &str) -> (Client, Notices) {
    Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap()
}

fn transfer(amount: &str) -> Transfer {
    Transfer::new("BANK-0002".parse().unwrap(), Money::parse(amount, Currency::EUR).unwrap())
        .from("Ann Canary Müller", "DE02CANARY00000000001")
        .to("Ben Canary \u{202e}Brook", "DE02CANARY00000000002")
        .end_to_end_id("e2e canary 1")
        .instruction_id("instr canary 1")
        .remittance_information("canary: for the \"flat\" \u{e9}")
}

/// Sends a payment, and has the creditor agent do something with the offer.
async fn pay(debtor: &Client, offers: &mut Notices, amount: &str, answer: impl AsyncFnOnce(Uetr)) -> (Uetr, Outcome) {
    let handle = debtor.submit(&transfer(amount)).await.unwrap();
    let uetr = handle.uetr();
    loop {
        let notice = offers.next().await.unwrap().unwrap();
        if matches!(notice.view(), Message::TransferNotice(offer) if offer.transfer.uetr == uetr) {
            break;
        }
    }
    answer(uetr).await;
    (uetr, handle.outcome().await.unwrap())
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn sign_on(participant: &str) -> Vec<u8> {
    let participant = participant.parse().unwrap();
    let (last_notice, last_system_notice) = (wire::message::FROM_NOW, wire::message::FROM_NOW);
    let software = "canary 1.0";
    frame(&Message::SignOn(SignOn {
        protocol_min: 1,
        protocol_max: 1,
        participant,
        last_notice,
        last_system_notice,
        software,
    }))
}

/// The same bytes with the first `from` in them replaced.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// Sends bytes and reads whatever comes until the node closes, or nothing came for a moment.
fn shout(node: &Node, bytes: &[&[u8]]) {
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for bytes in bytes {
        // It may have closed already.
        _ = stream.write_all(bytes);
    }
    _ = stream.read_to_end(&mut Vec::new());
}

/// What no client of ours would send, with a canary in each.
fn shout_nonsense(node: &Node) {
    let transfer = frame(&Message::CreditTransfer(transfer("1.00").view(&wire::client::Stamp::new(
        "BANK-0001".parse().unwrap(),
        wire::Timestamp::now(),
        1,
    ))));
    let unknown_kind = [&[20, 0, 0, 0, 0x0f, 0x27, 0, 0][..], b"canary vogel"].concat();
    let spoilt = [
        patched(&transfer, b"Ann Canary", b"Ann \xff\xfe\xc3\x28ry"),
        patched(&transfer, b"BANK-0002", b"canary-vo"),
        patched(&transfer, b"EUR", b"can"),
        patched(&transfer, b"e2e canary 1", b"e2e canary\0\n"),
        transfer.clone(),
        unknown_kind,
    ];
    let hello = sign_on("BANK-0001");
    let mut all: Vec<&[u8]> = vec![&hello];
    all.extend(spoilt.iter().map(Vec::as_slice));
    all.push(b"CANARY VOGEL, CANARY ROAD 1");
    shout(node, &all);
    shout(node, &[&sign_on("CANARY-VOGEL")]);
    shout(node, &[&patched(&sign_on("BANK-0001"), b"BANK-0001", b"canary-vo")]);
    shout(node, &[b"GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n"]);
    shout(node, &[&patched(&sign_on("BANK-0001"), b"canary", b"cana\xff\xff")]);
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// By trace id, the spans by name.
fn traces(spans: Vec<Span>) -> BTreeMap<Vec<u8>, BTreeMap<String, Span>> {
    let mut traces = BTreeMap::<_, BTreeMap<_, _>>::new();
    for span in spans {
        let twice = traces.entry(span.trace_id.clone()).or_default().insert(span.name.clone(), span);
        assert!(twice.is_none(), "a stage stands twice in a trace: {twice:?}");
    }
    traces
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_of_customers_is_in_log_lines_and_traces_and_both_tell_what_happened() {
    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let arguments = arguments(data.path(), &collector.endpoint());
    let node = Node::start(&data.path().join("log"), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for change in [
        &["participant", "register", "BANK-0003", "--currency", "EUR"][..],
        &["participant", "fund", "BANK-0003", "5", "--currency", "EUR"],
        &["participant", "defund", "BANK-0003", "1", "--currency", "EUR"],
        &["participant", "limit", "BANK-0003", "--currency", "EUR", "--payment-max", "7"],
        &["participant", "suspend", "BANK-0003", "--direction", "send"],
        &["participant", "resume", "BANK-0003"],
    ] {
        node.ask(&[change, &["--reason", "Canary Müller asked"]].concat()).with(0);
    }
    shout_nonsense(&node);
    node.until_told(&[
        r#"crosstie_message_errors_total{participant="BANK-0001",error="schema"} 5.0"#,
        r#"crosstie_message_errors_total{participant="BANK-0001",error="frame"} 1.0"#,
        r#"crosstie_message_errors_total{participant="BANK-0001",error="agent"} 0.0"#,
        r#"crosstie_session_events_total{participant="BANK-0001",event="connect"} 1.0"#,
        r#"crosstie_session_events_total{participant="BANK-0001",event="goaway"} 1.0"#,
        r#"crosstie_messages_total{participant="BANK-0001",direction="in",type="CreditTransfer"} 5.0"#,
        r#"crosstie_messages_total{participant="BANK-0001",direction="in",type="unknown"} 1.0"#,
        r#"crosstie_messages_total{participant="BANK-0001",direction="out",type="Refused"} 5.0"#,
    ]);

    let (debtor, ignored) = connect(&node, "BANK-0001").await;
    drop(ignored);
    let (creditor, mut offers) = connect(&node, "BANK-0002").await;
    let payer = debtor.participant();
    let (settled, outcome) = pay(&debtor, &mut offers, "60.00", async |uetr| {
        tokio::time::sleep(Duration::from_millis(30)).await;
        creditor.answer(&Reply::yes(payer, uetr)).await.unwrap();
    })
    .await;
    assert_eq!(outcome.status, FinalStatus::Settled);
    let (refused, _) = pay(&debtor, &mut offers, "1.00", async |uetr| {
        let no = Reply::no(payer, uetr, Reason::AC04).additional_information("the account of Canary is closed");
        creditor.answer(&no).await.unwrap();
    })
    .await;
    let (timed_out, outcome) = pay(&debtor, &mut offers, "2.00", async |_| {}).await;
    assert_eq!(outcome.status, FinalStatus::Rejected);
    let too_much = debtor.submit(&transfer("99.00")).await.unwrap();
    let short = too_much.uetr();
    _ = too_much.outcome().await;
    // Given back, and the debtor, who is paid by it, does not answer.
    let original = Transfer { uetr: settled, ..transfer("60.00") };
    let stamp = wire::client::Stamp::new(payer, wire::Timestamp::now(), 2);
    let back = Return::of(&original.view(&stamp), Reason::AC04);
    let back = Return { additional_information: Some("canary moved away".into()), ..back };
    let returned = back.uetr;
    creditor.return_payment(&back).await.unwrap_or_else(|error| panic!("{error}"));
    debtor.close().await;
    creditor.close().await;
    let log = node.stop();

    let everything = log.to_lowercase();
    assert!(!everything.contains(CANARY), "a canary is in the log lines:\n{log}");
    // As bytes are shown that are no text.
    assert!(!everything.contains("97, 110, 97, 114, 121"), "a canary is in the log lines, in numbers");
    for (head, body) in collector.requests() {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        let text = String::from_utf8_lossy(&body).to_lowercase();
        assert!(!head.to_lowercase().contains(CANARY) && !text.contains(CANARY), "a canary is in a trace");
    }
    check_lines(&log, timed_out);
    check_traces(&collector, [settled, refused, timed_out, short, returned]);
}

fn check_lines(log: &str, timed_out: Uetr) {
    let table = run(&["log", "events", "--json"]).with(0).json();
    let names: HashSet<&str> = table.as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    let lines = lines(log);
    for line in &lines {
        let event = line["event"].as_str().unwrap();
        assert!(names.contains(event) && line["ts"].is_string() && line["node"] == "n1", "{line}");
        // Then the canaries were looked for in less than everything.
        assert!(!event.starts_with("log_lines_"), "{line}");
    }
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    assert!(of("ready")[0]["took_ms"].is_u64() && of("signed_on")[0]["session"].is_u64());
    let line = of("payment_timed_out")[0];
    let trace_id = timed_out.to_string().replace('-', "");
    assert_eq!((&line["uetr"], &line["trace_id"]), (&timed_out.to_string().into(), &trace_id.into()), "{line}");
    assert_eq!((&line["participant"], &line["code"]), (&"BANK-0002".into(), &"AB05".into()), "{line}");
    assert!(line["took_ms"].as_u64().unwrap() >= 600, "{line}");
    let fields: Vec<_> = of("message_refused").iter().map(|line| line["field"].clone()).collect();
    assert!(fields.contains(&"creditor_agent".into()) && fields.contains(&"currency".into()), "{fields:?}");
    assert!(of("disconnected").iter().any(|line| line["code"] == "FORM" && line["took_ms"].is_u64()));
    assert!(of("sign_on_refused").iter().any(|line| line["code"] == "AGNT" && line["level"] == "INFO"));
}

/// Of payments that were settled, refused by the creditor agent, not answered, refused by the switch; and of a return.
fn check_traces(collector: &Collector, [settled, refused, timed_out, short, returned]: [Uetr; 5]) {
    let traces = traces(collector.spans());
    let of = |uetr: Uetr| traces.get(&uetr.bytes()[..]).unwrap_or_else(|| panic!("no trace of {uetr}"));
    let told = ["told creditor", "told debtor"];
    for (uetr, stages, outcome, kept, reason) in [
        (settled, &["creditor", "payment", "reserve", "settle", told[0], told[1]][..], "settled", "share", ""),
        (refused, &["creditor", "payment", "reject", "reserve", told[1]], "rejected", "failed", "AC04"),
        (timed_out, &["creditor", "payment", "reserve", "time_out", told[0], told[1]], "timed_out", "failed", "AB05"),
        (short, &["payment", "reject", told[1]], "rejected", "failed", "AM04"),
    ] {
        let trace = of(uetr);
        assert_eq!(trace.keys().map(String::as_str).collect::<Vec<_>>(), stages, "{outcome}");
        let root = &trace["payment"];
        assert_eq!(root.parent_span_id.len() + root.links.len(), 0);
        for (key, expected) in [
            ("crosstie.uetr", uetr.to_string().as_str()),
            ("crosstie.debtor_agent", "BANK-0001"),
            ("crosstie.creditor_agent", "BANK-0002"),
            ("crosstie.outcome", outcome),
            ("crosstie.kept", kept),
            ("crosstie.reason", reason),
        ] {
            assert_eq!(attribute(root, key), expected, "{key} of {outcome}");
        }
        assert_eq!(root.status.is_some(), kept == "failed");
        for (name, span) in trace.iter().filter(|(name, _)| *name != "payment") {
            assert_eq!(span.parent_span_id, root.span_id, "{name}");
            assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{name}: {span:?}\n{root:?}");
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{name}");
        }
    }
    let took_ms = |span: &Span| (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000;
    let creditor = took_ms(&of(settled)["creditor"]);
    assert!((25..400).contains(&creditor), "the creditor agent took 30 ms, not {creditor}");
    assert!(took_ms(&of(timed_out)["creditor"]) >= 550, "the creditor agent never answered");
    let root = &of(returned)["payment"];
    assert_eq!(
        (&root.links[0].trace_id[..], &root.links[0].span_id),
        (&settled.bytes()[..], &of(settled)["payment"].span_id)
    );
}

/// How long the slowest of many payments takes, one after another.
async fn slowest(node: &Node, payments: u32) -> Duration {
    let (debtor, ignored) = connect(node, "BANK-0001").await;
    drop(ignored);
    let (creditor, mut offers) = connect(node, "BANK-0002").await;
    let payer = debtor.participant();
    let mut slowest = Duration::ZERO;
    for _ in 0..payments {
        let began = Instant::now();
        let answer = async |uetr| drop(creditor.answer(&Reply::yes(payer, uetr)).await.unwrap());
        let (_, outcome) = pay(&debtor, &mut offers, "0.01", answer).await;
        assert_eq!(outcome.status, FinalStatus::Settled);
        slowest = slowest.max(began.elapsed());
    }
    debtor.close().await;
    creditor.close().await;
    slowest
}

/// Until something of each signal is told to be dropped.
fn until_dropped(node: &Node, signals: &[&str]) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = node.ask(&["metrics", "show"]).with(0).stdout;
        let dropped = |signal: &&str| {
            let name = format!("crosstie_telemetry_dropped_total{{signal=\"{signal}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok()).unwrap() > 0.0
        };
        if signals.iter().all(dropped) {
            return;
        }
        assert!(Instant::now() < until, "what is dropped is counted: {metrics}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_happens_too_often_is_left_out_of_the_log_and_counted() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    let hello = sign_on("BANK-0009");
    let refused: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(node.address()).unwrap();
            stream.write_all(&hello).unwrap();
            stream
        })
        .collect();
    until_dropped(&node, &["event"]);
    drop(refused);
    let lines = lines(&node.stop());
    let left_out = lines.iter().find(|line| line["event"] == "log_lines_left_out").unwrap();
    assert_eq!(left_out["of"], "sign_on_refused", "{left_out}");
}

#[tokio::test(flavor = "current_thread")]
async fn neither_a_full_pipe_nor_a_collector_that_hangs_is_waited_for() {
    let data = tempfile::tempdir().unwrap();
    // The system takes connections for it, and nothing is ever answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut arguments = arguments(data.path(), &format!("http://{}", silent.local_addr().unwrap()));
    let more = ["logs.queue=64", "traces.timeout=60s", "traces.queue=8", "traces.batch=1"];
    arguments.extend(more.iter().flat_map(|set| ["--set", set]).map(String::from));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (node, stderr) = Node::start_unread(&data.path().join("log"), &arguments);
    let slowest_one = slowest(&node, 400).await;
    assert!(slowest_one < Duration::from_millis(600), "{slowest_one:?}");

    let (mut hanging, _) = silent.accept().unwrap();
    let mut request = [0; 15];
    hanging.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"POST /v1/traces", "this is what waits for an answer");
    // As much as a pipe holds, then what waited, then how much did not.
    let (sender, found) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stderr);
        let dropped = reader.by_ref().lines().map_while(Result::ok).find(|line| line.contains("log_lines_dropped"));
        _ = sender.send((dropped, reader));
    });
    let (dropped, mut reader) = found.recv_timeout(Duration::from_secs(20)).expect("lines were dropped");
    let dropped: Value = serde_json::from_str(&dropped.unwrap()).unwrap();
    assert!(dropped["count"].as_u64().unwrap() > 0, "{dropped}");

    until_dropped(&node, &["log", "span"]);

    // And a stop does not wait either.
    slowest(&node, 250).await;
    let began = Instant::now();
    node.signal("TERM");
    let (code, _) = node.ended();
    assert!(code == Some(0) && began.elapsed() < Duration::from_secs(5), "{code:?} {:?}", began.elapsed());
    let mut unread = String::new();
    reader.read_to_string(&mut unread).unwrap();
    assert!(unread.len() > 32 << 10 && !unread.contains("\"stopped\""), "the pipe was full: {} bytes", unread.len());
}
