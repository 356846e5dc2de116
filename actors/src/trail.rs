//! The trail of payments: what the ledger folds and when a participant's notices were written, for those who follow payments
//! from stage to stage, or only hear how they ended.
//!
//! ```text
//!  ledger, one log entry ── Folded ──┐    ┌──> bounded queue ──> follower
//!  outlet, all written ──── Written ─┴────┴──> bounded queue ──> another
//! ```
//!
//! As long as nobody follows it costs a branch per fact, and no more is gathered than somebody wants. It never waits: what
//! finds no room in a follower's queue is lost to it, counted, and the next entry tells it that there is a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::RwLock;
use persistence::Index;
use settlement::{Book, Fact, Key, Payment, Stage};
use wire::{Currency, Reason, Timestamp, Uetr};

/// Steps that may wait for a follower, about 14 MiB.
const STEPS_WAITING_MAX: usize = 128 << 10;
/// Entries and writes that may.
const NEWS_WAITING_MAX: usize = 16 << 10;

/// What happened to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Reserved,
    Settled,
    /// At which point, and why.
    Rejected(Stage, Reason),
    Expired(Reason),
}

/// A fact about a payment.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub uetr: Uetr,
    pub debtor: Key,
    /// [`Key::NONE`] when the creditor agent is not registered.
    pub creditor: Key,
    pub amount_minor: i64,
    pub currency: Currency,
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

/// A log entry that was folded on this node.
pub struct Folded {
    pub index: Index,
    /// When that was, by this node's clock.
    pub at: Timestamp,
    /// This node led.
    pub leads: bool,
    pub steps: Vec<Step>,
}

/// What a follower hears.
pub enum News {
    /// Behind a gap steps are missing before these.
    Folded { entry: Arc<Folded>, is_behind_gap: bool },
    /// Everything up to notice number `last` of a participant's feed is written to its socket.
    Written { to: Key, last: u64, at: Timestamp },
}

impl News {
    fn steps(&self) -> usize {
        match self {
            News::Folded { entry, .. } => entry.steps.len(),
            News::Written { .. } => 0,
        }
    }
}

/// How much a follower wants to hear. Whoever follows together with one who wants more hears of steps that it need not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Interest {
    /// How payments ended.
    Ends = 1,
    /// Their reservations, too, and when the parties' sockets have taken their notices.
    Everything = 2,
}

/// Of one follower.
struct Queue {
    interest: Interest,
    sender: Sender<News>,
    steps_waiting: AtomicUsize,
    lost: AtomicU64,
    /// The next entry is told to be behind a gap.
    has_gap: AtomicBool,
}

impl Queue {
    /// Steps that find no room are lost and counted.
    fn send(&self, entry: &Arc<Folded>) {
        let steps = entry.steps.len();
        let is_behind_gap = self.has_gap.swap(false, Ordering::Relaxed);
        if self.steps_waiting.fetch_add(steps, Ordering::Relaxed) < STEPS_WAITING_MAX
            && self.sender.try_send(News::Folded { entry: entry.clone(), is_behind_gap }).is_ok()
        {
            return;
        }
        self.steps_waiting.fetch_sub(steps, Ordering::Relaxed);
        let of_interest = |step: &&Step| self.interest == Interest::Everything || step.what != What::Reserved;
        self.lost.fetch_add(entry.steps.iter().filter(of_interest).count() as u64, Ordering::Relaxed);
        self.has_gap.store(true, Ordering::Relaxed);
    }
}

/// See the file's head.
#[derive(Default)]
pub struct Trail {
    queues: RwLock<Vec<Arc<Queue>>>,
    /// The most that anybody wants to hear, as a number; 0 when nobody follows.
    wanted: AtomicU8,
}

impl Trail {
    /// Everything of interest from now on, until the follower is dropped.
    pub fn follow(self: &Arc<Self>, interest: Interest) -> Follower {
        let (sender, receiver) = bounded(NEWS_WAITING_MAX);
        let (steps_waiting, lost, has_gap) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(true));
        let queue = Arc::new(Queue { interest, sender, steps_waiting, lost, has_gap });
        self.change(|queues| queues.push(queue.clone()));
        Follower { receiver, queue, trail: self.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Queue>>)) {
        let mut queues = self.queues.write();
        change(&mut queues);
        let wanted = queues.iter().map(|queue| queue.interest as u8).max().unwrap_or(0);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Somebody wants to hear that much.
    pub fn is_wanted(&self, interest: Interest) -> bool {
        self.wanted.load(Ordering::Relaxed) >= interest as u8
    }

    /// A participant's socket has taken its notices up to number `last`. To be told where somebody wants [`Interest::Everything`].
    pub fn written(&self, to: Key, last: u64) {
        let at = Timestamp::now();
        for queue in self.queues.read().iter().filter(|queue| queue.interest == Interest::Everything) {
            // Who is told when is of no use without the rest.
            _ = queue.sender.try_send(News::Written { to, last, at });
        }
    }
}

/// The follower's end.
pub struct Follower {
    receiver: Receiver<News>,
    queue: Arc<Queue>,
    trail: Arc<Trail>,
}

impl Follower {
    /// Waits for the next news; `None` when there is none for so long.
    pub fn next(&self, patience: Duration) -> Option<News> {
        match self.receiver.recv_timeout(patience) {
            Ok(news) => {
                self.queue.steps_waiting.fetch_sub(news.steps(), Ordering::Relaxed);
                Some(news)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Steps of interest that found no room since it began.
    pub fn lost(&self) -> u64 {
        self.queue.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.trail.change(|queues| queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue)));
    }
}

/// The ledger's side: gathers the steps of the entry at hand.
pub(crate) struct Tracker {
    trail: Arc<Trail>,
    steps: Vec<Step>,
}

impl Tracker {
    pub(crate) fn new(trail: Arc<Trail>) -> Tracker {
        Tracker { trail, steps: Vec::new() }
    }

    /// Notes a fact that the book has just applied.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>) {
        let interest = if matches!(fact, Fact::Reserved(_)) { Interest::Everything } else { Interest::Ends };
        if self.trail.is_wanted(interest)
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
        let entry = Arc::new(Folded { index, at: Timestamp::now(), leads, steps: std::mem::take(&mut self.steps) });
        self.trail.queues.read().iter().for_each(|queue| queue.send(&entry));
    }

    /// The book was taken from a snapshot: entries were skipped.
    pub(crate) fn skipped(&mut self) {
        self.trail.queues.read().iter().for_each(|queue| queue.has_gap.store(true, Ordering::Relaxed));
    }
}

impl Step {
    fn of(fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>) -> Option<Step> {
        let (what, is_creditor_told) = match fact {
            Fact::Reserved(_) => (What::Reserved, false),
            Fact::Settled(_) | Fact::Returned(_) => (What::Settled, true),
            Fact::Rejected(rejected) => {
                (What::Rejected(rejected.stage, rejected.reasons.first()), rejected.stage == Stage::Arrival)
            }
            Fact::Expired(expired) => (What::Expired(expired.reasons.first()), true),
            _ => return None,
        };
        let Payment { debtor, creditor, uetr, amount_minor, currency, original, .. } = *fact.payment()?;
        let (at, began) = (fact.at(), decided_at.unwrap_or(fact.at()));
        let number = |party, is_told| if is_told { book.last_notice(party) } else { 0 };
        let notices = [number(debtor, what != What::Reserved), number(creditor, is_creditor_told)];
        Some(Step { uetr, debtor, creditor, amount_minor, currency, original, what, at, began, notices })
    }
}

#[cfg(test)]
mod tests {
    use wire::BusinessDate;

    use super::*;

    const PATIENCE: Duration = Duration::ZERO;

    fn payment() -> Payment {
        let message_id = "20261123BANKA00010000000000001".parse().unwrap();
        let (debtor, creditor, uetr) = (Key(0), Key(1), Uetr::from_random([7; 16]));
        Payment { debtor, creditor, uetr, amount_minor: 1200, currency: Currency::EUR, message_id, original: None }
    }

    /// An entry with a reservation and an end.
    fn fold(tracker: &mut Tracker, index: Index) {
        let (at, payment, book) = (Timestamp(index), payment(), Book::default());
        let (content, deadline, horizon) = (0, Timestamp(0), Timestamp(0));
        tracker.note(
            &Fact::Reserved(settlement::Reserved { at, payment, content, deadline, horizon, body: &[] }),
            &book,
            None,
        );
        let (status, settlement_date) = (wire::Status::ACSC, BusinessDate::NONE);
        tracker.note(&Fact::Settled(settlement::Settled { at, payment, status, settlement_date }), &book, Some(at));
        tracker.folded(index, true);
    }

    /// Index, steps, gap.
    fn heard(follower: &Follower) -> Option<(Index, usize, bool)> {
        match follower.next(PATIENCE)? {
            News::Folded { entry, is_behind_gap } => Some((entry.index, entry.steps.len(), is_behind_gap)),
            News::Written { last, .. } => Some((last, 0, false)),
        }
    }

    #[test]
    fn each_follower_hears_what_it_wants_while_it_is_there() {
        let trail = Arc::<Trail>::default();
        let mut tracker = Tracker::new(trail.clone());
        assert!(!trail.is_wanted(Interest::Ends));
        fold(&mut tracker, 1);
        let ends = trail.follow(Interest::Ends);
        fold(&mut tracker, 2);
        trail.written(Key(0), 9);
        assert_eq!((heard(&ends), heard(&ends)), (Some((2, 1, true)), None), "an end, of what came since");
        let everything = trail.follow(Interest::Everything);
        fold(&mut tracker, 3);
        trail.written(Key(0), 9);
        assert_eq!((heard(&everything), heard(&everything)), (Some((3, 2, true)), Some((9, 0, false))));
        assert_eq!((heard(&ends), heard(&ends)), (Some((3, 2, false)), None));
        drop(everything);
        assert!(trail.is_wanted(Interest::Ends) && !trail.is_wanted(Interest::Everything));
        tracker.skipped();
        fold(&mut tracker, 4);
        assert_eq!(heard(&ends), Some((4, 1, true)), "entries were skipped before it");
        drop(ends);
        assert!(!trail.is_wanted(Interest::Ends));
    }

    #[test]
    fn who_does_not_listen_loses_and_nobody_else_does() {
        let trail = Arc::<Trail>::default();
        let mut tracker = Tracker::new(trail.clone());
        let (slow, quick) = (trail.follow(Interest::Ends), trail.follow(Interest::Everything));
        let entries = NEWS_WAITING_MAX as Index + 10;
        for index in 1..=entries {
            fold(&mut tracker, index);
            assert_eq!(heard(&quick).unwrap().0, index);
        }
        assert_eq!((slow.lost(), quick.lost()), (10, 0), "ends, and no reservations");
        while slow.next(PATIENCE).is_some() {}
        fold(&mut tracker, entries + 1);
        assert_eq!(heard(&slow), Some((entries + 1, 2, true)));
        assert_eq!(heard(&quick), Some((entries + 1, 2, false)));
    }
}
