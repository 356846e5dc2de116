//! A node as a process of this very program: started, killed, paused, stopped. It does not outlive the process that started
//! it, however that ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::exit::{Exit, Failure};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// What it takes to start a node.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) node: u64,
    pub(super) program: PathBuf,
    pub(super) config: PathBuf,
    /// What it writes to stderr.
    pub(super) diary: PathBuf,
}

/// What a node says when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    pub pid: u32,
    pub recovered_entries: u64,
    pub recovered_bytes: u64,
}

/// A running node. Killed when dropped.
pub(super) struct Process {
    launch: Launch,
    child: Child,
    /// While this end is open the node runs; it closes with this process, however that ends.
    _stdin: Option<ChildStdin>,
    pub(super) ready: Ready,
    pub(super) started: Instant,
}

impl Process {
    /// Starts it and waits until participants can connect.
    pub(super) async fn start(launch: Launch) -> Result<Process, Failure> {
        let started = Instant::now();
        let failed = |what: String| {
            let next = format!("read {}", launch.diary.display());
            Failure::new(Exit::No, format!("node {} did not start: {what}", launch.node)).next(next)
        };
        let diary = File::options().create(true).append(true).open(&launch.diary);
        let diary = diary.map_err(|error| failed(format!("{}: {error}", launch.diary.display())))?;
        let mut child = command(&launch).stderr(diary).spawn().map_err(|error| failed(error.to_string()))?;
        let stdin = child.stdin.take();
        let ready = match timeout(START_TIMEOUT, hear_ready(&mut child)).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return Err(failed(format!("it ended; its last words: {}", last_words(&launch.diary)))),
            Err(_) => return Err(failed(format!("not ready after {START_TIMEOUT:?}; {}", last_words(&launch.diary)))),
        };
        Ok(Process { launch, child, _stdin: stdin, ready, started })
    }

    /// SIGKILL: it has no time for anything.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        let node = self.launch.node;
        let failed = |error| Failure::new(Exit::No, format!("node {node} cannot be killed: {error}"));
        self.child.kill().await.map_err(failed)
    }

    /// SIGSTOP, SIGCONT.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let gone = || Failure::new(Exit::No, format!("the process of node {} is gone", self.launch.node));
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)).ok_or_else(gone)?;
        kill_process(pid, signal).map_err(|_| gone())
    }

    /// SIGTERM: drains and ends in good order.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let node = self.launch.node;
        _ = self.signal(Signal::TERM);
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                let words = last_words(&self.launch.diary);
                let what = format!("node {node} was asked to stop and ended with {status}: {words}");
                Err(Failure::new(Exit::Integrity, what).next(format!("read {}", self.launch.diary.display())))
            }
            Ok(Err(error)) => Err(Failure::new(Exit::No, format!("node {node} is lost: {error}"))),
            Err(_) => Err(Failure::new(Exit::No, format!("node {node} did not stop within {STOP_TIMEOUT:?}"))),
        }
    }

    /// How it ended, if it has, and its last words.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("{status}: {}", last_words(&self.launch.diary))),
            Err(error) => Some(error.to_string()),
        }
    }
}

fn command(launch: &Launch) -> Command {
    let mut command = Command::new(&launch.program);
    for (name, _) in std::env::vars_os() {
        // Its own configuration counts, and nothing else.
        if name.to_string_lossy().starts_with("CROSSTIE_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .arg("--config")
        .arg(&launch.config)
        .env_remove("RUST_LOG")
        .arg("--end-with-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the owner; it decides what becomes of the node.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// This very program, also when its file was replaced since it began.
pub fn own_program() -> Result<PathBuf, Failure> {
    let failed = |error| Failure::new(Exit::No, format!("this program does not know where its own file is: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !program.exists() && running.exists() { running } else { program })
}

async fn hear_ready(child: &mut Child) -> Option<Ready> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    loop {
        let line = lines.next_line().await.ok()??;
        if let Ok(ready) = serde_json::from_str(&line) {
            return Some(ready);
        }
    }
}

fn last_words(diary: &Path) -> String {
    let text = std::fs::read_to_string(diary).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    if last.is_empty() { "it said nothing".into() } else { last.into_iter().rev().collect::<Vec<_>>().join(" | ") }
}
