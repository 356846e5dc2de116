//! The trail of payments: what the ledger folds and when a participant's notices were written, for one who follows payments
//! from stage to stage.
//!
//! ```text
//!  ledger, one log entry ── Folded ──┐
//!  outlet, all written ──── Written ─┴──> bounded queue ──> follower
//! ```
//!
//! As long as nobody follows it costs a branch per fact. It never waits: what finds no room is lost, counted, and the next
//! entry tells that there is a gap.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use persistence::Index;
use settlement::{Book, Fact, Key, Payment, Stage};
use wire::{Reason, Timestamp, Uetr};

/// Steps that may wait for the follower, about 12 MiB.
const STEPS_WAITING_MAX: usize = 128 << 10;
/// Entries and writes that may.
const NEWS_WAITING_MAX: usize = 16 << 10;

/// What happened to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Reserved,
    Settled,
    Rejected(Reason),
    Expired(Reason),
}

/// A fact about a payment.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub uetr: Uetr,
    pub debtor: Key,
    /// [`Key::NONE`] when the creditor agent is not registered.
    pub creditor: Key,
    /// Set when this is a return: the payment that is returned.
    pub original: Option<Uetr>,
    pub what: What,
    /// When it was decided.
    pub at: Timestamp,
    /// When the payment was decided first.
    pub began: Timestamp,
    /// Numbers of the notices by which debtor agent and creditor agent are told how it ended; 0: not told.
    pub notices: [u64; 2],
}

/// What the follower hears.
pub enum News {
    /// A log entry was folded on this node at this time.
    Folded { index: Index, at: Timestamp, leads: bool, is_behind_gap: bool, steps: Vec<Step> },
    /// Everything up to notice number `last` of a participant's feed is written to its socket.
    Written { to: Key, last: u64, at: Timestamp },
}

impl News {
    fn steps(&self) -> usize {
        match self {
            News::Folded { steps, .. } => steps.len(),
            News::Written { .. } => 0,
        }
    }
}

/// See the file's head.
#[derive(Default)]
pub struct Trail {
    sender: OnceLock<Sender<News>>,
    steps_waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Trail {
    /// Everything from now on; `None` when somebody follows already.
    pub fn follow(self: &Arc<Self>) -> Option<Follower> {
        let (sender, receiver) = bounded(NEWS_WAITING_MAX);
        self.sender.set(sender).ok()?;
        Some(Follower { receiver, trail: self.clone() })
    }

    pub fn is_followed(&self) -> bool {
        self.sender.get().is_some()
    }

    /// Steps that found no room since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A participant's socket has taken its notices up to number `last`.
    pub fn written(&self, to: Key, last: u64) {
        if let Some(sender) = self.sender.get() {
            // Who is told when is of no use without the rest.
            _ = sender.try_send(News::Written { to, last, at: Timestamp::now() });
        }
    }

    /// False when there was no room.
    fn send(&self, news: News) -> bool {
        let Some(sender) = self.sender.get() else { return false };
        let steps = news.steps();
        if self.steps_waiting.fetch_add(steps, Ordering::Relaxed) < STEPS_WAITING_MAX {
            match sender.try_send(news) {
                Ok(()) => return true,
                // The follower has ended.
                Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => {}
            }
        }
        self.steps_waiting.fetch_sub(steps, Ordering::Relaxed);
        self.lost.fetch_add(steps as u64, Ordering::Relaxed);
        false
    }
}

/// The follower's end.
pub struct Follower {
    receiver: Receiver<News>,
    trail: Arc<Trail>,
}

impl Follower {
    /// Waits for the next news; `None` when there is none for so long.
    pub fn next(&self, patience: Duration) -> Option<News> {
        match self.receiver.recv_timeout(patience) {
            Ok(news) => {
                self.trail.steps_waiting.fetch_sub(news.steps(), Ordering::Relaxed);
                Some(news)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// The ledger's side: gathers the steps of the entry at hand.
pub(crate) struct Tracker {
    trail: Arc<Trail>,
    steps: Vec<Step>,
    is_behind_gap: bool,
}

impl Tracker {
    pub(crate) fn new(trail: Arc<Trail>) -> Tracker {
        Tracker { trail, steps: Vec::new(), is_behind_gap: true }
    }

    /// Notes a fact that the book has just applied.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>) {
        if self.trail.is_followed()
            && let Some(step) = Step::of(fact, book, decided_at)
        {
            self.steps.push(step);
        }
    }

    /// The entry is folded.
    pub(crate) fn folded(&mut self, index: Index, leads: bool) {
        if self.steps.is_empty() {
            return;
        }
        let (at, steps) = (Timestamp::now(), std::mem::take(&mut self.steps));
        let is_behind_gap = self.is_behind_gap;
        self.is_behind_gap = !self.trail.send(News::Folded { index, at, leads, is_behind_gap, steps });
    }

    /// The book was taken from a snapshot: entries were skipped.
    pub(crate) fn skipped(&mut self) {
        self.is_behind_gap = true;
    }
}

impl Step {
    fn of(fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>) -> Option<Step> {
        let (what, is_creditor_told) = match fact {
            Fact::Reserved(_) => (What::Reserved, false),
            Fact::Settled(_) | Fact::Returned(_) => (What::Settled, true),
            Fact::Rejected(rejected) => (What::Rejected(rejected.reasons.first()), rejected.stage == Stage::Arrival),
            Fact::Expired(expired) => (What::Expired(expired.reasons.first()), true),
            _ => return None,
        };
        let Payment { debtor, creditor, uetr, original, .. } = *fact.payment()?;
        let began = decided_at.unwrap_or(fact.at());
        let number = |party, is_told| if is_told { book.last_notice(party) } else { 0 };
        let notices = [number(debtor, what != What::Reserved), number(creditor, is_creditor_told)];
        Some(Step { uetr, debtor, creditor, original, what, at: fact.at(), began, notices })
    }
}
