//! The demo as a process: it proves what it says, and leaves no node behind.

#![allow(clippy::unwrap_used)] // the helpers, too, are tests

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// Whatever it leaves behind goes with `place`.
fn demo(place: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosstie"));
    command.arg("demo").args(arguments).stdin(Stdio::null()).env("TMPDIR", place.path());
    command
}

fn is_empty(place: &TempDir) -> bool {
    std::fs::read_dir(place.path()).unwrap().next().is_none()
}

/// News are wrapped; here they are one line each.
fn unwrapped(text: &str) -> String {
    text.replace("\n          ", " ")
}

#[test]
fn a_short_run_kills_cuts_off_and_drains_a_leader_and_proves_that_nothing_was_lost() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(&place, &["--headless", "--for", "30s", "--seed", "7", "--rate", "300"]).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = unwrapped(&text);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    for expected in [
        "SIGKILL to node",
        "ms after the kill",
        "is back as process",
        "is cut off, with the leader",
        "it committed 0 entries and told its",
        "healed: node",
        "is drained: it hands over first",
        "the longest pause between two outcomes was",
        "3 nodes, 8 banks, at entry",
        "3 logs of",
        "same host",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let last: Vec<&str> = text.lines().rev().take(10).collect();
    let verdict = last.iter().find(|line| line.starts_with("PROOF HOLDS")).unwrap_or_else(|| panic!("{text}"));
    assert!(verdict.contains("0 lost · 0 doubled · seed 7"), "{verdict}");
    assert!(!text.contains('✗'), "{text}");
    assert!(is_empty(&place), "data is left behind");
}

/// A demo under way, and the process ids of its nodes.
fn under_way(place: &TempDir) -> (Child, Vec<Pid>, BufReader<ChildStdout>) {
    let mut child =
        demo(place, &["--headless", "--for", "60s"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut nodes = Vec::new();
    while nodes.len() < 3 {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the demo ended early");
        if let Some((_, rest)) = line.split_once("is up: process ") {
            let digits = rest.split(',').next().unwrap();
            nodes.push(Pid::from_raw(digits.trim().parse().unwrap()).unwrap());
        }
    }
    (child, nodes, lines)
}

/// A process that has ended and that nobody has collected yet does not live.
fn lives(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(process).is_ok() && !stat.contains(") Z ")
}

fn end_soon(nodes: &[Pid]) {
    let until = Instant::now() + Duration::from_secs(20);
    while nodes.iter().any(|node| lives(*node)) {
        assert!(Instant::now() < until, "of the nodes, processes {nodes:?}, one was left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn interrupting_it_leaves_no_node_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = tempfile::tempdir().unwrap();
        let (mut child, nodes, _lines) = under_way(&place);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        end_soon(&nodes);
        assert!(is_empty(&place), "{signal:?}: data is left behind");
    }
}

#[test]
fn killing_it_leaves_no_node_behind() {
    let place = tempfile::tempdir().unwrap();
    let (mut child, nodes, _lines) = under_way(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    end_soon(&nodes);
}
