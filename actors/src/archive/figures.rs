//! How the archive does, and what it fails at just now.

use persistence::Index;
use wire::Timestamp;

/// What the archive's thread does with the disk, each by itself: that runs can be written says nothing of old ones that cannot
/// be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Fills at the start what was missing. It is tried once.
    Repair,
    ReadLog,
    Write,
    Merge,
    Remove,
}

impl Work {
    pub const ALL: [Work; 5] = [Work::Repair, Work::ReadLog, Work::Write, Work::Merge, Work::Remove];

    /// As in "the archive cannot …".
    pub fn words(self) -> &'static str {
        match self {
            Work::Repair => "fill its gaps from the log",
            Work::ReadLog => "read the log",
            Work::Write => "write what has ended",
            Work::Merge => "merge its files",
            Work::Remove => "remove old files",
        }
    }
}

/// Failures of one work since it last went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// 0 when it went well the last time, or was not tried yet.
    pub times: u64,
    pub last_at: Timestamp,
}

/// See the file's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub payments: u64,
    pub runs: u64,
    pub run_bytes: u64,
    /// Everything that ended up to this log entry is found.
    pub covered_index: Index,
    /// Log entries that were gone before the archive had read them.
    pub log_entries_lost: u64,
    /// Writes, reads and removals that failed since the start.
    pub failures: u64,
    /// By [`Work::ALL`].
    pub failing: [Failing; Work::ALL.len()],
    /// Files found damaged at the start.
    pub files_set_aside: u64,
    pub merging: bool,
}

impl Figures {
    pub(super) fn failed(&mut self, work: Work, now: Timestamp) {
        self.failures += 1;
        let failing = &mut self.failing[work as usize];
        *failing = Failing { times: failing.times + 1, last_at: now };
    }

    pub(super) fn went_well(&mut self, work: Work) {
        self.failing[work as usize] = Failing::default();
    }
}
