//! The machine: what it is, and how much of it was there.

use std::path::Path;

pub(super) fn print() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("").trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory_kib = read("/proc/meminfo").split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    println!(
        "machine {cores} cores, {cpu}, {} GiB, Linux {}, load average {}",
        memory_kib.unwrap_or(0) >> 20,
        kernel.trim(),
        read("/proc/loadavg").trim()
    );
}

/// Jiffies of the whole machine: all, and those another guest took.
pub(super) fn jiffies() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let numbers: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|number| number.parse().ok()).collect();
    (numbers.iter().take(8).sum(), numbers.get(7).copied().unwrap_or(0.0))
}

/// The share of the machine's time that another guest took since `before`, in percent.
pub(super) fn steal_since(before: (f64, f64)) -> f64 {
    let after = jiffies();
    100.0 * (after.1 - before.1) / (after.0 - before.0).max(1.0)
}

/// CPU time of a process, with that of threads that have ended.
pub(super) fn process_seconds(pid: u32) -> f64 {
    cpu_seconds(Path::new(&format!("/proc/{pid}"))).map_or(f64::NAN, |(_, seconds)| seconds)
}

/// CPU time of those of a process's threads that have one of these names.
pub(super) fn thread_seconds(pid: u32, names: &[&str]) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let each = threads.filter_map(|thread| cpu_seconds(&thread.path()));
    each.filter(|(name, _)| names.contains(&name.as_str())).map(|(_, seconds)| seconds).sum()
}

/// The name of a process or a thread, and its time in user and kernel mode; in hundredths, as Linux has it.
fn cpu_seconds(place: &Path) -> Option<(String, f64)> {
    let stat = std::fs::read_to_string(place.join("stat")).ok()?;
    let (begin, rest) = stat.rsplit_once(')')?;
    let (_, name) = begin.split_once('(')?;
    let numbers = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|number| number.parse::<f64>().ok());
    Some((name.to_string(), numbers.sum::<f64>() / 100.0))
}

pub(super) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}
