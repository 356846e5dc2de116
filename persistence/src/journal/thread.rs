//! The journal thread: takes what was proposed and what peers said, lets the replica work, and again with what piled up
//! meanwhile.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::{Batch, State};
use super::gate::Gate;
use super::inbox::Event;
use super::keeper::Keeper;
use super::snapshotter::Snapshotter;
use super::{Cluster, Shared, outcome::Outcome};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Index};
use crate::replica::Replica;

/// A tick is this share of the longest round trip to a voter, within bounds; the first while none is known.
const TICK_PER_MILLE_OF_ROUND_TRIP: u32 = 400;
const TICK_MIN: Duration = Duration::from_millis(25);
const TICK_MAX: Duration = Duration::from_millis(250);
const TICK_FIRST: Duration = Duration::from_millis(100);
/// How long a stop waits for others to take what was proposed.
const FAREWELL: Duration = Duration::from_secs(1);

struct Thread<D: Disk, F: Fold> {
    replica: Replica<D, Gate<F>>,
    shared: Arc<Shared<F::Passenger>>,
    snapshotter: Snapshotter,
    keeper: Keeper,
    spin: Duration,
    batch: Batch<F::Passenger>,
    visitors: Vec<F::Passenger>,
    events: Vec<Event>,
    /// The batch before this one had so many bytes.
    bytes_expected: usize,
    tick: Duration,
    tick_due: Instant,
    /// The entry that stated the members which were described last.
    members_since: Index,
    snapshot_every_bytes: u64,
    /// What had been folded when the last snapshot was begun.
    bytes_at_snapshot: u64,
}

pub(super) fn start<D: Disk, F: Fold>(
    replica: Replica<D, Gate<F>>,
    config: &Config,
    shared: Arc<Shared<F::Passenger>>,
    keeper: Keeper,
    bytes_replayed: u64,
) -> Result<JoinHandle<()>, Error> {
    let directory = replica.log().disk().path("");
    let cannot_start = |error: io::Error| Error::disk("starting a thread for", &directory, error);
    let counters = Arc::clone(&shared.counters);
    let snapshotter = Snapshotter::start(replica.log(), config.retained_bytes_max, counters).map_err(cannot_start)?;
    let bytes_folded = shared.counters.payload_bytes.load(Ordering::Relaxed);
    let mut thread = Thread {
        replica,
        shared,
        snapshotter,
        keeper,
        spin: Duration::from_micros(u64::from(config.spin_us)),
        batch: Batch::new(),
        visitors: Vec::new(),
        events: Vec::new(),
        bytes_expected: 0,
        tick: TICK_FIRST,
        tick_due: Instant::now() + TICK_FIRST,
        members_since: 0,
        snapshot_every_bytes: config.snapshot_every_bytes,
        bytes_at_snapshot: bytes_folded.wrapping_sub(bytes_replayed),
    };
    thread.describe();
    Builder::new().name("journal".into()).spawn(move || thread.live()).map_err(cannot_start)
}

impl<D: Disk, F: Fold> Thread<D, F> {
    fn live(mut self) {
        self.shared.batches.attach();
        let result = catch_unwind(AssertUnwindSafe(|| self.work_until_stopped()))
            .unwrap_or_else(|panic| Err(self.panicked(message(panic.as_ref()))));
        self.shared.batches.end();
        let shared = Arc::clone(&self.shared);
        match result {
            Err(error) => {
                report(&shared.outcome, error);
                drop(self.dismantle());
            }
            Ok(()) => match self.dismantle().close() {
                Ok(()) => shared.outcome.publish(Ok(())),
                Err(error) => report(&shared.outcome, error),
            },
        }
    }

    fn panicked(&self, what: String) -> Error {
        match self.shared.is_folding.load(Ordering::Relaxed) {
            true => Error::FoldPanicked { what },
            false => Error::Consensus(what),
        }
    }

    fn work_until_stopped(&mut self) -> Result<(), Error> {
        let mut farewell = None;
        loop {
            let has_company = !self.replica.is_alone();
            let until =
                if self.replica.is_seeking() { Some(Instant::now()) } else { has_company.then_some(self.tick_due) };
            self.shared.batches.wait(self.spin, until);
            self.take_events();
            match has_company {
                true => self.tick_if_due(),
                // Time begins to count when company comes.
                false => self.tick_due = Instant::now() + self.tick,
            }
            let state = self.take_batch();
            self.replica.turn()?;
            if self.replica.members_since() != self.members_since {
                self.describe();
            }
            self.keeper.check()?;
            self.snapshot_if_due()?;
            if state == State::Stopping {
                // Nothing was proposed after this batch.
                let until = *farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
                if !has_company || Instant::now() >= until || self.has_said_farewell() {
                    return Ok(());
                }
            }
        }
    }

    /// Everything proposed is committed, and somebody else leads.
    fn has_said_farewell(&mut self) -> bool {
        if !self.replica.standing().leads {
            return true;
        }
        if self.replica.is_settled() {
            let _ = self.replica.transfer(None); // without one who could lead, the others elect
        }
        false
    }

    fn take_batch(&mut self) -> State {
        self.batch.bytes.reserve(self.bytes_expected);
        let replica = &self.replica;
        let has_place = |bytes| replica.has_place(bytes);
        let state = self.shared.batches.take(&mut self.batch, &mut self.visitors, has_place);
        if !self.batch.bytes.is_empty() {
            self.bytes_expected = self.batch.bytes.len();
            let payload = Bytes::from(fitted(std::mem::take(&mut self.batch.bytes)));
            let waited = self.batch.since.map_or(Duration::ZERO, |since| since.elapsed());
            self.replica.propose_after(waited, payload, std::mem::take(&mut self.batch.passengers));
        } else if !self.batch.passengers.is_empty() {
            self.replica.accompany(std::mem::take(&mut self.batch.passengers));
        }
        if !self.visitors.is_empty() {
            self.replica.visit(&mut self.visitors);
            self.visitors.clear();
        }
        state
    }

    fn take_events(&mut self) {
        self.shared.inbox.take(&mut self.events);
        for event in self.events.drain(..) {
            match event {
                Event::Received(received) => self.replica.step(received),
                Event::Unreachable(node) => self.replica.unreachable(node),
                Event::SnapshotSent(to, went_well) => self.replica.snapshot_sent(to, went_well),
                Event::SnapshotArrived(arrived) => self.replica.take_snapshot(arrived),
                Event::Transfer(to, told) => told(self.replica.transfer(to)),
                Event::Willing(is_willing) => self.replica.set_willing(is_willing),
                Event::Change(change, done) => self.replica.change(&change, done),
            }
        }
    }

    fn tick_if_due(&mut self) {
        let now = Instant::now();
        if now < self.tick_due {
            return;
        }
        // One tick, however late: a node that was away looks at what came meanwhile before it stands for election.
        let late = now - self.tick_due;
        let members = self.replica.members();
        let others_needed = members.iter().filter(|member| members.votes(member.id)).count() / 2;
        let detour = self.shared.inbox.detour(|node| self.replica.counts(node), others_needed);
        self.replica.set_detour(detour);
        self.replica.tick(self.tick, late);
        let members = self.replica.members();
        let longest = self.shared.inbox.longest_round_trip(|node| members.votes(node));
        let own = longest.map_or(TICK_FIRST, |longest| longest * TICK_PER_MILLE_OF_ROUND_TRIP / 1000);
        self.tick = own.max(self.replica.leader_tick().unwrap_or_default()).clamp(TICK_MIN, TICK_MAX);
        self.tick_due = now + self.tick;
        self.describe();
    }

    fn describe(&mut self) {
        let members = self.replica.members().clone();
        self.members_since = self.replica.members_since();
        let (agreed_index, agreed_age) = self.replica.agreed();
        *self.shared.cluster.lock() = Cluster {
            members,
            standing: self.replica.standing(),
            last_index: self.replica.log().last().index,
            peers: self.replica.peers(),
            agreed_index,
            agreed_age,
            compared: self.replica.compared().to_vec(),
            kept_from: self.replica.kept_from(),
            is_repairing: self.replica.is_repairing(),
            tick: self.tick,
        };
    }

    fn snapshot_if_due(&mut self) -> Result<(), Error> {
        if let Some(snapshot) = self.snapshotter.finished() {
            self.replica.snapshot_written(snapshot)?;
        }
        let counters = &self.shared.counters;
        let bytes = counters.payload_bytes.load(Ordering::Relaxed).wrapping_sub(self.bytes_at_snapshot);
        if self.replica.wants_snapshot() {
            counters.snapshot_wanted.store(true, Ordering::Release);
        }
        let due = bytes >= self.snapshot_every_bytes || counters.snapshot_wanted.load(Ordering::Acquire);
        if due && self.replica.folded_index() > 0 && self.snapshotter.is_idle() {
            counters.snapshot_wanted.store(false, Ordering::Release);
            self.bytes_at_snapshot = counters.payload_bytes.load(Ordering::Relaxed);
            self.snapshotter.begin(self.replica.freeze()?);
        }
        Ok(())
    }

    /// Ends the threads beside this one, then gives back the replica.
    fn dismantle(self) -> Replica<D, Gate<F>> {
        let Thread { replica, snapshotter, keeper, .. } = self;
        drop(snapshotter);
        drop(keeper);
        replica
    }
}

/// A small batch in the memory of a large one would hold that for as long as it is cached.
fn fitted(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.capacity() > 4 * bytes.len().max(1024) {
        bytes.shrink_to_fit();
    }
    bytes
}

fn report(outcome: &Outcome, error: Error) {
    outcome.publish(Err(error));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
