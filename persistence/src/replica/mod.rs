//! One node's part in a replicated log: the log on its disk, raft, and the fold, without threads, clock or randomness of
//! its own. The journal thread drives it; so does a simulation of a whole cluster, step by step.
//!
//! ```text
//!   propose ──> raft ──> messages to peers                      (before this node's own write: both take their time)
//!                 │ ───> vote, log: one write, one sync ──> answers to peers
//!                 └────> what a majority has: Fold::committed
//! ```
//!
//! In reading order: this file, `turn` (what one round of work does, and in which order), `repairing`, `store` and `cache` (the log as
//! raft sees it), `flights` (what a leader waits for), `membership`, `message` (bytes between nodes), `health`,
//! `agreement`, `pace`.

mod agreement;
mod bytes;
mod cache;
mod duties;
mod flights;
mod health;
pub(crate) mod membership;
pub(crate) mod message;
mod pace;
pub(crate) mod peers;
mod repairing;
mod start;
mod store;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use ::bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, Message, MessageType};
use raft::prelude::Entry as RaftEntry;
use raft::{Changer, ProgressState, RawNode, SnapshotStatus, StateRole};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::config::Config;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Freeze, Index, NodeId, Standing, Term};
use crate::journal::IncomingError;
use crate::journal::keeper::Reserve;
use crate::journal::statistics::Counters;
use crate::log::{Log, SnapshotMark};
use crate::recovery::Recovery;
use crate::snapshot;
use agreement::Agreement;
pub use agreement::Compared;
pub use duties::PeerStatistics;
use flights::{Flight, Flights};
use health::Health;
use membership::{ChangeRefused, MemberChange, Members, Statement};
use message::{Arrived, Malformed, Received, Report, Stance};
use pace::Pace;
use peers::Peers;
use store::Store;

/// Heartbeats and elections, in ticks. A follower waits at least `ELECTION_TICKS`; one that does not want to lead, twice
/// that.
const HEARTBEAT_TICKS: usize = 1;
const ELECTION_TICKS: usize = 10;
/// Messages with entries that a follower has not answered. One that has to be served from the disk gets few at a time, so
/// that it does not keep the leader from its work.
const IN_FLIGHT_MAX: usize = 1024;
const IN_FLIGHT_FROM_DISK_MAX: usize = 8;
/// A learner may lag this far behind when it gets its vote.
const PROMOTION_LAG_MAX: u64 = 1024;

/// A node that lacks no more entries than this could lead at once.
const SUCCESSOR_LAG_MAX: u64 = 256;

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefused {
    #[error("this node does not lead, so it has nothing to hand over")]
    NotLeading,
    #[error("no other node could lead at once: each is silent, being brought back, a witness, or too far behind")]
    Nobody,
    #[error("node {0} is no other node with a vote")]
    NoVoter(NodeId),
    #[error("node {0} has not been heard lately, so it cannot take over")]
    Silent(NodeId),
    #[error("node {0} is being brought back, so it cannot take over before it is whole again")]
    Repairing(NodeId),
    #[error("node {0} lacks {1} entries, so payments would wait for it; wait until it has caught up")]
    Behind(NodeId, u64),
}

/// Told who is to take over, or why nobody is asked.
pub type Transferred = Box<dyn FnOnce(Result<NodeId, TransferRefused>) + Send>;

/// Told how a change of members ended.
pub type Changed = Box<dyn FnOnce(Result<(), ChangeRefused>) + Send>;

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

struct ChangeUnderWay {
    index: Index,
    term: Term,
    done: Changed,
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
        let raw = RawNode::new(&raft_config(config, folded.index), store, &logger()).map_err(cannot_start)?;
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

    /// Takes a message that came over a connection of `from`.
    pub fn receive(&mut self, from: NodeId, message: &Bytes) -> Result<(), Malformed> {
        self.step(message::decode(self.node, from, message)?);
        Ok(())
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

    /// Nothing came through to this node lately: what was sent is probably lost.
    pub fn unreachable(&mut self, node: NodeId) {
        self.raw.report_unreachable(node);
        self.after_step();
    }

    /// How sending a snapshot ended, as [`Peers::send_snapshot`] was asked to.
    pub fn snapshot_sent(&mut self, to: NodeId, went_well: bool) {
        self.raw.report_snapshot(to, if went_well { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
        self.after_step();
    }

    /// A snapshot has come over a connection of `from`: its header, and `file` in the directory of the log.
    pub fn snapshot_arrived(&mut self, from: NodeId, header: &[u8], file: &str) -> Result<(), IncomingError> {
        let mut arrived = Arrived::from_header(self.node, from, header)?;
        arrived.is_in(file, &snapshot::check(self.log().disk(), file)?)?;
        self.take_snapshot(arrived);
        Ok(())
    }

    /// It was checked that the file is what was announced. Raft says whether it is needed.
    pub(crate) fn take_snapshot(&mut self, arrived: Arrived) {
        let metadata = arrived.message.get_snapshot().get_metadata();
        let (index, term) = (metadata.index, metadata.term);
        let waiting = self.arrived.replace((index, arrived.file));
        self.step_raft(arrived.message);
        let taken = self.raw.raft.snap().map(raft::eraftpb::Snapshot::get_metadata);
        let is_wanted = taken.is_some_and(|taken| (taken.index, taken.term) == (index, term));
        // One that came before may still wait to be installed: it stays unless this one takes its place.
        let other = if is_wanted { waiting } else { std::mem::replace(&mut self.arrived, waiting) };
        if let Some((_, file)) = other {
            self.discard(&file);
        }
    }

    /// Hands leadership over, to the best of those who could lead when nobody is named. Proposals wait meanwhile, so nobody is
    /// asked who could not take over at once.
    pub fn transfer(&mut self, to: Option<NodeId>) -> Result<NodeId, TransferRefused> {
        if !self.leads_now() {
            return Err(TransferRefused::NotLeading);
        }
        let to = match to {
            Some(to) => self.could_lead(to).map(|()| to)?,
            None => self.best_successor(self.node).ok_or(TransferRefused::Nobody)?,
        };
        tracing::info!(node = self.node, to, "handing leadership over");
        self.raw.transfer_leader(to);
        self.after_step();
        Ok(to)
    }

    /// A node that is not willing to lead stands for election late, and hands leadership over when it has it.
    pub fn set_willing(&mut self, is_willing: bool) {
        self.is_unwilling = !is_willing;
        self.tell_others();
    }

    /// Changes the members; `done` is called when that is committed, or with the reason why it is not.
    pub fn change(&mut self, change: &MemberChange, done: Changed) {
        match self.begin_change(change) {
            Ok((index, term)) => self.change = Some(ChangeUnderWay { index, term, done }),
            Err(refused) => done(Err(refused)),
        }
    }

    fn begin_change(&mut self, change: &MemberChange) -> Result<(Index, Term), ChangeRefused> {
        if !self.standing.leads || !self.leads_now() {
            return Err(ChangeRefused::NotLeading);
        }
        let raft = &self.raw.raft;
        let is_joint = !self.members.conf_state().get_voters_outgoing().is_empty();
        if self.change.is_some() || raft.has_pending_conf() || is_joint || raft.lead_transferee.is_some() {
            return Err(ChangeRefused::Busy);
        }
        if let MemberChange::Promote { node, .. } = change
            && let Some(progress) = raft.prs().get(*node)
        {
            if self.health.stance(*node) == Stance::Repairing {
                return Err(ChangeRefused::Repairing(*node));
            }
            let lag = raft.raft_log.committed.saturating_sub(progress.matched);
            // Who got all there is by a snapshot is sent nothing more until there is something new.
            let follows = progress.state == ProgressState::Replicate || lag == 0;
            if lag > PROMOTION_LAG_MAX || !follows {
                return Err(ChangeRefused::Behind(*node, lag));
            }
        }
        let loses_vote = match change {
            MemberChange::Remove(node) => Some(*node),
            MemberChange::Promote { instead_of, .. } => *instead_of,
            MemberChange::Add(_) | MemberChange::Describe(_) => None,
        };
        if loses_vote == Some(self.node) {
            return Err(ChangeRefused::Unsuitable("this node leads; hand leadership over first".into()));
        }
        let (change, after) = self.members.plan(change)?;
        self.state_members(&change, after).map_err(|error| ChangeRefused::Unsuitable(error.to_string()))
    }

    /// Proposes an entry that states the members after a change, or the same members once more.
    fn state_members(&mut self, change: &ConfChangeV2, after: Members) -> raft::Result<(Index, Term)> {
        let mut changer = Changer::new(self.raw.raft.prs());
        let after = match change.enter_joint() {
            _ if change.get_changes().is_empty() => after,
            Some(auto_leave) => {
                let (configuration, _) = changer.enter_joint(auto_leave, change.get_changes())?;
                after.voting(&configuration.to_conf_state())
            }
            None => {
                let (configuration, _) = changer.simple(change.get_changes())?;
                after.voting(&configuration.to_conf_state())
            }
        };
        let statement = Statement::encode(change, &after);
        if change.get_changes().is_empty() {
            self.propose_entry(membership::raft_entry(Bytes::from(statement)));
        } else {
            self.raw.propose_conf_change(statement, change.clone())?;
        }
        Ok((self.raw.raft.raft_log.last_index(), self.raw.raft.term))
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

    fn leads_reluctantly(&self) -> bool {
        self.is_unwilling || self.members.is_witness(self.node)
    }

    /// Whether another node could lead at once: it votes, was heard lately, is not being brought back, lacks little.
    fn could_lead(&self, id: NodeId) -> Result<(), TransferRefused> {
        let raft = &self.raw.raft;
        let progress = raft.prs().get(id).filter(|_| id != self.node && self.members.votes(id));
        let Some(progress) = progress else { return Err(TransferRefused::NoVoter(id)) };
        let lag = raft.raft_log.last_index().saturating_sub(progress.matched);
        match () {
            () if !self.health.is_heard(id) => Err(TransferRefused::Silent(id)),
            () if self.health.stance(id) == Stance::Repairing => Err(TransferRefused::Repairing(id)),
            () if lag > SUCCESSOR_LAG_MAX => Err(TransferRefused::Behind(id, lag)),
            () => Ok(()),
        }
    }

    /// Whoever stands best to lead after this node: it could at once, is no witness, is willing if anybody is, and lacks
    /// least.
    fn best_successor(&self, except: NodeId) -> Option<NodeId> {
        let others = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(id, _)| **id != except && !self.members.is_witness(**id) && self.could_lead(**id).is_ok());
        let rank = |id: NodeId, matched: Index| (!self.health.is_unwilling(id), matched, id);
        others.max_by_key(|(id, progress)| rank(**id, progress.matched)).map(|(id, _)| *id)
    }

    fn willing_successor(&self) -> Option<NodeId> {
        self.best_successor(self.node).filter(|id| !self.health.is_unwilling(*id))
    }

    pub(crate) fn step(&mut self, received: Received) {
        match received {
            // Snapshots come with their files, by `take_snapshot`.
            Received::Raft(message) if message.get_msg_type() == MessageType::MsgSnapshot => {
                self.counters.refuse_message();
            }
            Received::Raft(message) => self.step_raft(message),
            Received::Report(report) => self.heard(report),
        }
    }

    /// Messages of nodes that are no members are taken as well: a node that was away does not know yet who joined. What
    /// was removed is not listened to.
    fn step_raft(&mut self, message: Message) {
        if self.members.is_retired(message.from) || !self.is_possible(&message) {
            self.counters.refuse_message();
            return;
        }
        if self.has_no_say_in(&message) || self.hands_over_because_of(&message) {
            return;
        }
        let _ = self.raw.step(message);
        self.after_step();
    }

    /// What would make raft stop, or believe what cannot be.
    fn is_possible(&mut self, message: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        let last = log.last_index();
        let term = self.raw.raft.term;
        match message.get_msg_type() {
            MessageType::MsgHeartbeat if message.term >= term && message.commit > last => {
                self.lose(message.commit, last);
                false
            }
            MessageType::MsgAppendResponse if message.term == term && self.leads_now() => message.index <= last,
            MessageType::MsgAppend => !self.contradicts(message) && self.fits(message),
            _ => true,
        }
    }

    /// Whoever leads in this term or a later one has what is committed here, so its terms do not go back behind that.
    fn contradicts(&self, message: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        message.term >= self.raw.raft.term
            && message.index >= log.committed
            && message.log_term < log.term(log.committed).unwrap_or_default()
    }

    /// Nodes with segments of different sizes do not go together.
    fn fits(&mut self, message: &Message) -> bool {
        let largest = message.entries.iter().map(|entry| message::payload(entry).1.len()).max().unwrap_or(0);
        if largest > self.entry_bytes_max {
            let what =
                format!("segment_bytes is too small for the {largest} bytes of an entry of node {}", message.from);
            self.failure.get_or_insert(Error::Configuration(what));
            return false;
        }
        true
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

    fn discard(&self, file: &str) {
        if let Err(error) = self.raw.store().log.disk().remove(file) {
            tracing::warn!(%error, file, "a snapshot that is not needed could not be removed");
        }
    }
}

fn raft_config(config: &Config, applied: Index) -> raft::Config {
    raft::Config {
        id: config.node,
        election_tick: ELECTION_TICKS,
        min_election_tick: ELECTION_TICKS,
        max_election_tick: 3 * ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        applied,
        max_size_per_msg: config.message_bytes_max as u64,
        max_inflight_msgs: IN_FLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        // A follower learns of a commit at once.
        skip_bcast_commit: false,
        max_committed_size_per_ready: config.uncommitted_bytes_max as u64,
        ..raft::Config::default()
    }
}

fn cannot_start(error: raft::Error) -> Error {
    Error::Configuration(format!("consensus does not start: {error}"))
}

/// Raft's own words go to the trace, for whoever looks into an election.
fn logger() -> slog::Logger {
    slog::Logger::root(slog::Fuse(ToTracing), slog::o!())
}

struct ToTracing;

impl slog::Drain for ToTracing {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        tracing::debug!(target: "raft", "{}", record.msg());
        Ok(())
    }

    fn is_enabled(&self, _: slog::Level) -> bool {
        tracing::enabled!(target: "raft", tracing::Level::DEBUG)
    }
}
