//! The open batch, where proposers append, and its hand-off to the journal thread.
//!
//! Two buffers take turns: proposers fill one while the other is written. They keep their capacity, so a batch allocates
//! nothing once they have grown. The payload is written where it will be framed: the buffer starts with room for the header.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::error::Refused;
use crate::format::entry::HEADER_BYTES;

/// Bytes (behind the header's room) and passengers of one entry.
pub(super) struct Batch<P> {
    pub(super) bytes: Vec<u8>,
    pub(super) passengers: Vec<P>,
}

impl<P> Batch<P> {
    pub(super) fn new() -> Batch<P> {
        Batch { bytes: vec![0; HEADER_BYTES], passengers: Vec::new() }
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payload_bytes() == 0 && self.passengers.is_empty()
    }

    /// Empty again, with its capacity unless that is beyond what a batch may need.
    pub(super) fn recycle(&mut self, capacity_bytes_max: usize) {
        self.bytes.truncate(HEADER_BYTES);
        self.bytes.shrink_to(capacity_bytes_max);
        self.passengers.clear();
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
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Stopping,
}

impl<P> Batches<P> {
    pub(super) fn new(batch_bytes_max: usize, entry_bytes_max: usize) -> Batches<P> {
        Batches {
            open: Mutex::new(Open { batch: Batch::new(), state: State::Running }),
            pending: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            journal: OnceLock::new(),
            batch_bytes_max,
            entry_bytes_max,
        }
    }

    pub(super) fn propose<R>(&self, write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R) -> Result<R, Refused> {
        let open = self.open.lock();
        if open.state == State::Running && open.batch.payload_bytes() >= self.batch_bytes_max {
            return Err(Refused::Full);
        }
        self.add(open, write)
    }

    /// Adds no bytes, so it is not bound by theirs.
    pub(super) fn accompany(&self, passenger: impl FnOnce(usize) -> P) -> Result<(), Refused> {
        self.add(self.open.lock(), |bytes, passengers| passengers.push(passenger(bytes.len() - HEADER_BYTES)))
    }

    fn add<R>(
        &self,
        mut open: MutexGuard<'_, Open<P>>,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R,
    ) -> Result<R, Refused> {
        if open.state != State::Running {
            return Err(Refused::Stopped);
        }
        let is_first = open.batch.is_empty();
        let proposal = Proposal::begin(&mut open.batch);
        let answer = write(&mut proposal.batch.bytes, &mut proposal.batch.passengers);
        if proposal.batch.payload_bytes() > self.entry_bytes_max {
            return Err(Refused::TooLarge);
        }
        proposal.keep();
        // The first proposer of a batch wakes the thread; the others ride along.
        if is_first {
            self.pending.store(true, Ordering::SeqCst);
        }
        drop(open);
        if is_first {
            self.unpark();
        }
        Ok(answer)
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
        self.open.lock().batch.payload_bytes() as u64
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

    /// Exchanges the open batch for an empty one.
    pub(super) fn take(&self, empty: &mut Batch<P>) -> State {
        let mut open = self.open.lock();
        self.pending.store(false, Ordering::SeqCst);
        std::mem::swap(&mut open.batch, empty);
        open.state
    }

    /// Waits for something to look at: first with open eyes, then asleep.
    pub(super) fn wait(&self, spin: Duration) {
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
            std::thread::park();
        }
    }

    /// Nothing is taken any more; what was open is dropped with its passengers.
    pub(super) fn end(&self) {
        let mut rest = Batch::new();
        self.open.lock().state = State::Stopping;
        self.take(&mut rest);
    }
}
