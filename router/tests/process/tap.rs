//! The live tap, one actor and one session, on the command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use wire::client::{Client, Notices, Options, Reply, Transfer};
use wire::{Currency, Message, Money, Reason, Uetr};

use crate::support::{Node, crosstie};

const PATIENCE: Duration = Duration::from_secs(10);
/// A name of a customer: no tap tells it.
const CANARY: &str = "Ann Canary";
const TAPS_MAX: usize = 8;

/// `crosstie tap` beside a node, once it taps.
struct Tapping {
    child: Child,
    lines: Receiver<String>,
}

impl Tapping {
    fn start(node: &Node, arguments: &[&str]) -> Tapping {
        let mut command = crosstie();
        command.arg("tap").args(arguments).args(["--data", node.data.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("payments that end from now on"), "{said}");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Tapping { child, lines }
    }

    fn next(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line comes");
        assert!(!line.contains(CANARY), "{line}");
        line
    }
}

impl Drop for Tapping {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Threads of a process by this name.
fn threads(node: &Node, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.ready["pid"])).unwrap();
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|own| own.trim() == name).count()
}

async fn connect(node: &Node, id: &str) -> (Client, Notices) {
    Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap()
}

/// Pays, and has the creditor agent say what it says; the payment ends.
async fn pay(debtor: &Client, creditor: &Client, offers: &mut Notices, amount: &str, says: Option<Reason>) -> Uetr {
    let amount = Money::parse(amount, Currency::EUR).unwrap();
    let transfer = Transfer::new("BANK-0002".parse().unwrap(), amount).from(CANARY, "DE01").to(CANARY, "DE02");
    let handle = debtor.submit(&transfer).await.unwrap();
    let uetr = handle.uetr();
    if amount.minor <= 10_000 {
        loop {
            let notice = offers.next().await.unwrap().unwrap();
            if matches!(notice.view(), Message::TransferNotice(offer) if offer.transfer.uetr == uetr) {
                break;
            }
        }
        let payer = debtor.participant();
        let answer = match says {
            None => Some(Reply::yes(payer, uetr)),
            // It says nothing at all.
            Some(Reason::AB05) => None,
            Some(reason) => Some(Reply::no(payer, uetr, reason)),
        };
        if let Some(answer) = answer {
            creditor.answer(&answer).await.unwrap();
        }
    }
    _ = handle.outcome().await;
    uetr
}

fn start(directory: &std::path::Path) -> Node {
    let file = directory.join("node.toml");
    let text = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 2\n";
    std::fs::write(&file, text).unwrap();
    let scheme = ["scheme.payment_timeout=700ms", "scheme.creditor_share=50ms", "scheme.skew_max=100ms"];
    let settings = scheme.into_iter().chain(["ops.address=127.0.0.1:0"]);
    let settings: Vec<&str> = settings.flat_map(|set| ["--set", set]).collect();
    Node::start(&directory.join("log"), &[&["--config", file.to_str().unwrap()], settings.as_slice()].concat())
}

#[tokio::test(flavor = "current_thread")]
async fn payments_are_told_as_they_end_to_whoever_taps() {
    let data = tempfile::tempdir().unwrap();
    let node = start(data.path());
    let (debtor, _notices) = connect(&node, "BANK-0001").await;
    let (creditor, mut offers) = connect(&node, "BANK-0002").await;
    pay(&debtor, &creditor, &mut offers, "1.00", None).await;
    assert_eq!(threads(&node, "tap"), 0, "nobody taps yet");

    let all = Tapping::start(&node, &[]);
    let rejected = Tapping::start(&node, &["--outcome", "rejected", "--participant", "BANK-0001", "--json"]);
    let short = Tapping::start(&node, &["--reason", "AM04", "--plain"]);
    let slow = Tapping::start(&node, &["--slower-than", "300ms"]);
    assert_eq!(threads(&node, "tap"), 1, "one follows for all");
    let mut uetrs = Vec::new();
    for (amount, says) in
        [("2.00", None), ("3.00", Some(Reason::AC04)), ("400.00", None), ("5.00", Some(Reason::AB05)), ("6.00", None)]
    {
        uetrs.push(pay(&debtor, &creditor, &mut offers, amount, says).await.to_string());
    }
    let outcomes = [
        ("2.00 EUR", "settled"),
        ("3.00 EUR", "rejected AC04 by BANK-0002"),
        ("400.00 EUR", "rejected AM04 by the switch"),
        ("5.00 EUR", "timed out AB05, no answer of BANK-0002"),
        ("6.00 EUR", "settled"),
    ];
    for (uetr, (amount, outcome)) in uetrs.iter().zip(outcomes) {
        let line = all.next();
        for part in [uetr.as_str(), amount, outcome, "BANK-0001", "→ BANK-0002"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(!line.contains("EUR  at once") || outcome.contains("AM04"), "{line}");
    }
    let told: Vec<Value> = (0..2).map(|_| serde_json::from_str(&rejected.next()).unwrap()).collect();
    let of = |field: &str| told.iter().map(|own| own[field].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (of("uetr"), of("reason"), of("by")),
        (vec![&uetrs[1][..], &uetrs[2]], vec!["AC04", "AM04"], vec!["creditor", "switch"])
    );
    assert_eq!((told[1]["took_us"].as_u64(), &told[1]["amount"]), (Some(0), &"400.00".into()));
    let columns = short.next();
    assert_eq!(columns.split('\t').nth(1), Some(&uetrs[2][..]), "{columns}");
    let line = slow.next();
    assert!(line.contains(&uetrs[3]), "{line}");

    // A reader that goes away ends its tap, and the last one ends the thread.
    drop((all, rejected, short, slow));
    let until = Instant::now() + PATIENCE;
    while threads(&node, "tap") > 0 {
        assert!(Instant::now() < until, "the tap goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one_session_and_one_actor(&node, &uetrs);
    debtor.close().await;
    creditor.close().await;
    node.stop();
}

/// What the pages tell, on the command line.
fn one_session_and_one_actor(node: &Node, uetrs: &[String]) {
    let until = Instant::now() + PATIENCE;
    let shown = loop {
        let shown = node.ask(&["participant", "show", "BANK-0002", "--json"]).with(0).json();
        // As of the latest snapshot.
        if shown["session"]["notice_last"] == shown["last_notice"] {
            break shown;
        }
        assert!(Instant::now() < until, "{shown}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let session = &shown["session"];
    assert!(session["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{session}");
    assert_eq!((&session["protocol"], &session["is_encrypted"]), (&1.into(), &false.into()));
    let text = node.ask(&["participant", "show", "BANK-0002"]).with(0).stdout;
    for part in
        ["BALANCE", "version 1", "this session is not encrypted", "up to notice", session["address"].as_str().unwrap()]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let text = node.ask(&["actor", "show", "BANK-0002"]).with(0).stdout;
    assert!(text.contains("in its mailbox") && text.contains(&uetrs[4]), "{text}");
}

/// A tap over the socket itself, which begins.
fn open(node: &Node) -> Result<UnixStream, String> {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"{\"command\":{\"tap\":{}}}\n").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    if line.starts_with("{\"ok\":") { Ok(stream) } else { Err(line) }
}

/// A page of the console.
fn get(node: &Node, path: &str) -> String {
    let address = node.ready["console"].as_str().unwrap().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told
}

#[test]
fn wrong_filters_and_too_many_taps_are_refused_in_words() {
    let data = tempfile::tempdir().unwrap();
    let node = start(data.path());
    for (arguments, code, part) in [
        (["--outcome", "lost"], 2, "settled, rejected, timed_out, returned"),
        (["--reason", "am4"], 2, "four capital letters or digits"),
        (["--slower-than", "2"], 2, "250ms, 2s or 1m"),
        (["--participant", "BANK-0009"], 5, "BANK-0009 is not registered"),
        (["--participant", "bank 9"], 2, "participant"),
    ] {
        let ended = node.ask(&[&["tap"], arguments.as_slice()].concat()).with(code);
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
    let taps: Vec<UnixStream> = (0..TAPS_MAX).map(|_| open(&node).unwrap()).collect();
    let ended = node.ask(&["tap"]).with(4);
    assert!(ended.stderr.contains("8 taps are open at this node already"), "{ended:?}");
    node.ask(&["status"]).with(0);
    // The page is there all the same; what it would tap is not.
    let until = Instant::now() + PATIENCE;
    while !get(&node, "/startupz").contains(" 200 ") {
        assert!(Instant::now() < until, "the console has nothing to show");
        std::thread::sleep(Duration::from_millis(20));
    }
    for (path, status) in [("/tap", "200"), ("/tap?outcome=lost", "422"), ("/tap?format=json", "409")] {
        let told = get(&node, path);
        assert_eq!(told.split(' ').nth(1), Some(status), "{path}: {told}");
    }
    drop(taps);
    let until = Instant::now() + PATIENCE;
    while let Err(why) = open(&node) {
        assert!(why.contains("8 taps") && Instant::now() < until, "{why}");
        std::thread::sleep(Duration::from_millis(20));
    }
    node.stop();
}
