//! A real switch: `crosstie serve` as a process of its own on a directory of its own, killed when it is dropped.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crosstie::exit::Exit;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::oneshot;

/// How a switch is set up: settings by their path, and who takes part.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub settings: Vec<(&'static str, String)>,
    pub participants: Vec<Member>,
    /// What else stands in the configuration.
    pub more: String,
    /// Environment of its processes.
    pub environment: Vec<(&'static str, String)>,
}

/// A participant with money in EUR.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: String,
    /// Decimal text.
    pub funded: String,
}

impl Setup {
    #[must_use]
    pub fn with(mut self, setting: &'static str, value: impl Into<String>) -> Setup {
        self.settings.push((setting, value.into()));
        self
    }

    #[must_use]
    pub fn member(mut self, id: impl Into<String>, funded: impl Into<String>) -> Setup {
        self.participants.push(Member { id: id.into(), funded: funded.into() });
        self
    }

    /// The last value given to a setting.
    fn value(&self, setting: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(path, _)| *path == setting).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        let mut text = String::from("# Written by a test.\n");
        for (path, value) in &self.settings {
            let (section, key) = path.split_once('.').expect("a setting is named section.key");
            let value =
                if value.bytes().all(|byte| byte.is_ascii_digit()) { value.clone() } else { format!("{value:?}") };
            text.push_str(&format!("{section}.{key} = {value}\n"));
        }
        for Member { id, funded } in &self.participants {
            let funded = if funded.is_empty() { String::new() } else { format!("funded = \"{funded}\"\n") };
            text.push_str(&format!("\n[[participants]]\nid = \"{id}\"\ncurrency = \"EUR\"\n{funded}"));
        }
        text.push_str(&self.more);
        text
    }
}

/// Where a switch lives: its program, its configuration, its log. Outlives its processes.
#[derive(Clone, Debug)]
pub struct Place {
    program: PathBuf,
    directory: PathBuf,
    log: PathBuf,
    listen: String,
    environment: Vec<(&'static str, String)>,
}

impl Place {
    /// Writes the configuration into `directory`, which exists.
    pub fn new(program: impl Into<PathBuf>, directory: impl Into<PathBuf>, setup: &Setup) -> io::Result<Place> {
        let directory = directory.into();
        let log = setup.value("log.directory").map_or_else(|| directory.join("log"), PathBuf::from);
        let listen = setup.value("listen.address").unwrap_or("127.0.0.1:0").into();
        let place = Place { program: program.into(), directory, log, listen, environment: setup.environment.clone() };
        std::fs::write(place.configuration(), setup.text())?;
        Ok(place)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of the log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.join("crosstie.toml")
    }

    /// What the switch logs.
    pub fn diary(&self) -> PathBuf {
        self.directory.join("crosstie.log")
    }

    /// What the switch logged, its last lines.
    pub fn diary_tail(&self) -> String {
        let text = std::fs::read_to_string(self.diary()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Starts a process; it is not ready yet.
    pub fn start(&self) -> io::Result<Process> {
        let diary = File::options().create(true).append(true).open(self.diary())?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(self.configuration()).arg("--data").arg(self.log());
        command.args(["--listen", &self.listen, "--set", "ops.address=none", "--end-with-stdin"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(diary);
        let started = Instant::now();
        let mut child = command.spawn()?;
        let (sender, ready) = oneshot::channel();
        let output = child.stdout.take().expect("its output is piped");
        std::thread::spawn(move || listen(output, sender));
        Ok(Process { child, ready: Some(ready), address: None, place: self.clone(), started })
    }

    /// Asks the running node something by the command line; its answer as JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--json").arg("--config").arg(self.configuration()).arg("--data").arg(self.log());
        let output = command.output().map_err(|error| error.to_string())?;
        // What is partial is an answer, too.
        if !output.status.success() && output.status.code() != Some(Exit::Partial as i32) {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{arguments:?}: {error}"))
    }
}

fn listen(output: ChildStdout, sender: oneshot::Sender<Ready>) {
    let mut sender = Some(sender);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if value["event"] == "ready"
            && let (Some(sender), Some(ready)) = (sender.take(), Ready::of(value))
        {
            drop(sender.send(ready));
        }
    }
}

/// What a node says when participants can connect.
#[derive(Clone, Debug)]
pub struct Ready {
    pub address: SocketAddr,
    pub line: Value,
}

impl Ready {
    fn of(line: Value) -> Option<Ready> {
        let address = line["address"].as_str()?.parse().ok()?;
        Some(Ready { address, line })
    }
}

/// A running switch. Dropped, it is killed with SIGKILL.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ready: Option<oneshot::Receiver<Ready>>,
    address: Option<SocketAddr>,
    place: Place,
    pub started: Instant,
}

impl Process {
    /// Waits for the ready line; an error when the process ended before, with what it said.
    pub async fn ready(&mut self, patience: Duration) -> Result<Ready, String> {
        let ready = self.ready.take().expect("it is ready once");
        match tokio::time::timeout(patience, ready).await {
            Ok(Ok(ready)) => {
                self.address = Some(ready.address);
                Ok(ready)
            }
            Ok(Err(_)) => {
                let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(format!("the switch ended before it was ready: {status}\n{}", self.place.diary_tail()))
            }
            Err(_) => Err(format!("the switch was not ready after {patience:?}\n{}", self.place.diary_tail())),
        }
    }

    /// Where participants connect, once it was ready.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // Fails only when it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// SIGSTOP, SIGCONT, SIGTERM.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal_to(self.id(), signal)
    }

    /// Resident memory (VmRSS).
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kibibytes.unwrap_or(0) << 10
    }
}

pub(crate) fn signal_to(process: u32, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(process as i32).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

/// The fields of `/proc/PID/stat` behind the name, the state first.
fn stat(process: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_ascii_whitespace().map(String::from).collect()
}

/// Whether SIGSTOP has taken hold of it.
pub fn stands_still(process: u32) -> bool {
    stat(process).first().is_some_and(|state| state == "T")
}

/// Processor time that it has used, in hundredths of a second.
pub fn processor_ticks(process: u32) -> u64 {
    let fields = stat(process);
    [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
