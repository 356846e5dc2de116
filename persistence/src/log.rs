//! The log without threads: append entries, sync them, and the same again. The journal thread wraps it; a deterministic
//! simulation drives it by hand.
//!
//! On the disk it is always one line of entries, each at its index. What replication asks besides (a vote, cutting off what
//! a new leader never had, taking over a snapshot) is written into `head` before it is done, one step after the other, so
//! that everything the log ever promised has one order.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Config, Sync};
use crate::disk::{Aligned, Disk, File};
use crate::error::Error;
use crate::fold::{Fold, Freeze, Index, NodeId, Term};
use crate::format::entry::{self, HEADER_BYTES, Seal};
use crate::format::segment::{self, file_name};
use crate::format::snapshot as snapshot_format;
use crate::head::HeadFile;
use crate::journal::keeper::Reserve;
use crate::map::{Map, Milestone};
use crate::recovery::{self, Recovery};
use crate::segment::{begin, make_spare};
use crate::snapshot;
pub use crate::snapshot::SnapshotMark;

pub use crate::format::entry::Kind;

pub(crate) mod history;

/// Zeros are written over what is cut off in steps of this.
const ZEROS_BYTES: usize = 1 << 20;

/// Where a log stands: its last entry. `Mark::default()` stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub index: Index,
    pub term: Term,
    /// Checksum over all entries up to this one.
    pub chain: u32,
}

/// The latest term that the node knows, and whom it voted for in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    pub term: Term,
    pub voted_for: Option<NodeId>,
}

/// An entry to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub index: Index,
    pub term: Term,
    pub kind: Kind,
    pub payload: &'a [u8],
}

/// An entry that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    pub index: Index,
    pub term: Term,
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// A log that is open for appending, the only one on its disk.
pub struct Log<D: Disk> {
    disk: D,
    _lock: D::Lock,
    config: Config,
    head: Arc<HeadFile<D>>,
    segment: Segment<D::File>,
    /// It learns by reading.
    map: RefCell<Map>,
    last: Mark,
    /// Nothing up to here is ever cut off.
    committed: Index,
    folded: Index,
    newest_snapshot: SnapshotMark,
    /// Where entries are framed for one write.
    frame: Aligned,
    state: State,
    /// Where new segment files come from; without one they are made on the spot.
    reserve: Option<Arc<Reserve<D>>>,
}

/// The newest segment.
pub(crate) struct Segment<F> {
    pub(crate) file: F,
    pub(crate) header: segment::Header,
    /// The next entry goes here.
    pub(crate) end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Synced,
    Written,
    /// A write or a sync failed: nothing after it counts.
    Failed,
}

impl<D: Disk> Log<D> {
    /// Recovers what the disk holds, or makes a new log. `fold` gets the newest snapshot and every entry after it that is
    /// known to be committed; [`Log::folded`] says how far that went.
    pub fn open<F: Fold>(disk: D, config: &Config, fold: &mut F) -> Result<(Log<D>, Recovery), Error> {
        config.check()?;
        let started = Instant::now();
        let lock = disk.lock().map_err(|error| Error::disk("locking", disk.path(""), error))?;
        let Some(lock) = lock else {
            return Err(Error::Locked { directory: disk.path("") });
        };
        let recovered = recovery::recover(&disk, config, fold)?;
        let mut recovery = recovered.recovery;
        let log = Log {
            head: Arc::new(HeadFile::new(disk.clone(), recovered.head)),
            disk,
            _lock: lock,
            config: config.clone(),
            segment: recovered.segment,
            map: RefCell::new(recovered.map),
            last: recovered.last,
            committed: recovered.folded,
            folded: recovered.folded,
            newest_snapshot: recovered.snapshot,
            frame: Aligned::new(0),
            state: State::Synced,
            reserve: None,
        };
        recovery.took = started.elapsed();
        Ok((log, recovery))
    }

    /// The oldest entry that it can give, or the next one if there is none.
    pub fn first(&self) -> Index {
        self.map.borrow().first()
    }

    pub fn last(&self) -> Mark {
        self.last
    }

    /// The last entry that `open` gave to the fold, itself or within the snapshot.
    pub fn folded(&self) -> Index {
        self.folded
    }

    pub fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn identity(&self) -> u128 {
        self.head.get().identity
    }

    pub(crate) fn head(&self) -> Arc<HeadFile<D>> {
        Arc::clone(&self.head)
    }

    fn newest_segment(&self) -> Index {
        self.segment.header.first_index
    }

    pub(crate) fn set_reserve(&mut self, reserve: Arc<Reserve<D>>) {
        self.reserve = Some(reserve);
    }

    pub fn vote(&self) -> Vote {
        self.head.get().vote
    }

    /// Durable when it returns. One vote in a term, and terms never go back.
    pub fn set_vote(&mut self, vote: Vote) -> Result<(), Error> {
        let before = self.vote();
        let stands = before.voted_for.is_none() || before.voted_for == vote.voted_for;
        assert!(vote.term > before.term || vote.term == before.term && stands, "{vote:?} after {before:?}");
        self.steadily(|log| log.head.change(|head| head.vote = vote))
    }

    /// Cluster and number of the node that this log belongs to; 0 until they are given.
    pub fn node(&self) -> (u128, NodeId) {
        let head = self.head.get();
        (head.cluster, head.node)
    }

    /// Given once, for ever. Durable when it returns.
    pub fn set_node(&mut self, cluster: u128, node: NodeId) -> Result<(), Error> {
        assert!([(0, 0), (cluster, node)].contains(&self.node()), "a log stays with its node");
        self.steadily(|log| log.head.change(|head| (head.cluster, head.node) = (cluster, node)))
    }

    /// The latest term in which the node may have promised something that this log does not hold any more, while it is so.
    pub fn repairing(&self) -> Option<Term> {
        Some(self.head.get().repairing).filter(|term| *term != 0)
    }

    /// Everything that was promised is here again. Durable when it returns.
    pub(crate) fn finish_repair(&mut self) -> Result<(), Error> {
        let repairing = self.head.get().repairing;
        assert!(self.last.term > repairing, "{:?} is no entry of a term after {repairing}", self.last);
        self.steadily(|log| log.head.change(|head| head.repairing = 0))
    }

    /// What [`Log::lose`] noted.
    pub(crate) fn lost(&self) -> Option<Index> {
        Some(self.head.get().lost).filter(|known| *known != 0)
    }

    /// A leader knew that this node had entries up to there, but they are gone. Durable when it returns.
    pub(crate) fn lose(&mut self, known: Index) -> Result<(), Error> {
        self.steadily(|log| log.head.change(|head| head.lost = known))
    }

    /// Does something that leaves the log useless when it fails.
    fn steadily<T>(&mut self, act: impl FnOnce(&mut Log<D>) -> Result<T, Error>) -> Result<T, Error> {
        assert_eq!(self.state, State::Synced, "one thing after the other");
        self.state = State::Failed;
        let result = act(self)?;
        self.state = State::Synced;
        Ok(result)
    }

    /// Writes the next entries, in one write as long as they fit the segment; they count only after [`Log::sync`], which
    /// must come before the next append. `committed` is the highest entry that is known to be committed; it may be one of
    /// these.
    pub fn append(&mut self, records: &[Record<'_>], committed: Index) -> Result<(), Error> {
        assert_eq!(self.state, State::Synced, "entries are appended to a synced log");
        let room = self.config.segment_bytes - segment::HEADER_BYTES as u64;
        if let Some(large) = records.iter().find(|record| entry::extent_bytes(record.payload.len()) as u64 > room) {
            let (index, bytes, segment) = (large.index, large.payload.len(), self.config.segment_bytes);
            let what = format!("entry {index} has {bytes} bytes, segment_bytes = {segment}: the same on every node");
            return Err(Error::Configuration(what));
        }
        self.state = State::Failed; // until the end of this function
        self.committed = self.committed.max(committed);
        let mut framed = 0;
        for record in records {
            assert_eq!(record.index, self.last.index + 1, "entries follow each other");
            let extent_bytes = entry::extent_bytes(record.payload.len());
            if self.segment.end + (framed + extent_bytes) as u64 > self.segment.header.segment_bytes {
                self.write_framed(framed)?;
                framed = 0;
                self.rotate()?;
            }
            self.frame(record, framed);
            framed += extent_bytes;
        }
        self.write_framed(framed)?;
        self.state = State::Written;
        Ok(())
    }

    fn frame(&mut self, record: &Record<'_>, write_bytes: usize) {
        let payload_bytes = record.payload.len();
        let extent_bytes = entry::extent_bytes(payload_bytes);
        let (offset, header) = (self.segment.end + write_bytes as u64, &self.segment.header);
        assert!(
            offset + extent_bytes as u64 <= header.segment_bytes,
            "an entry of {extent_bytes} bytes does not fit a segment of {}",
            header.segment_bytes
        );
        let extent = &mut self.frame.room(write_bytes + extent_bytes, write_bytes)[write_bytes..];
        extent[HEADER_BYTES..][..payload_bytes].copy_from_slice(record.payload);
        extent[HEADER_BYTES + payload_bytes..].fill(0);
        let (Record { index, term, kind, .. }, previous, committed) = (*record, self.last.chain, self.committed);
        let chain = entry::seal(extent, Seal { kind, index, term, payload_bytes, previous, committed, write_bytes });
        self.last = Mark { index, term, chain };
        self.map.get_mut().add(self.last, header.first_index, offset, previous);
    }

    fn write_framed(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > 0 {
            let written = self.segment.file.write_all_at(&self.frame.bytes()[..bytes], self.segment.end);
            written.map_err(|error| self.failure("writing", error))?;
            self.segment.end += bytes as u64;
        }
        Ok(())
    }

    /// An entry that is committed as soon as it is synced, as on a node alone.
    pub fn append_payload(&mut self, term: Term, payload: &[u8]) -> Result<Index, Error> {
        let index = self.last.index + 1;
        self.append(&[Record { index, term, kind: Kind::Batch, payload }], index)?;
        Ok(index)
    }

    /// From here on the last entry is on the disk. After a failure the log takes nothing more.
    pub fn sync(&mut self) -> Result<(), Error> {
        assert_ne!(self.state, State::Failed, "a log that failed is not synced again");
        self.state = State::Failed;
        if self.config.sync == Sync::Real {
            self.segment.file.sync_data().map_err(|error| self.failure("syncing", error))?;
        }
        self.state = State::Synced;
        Ok(())
    }

    /// Cuts off everything from `from` on, which must not be committed. Durable when it returns; a crash leaves the log as
    /// it was before or after.
    pub fn truncate(&mut self, from: Index) -> Result<(), Error> {
        assert!(from > self.committed && from <= self.last.index, "only what is there and not committed is cut off");
        let before = self.mark(from - 1)?;
        let Milestone { offset, segment, .. } = self.place(from)?;
        self.steadily(|log| {
            let failed = |error| Error::disk("cutting off the end of", log.disk.path(&file_name(segment)), error);
            log.head.change(|head| (head.truncating_from, head.newest_segment) = (from, segment))?;
            if segment != log.newest_segment() {
                recovery::remove_segments(&log.disk, |first| first > segment)?;
                let (file, header) = crate::segment::open(&log.disk, segment, log.identity())?;
                log.segment = Segment { end: header.segment_bytes, file, header };
            }
            blank(&log.segment.file, offset, log.segment.end).map_err(failed)?;
            log.segment.end = offset;
            log.last = before;
            log.map.get_mut().cut(from);
            log.head.change(|head| head.truncating_from = 0)
        })
    }

    /// Replaces everything by a snapshot that came from another node as `name` in the log's directory. It is checked
    /// first, and refused with [`Error::Damaged`] when it is not whole; then nothing has changed. A crash leaves the log
    /// as it was before or after.
    pub fn install<F: Fold>(&mut self, name: &str, fold: &mut F) -> Result<SnapshotMark, Error> {
        assert_eq!(self.state, State::Synced, "one thing after the other");
        let snapshot = snapshot::adopt(&self.disk, name, self.identity())?;
        let mark = snapshot.mark;
        assert!(mark.index > self.committed, "only a snapshot of what is not here is installed");
        self.steadily(|log| {
            let failed = |error| Error::disk("installing a snapshot in", log.disk.path(""), error);
            log.head.change(|head| head.installing = mark.index)?;
            let renamed = log.disk.rename(name, &snapshot_format::file_name(mark.index));
            renamed.and_then(|()| log.disk.sync_directory()).map_err(failed)?;
            recovery::remove_segments(&log.disk, |_| true)?;
            log.begin_segment(mark)?;
            log.head.change(|head| (head.installing, head.newest_segment) = (0, mark.index + 1))?;
            snapshot::keep_only(&log.disk, mark.index)?;
            snapshot::restore_newest(
                &log.disk,
                log.identity(),
                &[snapshot_format::file_name(mark.index)],
                fold,
                &mut Vec::new(),
            )?;
            log.last = mark;
            log.map.replace_with(|map| map.anew(mark));
            (log.committed, log.folded) = (mark.index, mark.index);
            log.newest_snapshot = snapshot.clone();
            Ok(snapshot)
        })
    }

    /// The newest snapshot; index 0 when there is none.
    pub fn newest_snapshot(&self) -> &SnapshotMark {
        &self.newest_snapshot
    }

    /// The file of the snapshot after entry `index`.
    pub fn snapshot_path(&self, index: Index) -> PathBuf {
        self.disk.path(&snapshot_format::file_name(index))
    }

    /// Writes a snapshot of the state after entry `index`, on the spot, and lets go of what it makes unnecessary.
    pub fn snapshot(&mut self, index: Index, membership: &[u8], freeze: Freeze) -> Result<(), Error> {
        let mark = self.mark(index)?;
        snapshot::write(&self.disk, self.identity(), (mark, membership), freeze, snapshot::Pace::Full)?;
        snapshot::retain(&self.disk, self.config.retained_bytes_max)?;
        self.snapshot_written(SnapshotMark { mark, membership: membership.to_vec() })
    }

    /// A snapshot was written, and what it makes unnecessary has been let go of.
    pub(crate) fn snapshot_written(&mut self, snapshot: SnapshotMark) -> Result<(), Error> {
        // One that was installed meanwhile may be newer.
        if snapshot.mark.index > self.newest_snapshot.mark.index {
            self.newest_snapshot = snapshot;
        }
        let oldest = crate::reader::oldest(&self.disk)?;
        if oldest > self.first() {
            let before = match oldest == self.newest_segment() {
                true => self.segment.header.before(),
                false => crate::segment::open(&self.disk, oldest, self.identity())?.1.before(),
            };
            let term = self.term(before.index).unwrap_or(before.term);
            self.map.get_mut().forget(Mark { term, ..before });
        }
        Ok(())
    }

    /// Leaves a mark by which the next open knows that nothing may be missing at the end.
    pub fn close(self) -> Result<(), Error> {
        assert_eq!(self.state, State::Synced, "a log is closed when everything is on the disk");
        self.head.change(|head| {
            (head.newest_segment, head.closed_at) = (self.segment.header.first_index, Some(self.last));
        })
    }

    fn rotate(&mut self) -> Result<(), Error> {
        // What the old segment got must be on the disk before the new one says what it follows.
        if self.config.sync == Sync::Real {
            self.segment.file.sync_data().map_err(|error| self.failure("syncing", error))?;
        }
        self.begin_segment(self.last)?;
        let first_index = self.newest_segment();
        self.head.note(|head| head.newest_segment = first_index);
        match &self.reserve {
            Some(reserve) => reserve.rotated(),
            None => self.head.write_due()?,
        }
        Ok(())
    }

    /// Makes the segment behind `previous` the newest.
    fn begin_segment(&mut self, previous: Mark) -> Result<(), Error> {
        let spare = match &self.reserve {
            Some(reserve) => reserve.take()?,
            None => make_spare(&self.disk, 0, self.config.segment_bytes, |_| usize::MAX)
                .map_err(|error| recovery::allocation_failure(&self.disk, error))?,
        };
        let header = segment::Header {
            identity: self.identity(),
            first_index: previous.index + 1,
            segment_bytes: self.config.segment_bytes,
            previous: previous.chain,
            previous_term: previous.term,
        };
        let begun = begin(&self.disk, spare, &header);
        let path = self.disk.path(&file_name(header.first_index));
        let file = begun.map_err(|error| Error::disk("beginning", path, error))?;
        self.segment = Segment { file, header, end: segment::HEADER_BYTES as u64 };
        Ok(())
    }

    fn failure(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::disk(doing, self.disk.path(&file_name(self.newest_segment())), source)
    }
}

/// Zeros from `offset` to `end`, durably.
pub(crate) fn blank<F: File>(file: &F, offset: u64, end: u64) -> std::io::Result<()> {
    let zeros = Aligned::new(ZEROS_BYTES.min((end - offset) as usize));
    let mut at = offset;
    while at < end {
        let step = zeros.bytes().len().min((end - at) as usize);
        file.write_all_at(&zeros.bytes()[..step], at)?;
        at += step as u64;
    }
    file.sync_data()
}
