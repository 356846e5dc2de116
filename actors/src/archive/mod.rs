//! Finished payments stay findable when memory has forgotten them: by UETR, and by participant and time.
//!
//! ```text
//!  ledger ── chunks of what ended ──> archive thread ── sorted runs on disk, merged now and then
//!    │ (never waits; drops when full)      ^   ^
//!    └─────────────── log ─────────────────┘   └── searches read the runs and what is in none yet
//!                     (holes, and after a start)
//! ```
//!
//! It is a projection of the log: it may lag, and what is lost of it is made anew from the log as far as that goes back.
//! What the log no longer has either (it came as a snapshot, or was let go) is a gap that no run covers, and who asks for a
//! payment that is not found is told of it. A run holds only what is committed: on a node among others it may know more
//! than the log does at a start.
//! It is not where anything is decided: duplicates are recognised by the book alone.
//!
//! Sorted runs instead of an embedded store: what ends comes in the order of time and is looked up rarely, so sorting it
//! once in memory and merging it once or twice costs less than a tree that is kept sorted with every insert.
//!
//! Measured on two shared cores with `examples/archive_speed.rs` and under a saturated switch (192,000 payments/s): 0.03 us
//! of CPU per payment on the ledger's thread and 0.32 us on the archive's, 7.5 % of the whole switch; merging takes another
//! 0.3 us of what nobody else wants and waits until the load is over. The best embedded store took 6.5 us to insert the
//! same, before its compaction.
//!
//! In reading order: `entry` (what is kept), `gather` (the ledger's side), `keeper` (the thread), `walk` (reads the log),
//! `writer`, `run`, `latest` and `merge` (files), `shelf` and `search`, `opening` (what a start finds), `figures`.
//!
//! # A run file, version 1
//!
//! `archive-<first>-<last>.run` holds the payments that ended in the log entries `first` to `last`, 20 digits each.
//! Numbers are little-endian unless it says otherwise. Checksums are CRC32C.
//!
//! | bytes | header |
//! |---|---|
//! | 0..8 | `XTIE-RUN` |
//! | 8..12 | version, 1 |
//! | 12..16 | checksum of the header, with these four bytes zero |
//! | 16..32 | identity of the log |
//! | 32..40, 40..48 | first, last log entry |
//! | 48..56, 56..64 | number of payments, number of time keys |
//! | 64..72, 72..80 | when the first, the last of its payments ended, nanoseconds since 1970 |
//! | 80..84 | checksum of the guides |
//! | 84..128 | zeros |
//!
//! Then the payments, 96 bytes each, sorted by UETR, debtor, log entry:
//!
//! | bytes | payment |
//! |---|---|
//! | 0..16 | UETR |
//! | 16..20, 20..24 | key of the debtor agent, of the creditor agent; all ones: none |
//! | 24..32 | amount, minor units |
//! | 32..40, 40..48 | when it was decided (0: not known), when it ended, nanoseconds since 1970 |
//! | 48..56 | log entry that holds its end |
//! | 56..72 | UETR of what it returns, else zeros |
//! | 72..88 | four reasons of four letters, zeros behind the last |
//! | 88..92 | settlement date as the number CCYYMMDD, else 0 |
//! | 92..95 | currency |
//! | 95 | state: 1 settled, 2 settled without posting, 3 rejected, 4 expired |
//!
//! Then the time keys, 16 bytes each with the highest byte first, sorted, one for each party (see `key`). Then the
//! guides: for each block of 64 payments, then for each block of 256 time keys, its first 16 bytes and its checksum.
//! The guides are kept in memory: half a byte per payment, some 250 MB for a full archive of 64 GiB.

mod entry;
mod error;
mod figures;
mod format;
mod gather;
mod keeper;
mod key;
mod latest;
mod measure;
mod merge;
mod opening;
mod run;
mod search;
mod shelf;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use parking_lot::{Mutex, RwLock};
use persistence::Index;
use settlement::{Key, State};
use wire::{Timestamp, Uetr};

pub use entry::Entry;
pub use error::Error;
pub use figures::{Failing, Figures, Work};
use gather::Message;
pub(crate) use gather::{Found, Gatherer, Question};
use keeper::Keeper;
#[cfg(test)]
pub(crate) use measure::Nothing;
pub use measure::{Measured, measure};
use shelf::Shelf;

/// On disk, without guides and header.
const BYTES_PER_PAYMENT: u64 = 96 + 2 * 16;

/// Settings of the archive.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the runs are; `archive` in the log's directory when it is not set.
    pub directory: Option<PathBuf>,
    /// Runs kept, bytes; the oldest go first. About 128 bytes per payment.
    pub retained_bytes_max: u64,
    /// A run is not written when less than this would stay free on the file system.
    pub free_bytes_min: u64,
    /// A run is written when so many payments have ended since the last, or when the first of them waits for so long.
    pub run_entries: usize,
    pub run_age_max: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            directory: None,
            retained_bytes_max: 64 << 30,
            free_bytes_min: 1 << 30,
            run_entries: 256 << 10,
            run_age_max: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// Where it lies beside a log.
    pub fn directory_for(&self, log: &Path) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| log.join("archive"))
    }
}

/// A part of the log, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    first: Index,
    last: Index,
}

/// Where the log ends, as far as is known when it has been opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogEnd {
    /// Of a node alone: nothing was ever committed behind this entry.
    At(Index),
    /// Of a node among others: what was committed behind it shows, or comes again from them.
    NotBefore(Index),
}

/// Which payments.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Ended at this time or later.
    pub from: Timestamp,
    /// Ended before this time.
    pub until: Timestamp,
    pub state: Option<State>,
    /// The latest so many.
    pub limit: usize,
    /// Looked at in runs, at most; each costs a read of some kilobytes.
    pub examined_max: usize,
}

/// What a search found, the latest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    pub entries: Vec<Entry>,
    /// Set when so many were looked at that those that ended before this time were not.
    pub reached: Option<Timestamp>,
}

/// What the thread and those who search share.
#[derive(Default)]
struct Shared {
    shelf: RwLock<Shelf>,
    figures: Mutex<Figures>,
    abandon: AtomicBool,
}

impl Shared {
    fn shelf(&self) -> Shelf {
        self.shelf.read().clone()
    }
}

/// See the file's head. Searches block on the disk.
pub struct Archive {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An archive whose log is not open yet.
pub(crate) struct Prepared {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

/// The ledger's side, and what [`Prepared::start`] makes the archive of. Nothing is read or written yet.
pub(crate) fn prepare() -> (Gatherer, Prepared) {
    let (gatherer, sender, receiver) = gather::channel();
    (gatherer, Prepared { sender, receiver })
}

impl Prepared {
    /// The log in `log` is open. What the archive lacks of it is read in the background.
    pub(crate) fn start(self, config: Config, log: PathBuf, end: LogEnd) -> Result<Archive, Error> {
        let shared = Arc::<Shared>::default();
        let (keeper, holes) = Keeper::open(config, log, end, shared.clone())?;
        let thread = keeper.start(self.receiver, holes)?;
        Ok(Archive { shared, sender: self.sender, thread: Mutex::new(Some(thread)) })
    }
}

impl Archive {
    /// All payments with this UETR, one per debtor agent that used it and time it was used; the latest first.
    pub fn by_uetr(&self, uetr: Uetr, debtor: Option<Key>) -> Result<Vec<Entry>, Error> {
        self.shared.shelf().by_uetr(uetr, debtor)
    }

    /// Payments whose UETR as a number lies in `range`, the latest first; those of so many at most.
    pub fn by_uetrs(&self, range: RangeInclusive<u128>, count_max: usize) -> Result<Vec<Entry>, Error> {
        self.shared.shelf().by_uetrs(&range, count_max)
    }

    /// Payments that one of the participants sent or was offered, as far as they are `wanted`. Reads as far back as it takes
    /// to find `search.limit` of them.
    pub fn latest(
        &self,
        participants: &[Key],
        search: &Search,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Latest, Error> {
        self.shared.shelf().latest(participants, search, &wanted)
    }

    /// True when it goes back to the first log entry without a gap: what is not found never was.
    pub fn is_whole(&self) -> bool {
        self.shared.shelf().is_whole()
    }

    /// When the first payment ended that it still has.
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.shared.shelf().begins_at()
    }

    /// Waits until everything that was handed over before is found.
    pub fn wait(&self, patience: Duration) -> Result<(), Error> {
        let (sender, receiver) = crossbeam::channel::bounded(1);
        let until = std::time::Instant::now() + patience;
        self.sender.send_deadline(Message::Pass(sender), until).map_err(|_| Error::Behind)?;
        receiver.recv_deadline(until).map_err(|_| Error::Behind)
    }

    pub fn figures(&self) -> Figures {
        *self.shared.figures.lock()
    }

    /// Reads every byte of every run.
    pub fn verify(&self) -> Result<(), Error> {
        self.shared.shelf().runs.iter().try_for_each(|run| run.verify())
    }

    /// Writes what was handed over and ends the thread. The log must be closed by then.
    pub fn stop(&self) {
        if let Some(thread) = self.thread.lock().take() {
            _ = self.sender.send(Message::Stop);
            _ = thread.join();
        }
    }
}

impl Drop for Archive {
    /// Without [`Archive::stop`] nothing more is written: the next start reads it from the log.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.lock().take() {
            self.shared.abandon.store(true, Ordering::Relaxed);
            // It looks by itself soon when there is no room.
            _ = self.sender.try_send(Message::Stop);
            _ = thread.join();
        }
    }
}
