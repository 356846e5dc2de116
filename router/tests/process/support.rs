//! Starts and stops nodes, runs subcommands.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program with a clean environment.
pub(crate) fn crosstie() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosstie"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CROSSTIE_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.env("USER", "ann").env_remove("SUDO_USER").env_remove("LOGNAME");
    command
}

/// What a subcommand said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ended {
    let output = crosstie().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What of a directory other users may do anything with.
pub(crate) fn exposed(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut look = |path: &Path| {
        if std::fs::metadata(path).unwrap().mode() & 0o077 != 0 {
            found.push(path.into());
        }
    };
    look(directory);
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => exposed(&entry).iter().for_each(|path| look(path)),
            false => look(&entry),
        }
    }
    found
}

/// Settings that keep a test's disk small, and independent of how full it is.
const SMALL: [&str; 5] = [
    "log.segment_bytes=256KiB",
    "log.batch_bytes_max=64KiB",
    "log.free_bytes_min=0",
    "drain.deadline=100ms",
    "ops.address=none",
];

/// A running node.
pub(crate) struct Node {
    child: Child,
    pub(crate) ready: Value,
    pub(crate) data: PathBuf,
    stderr: Option<std::thread::JoinHandle<String>>,
}

/// `crosstie serve` on a free port.
pub(crate) fn serve(data: &Path, more: &[&str]) -> Command {
    let mut command = crosstie();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    SMALL.iter().for_each(|set| _ = command.args(["--set", set]));
    command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Node {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Node {
        let mut child = serve(data, more).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            _ = stderr.read_to_string(&mut text);
            text
        });
        Node::ready(child, Some(stderr), data)
    }

    /// Its log lines are read by whoever has the other end.
    pub(crate) fn start_unread(data: &Path, more: &[&str]) -> (Node, ChildStderr) {
        let mut child = serve(data, more).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        (Node::ready(child, None, data), stderr)
    }

    fn ready(mut child: Child, stderr: Option<std::thread::JoinHandle<String>>, data: &Path) -> Node {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            panic!(
                "the node ended before it was ready: {status}\n{}",
                stderr.map_or_else(String::new, |log| log.join().unwrap())
            );
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        Node { child, ready, data: data.into(), stderr }
    }

    pub(crate) fn address(&self) -> String {
        self.ready["address"].as_str().unwrap().into()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.ready["admin"].as_str().unwrap().into()
    }

    /// A subcommand about this node.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Ended {
        let data = self.data.to_str().unwrap();
        run(&[arguments, &["--data", data]].concat())
    }

    /// Waits until `/metrics` has these lines.
    #[track_caller]
    pub(crate) fn until_told(&self, lines: &[&str]) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let metrics = self.ask(&["metrics", "show"]).with(0).stdout;
            let missing: Vec<_> = lines.iter().filter(|line| !metrics.lines().any(|own| own == **line)).collect();
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "{missing:?} are not in\n{metrics}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the exit code and the log lines.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > until => panic!("the node does not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (status.code(), self.stderr.take().map_or_else(String::new, |log| log.join().unwrap()))
    }

    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (code, log) = self.ended();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
