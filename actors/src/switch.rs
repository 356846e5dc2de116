//! Starting and stopping the whole: log, ledger, actors.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ractor::{Actor, ActorRef};
use settlement::{Book, Key, Rules};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wire::{BusinessDate, Currency, ParticipantId};

use crate::archive::{self, Archive};
use crate::bell::Bell;
use crate::host::{Operate, OwnedOperation};
use crate::ledger::{Feeds, Ledger};
use crate::post::PostOffice;
use crate::supervisor::{self, Supervisor};

/// Settings of the switch.
#[derive(Clone, Debug)]
pub struct Config {
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
    #[error("the participant's actor was restarted before it answered; look whether it was done, then ask again")]
    Restarted,
    #[error("the actors could not be started: {0}")]
    Actors(String),
    #[error("{0}")]
    Refused(String),
}

impl From<persistence::Refused> for Error {
    fn from(_: persistence::Refused) -> Self {
        Error::Stopped
    }
}

/// A running switch. Cheap to clone.
#[derive(Clone)]
pub struct Switch {
    pub post: Arc<PostOffice>,
    pub bell: Arc<Bell>,
    pub archive: Arc<Archive>,
    pub log_directory: PathBuf,
    supervisor: ActorRef<supervisor::Message>,
    supervision: Arc<Mutex<Option<JoinHandle<()>>>>,
    closing: Arc<AtomicBool>,
}

/// Recovers the log, folds it into the book, builds the actors from the book. Must be called within a tokio runtime of
/// one thread, on which the actors then live.
pub async fn start(config: Config) -> Result<(Switch, persistence::Recovery), Error> {
    let feeds = Arc::new(Feeds::new(config.feed_tail_bytes_max));
    let bell = Arc::new(Bell::default());
    let log_directory = config.log.directory.clone();
    let (gatherer, archive) = archive::prepare();
    let ledger = Ledger::new(feeds.clone(), bell.clone(), gatherer);
    let (journal, recovery) = persistence::open(config.log, ledger)?;
    let archive = Arc::new(archive.start(config.archive, log_directory.clone(), recovery.last_index)?);

    let (sender, receiver) = oneshot::channel();
    let read = move |book: &Book| drop(sender.send((book.scheme().clone(), book.participants().to_vec())));
    journal.propose(|_, company| company.push(crate::ledger::Passenger::Query(Box::new(read))))?;
    let (scheme, participants) = receiver.await.map_err(|_| Error::Stopped)?;

    let post = Arc::new(PostOffice::new(journal, scheme, config.rules, feeds, config.participants_per_actor.max(1)));
    tokio::spawn(post.clone().deliver_for_ever());
    let (supervisor, supervision) = Actor::spawn(None, Supervisor { post: post.clone() }, participants)
        .await
        .map_err(|error| Error::Actors(error.to_string()))?;
    let switch = Switch {
        post,
        bell,
        archive,
        log_directory,
        supervisor,
        supervision: Arc::new(Mutex::new(Some(supervision))),
        closing: Arc::default(),
    };
    if switch.post.scheme().business_date().is_none() {
        switch.roll(None).await?;
    }
    Ok((switch, recovery))
}

impl Switch {
    /// Takes in a participant with a position in `currency`.
    pub async fn register(&self, id: ParticipantId, currency: Currency) -> Result<Key, Error> {
        let (done, answer) = oneshot::channel();
        self.supervisor.cast(supervisor::Message::Register { id, currency, done }).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?.map_err(Error::Refused)
    }

    /// Rolls the business date: to `date`, or by a day.
    pub async fn roll(&self, date: Option<BusinessDate>) -> Result<BusinessDate, Error> {
        let (done, answer) = oneshot::channel();
        self.supervisor.cast(supervisor::Message::Roll { date, done }).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?.map_err(Error::Refused)
    }

    /// Asks for an operation on a participant; returns once it is committed.
    pub async fn operate(&self, id: ParticipantId, operation: OwnedOperation) -> Result<(), Error> {
        let key = self.post.scheme().key(id).ok_or_else(|| Error::Refused(format!("{id} is not registered")))?;
        let (done, answer) = oneshot::channel();
        self.post.operate(Operate { key, operation, done });
        answer.await.map_err(|_| Error::Restarted)?.map_err(|reason| {
            let meaning = reason.explanation().map_or("", |explanation| explanation.meaning);
            Error::Refused(format!("refused with {reason}: {meaning}"))
        })
    }

    /// True once [`Switch::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Returns when the supervisor ended, which ends all actors: the process must end, unless it is about to. Once.
    pub async fn until_actors_end(&self) {
        let supervision = self.supervision.lock().take();
        if let Some(supervision) = supervision {
            drop(supervision.await);
        }
    }

    /// Calls back when the journal failed: the process must end.
    pub fn on_failure(&self, callback: impl FnOnce(Arc<persistence::Error>) + Send + 'static) {
        self.post.journal().on_failure(callback);
    }

    /// Asks for a snapshot besides those that come by themselves.
    pub fn request_snapshot(&self) {
        self.post.journal().request_snapshot();
    }

    /// Waits until no payment is in process, or until `patience` is over; returns how many are left. They go on when
    /// the node starts again.
    pub async fn wait_for_quiet(&self, patience: Duration) -> Result<usize, Error> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let in_process = |book: &Book| book.participants().iter().map(|own| own.incoming_count()).sum::<usize>();
            let left = self.post.query(in_process).await?;
            if left == 0 || tokio::time::Instant::now() >= until {
                return Ok(left);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Commits what is open and closes the log, then the archive.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.supervisor.stop(None);
        self.post.journal().stop();
        self.archive.stop();
    }
}
