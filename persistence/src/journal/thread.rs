//! The journal thread: take the open batch, frame, write, sync, fold; and again with what piled up meanwhile.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::batch::{Batch, State};
use super::keeper::Keeper;
use super::snapshotter::Snapshotter;
use super::{Shared, outcome::Outcome};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Entry, Fold, Standing, Term};
use crate::format::entry::HEADER_BYTES;
use crate::log::Log;

/// A node alone reigns from the start.
pub(super) const TERM: Term = 1;

struct Thread<D: Disk, F: Fold> {
    log: Log<D>,
    fold: F,
    shared: Arc<Shared<F::Passenger>>,
    snapshotter: Snapshotter,
    keeper: Keeper,
    spin: Duration,
    batch_bytes_max: usize,
    snapshot_every_bytes: u64,
    bytes_since_snapshot: u64,
}

pub(super) fn start<D: Disk, F: Fold>(
    log: Log<D>,
    fold: F,
    config: &Config,
    shared: Arc<Shared<F::Passenger>>,
    keeper: Keeper,
    bytes_since_snapshot: u64,
) -> Result<JoinHandle<()>, Error> {
    let snapshotter = Snapshotter::start(&log, config.retained_bytes_max, Arc::clone(&shared.counters))
        .map_err(|error| cannot_start(&log, error))?;
    let directory = log.disk().path("");
    let thread = Thread {
        log,
        fold,
        shared,
        snapshotter,
        keeper,
        spin: Duration::from_micros(u64::from(config.spin_us)),
        batch_bytes_max: config.batch_bytes_max,
        snapshot_every_bytes: config.snapshot_every_bytes,
        bytes_since_snapshot,
    };
    Builder::new()
        .name("journal".into())
        .spawn(move || thread.live())
        .map_err(|error| Error::disk("starting the journal thread of", directory, error))
}

fn cannot_start<D: Disk>(log: &Log<D>, error: io::Error) -> Error {
    Error::disk("starting the snapshot thread of", log.disk().path(""), error)
}

impl<D: Disk, F: Fold> Thread<D, F> {
    fn live(mut self) {
        self.shared.batches.attach();
        let result = catch_unwind(AssertUnwindSafe(|| self.commit_until_stopped()))
            .unwrap_or_else(|panic| Err(Error::FoldPanicked { what: message(panic.as_ref()) }));
        self.shared.batches.end();
        let shared = Arc::clone(&self.shared);
        match result {
            Err(error) => {
                report(&shared.outcome, error);
                let _ = self.dismantle();
            }
            Ok(()) => match self.dismantle().close() {
                Ok(()) => shared.outcome.publish(Ok(())),
                Err(error) => report(&shared.outcome, error),
            },
        }
    }

    fn commit_until_stopped(&mut self) -> Result<(), Error> {
        self.fold.standing(Standing { term: TERM, leader: Some(1), leads: true });
        let mut batch = Batch::new();
        loop {
            self.shared.batches.wait(self.spin);
            let state = self.shared.batches.take(&mut batch);
            if batch.payload_bytes() > 0 {
                self.commit(&mut batch)?;
            } else if !batch.passengers.is_empty() {
                self.fold.delivered(&mut batch.passengers);
            }
            batch.recycle(2 * self.batch_bytes_max);
            if state == State::Stopping {
                return Ok(()); // nothing was proposed after this batch
            }
            self.snapshot_if_due();
        }
    }

    fn commit(&mut self, batch: &mut Batch<F::Passenger>) -> Result<(), Error> {
        let payload_bytes = batch.payload_bytes();
        let started = Instant::now();
        let index = self.log.append(TERM, &mut batch.bytes)?;
        self.log.sync()?;
        self.shared.counters.committed(index, payload_bytes as u64, started.elapsed());
        let payload = &batch.bytes[HEADER_BYTES..][..payload_bytes];
        self.fold.committed(Entry { index, term: TERM, payload, replay: false }, &mut batch.passengers);
        self.bytes_since_snapshot += payload_bytes as u64;
        self.keeper.check()
    }

    fn snapshot_if_due(&mut self) {
        let wanted = &self.shared.counters.snapshot_wanted;
        let due = self.bytes_since_snapshot >= self.snapshot_every_bytes || wanted.load(Ordering::Acquire);
        let mark = self.log.last();
        if due && mark.index > 0 && self.snapshotter.is_idle() {
            wanted.store(false, Ordering::Release);
            self.bytes_since_snapshot = 0;
            self.snapshotter.begin(mark, self.fold.freeze());
        }
    }

    /// Ends the threads beside this one, then gives back the log.
    fn dismantle(self) -> Log<D> {
        let Thread { log, fold, snapshotter, keeper, .. } = self;
        drop(fold);
        drop(snapshotter);
        drop(keeper);
        log
    }
}

fn report(outcome: &Outcome, error: Error) {
    tracing::error!(%error, "the journal has failed");
    outcome.publish(Err(error));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
