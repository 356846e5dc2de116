//! Numbers about the journal: written by its thread, read by anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::fold::Index;

/// Since the journal was opened. Cheap to ask for; the numbers are not of exactly the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub committed_index: Index,
    pub entries: u64,
    /// What was proposed.
    pub payload_bytes: u64,
    pub syncs: u64,
    pub sync_ns_sum: u64,
    pub sync_ns_max: u64,
    /// What waits for the next commit.
    pub open_batch_bytes: u64,
    pub snapshot_index: Index,
    pub snapshots: u64,
    pub snapshots_failed: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) committed_index: AtomicU64,
    pub(super) snapshot_wanted: AtomicBool,
    pub(super) snapshot_index: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) snapshots_failed: AtomicU64,
    entries: AtomicU64,
    payload_bytes: AtomicU64,
    syncs: AtomicU64,
    sync_ns_sum: AtomicU64,
    sync_ns_max: AtomicU64,
}

impl Counters {
    pub(super) fn new(committed_index: Index, snapshot_index: Index) -> Counters {
        Counters {
            committed_index: AtomicU64::new(committed_index),
            snapshot_index: AtomicU64::new(snapshot_index),
            ..Counters::default()
        }
    }

    pub(super) fn committed(&self, index: Index, payload_bytes: u64, sync: Duration) {
        let sync_ns = sync.as_nanos() as u64;
        self.committed_index.store(index, Ordering::Release);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.payload_bytes.fetch_add(payload_bytes, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns_sum.fetch_add(sync_ns, Ordering::Relaxed);
        self.sync_ns_max.fetch_max(sync_ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self, open_batch_bytes: u64) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            committed_index: get(&self.committed_index),
            entries: get(&self.entries),
            payload_bytes: get(&self.payload_bytes),
            syncs: get(&self.syncs),
            sync_ns_sum: get(&self.sync_ns_sum),
            sync_ns_max: get(&self.sync_ns_max),
            open_batch_bytes,
            snapshot_index: get(&self.snapshot_index),
            snapshots: get(&self.snapshots),
            snapshots_failed: get(&self.snapshots_failed),
        }
    }
}
