//! One actor: its mailbox, its load, and what it decided last.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::Mutex;
use settlement::Fact;
use wire::{Timestamp, Uetr};

/// Times of gauges count from here.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now, in microseconds since the process measures.
pub(crate) fn now_us() -> u64 {
    BEGAN.elapsed().as_micros() as u64
}

/// One decision, for whoever looks at the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    pub at: Timestamp,
    /// `reserved`, `settled`, `rejected`…
    pub what: &'static str,
    /// The payment it is about, if it is about one.
    pub uetr: Option<Uetr>,
}

impl Deed {
    pub(crate) fn of(fact: &Fact<'_>) -> Deed {
        Deed { at: fact.at(), what: fact.name(), uetr: fact.payment().map(|payment| payment.uetr) }
    }
}

/// The last deeds, the latest overwriting the oldest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deeds {
    last: [Option<Deed>; Gauge::DEEDS],
    next: usize,
}

impl Deeds {
    pub(crate) fn add(&mut self, deed: Deed) {
        self.last[self.next] = Some(deed);
        self.next = (self.next + 1) % Gauge::DEEDS;
    }

    fn latest_first(&self) -> Vec<Deed> {
        let (newer, older) = self.last.split_at(self.next);
        newer.iter().rev().chain(older.iter().rev()).copied().flatten().collect()
    }
}

/// See the file's head. Written by those who send to the actor and by the actor; read by anybody. All but the deeds lies in one line
/// of the processor's cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Gauge {
    sent: AtomicU64,
    handled: AtomicU64,
    restarts: AtomicU64,
    /// When the message at hand was sent, or the last one.
    in_hand_us: AtomicU64,
    in_flight: AtomicU64,
    /// Microseconds since 1970; 0 when nothing is in flight.
    earliest_deadline_us: AtomicU64,
    deeds: Mutex<Deeds>,
}

impl Gauge {
    /// Decisions that are kept.
    pub const DEEDS: usize = 16;

    /// Messages that wait, with the one at hand.
    pub fn queued(&self) -> u64 {
        self.sent.load(Relaxed).saturating_sub(self.handled.load(Relaxed))
    }

    /// How long the oldest of them has been there at most, microseconds.
    pub fn oldest_us(&self) -> u64 {
        if self.queued() == 0 { 0 } else { now_us().saturating_sub(self.in_hand_us.load(Relaxed)) }
    }

    /// Of these actors the one with the message that is there longest, by its place, and how long; `None` when none waits. One
    /// message behind an actor that is stuck may be older than all in a long queue.
    pub fn oldest_among(gauges: &[Arc<Gauge>]) -> Option<(usize, u64)> {
        let waiting = gauges.iter().enumerate().filter(|(_, gauge)| gauge.queued() > 0);
        waiting.map(|(place, gauge)| (place, gauge.oldest_us())).max_by_key(|(_, oldest_us)| *oldest_us)
    }

    pub fn handled(&self) -> u64 {
        self.handled.load(Relaxed)
    }

    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// Payments offered to its participants that have not ended.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// When the first of them runs out.
    pub fn earliest_deadline(&self) -> Option<Timestamp> {
        Some(self.earliest_deadline_us.load(Relaxed)).filter(|us| *us > 0).map(|us| Timestamp(us * 1000))
    }

    /// What it decided last, the latest first.
    pub fn deeds(&self) -> Vec<Deed> {
        self.deeds.lock().latest_first()
    }

    /// A message is being sent, at `now_us` by [`now_us`].
    pub(crate) fn sent(&self, now_us: u64) {
        // It waits for nothing before it: this is the oldest.
        if self.queued() == 0 {
            self.in_hand_us.store(now_us, Relaxed);
        }
        self.sent.fetch_add(1, Relaxed);
    }

    pub(crate) fn taken_up(&self, sent_us: u64) {
        self.in_hand_us.store(sent_us, Relaxed);
    }

    /// The message at hand is done; `deeds` if there are new ones.
    pub(crate) fn done(&self, deeds: Option<&Deeds>) {
        self.handled.fetch_add(1, Relaxed);
        if let Some(deeds) = deeds {
            *self.deeds.lock() = *deeds;
        }
    }

    pub(crate) fn load(&self, in_flight: usize, earliest_deadline: Option<Timestamp>) {
        self.in_flight.store(in_flight as u64, Relaxed);
        let deadline = earliest_deadline.map_or(0, |deadline| (deadline.nanoseconds() / 1000).max(1));
        self.earliest_deadline_us.store(deadline, Relaxed);
    }

    /// An actor begins here, with an empty mailbox.
    pub(crate) fn begin(&self) {
        self.sent.store(self.handled.load(Relaxed), Relaxed);
        self.load(0, None);
    }

    /// Its actor died.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_what_was_sent_and_not_handled() {
        let gauge = Gauge::default();
        assert_eq!((gauge.queued(), gauge.oldest_us()), (0, 0));
        gauge.sent(now_us());
        gauge.sent(now_us());
        assert_eq!(gauge.queued(), 2);
        gauge.taken_up(0);
        while now_us() == 0 {}
        assert!(gauge.oldest_us() > 0);
        gauge.done(None);
        assert_eq!((gauge.queued(), gauge.handled()), (1, 1));
        gauge.begin();
        assert_eq!(gauge.queued(), 0, "the mailbox went with the actor");
    }

    #[test]
    fn the_oldest_message_need_not_lie_in_the_longest_queue() {
        let gauges: Vec<Arc<Gauge>> = (0..30).map(|_| Arc::default()).collect();
        assert_eq!(Gauge::oldest_among(&gauges), None);
        let now = now_us() + 100;
        for (place, gauge) in gauges.iter().enumerate() {
            (0..40 - place).for_each(|_| gauge.sent(now_us()));
            gauge.taken_up(now);
        }
        gauges[29].taken_up(0);
        while now_us() < now {}
        let (place, oldest_us) = Gauge::oldest_among(&gauges).unwrap();
        assert!((place, oldest_us >= 100) == (29, true), "{place} {oldest_us}");
    }

    #[test]
    fn the_last_deeds_are_kept() {
        let mut deeds = Deeds::default();
        let stamps = |deeds: &Deeds| deeds.latest_first().iter().map(|deed| deed.at.0).collect::<Vec<_>>();
        assert_eq!(stamps(&deeds), [0; 0]);
        (1..=3).for_each(|at| deeds.add(Deed { at: Timestamp(at), what: "settled", uetr: None }));
        assert_eq!(stamps(&deeds), [3, 2, 1]);
        (4..=40).for_each(|at| deeds.add(Deed { at: Timestamp(at), what: "settled", uetr: None }));
        assert_eq!(stamps(&deeds), (25..=40).rev().collect::<Vec<_>>());
    }
}
