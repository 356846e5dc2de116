//! A cluster on this machine, kept for work by hand: started, killed, cut off, slowed down, stopped, with payments between.

#![allow(clippy::unwrap_used)] // the helpers, too, are tests

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wire::client::{Client, Notices, Options, Reply, Transfer};
use wire::{Currency, Message, Money, ParticipantId};

const PATIENCE: Duration = Duration::from_secs(60);

fn crosstie(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosstie"));
    command.arg("local").args(arguments).arg("--dir").arg(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CROSSTIE_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

/// What a subcommand said on stdout and stderr, and its exit code.
fn order(arguments: &[&str], directory: &Path) -> (String, String, Option<i32>) {
    let output = crosstie(arguments, directory).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[track_caller]
fn done(arguments: &[&str], directory: &Path) -> String {
    let (stdout, stderr, code) = order(arguments, directory);
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stderr
}

fn status(directory: &Path) -> Value {
    let (stdout, stderr, code) = order(&["status", "--json"], directory);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// `crosstie local up`; its nodes end with it.
struct Up {
    child: Child,
    directory: PathBuf,
}

impl Up {
    fn start(directory: &Path, more: &[&str]) -> Up {
        let mut arguments = vec!["up", "--any-ports", "--participants", "2", "--delay", "2ms,3ms,4ms"];
        arguments.extend(more);
        let mut child = crosstie(&arguments, directory).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !text.contains("Ctrl-C, or crosstie local down") {
            if lines.read_line(&mut text).unwrap() == 0 {
                panic!("it ended: {text}{}", std::io::read_to_string(child.stderr.take().unwrap()).unwrap());
            }
        }
        for expected in ["same host", "2 participants are registered", "--example pay", "cluster status --data"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        // What is said from now on nobody reads.
        std::thread::spawn(move || _ = std::io::copy(&mut lines, &mut std::io::sink()));
        Up { child, directory: directory.into() }
    }

    fn addresses(&self) -> Vec<String> {
        let status = status(&self.directory);
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().filter_map(|node| node["address"].as_str().map(String::from)).collect()
    }

    /// Waits until a node that is up and not cut off leads; which.
    fn leader(&self) -> u64 {
        let mut leader = None;
        self.until("a node leads", |status| {
            let nodes = status["nodes"].as_array().unwrap().iter();
            let leads = |node: &&Value| node["role"] == "leader" && node["is_cut_off"] == false;
            leader = nodes.clone().find(leads).and_then(|node| node["node"].as_u64());
            leader.is_some()
        });
        leader.unwrap()
    }

    fn until(&self, what: &str, mut look: impl FnMut(&Value) -> bool) {
        let started = Instant::now();
        loop {
            let seen = status(&self.directory);
            if look(&seen) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {seen:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Its end is theirs.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn id(number: usize) -> ParticipantId {
    format!("BANK-000{number}").parse().unwrap()
}

/// Its client knows all nodes, one of them first.
async fn connect(number: usize, mut addresses: Vec<String>, first: usize) -> (Client, Notices) {
    let places = addresses.len();
    addresses.rotate_left(first % places);
    let options = Options { addresses, timeout: PATIENCE, connect_timeout: PATIENCE, ..Options::new("", id(number)) };
    Client::connect(options).await.unwrap()
}

/// Says yes to everything.
async fn be_paid(client: Client, mut notices: Notices) {
    while let Ok(Some(notice)) = notices.next().await {
        if let Message::TransferNotice(offer) = notice.view() {
            let reply = Reply::yes(offer.transfer.debtor_agent, offer.transfer.uetr);
            client.answer(&reply).await.unwrap();
        }
        notices.processed(&notice);
    }
}

/// What a node says to it: that it is signed on, or the reason why it goes away.
fn answer_to_sign_on(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut read = [0; 4096];
        let count = stream.read(&mut read).unwrap();
        assert!(count > 0, "it was closed without an answer");
        bytes.extend_from_slice(&read[..count]);
        let Some(frame) = wire::Frames::new(&bytes).next() else { continue };
        let frame = frame.unwrap();
        return match wire::frame::decode(frame.kind, frame.body).unwrap() {
            Message::SignedOn(_) => "signed on".into(),
            Message::GoAway(go_away) => go_away.reason.to_string(),
            other => panic!("{other:?}"),
        };
    }
}

fn sign_on(address: &str, last_notice: u64) -> TcpStream {
    let sign_on = wire::message::SignOn {
        protocol_min: wire::message::PROTOCOL_MIN,
        protocol_max: wire::message::PROTOCOL_MAX,
        participant: id(1),
        last_notice,
        last_system_notice: 0,
        software: "a test",
    };
    let mut bytes = Vec::new();
    Message::SignOn(sign_on).encode(&mut bytes);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&bytes).unwrap();
    stream
}

/// Waits until a node leads to which no bank is connected.
fn leader_without_banks(up: &Up, bank_node: u64) -> u64 {
    if up.leader() == bank_node {
        let data = up.directory.join(format!("data-{bank_node}"));
        let mut step_down = Command::new(env!("CARGO_BIN_EXE_crosstie"));
        let output = step_down.args(["node", "step-down", "--data"]).arg(data).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        up.until("another leads", |seen| seen["nodes"][bank_node as usize - 1]["role"] == "follower");
    }
    up.leader()
}

async fn pay(client: &Client) {
    let transfer = Transfer::new(id(2), Money::parse("12.00", Currency::EUR).unwrap())
        .from("Ada Adler", "DE02100100100006820101")
        .to("Ben Brook", "GB33BUKB20201555555555");
    let outcome = client.pay(&transfer).await.unwrap();
    assert!(outcome.to_string().contains("ACSC"), "{outcome}");
}

#[tokio::test]
async fn a_cluster_on_this_machine_is_killed_cut_off_slowed_down_and_pays() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("c");
    let up = Up::start(&directory, &[]);
    let seen = status(&directory);
    assert_eq!(seen["nodes"].as_array().unwrap().len(), 3, "{seen:#}");
    assert_eq!(seen["roads"][2]["round_trip_us"], 4000, "{seen:#}");
    let leader = up.leader();

    // Both banks are at a node that stays.
    let follower = leader % 3;
    let (paid, notices) = connect(2, up.addresses(), follower as usize).await;
    tokio::spawn(be_paid(paid, notices));
    let (payer, notices) = connect(1, up.addresses(), follower as usize).await;
    drop(notices);
    pay(&payer).await;

    let said = done(&["kill", &leader.to_string()], &directory);
    assert!(said.contains("SIGKILL"), "{said}");
    let (_, stderr, code) = order(&["kill", &leader.to_string()], &directory);
    assert!(code == Some(4) && stderr.contains("does not run: killed"), "{stderr}");
    assert_ne!(up.leader(), leader);
    pay(&payer).await;
    done(&["start", &leader.to_string()], &directory);

    // The leader is cut off, unless the banks are there.
    let bank_node = follower + 1;
    let away = if up.leader() == bank_node { bank_node % 3 + 1 } else { up.leader() };
    let region = ["north", "south", "west"][away as usize - 1];
    done(&["partition", region], &directory);
    up.until("it is cut off", |seen| seen["nodes"][away as usize - 1]["is_cut_off"] == true);
    assert_ne!(up.leader(), away);
    pay(&payer).await;
    // A sign-on waits there, because the node is behind, and is given up. When it counts no more it must not end the
    // connection that the bank uses.
    let cut_off = &up.addresses()[away as usize - 1];
    _ = sign_on(cut_off, payer.position().last_notice.max(2));
    done(&["heal"], &directory);
    let newest = status(&directory)["nodes"][follower as usize]["committed_index"].as_u64();
    up.until("it has caught up", |seen| seen["nodes"][away as usize - 1]["committed_index"].as_u64() >= newest);
    pay(&payer).await;

    done(&["delay", "north", "2", "9ms"], &directory);
    assert_eq!(status(&directory)["roads"][0]["round_trip_us"], 9000);
    let paused = up.leader();
    done(&["pause", &paused.to_string()], &directory);
    assert_eq!(status(&directory)["nodes"][paused as usize - 1]["state"], "paused");
    done(&["resume", &paused.to_string()], &directory);
    pay(&payer).await;

    // A leader that was stopped and wakes does not know yet that another leads. A sign-on that is ahead of it waits until it
    // has caught up, or is sent elsewhere; FORM would end the client for good.
    let paused = leader_without_banks(&up, bank_node);
    let address = up.addresses()[paused as usize - 1].clone();
    done(&["pause", &paused.to_string()], &directory);
    up.until("another leads", |seen| {
        let others = seen["nodes"].as_array().unwrap().iter().filter(|node| node["node"] != paused);
        others.into_iter().any(|node| node["role"] == "leader")
    });
    pay(&payer).await;
    let ahead = payer.position().last_notice;
    let mut stream = sign_on(&address, ahead);
    done(&["resume", &paused.to_string()], &directory);
    let answer = answer_to_sign_on(&mut stream);
    assert!(answer == "signed on" || answer == "DRAN", "{answer}");

    let said = done(&["down"], &directory);
    assert!(said.contains("the data stays"), "{said}");
    let mut up = up;
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("c");
    let (_, stderr, code) = order(&["status"], &directory);
    assert!(code == Some(3) && stderr.contains("no cluster runs in") && stderr.contains("local up"), "{stderr}");
    for (arguments, part) in [
        (["up", "--nodes", "4"], "3 nodes or 5, not 4"),
        (["up", "--regions", "a,b"], "one each, and 2 were named"),
        (["up", "--delay", "1ms,2ms"], "one for each of north-south, north-west, south-west"),
        (["up", "--delay", "6s"], "more than 5s"),
    ] {
        let (_, stderr, code) = order(&arguments, &directory);
        assert!(code == Some(2) && stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let stranger = place.path().join("photos");
    std::fs::create_dir(&stranger).unwrap();
    std::fs::write(stranger.join("one.jpg"), "").unwrap();
    let (_, stderr, code) = order(&["up", "--fresh"], &stranger);
    assert!(code == Some(4) && stderr.contains("\"one.jpg\" and no cluster"), "{stderr}");
    assert!(stranger.join("one.jpg").exists());
}

#[test]
fn data_stays_over_down_and_a_witness_serves_nobody() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("c");
    let up = Up::start(&directory, &["--nodes", "5", "--witness"]);
    assert_eq!(up.addresses().len(), 4);
    for (arguments, code_expected, part) in [
        (&["kill", "7"][..], 5, "there is no node 7; there are 1, 2, 3, 4, 5"),
        (&["partition", "east"][..], 5, "neither a node (1, 2, 3, 4, 5) nor a region (north, south, west)"),
        (&["resume", "2"][..], 4, "node 2 is not paused"),
        (&["start", "2"][..], 4, "node 2 runs already"),
        (&["delay", "north", "1", "5ms"][..], 2, "not apart"),
        (&["up"][..], 4, "runs already"),
    ] {
        let (_, stderr, code) = order(arguments, &directory);
        assert!(code == Some(code_expected) && stderr.contains(part), "{arguments:?} {code:?}: {stderr}");
    }
    done(&["partition", "north"], &directory);
    let cut: Vec<bool> =
        status(&directory)["roads"].as_array().unwrap().iter().map(|road| road["is_cut"] == true).collect();
    assert_eq!(cut, [true, true, false]);
    done(&["heal"], &directory);
    done(&["down"], &directory);
    drop(up);

    let (_, stderr, code) = order(&["up", "--nodes", "3", "--any-ports"], &directory);
    assert!(code == Some(4) && stderr.contains("another shape"), "{stderr}");
    let log = std::fs::metadata(directory.join("data-1")).unwrap();
    assert!(log.is_dir());
    let again = Up::start(&directory, &["--nodes", "5", "--witness"]);
    let committed = |seen: &Value| seen["nodes"][0]["committed_index"].as_u64();
    again.until("its log goes on", |seen| committed(seen).is_some_and(|index| index > 1));
    done(&["down"], &directory);
}
