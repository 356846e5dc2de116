//! The log without threads: append one entry, sync it, and the same again. The journal thread wraps it; a deterministic
//! simulation drives it by hand.

use std::sync::Arc;
use std::time::Instant;

use crate::config::{Config, Sync};
use crate::disk::{Disk, File};
use crate::error::Error;
use crate::fold::{Fold, Freeze, Index, Term};
use crate::format::entry::{self, Kind};
use crate::format::head::Head;
use crate::format::segment;
use crate::head;
use crate::journal::keeper::Reserve;
use crate::recovery::{self, Recovery};
use crate::segment::{begin, make_spare};
use crate::snapshot;

/// Where a log stands: its last entry. `Mark::default()` stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub index: Index,
    pub term: Term,
    /// Checksum over all entries up to this one.
    pub chain: u32,
}

/// A log that is open for appending, the only one on its disk.
pub struct Log<D: Disk> {
    disk: D,
    _lock: D::Lock,
    config: Config,
    identity: u128,
    segment: Segment<D::File>,
    last: Mark,
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
    /// Recovers what the disk holds into `fold`, or makes a new log.
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
            disk,
            _lock: lock,
            config: config.clone(),
            identity: recovered.identity,
            segment: recovered.segment,
            last: recovered.last,
            state: State::Synced,
            reserve: None,
        };
        recovery.took = started.elapsed();
        Ok((log, recovery))
    }

    pub fn last(&self) -> Mark {
        self.last
    }

    pub fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn identity(&self) -> u128 {
        self.identity
    }

    pub(crate) fn newest_segment(&self) -> Index {
        self.segment.header.first_index
    }

    pub(crate) fn set_reserve(&mut self, reserve: Arc<Reserve<D>>) {
        self.reserve = Some(reserve);
    }

    /// Writes one entry; it counts only after [`Log::sync`], which must come before the next append.
    ///
    /// `buffer` is [`ENTRY_HEADER_BYTES`](crate::ENTRY_HEADER_BYTES) of room, then the payload; it is framed in place.
    pub fn append(&mut self, term: Term, buffer: &mut Vec<u8>) -> Result<Index, Error> {
        assert_eq!(self.state, State::Synced, "an entry is appended to a synced log, one at a time");
        let index = self.last.index + 1;
        let extent_bytes = entry::extent_bytes(buffer.len() - entry::HEADER_BYTES) as u64;
        self.state = State::Failed; // until the end of this function
        if self.segment.end + extent_bytes > self.segment.header.segment_bytes {
            self.rotate()?;
        }
        assert!(
            self.segment.end + extent_bytes <= self.segment.header.segment_bytes,
            "an entry of {extent_bytes} bytes does not fit a segment of {}",
            self.segment.header.segment_bytes
        );
        let chain = entry::seal(buffer, Kind::Batch, index, term, self.last.chain);
        let written = self.segment.file.write_all_at(buffer, self.segment.end);
        written.map_err(|error| self.failure("writing", error))?;
        self.segment.end += extent_bytes;
        self.last = Mark { index, term, chain };
        self.state = State::Written;
        Ok(index)
    }

    /// [`Log::append`] for a payload that lies elsewhere.
    pub fn append_payload(&mut self, term: Term, payload: &[u8]) -> Result<Index, Error> {
        let mut buffer = vec![0; entry::HEADER_BYTES];
        buffer.extend_from_slice(payload);
        self.append(term, &mut buffer)
    }

    /// From here on the last entry is committed. After a failure the log takes nothing more.
    pub fn sync(&mut self) -> Result<(), Error> {
        assert_ne!(self.state, State::Failed, "a log that failed is not synced again");
        self.state = State::Failed;
        if self.config.sync == Sync::Real {
            self.segment.file.sync_data().map_err(|error| self.failure("syncing", error))?;
        }
        self.state = State::Synced;
        Ok(())
    }

    /// Writes a snapshot of the state after the last entry, on the spot, and lets go of what it makes unnecessary.
    pub fn snapshot(&mut self, freeze: Freeze) -> Result<(), Error> {
        assert_eq!(self.state, State::Synced, "a snapshot is taken between two committed entries");
        snapshot::write(&self.disk, self.identity, self.last, freeze, snapshot::Pace::Full)?;
        snapshot::retain(&self.disk, self.config.retained_bytes_max)
    }

    /// Leaves a mark by which the next open knows that nothing may be missing at the end.
    pub fn close(self) -> Result<(), Error> {
        assert_eq!(self.state, State::Synced, "a log is closed between two committed entries");
        let newest_segment = self.newest_segment();
        head::write(&self.disk, &Head { identity: self.identity, newest_segment, closed_at: Some(self.last) })
    }

    fn rotate(&mut self) -> Result<(), Error> {
        let spare = match &self.reserve {
            Some(reserve) => reserve.take()?,
            None => make_spare(&self.disk, 0, self.config.segment_bytes, |_| usize::MAX)
                .map_err(|error| recovery::allocation_failure(&self.disk, error))?,
        };
        let header = segment::Header {
            identity: self.identity,
            first_index: self.last.index + 1,
            segment_bytes: self.config.segment_bytes,
            previous: self.last.chain,
        };
        let begun = begin(&self.disk, spare, &header);
        let file = begun.map_err(|error| {
            Error::disk("beginning", self.disk.path(&segment::file_name(header.first_index)), error)
        })?;
        self.segment = Segment { file, header, end: segment::HEADER_BYTES as u64 };
        match &self.reserve {
            Some(reserve) => reserve.rotated(header.first_index),
            None => head::write(
                &self.disk,
                &Head { identity: self.identity, newest_segment: header.first_index, closed_at: None },
            )?,
        }
        Ok(())
    }

    fn failure(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::disk(doing, self.disk.path(&segment::file_name(self.newest_segment())), source)
    }
}
