//! The switch as a process of its own: configured, started, killed, started again, stopped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::characters::{CAST, CREDITOR_SHARE, CURRENCIES, PAYMENT_TIMEOUT};
use super::draw::mix;
use crate::exit::{Exit, Failure};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Below the ports that systems give to outgoing connections: while the switch is away, a bank that tries again must not
/// be given its port.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Where the demo keeps its files.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) address: SocketAddr,
}

impl Place {
    /// Writes the configuration of the switch into `directory`.
    pub(super) fn furnish(directory: &Path, seed: u64) -> Result<Place, Failure> {
        let address = free_address(seed)?;
        let place = Place { directory: directory.into(), address };
        let failed = |error| Failure::new(Exit::No, format!("{}: {error}", place.config().display()));
        std::fs::write(place.config(), place.configuration()).map_err(failed)?;
        Ok(place)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("switch.toml")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn admin(&self) -> PathBuf {
        self.data().join("admin.sock")
    }

    /// What the switch wrote to stderr.
    pub(super) fn log_lines(&self) -> PathBuf {
        self.directory.join("switch.log")
    }

    fn configuration(&self) -> String {
        let mut text = format!(
            "# The switch of a demo. Its clock is shorter than usual, and its log keeps everything from the first entry on.\n\
             [node]\nname = \"demo\"\n\n[listen]\naddress = \"{}\"\n\n\
             [log]\ndirectory = {:?}\nretained_bytes_max = \"1024GiB\"\nfree_bytes_min = \"256MiB\"\n\n\
             [scheme]\npayment_timeout = \"{}s\"\ncreditor_share = \"{}s\"\nduplicate_window = \"1h\"\n\
             day_roll = \"manual\"\n\n[drain]\ndeadline = \"{}s\"\n",
            self.address,
            self.data(),
            PAYMENT_TIMEOUT.as_secs(),
            CREDITOR_SHARE.as_secs(),
            PAYMENT_TIMEOUT.as_secs() + 1,
        );
        for part in &CAST {
            for (code, funded) in CURRENCIES.iter().zip(part.funded_minor) {
                let (units, cents) = (funded / 100, funded % 100);
                text += &format!(
                    "\n[[participants]]\nid = \"{}\"\ncurrency = \"{code}\"\nfunded = \"{units}.{cents:02}\"\n",
                    part.name
                );
            }
        }
        text
    }
}

fn free_address(seed: u64) -> Result<SocketAddr, Failure> {
    let clock = wire::Timestamp::now().nanoseconds();
    (0..200)
        .map(|attempt| PORTS.start + (mix(seed ^ clock ^ attempt) % u64::from(PORTS.end - PORTS.start)) as u16)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .ok_or_else(|| Failure::new(Exit::Unreachable, format!("no port of {PORTS:?} is free on 127.0.0.1")))
}

/// What the switch says when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ready {
    pub(super) pid: u32,
    pub(super) recovered_entries: u64,
    pub(super) recovered_bytes: u64,
}

/// A running switch. Killed when dropped.
pub(super) struct Switch {
    child: Child,
    /// While this end is open the switch runs; it closes with this process, however that ends.
    _stdin: Option<ChildStdin>,
    pub(super) ready: Ready,
    pub(super) started: Instant,
}

impl Switch {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(place: &Place) -> Result<Switch, Failure> {
        let started = Instant::now();
        let failed = |what: String| Failure::new(Exit::No, format!("the switch did not start: {what}"));
        let program = own_program().map_err(|error| failed(error.to_string()))?;
        let log = File::options().create(true).append(true).open(place.log_lines());
        let log = log.map_err(|error| failed(format!("{}: {error}", place.log_lines().display())))?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // The demo's own configuration counts, and nothing else.
            if name.to_string_lossy().starts_with("CROSSTIE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(place.config())
            .env_remove("RUST_LOG")
            .arg("--end-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C is for the demo; it decides what becomes of the switch.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let stdin = child.stdin.take();
        let ready = match timeout(START_TIMEOUT, hear_ready(&mut child)).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return Err(failed(format!("it ended; its last words: {}", last_words(place)))),
            Err(_) => return Err(failed(format!("not ready after {START_TIMEOUT:?}; {}", last_words(place)))),
        };
        Ok(Switch { child, _stdin: stdin, ready, started })
    }

    /// SIGKILL: it has no time for anything.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        let failed = |error| Failure::new(Exit::No, format!("the switch cannot be killed: {error}"));
        self.child.kill().await.map_err(failed)
    }

    /// SIGTERM: drains and ends in good order.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid as i32));
        if let Some(pid) = pid {
            _ = kill_process(pid, Signal::TERM);
        }
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                Err(Failure::new(Exit::Integrity, format!("the switch was asked to stop and ended with {status}")))
            }
            Ok(Err(error)) => Err(Failure::new(Exit::No, format!("the switch is lost: {error}"))),
            Err(_) => Err(Failure::new(Exit::No, format!("the switch did not stop within {STOP_TIMEOUT:?}"))),
        }
    }

    /// Returns when it ended without being asked.
    pub(super) async fn ended(&mut self, place: &Place) -> Failure {
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::new(Exit::Integrity, format!("the switch ended by itself, {status}: {}", last_words(place)))
            .next(format!("read {}", place.log_lines().display()))
    }
}

/// This very program, also when its file was replaced since it began.
fn own_program() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
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

fn last_words(place: &Place) -> String {
    let text = std::fs::read_to_string(place.log_lines()).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    if last.is_empty() { "it said nothing".into() } else { last.into_iter().rev().collect::<Vec<_>>().join(" | ") }
}
