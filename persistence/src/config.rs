//! What the owner may set, with units and bounds.

use std::path::PathBuf;

use crate::error::Error;
use crate::fold::NodeId;
use crate::format::{SECTOR_BYTES, entry, segment};
use crate::replica::membership::Member;

/// How a log is kept. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the files are; created if absent. One log per directory and no other files; subdirectories are ignored.
    pub directory: PathBuf,
    /// Size of a segment file, preallocated in full: a multiple of 4096, at least twice `batch_bytes_max`.
    /// Segments already on disk keep the size they were made with.
    pub segment_bytes: u64,
    /// Bound of the open batch: a proposal that finds it at or above this is refused as full.
    pub batch_bytes_max: usize,
    /// Sealed segments behind the newest snapshot are kept up to this many bytes (and as long as the older of the two
    /// kept snapshots needs them).
    pub retained_bytes_max: u64,
    /// A snapshot is taken each time this many bytes of entries have been committed.
    pub snapshot_every_bytes: u64,
    /// With less than this free on the file system the log has no room for new work.
    pub free_bytes_min: u64,
    /// How long the journal thread looks for more work before it sleeps. Waking it costs about 40 microseconds.
    pub spin_us: u32,
    pub sync: Sync,
    /// Which cluster this node belongs to; a number no other cluster has, 0 for a node alone.
    pub cluster: u128,
    /// The number of this node in its cluster; it stays what it was when the log was made.
    pub node: NodeId,
    /// The members the cluster begins with, the same on each of them; none on a node that joins one. Looked at until the
    /// log knows the members itself.
    pub members: Vec<Member>,
    /// Proposals wait while this many bytes are not committed yet.
    pub uncommitted_bytes_max: usize,
    /// The newest entries are kept in memory up to this many bytes, for nodes that follow.
    pub cache_bytes_max: usize,
    /// Entries that go to another node in one message, unless one alone is larger.
    pub message_bytes_max: usize,
    /// Messages of other nodes that wait to be looked at; beyond that they are dropped, and come again.
    pub inbox_bytes_max: usize,
    /// Nodes compare their states after every so many entries, and when a leader begins.
    pub checkpoint_every: u64,
}

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Every batch is synced before anybody hears of it.
    Real,
    /// Nothing is synced, so a power loss loses acknowledged entries. For benchmarks and for tests that must fail.
    None,
}

impl Config {
    pub fn new(directory: impl Into<PathBuf>) -> Config {
        Config {
            directory: directory.into(),
            segment_bytes: 64 << 20,
            batch_bytes_max: 8 << 20,
            retained_bytes_max: 4 << 30,
            snapshot_every_bytes: 1 << 30,
            free_bytes_min: 1 << 30,
            spin_us: 50,
            sync: Sync::Real,
            cluster: 0,
            node: 1,
            members: vec![Member::alone(1)],
            uncommitted_bytes_max: 64 << 20,
            cache_bytes_max: 64 << 20,
            message_bytes_max: 1 << 20,
            inbox_bytes_max: 64 << 20,
            checkpoint_every: 1024,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Configuration(what));
        if !self.segment_bytes.is_multiple_of(4096) || self.segment_bytes > u64::from(u32::MAX) {
            return refuse(format!("segment_bytes = {}: must be a multiple of 4096 below 4 GiB", self.segment_bytes));
        }
        if self.batch_bytes_max == 0 || self.batch_bytes_max as u64 * 2 > self.entry_bytes_max() {
            return refuse(format!(
                "batch_bytes_max = {}: must be above 0 and at most half of segment_bytes = {}, less {} for headers",
                self.batch_bytes_max,
                self.segment_bytes,
                self.segment_bytes - self.entry_bytes_max(),
            ));
        }
        if self.snapshot_every_bytes == 0 {
            return refuse("snapshot_every_bytes = 0: must be above 0".into());
        }
        if self.node == 0 || self.checkpoint_every == 0 {
            return refuse(format!("node = {}, checkpoint_every = {}: both above 0", self.node, self.checkpoint_every));
        }
        if self.members.len() > 1 && self.cluster == 0 {
            return refuse("cluster = 0: several nodes need a number for their cluster".into());
        }
        Ok(())
    }

    /// Of so many bytes of the log the place is kept in memory: what is read in vain on the way to an entry is little beside
    /// a message.
    pub(crate) fn milestone_bytes(&self) -> u64 {
        (self.message_bytes_max as u64 / 4).max(SECTOR_BYTES as u64)
    }

    /// The largest payload that fits into a segment of its own.
    pub(crate) fn entry_bytes_max(&self) -> u64 {
        let headers_bytes = segment::HEADER_BYTES + entry::HEADER_BYTES + SECTOR_BYTES;
        self.segment_bytes.saturating_sub(headers_bytes as u64)
    }
}
