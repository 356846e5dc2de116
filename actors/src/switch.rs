//! The whole, from start to stop: log, ledger, connections, and the actors while this node leads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLockReadGuard;
use persistence::{NodeId, Standing};
use settlement::{Book, Key, Outcome, Rules, Scheme};
use tokio::sync::{mpsc, oneshot, watch};
use wire::{BusinessDate, Currency, ParticipantId, Timestamp};

use crate::archive::{self, Archive, LogEnd};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::draft::Draft;
use crate::figures::{Figures, Gauge, Tally, Work};
use crate::host::OwnedOperation;
use crate::instruction::Batch;
use crate::ledger::{Feeds, Ledger, Passenger};
use crate::line::Line;
use crate::post::PostOffice;
use crate::premises::{Premises, Traffic};
use crate::reign::{Phase, Regent};
use crate::relay::{Nobody, Relay, Wire};
use crate::throne::{Known, Throne};
use crate::trail::{Tracker, Trail};

/// Settings of the switch.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which node of its switch this is; the log's own configuration says the same.
    pub node: NodeId,
    pub log: persistence::Config,
    pub rules: Rules,
    /// Participants that share one actor. One is simplest; more make larger batches when participants are many.
    pub participants_per_actor: usize,
    /// Notices of one feed kept in memory, bytes.
    pub feed_tail_bytes_max: usize,
    pub archive: archive::Config,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Log(#[from] persistence::Error),
    #[error("archive: {0}")]
    Archive(#[from] archive::Error),
    #[error("the journal has stopped")]
    Stopped,
    #[error(
        "the participant's actor was restarted, or this node ceased to lead, before it answered; look whether it was \
         done, then ask again"
    )]
    Restarted,
    #[error("this node does not lead")]
    NotLeading,
    #[error("the actors could not be started: {0}")]
    Actors(String),
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// By a rule, in an operator's words.
    pub fn refused(reason: wire::Reason) -> Error {
        Error::Refused(format!("{reason}: {}", settlement::meaning(reason)))
    }
}

impl From<persistence::Refused> for Error {
    fn from(refused: persistence::Refused) -> Self {
        match refused {
            persistence::Refused::NotLeading => Error::NotLeading,
            _ => Error::Stopped,
        }
    }
}

/// A running switch.
pub struct Switch {
    pub feeds: Arc<Feeds>,
    pub bell: Arc<Bell>,
    pub archive: Arc<Archive>,
    pub trail: Arc<Trail>,
    pub relay: Arc<Relay>,
    pub log_directory: PathBuf,
    premises: Arc<Premises>,
    dispatch: Arc<Dispatch>,
    known: Arc<Known>,
    phase: watch::Receiver<Phase>,
    closing: AtomicBool,
}

/// [`start_among`] no others, and waits until the node leads.
pub async fn start(config: Config) -> Result<(Arc<Switch>, persistence::Recovery), Error> {
    let (switch, recovery) = start_among(config, Arc::new(Nobody), persistence::Nobody)?;
    switch.until_reign().await?;
    Ok((switch, recovery))
}

/// Recovers the log and folds it into the book. Actors are there whenever this node leads. Must be called within a tokio
/// runtime of one thread, on which the actors then live. `wire` takes the relay's messages to other nodes, `peers` the
/// journal's; theirs, and the connections, are told to [`Switch::relay`] and [`Switch::journal`].
pub fn start_among(
    config: Config,
    wire: Arc<dyn Wire>,
    peers: impl persistence::Peers,
) -> Result<(Arc<Switch>, persistence::Recovery), Error> {
    let (switch, recovery, _) = build(config, wire, peers)?;
    Ok((switch, recovery))
}

/// [`start_among`], with what the journal's thread tells of.
pub(crate) fn build(
    config: Config,
    wire: Arc<dyn Wire>,
    peers: impl persistence::Peers,
) -> Result<(Arc<Switch>, persistence::Recovery, Throne), Error> {
    let feeds = Arc::new(Feeds::new(config.feed_tail_bytes_max));
    let bell = Arc::new(Bell::default());
    let (log_directory, is_alone) = (config.log.directory.clone(), config.log.cluster == 0);
    let (gatherer, archive) = archive::prepare();
    let (known, leading) = (Arc::<Known>::default(), Arc::<AtomicU64>::default());
    let dispatch = Arc::new(Dispatch::new(config.node, wire.clone()));
    let (changes, told) = mpsc::unbounded_channel();
    let throne =
        Throne { known: known.clone(), leading: leading.clone(), dispatch: Arc::downgrade(&dispatch), changes };
    let trail = Arc::<Trail>::default();
    let tracker = Tracker::new(trail.clone());
    let figures = Arc::<Figures>::default();
    let clock = Arc::new(Clock::starting_at(Timestamp(0)));
    let (own_figures, own_throne) = (figures.clone(), throne.clone());
    let ledger = Ledger::new(feeds.clone(), bell.clone(), gatherer, tracker, own_figures, own_throne, clock.clone());
    let (journal, recovery) = persistence::open(config.log, ledger, peers)?;
    let end = if is_alone { LogEnd::At } else { LogEnd::NotBefore }(recovery.last_index);
    let archive = Arc::new(archive.start(config.archive, log_directory.clone(), end)?);

    let premises = Arc::new(Premises {
        journal,
        bell: bell.clone(),
        rules: config.rules,
        clock,
        traffic: Traffic::default(),
        figures,
        draining: AtomicBool::new(false),
        leading,
        participants_per_actor: config.participants_per_actor.max(1),
    });
    let relay = Arc::new(Relay::new(wire, premises.clone(), dispatch.clone()));
    tokio::spawn(relay.clone().try_again_for_ever());
    tokio::spawn(premises.figures.pulse.clone().beat_for_ever(premises.clock.clone()));
    let (phase, phases) = watch::channel(Phase::Following);
    let regent = Regent { premises: premises.clone(), dispatch: dispatch.clone(), relay: relay.clone(), phase };
    tokio::spawn(regent.serve(told));
    let closing = AtomicBool::new(false);
    let switch =
        Switch { feeds, bell, archive, trail, relay, log_directory, premises, dispatch, known, phase: phases, closing };
    Ok((Arc::new(switch), recovery, throne))
}

impl Switch {
    /// This node's actors, while it leads and they are ready.
    pub fn reign(&self) -> Option<Arc<PostOffice>> {
        self.dispatch.reign()
    }

    fn leading(&self) -> Result<Arc<PostOffice>, Error> {
        self.reign().ok_or(Error::NotLeading)
    }

    /// Returns when this node leads and its actors are ready.
    pub async fn until_reign(&self) -> Result<(), Error> {
        let mut phase = self.phase.clone();
        let reached = phase.wait_for(|phase| *phase != Phase::Following).await.map_err(|_| Error::Stopped)?;
        match &*reached {
            Phase::Failed(why) => Err(Error::Actors(why.clone())),
            _ => Ok(()),
        }
    }

    /// Asks a majority whether this node leads. If so, its book has everything that was committed before it was asked.
    pub async fn leads_for_sure(&self) -> bool {
        match self.reign() {
            Some(post) => post.query(|_| ()).await.is_ok(),
            None => false,
        }
    }

    /// Returns when this node no longer leads.
    pub async fn until_reign_ends(&self) {
        drop(self.phase.clone().wait_for(|phase| !matches!(phase, Phase::Reigning(_))).await);
    }

    /// Returns when the actors ended though this node leads: the process must end.
    pub async fn until_actors_end(&self) {
        if self.phase.clone().wait_for(|phase| matches!(phase, Phase::Failed(_))).await.is_err() {
            // The journal has ended, and says so itself.
            std::future::pending().await
        }
    }

    #[cfg(test)]
    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Which node of its switch this is.
    pub fn node(&self) -> NodeId {
        self.dispatch.node
    }

    /// Where this node stands in its switch, as its log knows.
    pub fn standing(&self) -> Standing {
        *self.known.standing.lock()
    }

    /// Who takes part, and the business date, as committed and known to this node.
    pub fn scheme(&self) -> RwLockReadGuard<'_, Scheme> {
        self.known.scheme.read()
    }

    pub fn rules(&self) -> &Rules {
        &self.premises.rules
    }

    pub fn clock(&self) -> &Clock {
        &self.premises.clock
    }

    pub fn traffic(&self) -> &Traffic {
        &self.premises.traffic
    }

    /// Exchanges what was measured since the last time against what was emptied.
    pub fn exchange_figures(&self, tally: &mut Tally, work: &mut Work) {
        let figures = &self.premises.figures;
        std::mem::swap(&mut *figures.tally.lock(), tally);
        tally.count();
        std::mem::swap(&mut *figures.work.lock(), work);
        work.count();
    }

    /// The actors of this node by their place; each hosts `participants_per_actor` participants in the order of their keys.
    /// None where another node leads.
    pub fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.reign().map_or_else(Vec::new, |_| self.premises.figures.gauges.read().clone())
    }

    pub fn participants_per_actor(&self) -> usize {
        self.premises.participants_per_actor
    }

    /// Hands over the instructions of one socket read of a connection to whoever leads. Gives back memory for the next read,
    /// used before if there is any.
    pub fn instruct(&self, line: &Arc<Line>, batch: Arc<Batch>) -> Option<Arc<Batch>> {
        self.dispatch.instruct(line, batch)
    }

    /// Delivers the letters that lie here. Whoever writes to participants calls it before, so that no answer overtakes the letter
    /// about its payment.
    pub fn deliver(&self) {
        if let Some(post) = self.reign() {
            post.deliver();
        }
    }

    /// Makes `line` the connection of its participant; an older one to this node ends. One to another node ends when this one
    /// signs on.
    pub fn connect(&self, line: &Arc<Line>) {
        self.dispatch.connect(line);
    }

    /// Forgets `line`.
    pub fn disconnect(&self, line: &Arc<Line>) {
        self.dispatch.disconnect(line);
    }

    pub fn line(&self, key: Key) -> Option<Arc<Line>> {
        self.dispatch.line(key)
    }

    /// All connections to this node.
    pub fn connected(&self) -> Vec<Arc<Line>> {
        self.dispatch.connected()
    }

    /// True when this node's book has all that was committed before what the leader has replied so far.
    pub fn has_caught_up(&self) -> bool {
        self.dispatch.outbound().is_none_or(|outbound| outbound.heard_index() <= self.committed_index())
    }

    pub fn committed_index(&self) -> u64 {
        self.premises.journal.committed_index()
    }

    pub fn journal_statistics(&self) -> persistence::Statistics {
        self.premises.journal.statistics()
    }

    /// What proposes nothing: messages of other nodes, members, the hand-over of leadership.
    pub fn journal(&self) -> &persistence::Journal<Passenger> {
        &self.premises.journal
    }

    /// Why new payments are refused just now by this node as the leader, if they are.
    pub fn refusing(&self) -> Option<wire::Reason> {
        self.reign().and_then(|post| post.refusing()).or_else(|| self.is_draining().then_some(wire::Reason::DRAN))
    }

    /// From now on new payments are refused, if this node leads; what is in process goes on.
    pub fn drain(&self) {
        self.set_draining(true);
    }

    /// [`Switch::drain`], or takes it back.
    pub fn set_draining(&self, draining: bool) {
        self.premises.draining.store(draining, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.premises.draining.load(Ordering::Relaxed)
    }

    /// Takes in a participant with a position in `currency`. Like the next two, with an entry of the audit trail when an
    /// operator asked for it; none when it is refused.
    pub async fn register(&self, id: ParticipantId, currency: Currency, draft: Option<Draft>) -> Result<Key, Error> {
        self.leading()?.register(id, currency, draft).await
    }

    /// Rolls the business date: to `date`, or by a day.
    pub async fn roll(&self, date: Option<BusinessDate>, draft: Option<Draft>) -> Result<BusinessDate, Error> {
        self.leading()?.roll(date, draft).await
    }

    /// Asks for an operation on a participant; returns once it is committed.
    pub async fn operate(
        &self,
        id: ParticipantId,
        operation: OwnedOperation,
        draft: Option<Draft>,
    ) -> Result<(), Error> {
        let post = self.leading()?;
        let key = post.scheme().key(id).ok_or_else(|| Error::Refused(format!("{id} is not registered")))?;
        let (done, answer) = oneshot::channel();
        post.operate(crate::host::Operate { key, operation, draft, done });
        // What was not taken out of a post office goes with it, and that is the answer: whoever waits does not hold it.
        drop(post);
        answer.await.map_err(|_| Error::Restarted)?.map_err(Error::refused)
    }

    /// Writes an entry of the audit trail about what leaves no other fact, such as a refusal; returns once it is committed.
    pub async fn record(&self, draft: &Draft, outcome: Outcome, why: &str) -> Result<(), Error> {
        self.leading()?.record(draft, outcome, why).await
    }

    /// Reads this node's book as it is now: on a node that does not lead it may be a little behind.
    pub async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Book) -> T + Send + 'static) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let read = move |book: &Book| drop(sender.send(read(book)));
        self.premises.journal.visit(Passenger::Query(Box::new(read)))?;
        receiver.await.map_err(|_| Error::Stopped)
    }

    /// Reads the book once everything that was proposed so far is committed, if this node leads.
    pub async fn read_behind<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Book) -> T + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.leading()?.query(read).await?)
    }

    /// True once [`Switch::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Calls back when the journal failed: the process must end.
    pub fn on_failure(&self, callback: impl FnOnce(Arc<persistence::Error>) + Send + 'static) {
        self.premises.journal.on_failure(callback);
    }

    /// Asks for a snapshot besides those that come by themselves.
    pub fn request_snapshot(&self) {
        self.premises.journal.request_snapshot();
    }

    /// Waits until no payment is in process or this node does not lead, or until `patience` is over; returns how many are left
    /// for it. They go on when a node leads again.
    pub async fn wait_for_quiet(&self, patience: Duration) -> Result<usize, Error> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let Some(post) = self.reign() else { return Ok(0) };
            let in_process = |book: &Book| book.participants().iter().map(|own| own.incoming_count()).sum::<usize>();
            // A node that is deposed meanwhile has nothing left to wait for.
            let left = match post.query(in_process).await {
                Err(persistence::Refused::NotLeading) => 0,
                left => left?,
            };
            if left == 0 || tokio::time::Instant::now() >= until {
                return Ok(left);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Commits what is open and closes the log, then the archive.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        if let Some(post) = self.reign() {
            post.close();
        }
        self.premises.journal.stop();
        self.archive.stop();
    }
}
