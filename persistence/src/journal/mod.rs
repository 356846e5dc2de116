//! The journal: many proposers, one thread that commits what they propose, in batches.
//!
//! In reading order: this file (what proposers hold), `batch` (the open batch and the hand-off), `inbox` (what else there
//! is to do), `thread` (the loop that drives the replica), `gate` (between the replica and the owner's fold), `outcome`
//! (how it ended), `statistics`, `keeper` (segments ahead of need), `snapshotter`, `incoming` (a snapshot of another node).

mod batch;
mod gate;
mod inbox;
mod incoming;
pub(crate) mod keeper;
mod outcome;
mod snapshotter;
pub(crate) mod statistics;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::config::Config;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Refused};
use crate::fold::{Fold, Index, NodeId, Standing, Term};
use crate::recovery::Recovery;
use crate::replica::membership::{MemberChange, Members};
use crate::replica::message::{self, Malformed};
use crate::replica::peers::Peers;
use crate::replica::{Changed, Compared, PeerStatistics, Replica, Surroundings, Transferred};
use batch::Batches;
use gate::Gate;
use inbox::{Event, Inbox};
use incoming::Landing;
pub use incoming::{IncomingError, IncomingSnapshot};
use keeper::{Keeper, Reserve, Room};
use outcome::Outcome;
use statistics::Counters;
pub use statistics::{Role, Statistics, Times};

/// What proposers hold; clones are handles of the same journal. When the last is dropped, the journal stops.
pub struct Journal<P> {
    shared: Arc<Shared<P>>,
    owner: Arc<Owner<P>>,
}

/// Seen by proposers and by the journal thread.
struct Shared<P> {
    batches: Batches<P>,
    inbox: Inbox,
    node: NodeId,
    counters: Arc<Counters>,
    outcome: Outcome,
    /// The journal thread is in the owner's code.
    is_folding: AtomicBool,
    room: Arc<Room>,
    cluster: Mutex<Cluster>,
    /// Where a snapshot of another node is put, and whether one is coming.
    landing: Box<dyn Landing>,
    is_landing: AtomicBool,
    landings: AtomicU64,
}

/// The cluster as this node sees it, a few times per second; the members at once. A node alone looks at its start, and
/// when its members change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    pub members: Members,
    pub standing: Standing,
    /// Where the log ended then: more may be committed by now.
    pub last_index: Index,
    /// How the others fare; known to the leader alone.
    pub peers: Vec<PeerStatistics>,
    /// The newest position at which a majority was found to have the same state.
    pub agreed_index: Index,
    /// How long ago that was found.
    pub agreed_age: Duration,
    /// The last comparison with each other node.
    pub compared: Vec<Compared>,
    /// The oldest entry that each other node keeps, as it said in the last seconds.
    pub kept_from: Vec<(NodeId, Index)>,
    /// This node is being brought back by the others, and does not vote yet.
    pub is_repairing: bool,
    pub tick: Duration,
}

impl<P> Shared<P> {
    fn put(&self, event: Event) -> Result<(), Refused> {
        if self.outcome.has_ended() {
            return Err(Refused::Stopped);
        }
        self.inbox.put_own(event);
        self.batches.wake();
        Ok(())
    }

    /// A name for a snapshot that comes, unless another one is coming.
    fn landing_name(&self) -> Option<String> {
        let is_free = !self.is_landing.swap(true, Ordering::AcqRel);
        is_free.then(|| format!("incoming-{}.tmp", self.landings.fetch_add(1, Ordering::Relaxed)))
    }

    fn landed(&self) {
        self.is_landing.store(false, Ordering::Release);
    }
}

/// Ends the thread with the last handle.
struct Owner<P> {
    shared: Arc<Shared<P>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Opens the log in `config.directory` or creates it, recovers, replays into `fold`, starts the journal thread. What is to
/// be said to other nodes goes through `peers`: [`Nobody`](crate::Nobody) on a node alone.
pub fn open<F: Fold>(config: Config, fold: F, peers: impl Peers) -> Result<(Journal<F::Passenger>, Recovery), Error> {
    config.check()?;
    let disk = match config.sync {
        crate::Sync::Real => RealDisk::new(&config.directory),
        crate::Sync::None => RealDisk::cached(&config.directory),
    };
    disk.create_directory().map_err(|error| Error::disk("creating", &config.directory, error))?;
    open_on(disk, config, fold, peers)
}

/// [`open`] on a disk of the caller's; `config.directory` is not looked at.
pub fn open_on<D: Disk, F: Fold>(
    disk: D,
    config: Config,
    fold: F,
    peers: impl Peers,
) -> Result<(Journal<F::Passenger>, Recovery), Error> {
    let counters = Arc::new(Counters::default());
    let room = Arc::new(Room::default());
    let shared = Arc::new(Shared {
        batches: Batches::new(config.batch_bytes_max, config.entry_bytes_max() as usize),
        inbox: Inbox::new(config.inbox_bytes_max),
        node: config.node,
        counters: Arc::clone(&counters),
        outcome: Outcome::default(),
        is_folding: AtomicBool::new(false),
        room: Arc::clone(&room),
        cluster: Mutex::default(),
        landing: Box::new(disk.clone()),
        is_landing: AtomicBool::new(false),
        landings: AtomicU64::new(0),
    });
    let started = Instant::now();
    let surroundings =
        Surroundings { peers: Box::new(peers), clock: Box::new(move || started.elapsed()), seed: rand::random() };
    let gate = Gate::new(fold, Arc::clone(&shared));
    let (mut replica, recovery) = Replica::open_counting(disk.clone(), &config, gate, surroundings, counters)?;
    let reserve = Reserve::new(disk.path(""));
    let keeper = Keeper::start(disk, replica.log().head(), &config, Arc::clone(&reserve), room)?;
    replica.set_reserve(reserve);
    let thread = thread::start(replica, &config, Arc::clone(&shared), keeper, recovery.bytes_replayed)?;
    let owner = Arc::new(Owner { shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)) });
    Ok((Journal { shared, owner }, recovery))
}

impl<P: Send> Journal<P> {
    /// Appends to the open batch under one short lock, and wakes the journal thread if it sleeps.
    ///
    /// `write` gets the batch's bytes and passengers, with what others proposed already in them: it only appends.
    /// Everything it appends is committed together or not at all. A refusal, or a panic in `write`, leaves nothing behind.
    /// Refused unless this node leads in exactly this term.
    pub fn propose<R>(&self, term: Term, write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R) -> Result<R, Refused> {
        self.shared.batches.propose(term, write)
    }

    /// Adds a passenger to the open batch, however full that is. It is delivered when everything proposed before it is
    /// committed and a majority has been heard to follow this node since: nobody else can have decided anything that it
    /// does not see. `passenger` is told how many bytes of the batch were proposed before it.
    pub fn accompany(&self, term: Term, passenger: impl FnOnce(usize) -> P) -> Result<(), Refused> {
        self.shared.batches.accompany(term, passenger)
    }

    /// Hands a passenger to the fold with what is folded now, on any node: perhaps not the newest.
    pub fn visit(&self, visitor: P) -> Result<(), Refused> {
        self.shared.batches.visit(visitor)
    }

    /// A message of another node, over a connection that is known to be its own. When there is no room it is dropped and
    /// counted; raft says it again.
    pub fn receive(&self, from: NodeId, message: &[u8]) -> Result<(), Malformed> {
        let message = Bytes::copy_from_slice(message);
        let received = message::decode(self.shared.node, from, &message).inspect_err(|_| {
            self.shared.counters.refuse_message();
        })?;
        if self.shared.inbox.put(Event::Received(received), message.len()) {
            self.shared.batches.wake();
        } else {
            self.shared.counters.drop_message();
        }
        Ok(())
    }

    /// How long a message to this node and back took.
    pub fn round_trip(&self, node: NodeId, took: Duration) {
        self.shared.inbox.round_trip(node, took);
    }

    /// How long messages to other nodes and back took lately, smoothed.
    pub fn round_trips(&self) -> Vec<(NodeId, Duration)> {
        self.shared.inbox.round_trips()
    }

    /// The connection to this node broke; what was sent is probably lost.
    pub fn unreachable(&self, node: NodeId) {
        let _ = self.shared.put(Event::Unreachable(node));
    }

    /// How sending a snapshot ended, as [`Peers::send_snapshot`] asked for it.
    pub fn snapshot_sent(&self, to: NodeId, went_well: bool) {
        let _ = self.shared.put(Event::SnapshotSent(to, went_well));
    }

    /// A snapshot begins to come in over a connection of `from`: its header, and how long the file is.
    pub fn snapshot_begin(
        &self,
        from: NodeId,
        header: &[u8],
        file_bytes: u64,
    ) -> Result<IncomingSnapshot<P>, IncomingError> {
        IncomingSnapshot::begin(&self.shared, from, header, file_bytes)
    }

    /// Hands leadership over, if this node has it; to the one that would do best when nobody is named. `told` is called on the
    /// journal thread with the node that is to take over, or why none is asked. Proposals wait meanwhile;
    /// [`Fold::standing`] tells how it ended.
    pub fn transfer(&self, to: Option<NodeId>, told: Transferred) -> Result<(), Refused> {
        self.shared.put(Event::Transfer(to, told))
    }

    /// Whether this node is willing to lead; at first it is. One that is not leads only when nobody else can.
    pub fn set_willing(&self, is_willing: bool) -> Result<(), Refused> {
        self.shared.put(Event::Willing(is_willing))
    }

    /// Changes the members, on the leader; `done` is called on the journal thread once that is committed or refused.
    pub fn change(&self, change: MemberChange, done: Changed) -> Result<(), Refused> {
        self.shared.put(Event::Change(change, done))
    }

    /// The cluster as this node sees it.
    pub fn cluster(&self) -> Cluster {
        self.shared.cluster.lock().clone()
    }

    /// False when the disk is short: take no new work. What is in flight may still be proposed, into segments that were
    /// set aside before. True again when space returns; looked at about once a second.
    pub fn has_room(&self) -> bool {
        self.shared.room.get()
    }

    /// The last entry that is committed. Everything up to it was or is being handed to the fold.
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

    /// Commits what is open (for a moment, if others are needed for that), ends the thread, leaves the mark of an orderly end. Proposals are refused from now on.
    /// Returns when the log is closed and may be opened again; [`Journal::failure`] tells whether that went well.
    pub fn stop(&self) {
        self.owner.stop();
    }

    /// Exchanges what was measured since the last time against `emptied`.
    pub fn exchange_times(&self, emptied: &mut Times) {
        std::mem::swap(&mut *self.shared.counters.times.lock(), emptied);
    }

    pub fn statistics(&self) -> Statistics {
        self.shared.counters.read(self.shared.batches.open_bytes())
    }
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
