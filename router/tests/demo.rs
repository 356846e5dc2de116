//! The demo as a process: it proves what it says, and leaves no switch behind.

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

#[test]
fn a_short_run_kills_the_switch_once_and_proves_that_nothing_was_lost() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(&place, &["--headless", "--for", "10s", "--seed", "7"]).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert!(text.contains("SIGKILL to the switch"), "{text}");
    assert!(text.contains("the switch is back after"), "{text}");
    let last: Vec<&str> = text.lines().rev().take(10).collect();
    let verdict = last.iter().find(|line| line.starts_with("PROOF HOLDS")).unwrap_or_else(|| panic!("{text}"));
    assert!(verdict.contains("0 lost · 0 doubled · seed 7"), "{verdict}");
    assert!(!text.contains('✗'), "{text}");
    assert!(is_empty(&place), "data is left behind");
}

/// A demo under way, and the process id of its switch.
fn under_way(place: &TempDir) -> (Child, Pid, BufReader<ChildStdout>) {
    let mut child =
        demo(place, &["--headless", "--for", "60s"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("the switch is up: process ") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the demo ended early");
    }
    let digits = line.split("process ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    (child, Pid::from_raw(digits.parse().unwrap()).unwrap(), lines)
}

/// A process that has ended and that nobody has collected yet does not live.
fn lives(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(process).is_ok() && !stat.contains(") Z ")
}

fn ends_soon(switch: Pid) {
    let until = Instant::now() + Duration::from_secs(20);
    while lives(switch) {
        assert!(Instant::now() < until, "the switch, process {switch:?}, was left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn interrupting_it_leaves_no_switch_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = tempfile::tempdir().unwrap();
        let (mut child, switch, _lines) = under_way(&place);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        ends_soon(switch);
        assert!(is_empty(&place), "{signal:?}: data is left behind");
    }
}

#[test]
fn killing_it_leaves_no_switch_behind() {
    let place = tempfile::tempdir().unwrap();
    let (mut child, switch, _lines) = under_way(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    ends_soon(switch);
}
