//! The machine: what it is, and how much of it was there.

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

/// CPU time of a process's threads of these names; of all when none is named.
pub(super) fn thread_seconds(pid: u32, names: &[&str]) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let jiffies = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (begin, rest) = stat.rsplit_once(')')?;
        let (_, name) = begin.split_once('(')?;
        let own = names.is_empty() || names.contains(&name);
        let numbers = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|number| number.parse::<f64>().ok());
        own.then(|| numbers.sum::<f64>())
    });
    jiffies.sum::<f64>() / 100.0
}

pub(super) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}
