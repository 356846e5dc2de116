//! The program as a person meets it: exit codes, the folder of a run, comparing two.
#![allow(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

mod fake_switch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fake_switch::{FakeSwitch, Fault};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crosstie-loadgen")).args(arguments).output().unwrap()
}

fn short_run(switch: &FakeSwitch, out: &Path, more: &[&str]) -> Output {
    let (target, out) = (switch.address.to_string(), out.to_str().unwrap());
    let mut arguments =
        vec!["run", "--target", &target, "--participants", "4", "--rate", "500/s", "--for", "400ms", "--warm-up", "0"];
    arguments.extend(["--drain", "500ms", "--lag-max", "10s", "--verify", "--no-tui", "--out", out]);
    arguments.extend(more);
    loadgen(&arguments)
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_leaves_a_folder_and_two_can_be_compared() {
    let switch = FakeSwitch::start(Fault::None);
    let (a, b) = (folder("a"), folder("b"));
    let first = short_run(&switch, &a, &[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(text(&first.stdout).starts_with("PASS"), "{}", text(&first.stdout));
    let second = short_run(&switch, &b, &["--seed", "7", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((&result["check"]["settled"], &result["seed"]), (&200.into(), &7.into()));

    let page = std::fs::read_to_string(a.join("report.html")).unwrap();
    for request in ["http:", "https:", "//cdn", "src=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(request), "the page holds {request}");
    }
    assert!(page.contains("PASS") && page.contains("<svg") && page.ends_with("</html>\n"));
    let series = std::fs::read_to_string(a.join("series.ndjson")).unwrap();
    let intervals: Vec<loadgen::Interval> = series.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(intervals.iter().map(|interval| interval.settled).sum::<u64>(), 200);
    let log = std::fs::read_to_string(a.join("latency.hlog")).unwrap();
    assert!(log.starts_with('#') && log.contains("HISTF"), "{log}");
    assert!(std::fs::read_to_string(a.join("latency.hgrm")).unwrap().contains("#[Mean"));

    let html = folder("compare.html");
    let (a, b, html) = (a.to_str().unwrap(), b.to_str().unwrap(), html.to_str().unwrap());
    let compared = loadgen(&["compare", a, b, "--html", html]);
    let shown = text(&compared.stdout);
    assert_eq!(compared.status.code(), Some(0), "{}", text(&compared.stderr));
    assert!(shown.contains("seed") && shown.contains("1  →  7") && shown.contains("p99 ms"), "{shown}");
    assert!(std::fs::read_to_string(html).unwrap().contains("<svg"));
    assert_eq!(loadgen(&["compare", a, b, "--fail-on=-99"]).status.code(), Some(1), "nothing is better by 99 %");
    assert_eq!(loadgen(&["compare", a, "/nowhere"]).status.code(), Some(2));
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let run = |fault, more: &[&str]| short_run(&FakeSwitch::start(fault), &folder("codes"), more).status.code();
    assert_eq!(run(Fault::None, &["--slo", "p50<1us"]), Some(1));
    assert_eq!(run(Fault::None, &["--rate", "often"]), Some(2));
    assert_eq!(run(Fault::None, &["--shape", "find-max", "--slo", ""]), Some(2));
    assert_eq!(run(Fault::None, &["--target", "127.0.0.1:1", "--participants", "1"]), Some(2));
    assert_eq!(run(Fault::OutcomeLost, &[]), Some(7));
    let journal = folder("journal.txt");
    assert_eq!(run(Fault::None, &["--journal", journal.to_str().unwrap()]), Some(0));
    let journal = std::fs::read_to_string(journal).unwrap();
    let count = |word: &str| journal.lines().filter(|line| line.split(' ').nth(1) == Some(word)).count();
    assert_eq!((count("sent"), count("answered"), count("final")), (200, 200, 200));
    let nobody = loadgen(&["run", "--target", "127.0.0.1:1", "--connect-timeout", "100ms", "--no-tui"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(text(&nobody.stderr).contains("Try:"), "{}", text(&nobody.stderr));
}

#[test]
fn a_second_run_goes_on_where_the_feeds_ended() {
    let (switch, feeds) = (FakeSwitch::start(Fault::None), folder("feeds.txt"));
    let _ = std::fs::remove_file(&feeds);
    let mut passed_over = Vec::new();
    for _ in 0..2 {
        let output = short_run(&switch, &folder("feeds"), &["--feeds", feeds.to_str().unwrap(), "--json"]);
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["verdict"], "pass", "{}", text(&output.stdout));
        passed_over.push(result["check"]["foreign"].clone());
    }
    assert_eq!(passed_over, [0, 0]);
}

#[test]
fn completions_know_the_options() {
    assert!(text(&loadgen(&["completions", "bash"]).stdout).contains("--warm-up"));
}

#[test]
fn an_interrupt_stops_and_reports() {
    let switch = FakeSwitch::start(Fault::None);
    let target = switch.address.to_string();
    let arguments = [
        "run",
        "--target",
        &target,
        "--participants",
        "2",
        "--rate",
        "100/s",
        "--for",
        "60s",
        "--warm-up",
        "0",
        "--no-tui",
        "--lag-max",
        "10s",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosstie-loadgen"));
    let child = command.args(arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stdout).starts_with("INTERRUPTED"), "{}", text(&output.stdout));
}
