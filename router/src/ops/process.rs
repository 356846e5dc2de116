//! What the system says of this process and its disk. Where it does not say, 0.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};

/// Ticks of the processor times in /proc: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_files: u64,
    pub(super) open_files_max: u64,
}

pub(super) fn process() -> Process {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    Process {
        cpu_seconds: cpu_seconds(&read("stat")),
        resident_bytes: resident_bytes(&read("status")),
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        open_files_max: getrlimit(Resource::Nofile).current.unwrap_or(0),
    }
}

/// Fields 14 and 15; the name in field 2 may hold anything.
fn cpu_seconds(stat: &str) -> f64 {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / TICKS_PER_SECOND
}

fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// Free for us, and in all.
pub(super) fn room_bytes(directory: &Path) -> (u64, u64) {
    rustix::fs::statvfs(directory).map_or((0, 0), |room| (room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize))
}

/// When a file was written last, milliseconds since 1970.
pub(super) fn written_at_ms(file: &Path) -> u64 {
    std::fs::metadata(file).and_then(|file| file.modified()).map_or(0, since_1970_ms)
}

pub(super) fn since_1970_ms(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_understood() {
        assert_eq!(cpu_seconds("7 (a) b) R 1 1 1 0 -1 4194304 1 0 0 0 250 50 0 0 20 0"), 3.0);
        assert_eq!(cpu_seconds(""), 0.0);
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t   2048 kB\n"), 2 << 20);
        let own = process();
        assert!(own.resident_bytes > 1 << 20 && own.open_files > 2 && own.open_files_max > 2, "{own:?}");
        let (free, size) = room_bytes(Path::new("/"));
        assert!(free <= size && size > 0);
    }
}
