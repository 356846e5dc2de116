//! The load generator as a process of its own, and what it found.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::Result;
use super::machine::{jiffies, steal_since};

/// The generator's word for figures that say nothing, because it was late itself.
const EXIT_NOT_TRUSTWORTHY: i32 = 6;

/// What is to be run.
pub(super) struct Load {
    command: Command,
    out: PathBuf,
}

/// One run of the generator.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rate: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) cpu_us: f64,
    pub(super) memory_mib: f64,
    pub(super) steal: f64,
    pub(super) trusted: bool,
    /// From when it began to connect.
    pub(super) settled_by_second: Vec<f64>,
    pub(super) check: Value,
}

impl Load {
    /// `arguments` are those of `crosstie-loadgen run`; its files go to `out`.
    pub(super) fn new(binaries: &Path, out: &Path, targets: &[String], arguments: &[&str]) -> Load {
        let mut command = Command::new(binaries.join("crosstie-loadgen"));
        command.arg("run");
        for target in targets {
            command.args(["--target", target]);
        }
        command.args(["--quiet", "--json", "--out"]).arg(out).args(arguments);
        Load { command, out: out.into() }
    }

    pub(super) fn participants(&mut self, count: u32) -> &mut Load {
        self.command.args(["--participants", &count.to_string()]);
        self
    }

    /// The process whose CPU time is set against the payments.
    pub(super) fn server(&mut self, pid: u32) -> &mut Load {
        self.command.args(["--server-pid", &pid.to_string()]);
        self
    }

    /// Where its feeds ended goes on where the run before ended.
    pub(super) fn feeds(&mut self, file: &Path) -> &mut Load {
        self.command.arg("--feeds").arg(file);
        self
    }

    /// Every event of every payment is written there.
    pub(super) fn journal(&mut self, file: &Path) -> &mut Load {
        self.command.arg("--journal").arg(file);
        self
    }

    /// To the end, while nothing else is done.
    pub(super) fn run(mut self) -> Result<Run> {
        let before = jiffies();
        let output = self.command.output()?;
        Run::of(&output, &self.out, steal_since(before))
    }

    /// To the end, while other things are done.
    pub(super) async fn run_beside(self) -> Result<Run> {
        let before = jiffies();
        let output = tokio::process::Command::from(self.command).kill_on_drop(true).output().await?;
        Run::of(&output, &self.out, steal_since(before))
    }

    /// Begins, to be ended by [`UnderWay::end`].
    pub(super) fn begin(self) -> Result<UnderWay> {
        let mut command = tokio::process::Command::from(self.command);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Ok(UnderWay { child: command.kill_on_drop(true).spawn()?, out: self.out, before: jiffies() })
    }
}

/// A generator that pays until it is told to end.
pub(super) struct UnderWay {
    child: tokio::process::Child,
    out: PathBuf,
    before: (f64, f64),
}

impl UnderWay {
    /// No new payments; it waits for the outcomes of those that it sent, and checks.
    pub(super) async fn end(self) -> Result<Run> {
        let pid = self.child.id().ok_or("the load generator ended by itself")?;
        Command::new("kill").args(["-INT", &pid.to_string()]).status()?;
        let output = self.child.wait_with_output().await?;
        Run::of(&output, &self.out, steal_since(self.before))
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Run {
    fn of(output: &Output, out: &Path, steal: f64) -> Result<Run> {
        let result: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("the load generator said: {} ({error})", String::from_utf8_lossy(&output.stderr))
        })?;
        let milliseconds = |quantile: &str| result["response"][quantile].as_f64().unwrap_or(f64::NAN) / 1e6;
        let series = std::fs::read_to_string(out.join("series.ndjson"))?;
        let seconds = series.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let settled_by_second = seconds.filter_map(|second| second["settled"].as_f64()).collect();
        Ok(Run {
            rate: result["rate"].as_f64().unwrap_or(f64::NAN),
            p50_ms: milliseconds("p50_ns"),
            p99_ms: milliseconds("p99_ns"),
            p999_ms: milliseconds("p999_ns"),
            cpu_us: result["server"]["cpu_us_per_payment"].as_f64().unwrap_or(f64::NAN),
            memory_mib: f64::NAN,
            steal,
            trusted: output.status.code() != Some(EXIT_NOT_TRUSTWORTHY),
            settled_by_second,
            check: result["check"].clone(),
        })
    }

    /// One of the counts of the money check.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.check[name].as_u64().unwrap_or(u64::MAX)
    }

    /// Refuses a run whose money check failed.
    pub(super) fn sound(self) -> Result<Run> {
        match self.count("violations") + self.count("lost") + self.count("doubled") {
            0 => Ok(self),
            _ => Err(format!("the money check failed: {}", self.check).into()),
        }
    }

    /// For its line: figures, and how far they can be believed.
    pub(super) fn figures(&self) -> String {
        let doubt = if self.trusted { "" } else { ", generator late" };
        let Run { rate, p50_ms, p99_ms, p999_ms, steal, .. } = self;
        format!("{rate:.0}/s p50 {p50_ms:.2} p99 {p99_ms:.2} p99.9 {p999_ms:.2} ms, steal {steal:.1} %{doubt}")
    }
}
