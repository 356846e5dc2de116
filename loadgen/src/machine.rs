//! The machine under the run, from `/proc`: who stole time, how much the switch and the generator used. On a system
//! without `/proc` the figures are absent.

use std::fs;

use serde::{Deserialize, Serialize};

/// Ticks per second in `/proc/*/stat`; `USER_HZ` is 100 on every Linux that Rust knows.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub load_average: String,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_string()).unwrap_or_default()
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(0.0);
        Environment {
            kernel: text("/proc/sys/kernel/osrelease").trim().to_string(),
            cpu: field(&text("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            load_average: text("/proc/loadavg").trim().to_string(),
        }
    }
}

/// Readings at one moment; two of them make a [`Usage`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    total_ticks: f64,
    steal_ticks: f64,
    server_ticks: Option<f64>,
    thread_ns: Option<f64>,
}

impl Reading {
    /// Of the calling thread, which is the generator's.
    pub(crate) fn take(server_pid: Option<u32>) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<f64> = stat
            .lines()
            .next()
            .unwrap_or("")
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        let schedstat = fs::read_to_string("/proc/thread-self/schedstat").ok();
        Reading {
            total_ticks: ticks.iter().take(8).sum(),
            steal_ticks: ticks.get(7).copied().unwrap_or(0.0),
            server_ticks: server_pid.and_then(process_ticks),
            thread_ns: schedstat.and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }

    pub(crate) fn until(&self, later: &Reading) -> Usage {
        let difference =
            |before: Option<f64>, after: Option<f64>| before.zip(after).map(|(before, after)| after - before);
        let total = later.total_ticks - self.total_ticks;
        Usage {
            steal: if total > 0.0 { (later.steal_ticks - self.steal_ticks) / total } else { 0.0 },
            server_cpu_s: difference(self.server_ticks, later.server_ticks).map(|ticks| ticks / TICKS_PER_SECOND),
            loader_cpu_s: difference(self.thread_ns, later.thread_ns).unwrap_or(0.0) / 1e9,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Share of all cores' time that the hypervisor gave to others.
    pub(crate) steal: f64,
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) loader_cpu_s: f64,
}

/// User and system time of a process: fields 14 and 15, counted after the name, which may hold spaces.
fn process_ticks(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process, bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
