//! One node's part in a replicated log: the log on its disk, raft, and the fold, without threads, clock or randomness of
//! its own. The journal thread drives it; so does a simulation of a whole cluster, step by step.
//!
//! ```text
//!   propose ──> raft ──> messages to peers                      (before this node's own write: both take their time)
//!                 │ ───> vote, log: one write, one sync ──> answers to peers
//!                 └────> what a majority has: Fold::committed
//! ```
//!
//! In reading order: this file, `start` and `setup`, `turn` (what one round of work does, and in which order), `admission` (what of
//! the others' messages raft gets to hear), `change` (of members), `succession` (of leaders), `duties` (as time goes by),
//! `repairing`; `store` and `cache` (the log as raft sees it), `flights` (what a leader waits for), `membership`, `message` (bytes
//! between nodes), `health`, `agreement`, `pace`.

mod admission;
mod agreement;
mod bytes;
mod cache;
mod change;
mod duties;
mod flights;
mod health;
pub(crate) mod membership;
pub(crate) mod message;
mod pace;
pub(crate) mod peers;
mod repairing;
mod setup;
mod start;
mod store;
mod succession;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use ::bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use raft::prelude::Entry as RaftEntry;
use raft::{RawNode, StateRole};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::config::Config;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Freeze, Index, NodeId, Standing, Term};
use crate::journal::keeper::Reserve;
use crate::journal::statistics::Counters;
use crate::log::{Log, SnapshotMark};
use crate::recovery::Recovery;
use agreement::Agreement;
pub use agreement::Compared;
use change::ChangeUnderWay;
pub use change::Changed;
pub use duties::{PeerProgress, PeerStatistics};
use flights::{Flight, Flights};
use health::Health;
use membership::Members;
use message::Report;
use pace::Pace;
use peers::Peers;
use setup::ELECTION_TICKS;
use store::Store;
pub use succession::{TransferRefused, Transferred};

/// What a replica needs from outside.
pub struct Surroundings {
    pub peers: Box<dyn Peers>,
    /// Time since some moment, never going back; only to measure how long the disk takes.
    pub clock: Box<dyn Fn() -> Duration + Send>,
    /// Election timeouts are drawn from it.
    pub seed: u64,
}

/// A replica that is open, the only one on its disk.
pub struct Replica<D: Disk, F: Fold> {
    node: NodeId,
    raw: RawNode<Store<D>>,
    fold: F,
    members: Members,
    /// The index of the entry that stated the members; 0 while they are those of the configuration.
    members_since: Index,
    /// The term in which this node last proposed to state the first members.
    stated_in: Term,
    surroundings: Surroundings,
    random: SmallRng,
    timeout: Timeout,
    flights: Flights<F::Passenger>,
    standing: Standing,
    folded: Folded,
    /// Entries up to here are read back while it opens.
    replay_to: Index,
    bytes_replayed: u64,
    change: Option<ChangeUnderWay>,
    agreement: Agreement,
    pace: Pace,
    health: Health,
    report: Report,
    ticks: u64,
    tick: Duration,
    /// Time by its ticks.
    now: Duration,
    counters: Arc<Counters>,
    uncommitted_bytes_max: usize,
    cache_bytes_max: usize,
    entry_bytes_max: usize,
    checkpoint_every: u64,
    /// What its log once promised is not there again yet: it follows, but has no say in elections.
    is_repairing: bool,
    /// Its log was made at this start, and no candidate was heard who knows of nothing either.
    is_new: bool,
    /// It was said that its log is empty while others have entries.
    is_known_empty: bool,
    /// The term in which this node handed leadership over because another one knew of a later term.
    handed_over_in: Term,
    /// A snapshot that a peer sent, by its index, and the file it lies in.
    arrived: Option<(Index, String)>,
    failure: Option<Error>,
    /// It would rather not lead.
    is_unwilling: bool,
}

/// Raft's own draw of an election timeout is replaced by ours whenever it has drawn.
#[derive(Default)]
struct Timeout {
    drawn_for: Option<(Term, StateRole)>,
    ticks: usize,
}

/// The last entry that the fold has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Folded {
    index: Index,
    term: Term,
}

impl<D: Disk, F: Fold> Replica<D, F> {
    /// Recovers what the disk holds into `fold`, or makes a new log. A node alone elects itself at once.
    pub fn open(
        disk: D,
        config: &Config,
        fold: F,
        surroundings: Surroundings,
    ) -> Result<(Replica<D, F>, Recovery), Error> {
        Replica::open_counting(disk, config, fold, surroundings, Arc::default())
    }

    pub(crate) fn open_counting(
        disk: D,
        config: &Config,
        mut fold: F,
        surroundings: Surroundings,
        counters: Arc<Counters>,
    ) -> Result<(Replica<D, F>, Recovery), Error> {
        let first = Members::first(&config.members).map_err(Error::Configuration)?;
        let (mut log, mut recovery) = Log::open(disk, config, &mut fold)?;
        let (members, members_since) = start::members(&log, first)?;
        start::claim(&mut log, config, members_since > 0)?;
        repairing::check_not_lost(&log)?;
        let is_repairing = log.repairing().is_some();
        let is_new = log.last().index == 0 && log.vote().term == 0;
        let folded = Folded { index: log.folded(), term: log.term(log.folded()).unwrap_or_default() };
        counters.opened(folded.index, recovery.snapshot_index);
        let store = Store::new(log, &members);
        let raw = RawNode::new(&setup::raft_config(config, folded.index), store, &setup::logger())
            .map_err(setup::cannot_start)?;
        let mut replica = Replica {
            node: config.node,
            raw,
            fold,
            members,
            members_since,
            stated_in: 0,
            random: SmallRng::seed_from_u64(surroundings.seed),
            surroundings,
            timeout: Timeout::default(),
            flights: Flights::default(),
            standing: Standing::default(),
            folded,
            replay_to: 0,
            bytes_replayed: 0,
            change: None,
            agreement: Agreement::of(config.node),
            pace: Pace::default(),
            health: Health::default(),
            report: Report { from: config.node, ..Report::default() },
            ticks: 0,
            tick: Duration::ZERO,
            now: Duration::ZERO,
            counters,
            uncommitted_bytes_max: config.uncommitted_bytes_max,
            cache_bytes_max: config.cache_bytes_max,
            entry_bytes_max: config.entry_bytes_max() as usize,
            checkpoint_every: config.checkpoint_every,
            is_repairing,
            is_new,
            is_known_empty: false,
            handed_over_in: 0,
            arrived: None,
            failure: None,
            is_unwilling: false,
        };
        replica.after_step();
        replica.greet_members();
        if replica.is_alone() {
            replica.elect_itself(&mut recovery)?;
        }
        recovery.last_index = replica.folded.index;
        Ok((replica, recovery))
    }

    /// All that its log holds is committed by that: the rest of the recovery.
    fn elect_itself(&mut self, recovery: &mut Recovery) -> Result<(), Error> {
        self.replay_to = self.log().last().index;
        recovery.entries_replayed += self.replay_to - self.folded.index;
        let _ = self.raw.campaign();
        self.after_step();
        self.turn()?;
        recovery.bytes_replayed += std::mem::take(&mut self.bytes_replayed);
        self.replay_to = 0;
        Ok(())
    }

    /// Whether nobody else votes. Who was given up has others, though it may not know them yet.
    pub fn is_alone(&self) -> bool {
        self.members.iter().count() == 1 && self.members.votes(self.node) && !self.is_repairing
    }

    /// Whether it is being brought back by its peers: until then it does not vote.
    pub fn is_repairing(&self) -> bool {
        self.is_repairing
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The entry that stated the members; 0 while they are those of the configuration.
    pub(crate) fn members_since(&self) -> Index {
        self.members_since
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The fold, for whoever drives this by hand.
    pub fn fold(&mut self) -> &mut F {
        &mut self.fold
    }

    pub fn log(&self) -> &Log<D> {
        &self.raw.store().log
    }

    pub(crate) fn set_reserve(&mut self, reserve: Arc<Reserve<D>>) {
        self.raw.mut_store().log.set_reserve(reserve);
    }

    pub fn folded_index(&self) -> Index {
        self.folded.index
    }

    /// Whether a proposal made now would be taken: this node leads, is not handing that over, and what is not committed
    /// yet leaves room.
    pub fn has_place(&self, payload_bytes: usize) -> bool {
        let uncommitted = self.flights.bytes();
        self.standing.leads
            && self.leads_now()
            && self.raw.raft.lead_transferee.is_none()
            && (uncommitted == 0 || uncommitted + payload_bytes <= self.uncommitted_bytes_max)
    }

    /// One entry. It was asked before that there is a place.
    pub fn propose(&mut self, payload: Bytes, passengers: Vec<F::Passenger>) {
        self.propose_after(Duration::ZERO, payload, passengers);
    }

    /// [`Replica::propose`] of what has waited for that.
    pub(crate) fn propose_after(&mut self, waited: Duration, payload: Bytes, passengers: Vec<F::Passenger>) {
        assert!(self.has_place(payload.len()), "a proposal is made where there is a place for it");
        let payload_bytes = payload.len();
        let index = self.propose_entry(RaftEntry { data: payload, ..RaftEntry::default() });
        let term = self.raw.raft.term;
        let proposed_at = (self.surroundings.clock)().saturating_sub(waited);
        self.counters.times.lock().append.record(waited);
        self.flights.depart(Flight::new(index, term, proposed_at, payload_bytes, passengers));
    }

    /// Whether there is more to do at once, though nothing happened: entries for another node lie far off on the disk, and
    /// each turn comes nearer to them.
    pub fn is_seeking(&self) -> bool {
        self.raw.store().is_seeking()
    }

    /// Whether nobody waits for anything that was proposed here.
    pub fn is_settled(&self) -> bool {
        self.flights.is_empty()
    }

    fn propose_entry(&mut self, entry: RaftEntry) -> Index {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.node;
        message.set_entries(vec![entry].into());
        let taken = self.raw.raft.step(message);
        assert!(taken.is_ok(), "a leader takes what it proposes, yet {taken:?}");
        self.raw.raft.raft_log.last_index()
    }

    /// Delivered when everything proposed before is committed and a majority has been heard to follow since. Where this
    /// node does not lead they are dropped.
    pub fn accompany(&mut self, passengers: Vec<F::Passenger>) {
        if self.standing.leads && self.leads_now() {
            self.flights.accompany(self.raw.raft.raft_log.last_index(), passengers);
        }
    }

    /// Hands passengers to the fold as it is.
    pub fn visit(&mut self, visitors: &mut Vec<F::Passenger>) {
        self.fold.delivered(visitors);
    }

    /// The state after the last folded entry, to be written as a snapshot.
    pub(crate) fn freeze(&mut self) -> Result<(SnapshotMark, Freeze), Error> {
        let mark = self.log().mark(self.folded.index)?;
        Ok((SnapshotMark { mark, membership: self.members.to_bytes() }, self.fold.freeze()))
    }

    /// That snapshot is on the disk, and what it makes unnecessary is gone.
    pub(crate) fn snapshot_written(&mut self, snapshot: SnapshotMark) -> Result<(), Error> {
        self.raw.mut_store().log.snapshot_written(snapshot)
    }

    /// Writes a snapshot on the spot.
    pub fn snapshot(&mut self) -> Result<(), Error> {
        let (index, members, freeze) = (self.folded.index, self.members.to_bytes(), self.fold.freeze());
        self.raw.mut_store().log.snapshot(index, &members, freeze)
    }

    /// Whether a follower needs a snapshot that is not there.
    pub fn wants_snapshot(&self) -> bool {
        self.raw.store().wants_snapshot()
    }

    /// Leaves a mark by which the next open knows that nothing may be missing at the end.
    pub fn close(self) -> Result<(), Error> {
        let Replica { raw, fold, .. } = self;
        drop(fold);
        raw.raft.r.raft_log.store.log.close()
    }

    fn leads_now(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// After everything that raft was told: its draws are replaced, and elections counted.
    fn after_step(&mut self) {
        let now = (self.raw.raft.term, self.raw.raft.state);
        if self.timeout.drawn_for != Some(now) {
            if now.1 == StateRole::Candidate {
                self.counters.elect();
            }
            let begin = if self.leads_reluctantly() { 2 * ELECTION_TICKS } else { ELECTION_TICKS };
            self.timeout =
                Timeout { drawn_for: Some(now), ticks: self.random.random_range(begin..begin + ELECTION_TICKS) };
        }
        self.raw.raft.set_randomized_election_timeout(self.timeout.ticks);
        if self.is_repairing {
            self.raw.raft.election_elapsed = 0; // it never stands for election
        }
    }
}
