//! The open batch, where proposers append, and its hand-off to the journal thread.
//!
//! What they append is the payload of the next entry: its memory moves through raft and the cache of recent entries, and is
//! copied once, to where the disk writes from.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::Refused;
use crate::fold::Term;

/// Bytes and passengers of one entry.
pub(super) struct Batch<P> {
    pub(super) bytes: Vec<u8>,
    pub(super) passengers: Vec<P>,
    /// When the first of it was proposed.
    pub(super) since: Option<Instant>,
}

impl<P> Batch<P> {
    pub(super) fn new() -> Batch<P> {
        Batch { bytes: Vec::new(), passengers: Vec::new(), since: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.passengers.is_empty()
    }
}

/// What one proposer appends. Unless it is kept, also when the proposer panics, the batch is as it was before.
struct Proposal<'a, P> {
    batch: &'a mut Batch<P>,
    before: (usize, usize),
    kept: bool,
}

impl<'a, P> Proposal<'a, P> {
    fn begin(batch: &'a mut Batch<P>) -> Proposal<'a, P> {
        let before = (batch.bytes.len(), batch.passengers.len());
        Proposal { batch, before, kept: false }
    }

    fn keep(mut self) {
        let after = (self.batch.bytes.len(), self.batch.passengers.len());
        assert!(after.0 >= self.before.0 && after.1 >= self.before.1, "a proposal only appends to the batch");
        self.kept = true;
    }
}

impl<P> Drop for Proposal<'_, P> {
    fn drop(&mut self) {
        if !self.kept {
            self.batch.bytes.truncate(self.before.0);
            self.batch.passengers.truncate(self.before.1);
        }
    }
}

/// Passengers and visitors that may wait; each is a reference or two.
const PASSENGERS_MAX: usize = 1 << 20;

pub(super) struct Batches<P> {
    open: Mutex<Open<P>>,
    /// There is something for the journal thread to look at.
    pending: AtomicBool,
    parked: AtomicBool,
    journal: OnceLock<Thread>,
    batch_bytes_max: usize,
    entry_bytes_max: usize,
}

struct Open<P> {
    batch: Batch<P>,
    visitors: Vec<P>,
    /// The term in which this node leads and takes proposals.
    reign: Option<Term>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Stopping,
}

impl<P> Batches<P> {
    pub(super) fn new(batch_bytes_max: usize, entry_bytes_max: usize) -> Batches<P> {
        let open = Open { batch: Batch::new(), visitors: Vec::new(), reign: None, state: State::Running };
        Batches {
            open: Mutex::new(open),
            pending: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            journal: OnceLock::new(),
            batch_bytes_max,
            entry_bytes_max,
        }
    }

    pub(super) fn propose<R>(
        &self,
        term: Term,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R,
    ) -> Result<R, Refused> {
        self.add(term, self.batch_bytes_max, write)
    }

    /// Adds no bytes, so it is not bound by theirs.
    pub(super) fn accompany(&self, term: Term, passenger: impl FnOnce(usize) -> P) -> Result<(), Refused> {
        self.add(term, usize::MAX, |bytes, passengers| passengers.push(passenger(bytes.len())))
    }

    fn add<R>(
        &self,
        term: Term,
        bytes_max: usize,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R,
    ) -> Result<R, Refused> {
        let mut open = self.open.lock();
        if open.state != State::Running {
            return Err(Refused::Stopped);
        }
        if open.reign != Some(term) {
            return Err(Refused::NotLeading);
        }
        if open.batch.bytes.len() >= bytes_max || open.batch.passengers.len() >= PASSENGERS_MAX {
            return Err(Refused::Full);
        }
        let is_first = open.batch.is_empty();
        if is_first {
            open.batch.since = Some(Instant::now());
        }
        let proposal = Proposal::begin(&mut open.batch);
        let answer = write(&mut proposal.batch.bytes, &mut proposal.batch.passengers);
        if proposal.batch.bytes.len() > self.entry_bytes_max {
            return Err(Refused::TooLarge);
        }
        proposal.keep();
        drop(open);
        // The first proposer of a batch wakes the thread; the others ride along.
        if is_first {
            self.wake();
        }
        Ok(answer)
    }

    pub(super) fn visit(&self, visitor: P) -> Result<(), Refused> {
        let mut open = self.open.lock();
        if open.state != State::Running {
            return Err(Refused::Stopped);
        }
        if open.visitors.len() >= PASSENGERS_MAX {
            return Err(Refused::Full);
        }
        let is_first = open.visitors.is_empty();
        open.visitors.push(visitor);
        drop(open);
        if is_first {
            self.wake();
        }
        Ok(())
    }

    /// From now on proposals of this reign are taken, and no others; what was open of another is dropped.
    pub(super) fn admit(&self, reign: Option<Term>) {
        let mut open = self.open.lock();
        open.reign = reign;
        let dropped = std::mem::replace(&mut open.batch, Batch::new());
        drop(open); // a passenger may come back here when it goes
        drop(dropped);
    }

    /// Makes the journal thread look, whether there is a batch or not.
    pub(super) fn wake(&self) {
        self.pending.store(true, Ordering::SeqCst);
        self.unpark();
    }

    pub(super) fn stop(&self) {
        self.open.lock().state = State::Stopping;
        self.wake();
    }

    pub(super) fn open_bytes(&self) -> u64 {
        self.open.lock().batch.bytes.len() as u64
    }

    fn unpark(&self) {
        if self.parked.load(Ordering::SeqCst)
            && self.parked.swap(false, Ordering::SeqCst)
            && let Some(journal) = self.journal.get()
        {
            journal.unpark();
        }
    }

    /// Called once by the journal thread, before it waits.
    pub(super) fn attach(&self) {
        let _ = self.journal.set(std::thread::current());
    }

    /// Exchanges the open batch for an empty one, if there is a place for its bytes, and the visitors for none.
    pub(super) fn take(&self, batch: &mut Batch<P>, visitors: &mut Vec<P>, has_place: impl Fn(usize) -> bool) -> State {
        let mut open = self.open.lock();
        self.pending.store(false, Ordering::SeqCst);
        if has_place(open.batch.bytes.len()) {
            std::mem::swap(&mut open.batch, batch);
        }
        std::mem::swap(&mut open.visitors, visitors);
        open.state
    }

    /// Waits for something to look at, or until it is time: first with open eyes, then asleep.
    pub(super) fn wait(&self, spin: Duration, until: Option<Instant>) {
        const LOOKS_PER_TURN: u32 = 32;
        if self.pending.load(Ordering::Acquire) {
            return;
        }
        let started = Instant::now();
        while started.elapsed() < spin {
            for _ in 0..LOOKS_PER_TURN {
                if self.pending.load(Ordering::Acquire) {
                    return;
                }
                std::hint::spin_loop();
            }
            std::thread::yield_now(); // on few cores the proposer may need this one
        }
        loop {
            self.parked.store(true, Ordering::SeqCst);
            if self.pending.load(Ordering::SeqCst) {
                self.parked.store(false, Ordering::SeqCst);
                return;
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(Duration::ZERO) => {
                    self.parked.store(false, Ordering::SeqCst);
                    return;
                }
                Some(rest) => std::thread::park_timeout(rest),
            }
        }
    }

    /// Nothing is taken any more; what was open is dropped with its passengers.
    pub(super) fn end(&self) {
        let mut open = self.open.lock();
        open.state = State::Stopping;
        let dropped = (std::mem::replace(&mut open.batch, Batch::new()), std::mem::take(&mut open.visitors));
        drop(open);
        drop(dropped);
    }
}
