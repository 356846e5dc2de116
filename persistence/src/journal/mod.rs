//! The journal: many proposers, one thread that commits what they propose, in batches.
//!
//! In reading order: this file (what proposers hold), `batch` (the open batch and the hand-off), `thread` (the loop that
//! commits), `outcome` (how it ended), `statistics`, `keeper` (segments ahead of need), `snapshotter`.

mod batch;
pub(crate) mod keeper;
mod outcome;
mod snapshotter;
mod statistics;
mod thread;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::config::Config;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Refused};
use crate::fold::{Fold, Index, Term};
use crate::log::Log;
use crate::recovery::Recovery;
use batch::Batches;
use keeper::{Keeper, Reserve, Room};
use outcome::Outcome;
use statistics::Counters;
pub use statistics::Statistics;

/// What proposers hold; clones are handles of the same journal. When the last is dropped, the journal stops.
pub struct Journal<P> {
    shared: Arc<Shared<P>>,
    owner: Arc<Owner<P>>,
}

/// Seen by proposers and by the journal thread.
struct Shared<P> {
    batches: Batches<P>,
    counters: Arc<Counters>,
    outcome: Outcome,
    room: Arc<Room>,
}

/// Ends the thread with the last handle.
struct Owner<P> {
    shared: Arc<Shared<P>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Opens the log in `config.directory` or creates it, recovers, replays into `fold`, starts the journal thread.
pub fn open<F: Fold>(config: Config, fold: F) -> Result<(Journal<F::Passenger>, Recovery), Error> {
    config.check()?;
    let disk = match config.sync {
        crate::Sync::Real => RealDisk::new(&config.directory),
        crate::Sync::None => RealDisk::cached(&config.directory),
    };
    disk.create_directory().map_err(|error| Error::disk("creating", &config.directory, error))?;
    open_on(disk, config, fold)
}

/// [`open`] on a disk of the caller's; `config.directory` is not looked at.
pub fn open_on<D: Disk, F: Fold>(
    disk: D,
    config: Config,
    mut fold: F,
) -> Result<(Journal<F::Passenger>, Recovery), Error> {
    let (mut log, recovery) = Log::open(disk.clone(), &config, &mut fold)?;
    let room = Arc::new(Room::default());
    let reserve = Reserve::new(disk.path(""));
    let keeper = Keeper::start(disk, log.identity(), &config, Arc::clone(&reserve), Arc::clone(&room))?;
    log.set_reserve(reserve);
    let shared = Arc::new(Shared {
        batches: Batches::new(config.batch_bytes_max, config.entry_bytes_max() as usize),
        counters: Arc::new(Counters::new(recovery.last_index, recovery.snapshot_index)),
        outcome: Outcome::default(),
        room,
    });
    let thread = thread::start(log, fold, &config, Arc::clone(&shared), keeper, recovery.bytes_replayed)?;
    let owner = Arc::new(Owner { shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)) });
    Ok((Journal { shared, owner }, recovery))
}

impl<P: Send> Journal<P> {
    /// Appends to the open batch under one short lock, and wakes the journal thread if it sleeps.
    ///
    /// `write` gets the batch's bytes and passengers, with what others proposed already in them: it only appends.
    /// Everything it appends is committed together or not at all. A refusal, or a panic in `write`, leaves nothing behind.
    pub fn propose<R>(&self, term: Term, write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R) -> Result<R, Refused> {
        reigns(term)?;
        self.shared.batches.propose(write)
    }

    /// Adds a passenger to the open batch, however full that is. `passenger` is told how many bytes of the batch were
    /// proposed before it.
    pub fn accompany(&self, term: Term, passenger: impl FnOnce(usize) -> P) -> Result<(), Refused> {
        reigns(term)?;
        self.shared.batches.accompany(passenger)
    }

    /// Hands a passenger to the fold as it is now.
    pub fn visit(&self, passenger: P) -> Result<(), Refused> {
        self.shared.batches.accompany(|_| passenger)
    }

    /// False when the disk is short: take no new work. What is in flight may still be proposed, into segments that were
    /// set aside before. True again when space returns; looked at about once a second.
    pub fn has_room(&self) -> bool {
        self.shared.room.get()
    }

    /// The last entry that is on disk. Everything up to it was or is being handed to the fold.
    pub fn committed_index(&self) -> Index {
        self.shared.counters.committed_index.load(Ordering::Acquire)
    }

    /// Asks for a snapshot after the next commit, besides those that come by themselves.
    pub fn request_snapshot(&self) {
        self.shared.counters.snapshot_wanted.store(true, Ordering::Release);
        self.shared.batches.wake();
    }

    /// Calls back, on the journal thread, when the journal fails; at once when it has failed already. A failure is final:
    /// what was not committed by then never will be. The owner of the process ends it.
    pub fn on_failure(&self, callback: impl FnOnce(Arc<Error>) + Send + 'static) {
        self.shared.outcome.on_failure(Box::new(callback));
    }

    /// Why the journal failed, if it did.
    pub fn failure(&self) -> Option<Arc<Error>> {
        self.shared.outcome.failure()
    }

    /// Waits until the journal has stopped or failed.
    pub fn wait(&self) -> Result<(), Arc<Error>> {
        self.shared.outcome.wait()
    }

    /// Commits what is open, ends the thread, leaves the mark of an orderly end. Proposals are refused from now on.
    /// Returns when the log is closed and may be opened again; [`Journal::failure`] tells whether that went well.
    pub fn stop(&self) {
        self.owner.stop();
    }

    pub fn statistics(&self) -> Statistics {
        self.shared.counters.read(self.shared.batches.open_bytes())
    }
}

fn reigns(term: Term) -> Result<(), Refused> {
    if term == thread::TERM { Ok(()) } else { Err(Refused::NotLeading) }
}

impl<P> Clone for Journal<P> {
    fn clone(&self) -> Journal<P> {
        Journal { shared: Arc::clone(&self.shared), owner: Arc::clone(&self.owner) }
    }
}

impl<P> std::fmt::Debug for Journal<P> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let committed_index = self.shared.counters.committed_index.load(Ordering::Acquire);
        formatter.debug_struct("Journal").field("committed_index", &committed_index).finish_non_exhaustive()
    }
}

impl<P> Owner<P> {
    fn stop(&self) {
        self.shared.batches.stop();
        let mut thread = self.thread.lock();
        // The fold may hold a handle, so the journal thread itself can come by here; it does not wait for itself.
        if thread.as_ref().is_some_and(|thread| thread.thread().id() != std::thread::current().id())
            && let Some(thread) = thread.take()
        {
            let _ = thread.join(); // a panic in it is reported through the outcome
        }
    }
}

impl<P> Drop for Owner<P> {
    fn drop(&mut self) {
        self.stop();
    }
}
