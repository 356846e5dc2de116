//! The client library: what a participant's engineer uses to pay and to be paid.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wire::client::{Client, Options, Transfer};
//! use wire::{Currency, Money};
//!
//! let (client, notices) = Client::connect(Options::new("127.0.0.1:7800", "NORTHBANK".parse()?)).await?;
//! drop(notices); // this program only pays; one that is paid reads them
//! let transfer = Transfer::new("SOUTHBANK".parse()?, Money::parse("12.04", Currency::EUR)?)
//!     .from("Ada Adler", "DE02100100100006820101")
//!     .to("Ben Brook", "GB33BUKB20201555555555");
//! let outcome = client.pay(&transfer).await?;
//! println!("{outcome}");
//! # Ok(()) }
//! ```
//!
//! One background task owns the connection. It writes what the callers left on the desk, reads, gives every outcome to
//! who waits for it and every notice to [`Notices`]; it sends heartbeats, notices silence, connects again and sends
//! again what has no outcome yet. That is always safe: a payment is known by its UETR.
//!
//! ```text
//!   pay, submit, answer, status ──► desk ──► socket      desk: what was asked and has no outcome
//!         outcome ◄──────────────── desk ◄── socket      (bounded by Options::payments_max, answers_max)
//!         next ◄──── inbox ◄──────────────── socket      inbox: notices not taken (Options::notices_max)
//! ```
//!
//! When the inbox is full the library stops reading, the switch keeps the feed, and outcomes wait with it: a program
//! that does not want notices drops [`Notices`].

mod call;
mod desk;
mod error;
mod instruction;
mod notices;
mod options;
mod outcome;
mod route;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

pub use call::{AnswerHandle, Finished, Outcomes, PaymentHandle, Submitter};
pub use error::{Error, Retry, Who};
pub use instruction::{Customer, Instruction, Reply, Return, Stamp, Transfer};
pub use notices::{Feed, Notice, Notices};
pub use options::{Backoff, Options, Processed, Resume, Rules, State};
pub use outcome::{FinalStatus, Outcome, Report};

use crate::Timestamp;
use desk::Desk;
use notices::{Inbox, Progress};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A participant's session with the switch. Cheap to clone; the connection ends when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    life: Arc<Life>,
    timeout: Duration,
}

impl Client {
    /// Connects and signs on, trying the addresses in turn until [`Options::connect_timeout`] has passed.
    ///
    /// Fails early when the switch says that trying again is useless (unknown participant, no common version).
    pub async fn connect(options: Options) -> Result<(Client, Notices)> {
        options.check()?;
        let (timeout, connect_timeout) = (options.timeout, options.connect_timeout);
        let shared = Arc::new(Shared::new(options));
        let notices = Notices::new(shared.clone());
        let client = Client { life: Arc::new(Life { shared: shared.clone() }), timeout };
        tokio::spawn(session::run(shared.clone()));

        let mut states = shared.state.subscribe();
        let decided = states.wait_for(|state| matches!(state, State::SignedOn { .. } | State::Ended { .. }));
        match tokio::time::timeout(connect_timeout, decided).await.map(|decided| decided.map(|state| state.clone())) {
            Ok(Ok(State::Ended { why })) => Err(why),
            Ok(Ok(_)) => Ok((client, notices)),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Unreachable { after: connect_timeout, because: shared.standing() }),
        }
    }

    /// The same client with another deadline for its calls.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Client {
        Client { life: self.life.clone(), timeout }
    }

    /// What the connection does, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared().state.subscribe()
    }

    /// How far the feeds are processed: save it, and give it to [`Options::resume`] after a restart.
    pub fn position(&self) -> Resume {
        self.shared().progress.position()
    }

    /// Says that every notice of this feed up to this number is processed.
    pub fn processed(&self, feed: Feed, number: u64) {
        self.shared().progress.processed(feed, number);
    }

    pub fn participant(&self) -> crate::ParticipantId {
        self.shared().options.participant
    }

    /// Ends the connection after what was asked has been written. Payments to this participant wait in its feed.
    pub async fn close(self) {
        self.shared().closing.send_replace(true);
        self.ended().await;
    }

    /// Waits until the client has ended, and says why.
    pub async fn ended(&self) -> Error {
        let mut states = self.shared().state.subscribe();
        match states.wait_for(|state| matches!(state, State::Ended { .. })).await.as_deref() {
            Ok(State::Ended { why }) => why.clone(),
            _ => Error::Closed,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.life.shared
    }
}

/// Ends the background task when the last client is dropped.
struct Life {
    shared: Arc<Shared>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

/// What callers and the background task share.
struct Shared {
    options: Options,
    state: watch::Sender<State>,
    closing: watch::Sender<bool>,
    desk: Mutex<Desk>,
    /// The desk has something to write.
    wake: Notify,
    inbox: Inbox,
    progress: Progress,
    /// Places for payments and returns without an outcome.
    payments: Arc<Semaphore>,
    /// Places for answers. Apart from payments: two banks that fill each other's windows must still be able to answer.
    answers: Arc<Semaphore>,
    /// Places for enquiries.
    enquiries: Arc<Semaphore>,
    /// Last number used in a message id; starts at the clock, so that a restarted client does not repeat one.
    message_number: AtomicU64,
}

const ENQUIRIES_MAX: usize = 64;

impl Shared {
    fn new(options: Options) -> Self {
        Shared {
            state: watch::Sender::new(State::Connecting { address: options.addresses[0].clone() }),
            closing: watch::Sender::new(false),
            desk: Mutex::new(Desk::new(options.answers_max)),
            wake: Notify::new(),
            inbox: Inbox::new(options.notices_max),
            progress: Progress::new(options.resume),
            payments: Arc::new(Semaphore::new(options.payments_max)),
            answers: Arc::new(Semaphore::new(options.answers_max)),
            enquiries: Arc::new(Semaphore::new(ENQUIRIES_MAX)),
            message_number: AtomicU64::new(Timestamp::now().nanoseconds()),
            options,
        }
    }

    /// Sender, time and message id for one more message.
    fn stamp(&self) -> Stamp {
        let at = Timestamp::now();
        Stamp::new(self.options.participant, at, self.message_number.fetch_add(1, Ordering::Relaxed))
    }

    /// How things stand, for the text of an error.
    fn standing(&self) -> String {
        let state = self.state.borrow().to_string();
        match self.inbox.length() {
            waiting if waiting >= self.options.notices_max => {
                format!(
                    "{state}; reading is paused because {waiting} notices were not taken: call Notices::next, or drop Notices"
                )
            }
            _ => state,
        }
    }

    /// The client is over: everyone who waits hears why.
    fn end(&self, why: Error) {
        self.desk.lock().end(&why);
        self.inbox.end(&why);
        for places in [&self.payments, &self.answers, &self.enquiries] {
            places.close();
        }
        self.state.send_replace(State::Ended { why });
    }
}
