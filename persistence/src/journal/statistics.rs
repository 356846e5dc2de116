//! Numbers about the journal: written by its thread, read by anybody.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use meter::Distribution;
use parking_lot::Mutex;

use crate::fold::{Index, NodeId, Standing, Term};

/// How long things took since somebody took these times last. Where this node does not lead only `sync` is known.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the first proposal of an entry until the journal's thread took it up.
    pub append: Distribution,
    /// Writing and syncing what was taken up in one go.
    pub sync: Distribution,
    /// From an entry's write on this node until a majority had it. Nothing on a node alone.
    pub replicate: Distribution,
    /// From the first proposal of an entry until it was committed.
    pub commit: Distribution,
}

impl Times {
    pub fn clear(&mut self) {
        let Times { append, sync, replicate, commit } = self;
        [append, sync, replicate, commit].into_iter().for_each(Distribution::clear);
    }
}

/// Since the journal was opened. Cheap to ask for; the numbers are not of exactly the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub committed_index: Index,
    /// Entries that were folded, and their bytes as proposed.
    pub entries: u64,
    pub payload_bytes: u64,
    /// With headers and padding, whether committed or not.
    pub written_bytes: u64,
    pub syncs: u64,
    pub sync_ns_sum: u64,
    pub sync_ns_max: u64,
    /// A smoothed figure of the last few.
    pub sync_ns_recent: u64,
    /// What waits for the next commit.
    pub open_batch_bytes: u64,
    pub snapshot_index: Index,
    pub snapshots: u64,
    pub snapshots_failed: u64,
    /// Of those, how many since the last that was written or installed; and when the last of them did, milliseconds since 1970.
    pub snapshots_failing: u64,
    pub snapshot_failed_at_ms: u64,
    /// Snapshots of the leader that replaced the state of this node.
    pub snapshots_installed: u64,
    pub role: Role,
    pub term: Term,
    pub leader: Option<NodeId>,
    /// How often another node came to lead than the one before.
    pub leader_changes: u64,
    /// Elections this node has stood in.
    pub elections: u64,
    /// Messages of other nodes that found no room, and such that could not be taken.
    pub messages_dropped: u64,
    pub messages_refused: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) committed_index: AtomicU64,
    pub(super) snapshot_wanted: AtomicBool,
    snapshot_index: AtomicU64,
    snapshots: AtomicU64,
    snapshots_failed: AtomicU64,
    snapshots_failing: AtomicU64,
    snapshot_failed_at_ms: AtomicU64,
    snapshots_installed: AtomicU64,
    entries: AtomicU64,
    pub(super) payload_bytes: AtomicU64,
    written_bytes: AtomicU64,
    pub(crate) times: Mutex<Times>,
    syncs: AtomicU64,
    sync_ns_sum: AtomicU64,
    sync_ns_max: AtomicU64,
    sync_ns_recent: AtomicU64,
    role: AtomicU8,
    term: AtomicU64,
    leader: AtomicU64,
    leader_before: AtomicU64,
    leader_changes: AtomicU64,
    elections: AtomicU64,
    messages_dropped: AtomicU64,
    messages_refused: AtomicU64,
}

impl Counters {
    pub(crate) fn opened(&self, committed_index: Index, snapshot_index: Index) {
        self.committed_index.store(committed_index, Ordering::Release);
        self.snapshot_index.store(snapshot_index, Ordering::Relaxed);
    }

    /// Before anybody hears of the entry.
    pub(crate) fn committed(&self, index: Index, payload_bytes: u64) {
        self.committed_index.store(index, Ordering::Release);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.payload_bytes.fetch_add(payload_bytes, Ordering::Relaxed);
    }

    pub(crate) fn installed(&self, index: Index) {
        self.committed_index.store(index, Ordering::Release);
        self.snapshot_index.store(index, Ordering::Relaxed);
        self.snapshots_installed.fetch_add(1, Ordering::Relaxed);
        self.snapshots_failing.store(0, Ordering::Relaxed);
    }

    pub(super) fn wrote_snapshot(&self, index: Index) {
        self.snapshot_index.fetch_max(index, Ordering::Relaxed);
        self.snapshots_failing.store(0, Ordering::Relaxed);
        self.snapshots.fetch_add(1, Ordering::Release);
    }

    /// `at_ms` since 1970.
    pub(super) fn failed_snapshot(&self, at_ms: u64) {
        self.snapshot_failed_at_ms.store(at_ms, Ordering::Relaxed);
        self.snapshots_failing.fetch_add(1, Ordering::Relaxed);
        self.snapshots_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: u64) {
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration, recent: Duration) {
        let sync_ns = took.as_nanos() as u64;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns_sum.fetch_add(sync_ns, Ordering::Relaxed);
        self.sync_ns_max.fetch_max(sync_ns, Ordering::Relaxed);
        self.sync_ns_recent.store(recent.as_nanos() as u64, Ordering::Relaxed);
        self.times.lock().sync.record(took);
    }

    pub(crate) fn stand(&self, standing: Standing, role: Role) {
        self.role.store(role as u8, Ordering::Relaxed);
        self.term.store(standing.term, Ordering::Relaxed);
        self.leader.store(standing.leader.unwrap_or(0), Ordering::Relaxed);
        if let Some(leader) = standing.leader {
            let before = self.leader_before.swap(leader, Ordering::Relaxed);
            if before != 0 && before != leader {
                self.leader_changes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn elect(&self) {
        self.elections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_message(&self) {
        self.messages_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse_message(&self) {
        self.messages_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, open_batch_bytes: u64) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            committed_index: get(&self.committed_index),
            entries: get(&self.entries),
            payload_bytes: get(&self.payload_bytes),
            written_bytes: get(&self.written_bytes),
            syncs: get(&self.syncs),
            sync_ns_sum: get(&self.sync_ns_sum),
            sync_ns_max: get(&self.sync_ns_max),
            sync_ns_recent: get(&self.sync_ns_recent),
            open_batch_bytes,
            snapshot_index: get(&self.snapshot_index),
            snapshots: get(&self.snapshots),
            snapshots_failed: get(&self.snapshots_failed),
            snapshots_failing: get(&self.snapshots_failing),
            snapshot_failed_at_ms: get(&self.snapshot_failed_at_ms),
            snapshots_installed: get(&self.snapshots_installed),
            role: match self.role.load(Ordering::Relaxed) {
                role if role == Role::Leader as u8 => Role::Leader,
                role if role == Role::Candidate as u8 => Role::Candidate,
                _ => Role::Follower,
            },
            term: get(&self.term),
            leader: Some(get(&self.leader)).filter(|leader| *leader != 0),
            leader_changes: get(&self.leader_changes),
            elections: get(&self.elections),
            messages_dropped: get(&self.messages_dropped),
            messages_refused: get(&self.messages_refused),
        }
    }
}
