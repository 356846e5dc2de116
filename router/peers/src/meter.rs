//! Round trips to one peer, as measured by pings, what its clock says, and how it says it is.
//!
//! A ping carries the sender's wall clock. To its sender it comes back as an echo, which gives a round trip; to its receiver
//! it tells the other clock, late by the way: of the last seconds the quickest ping counts, and half of the quickest round
//! trip is taken for its way. So the offset is wrong by no more than half of that, if one way takes longer than the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Each of the two windows over which the longest and the shortest are kept.
const WINDOW: Duration = Duration::from_secs(5);
/// Pings without an echo that are remembered.
const PINGS_MAX: usize = 256;
/// 2020-01-01, ns since 1970. A node of an earlier version sends the time since its start.
const CLOCK_NS_MIN: u64 = 1_577_836_800_000_000_000;

/// How long a ping and its echo take, with both nodes' queues and threads in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    pub last: Duration,
    /// A moving mean: each measurement counts an eighth (RFC 6298).
    pub smoothed: Duration,
    /// The longest of the last five to ten seconds.
    pub recent_max: Duration,
}

/// A peer's clock less ours. The way there may take anything from nothing to the whole round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    pub ahead_ns: i64,
    /// It is no further than this from `ahead_ns`, once a ping of the peer was as quick as our quickest.
    pub uncertainty_ns: u64,
}

/// The smallest of the last five to ten seconds.
#[derive(Default)]
struct Least {
    began: Option<Instant>,
    current: Option<i64>,
    previous: Option<i64>,
}

impl Least {
    fn add(&mut self, now: Instant, measured: i64) {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= WINDOW {
            self.previous = self.current.take();
            self.began = Some(now);
        }
        self.current = Some(self.current.map_or(measured, |least| least.min(measured)));
    }

    fn get(&self) -> Option<i64> {
        self.current.into_iter().chain(self.previous).min()
    }
}

#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) round_trip: Option<RoundTrip>,
    pub(crate) health: Option<u32>,
    window_began: Option<Instant>,
    window_max: Duration,
    previous_max: Duration,
    /// What went out and has not come back: the clock that it carries, and when.
    pings: VecDeque<(u64, Instant)>,
    /// Since when a ping waits for its echo from a peer that is connected to us.
    owed_since: Option<Instant>,
    /// Nanoseconds: round trips, and our clock at the arrival of a ping less the clock in it.
    least_round_trip: Least,
    least_age: Least,
}

impl Meter {
    pub(crate) fn pinged(&mut self, now: Instant, clock_ns: u64) {
        if self.pings.len() == PINGS_MAX {
            self.pings.pop_front();
        }
        self.pings.push_back((clock_ns, now));
    }

    /// An echo is owed from now on, if none was before.
    pub(crate) fn expect(&mut self, now: Instant) {
        self.owed_since.get_or_insert(now);
    }

    /// How long an echo has been owed.
    pub(crate) fn owed(&self, now: Instant) -> Duration {
        self.owed_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Nothing is owed by a peer that cannot send.
    pub(crate) fn forgive(&mut self) {
        self.owed_since = None;
    }

    /// The ping with this clock came back. None when there was none: that measures nothing.
    pub(crate) fn echoed(&mut self, now: Instant, clock_ns: u64, health: u32) -> Option<RoundTrip> {
        let place = self.pings.iter().position(|(sent, _)| *sent == clock_ns)?;
        let (_, sent) = self.pings.drain(..=place).next_back()?;
        let took = now.saturating_duration_since(sent);
        self.owed_since = None;
        self.health = Some(health);
        let began = *self.window_began.get_or_insert(now);
        if now.saturating_duration_since(began) >= WINDOW {
            self.previous_max = std::mem::take(&mut self.window_max);
            self.window_began = Some(now);
        }
        self.window_max = self.window_max.max(took);
        self.least_round_trip.add(now, took.as_nanos() as i64);
        let smoothed = self.round_trip.map_or(took, |before| (before.smoothed * 7 + took) / 8);
        let recent_max = self.window_max.max(self.previous_max);
        let round_trip = RoundTrip { last: took, smoothed, recent_max };
        self.round_trip = Some(round_trip);
        Some(round_trip)
    }

    /// A ping of the peer came when our clock said `own_ns`.
    pub(crate) fn heard(&mut self, now: Instant, own_ns: u64, its_ns: u64) {
        if its_ns >= CLOCK_NS_MIN {
            self.least_age.add(now, own_ns.wrapping_sub(its_ns) as i64);
        }
    }

    pub(crate) fn clock_offset(&self) -> Option<ClockOffset> {
        let half = self.least_round_trip.get()? / 2;
        let ahead_ns = half.saturating_sub(self.least_age.get()?);
        Some(ClockOffset { ahead_ns, uncertainty_ns: half.unsigned_abs() })
    }

    /// Its connection has ended: what its clock said is no longer known.
    pub(crate) fn unheard(&mut self) {
        self.least_age = Least::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// An echo at `now` of a ping that took so long.
    fn echo(meter: &mut Meter, now: Instant, took: Duration, health: u32) -> RoundTrip {
        meter.pinged(now - took, 7);
        meter.echoed(now, 7, health).unwrap()
    }

    #[test]
    fn round_trips_are_smoothed_and_the_longest_is_forgotten_in_time() {
        let (mut meter, start) = (Meter::default(), Instant::now() + Duration::from_secs(1));
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(echo(&mut meter, at(0), ms(8), 1).smoothed, ms(8));
        let expected = RoundTrip { last: ms(80), smoothed: ms(17), recent_max: ms(80) };
        assert_eq!(echo(&mut meter, at(1), ms(80), 1), expected);
        assert_eq!(echo(&mut meter, at(6), ms(8), 1).recent_max, ms(80));
        assert_eq!(echo(&mut meter, at(11), ms(8), 2).recent_max, ms(8));
        assert_eq!(meter.health, Some(2));
    }

    #[test]
    fn an_echo_of_nothing_that_was_sent_measures_nothing() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        (0..2 * PINGS_MAX as u64).for_each(|clock_ns| meter.pinged(start, clock_ns));
        assert_eq!((meter.pings.len(), meter.echoed(start, 9_999, 1)), (PINGS_MAX, None));
        assert_eq!((meter.echoed(start, 3, 1), meter.health), (None, None), "too long ago");
        assert!(meter.echoed(start, 400, 1).is_some());
        assert!(meter.echoed(start, 400, 1).is_none() && meter.echoed(start, 399, 1).is_none(), "each once, in order");
    }

    #[test]
    fn an_echo_is_owed_from_the_first_ping_that_got_none() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let later = start + Duration::from_secs(3);
        meter.expect(start);
        meter.expect(later);
        assert_eq!(meter.owed(later), Duration::from_secs(3));
        meter.forgive();
        assert_eq!(meter.owed(later), Duration::ZERO);
    }

    #[test]
    fn the_quickest_pings_tell_the_other_clock() {
        const NOON_NS: u64 = 1_795_435_200_000_000_000;
        let (mut meter, start) = (Meter::default(), Instant::now() + Duration::from_secs(1));
        assert_eq!(meter.clock_offset(), None);
        // It is 70 ms ahead; the way takes 10 ms there and back, sometimes longer.
        let sent = |way_ms: u64| NOON_NS - way_ms * 1_000_000 + 70_000_000;
        for way_ms in [9, 5, 30] {
            meter.heard(start, NOON_NS, sent(way_ms));
        }
        assert_eq!(meter.clock_offset(), None, "how long the way is, is not known yet");
        echo(&mut meter, start, ms(14), 1);
        echo(&mut meter, start, ms(10), 1);
        let measured = |ahead_ns| Some(ClockOffset { ahead_ns, uncertainty_ns: 5_000_000 });
        assert_eq!(meter.clock_offset(), measured(70_000_000));
        // It is set right; what was before is forgotten in time.
        for second in 1..12 {
            meter.heard(start + Duration::from_secs(second), NOON_NS, NOON_NS - 5_000_000);
        }
        assert_eq!(meter.clock_offset(), measured(0));
        meter.unheard();
        assert_eq!(meter.clock_offset(), None);
        meter.heard(start, NOON_NS, 60_000_000_000);
        assert_eq!(meter.clock_offset(), None, "an earlier version tells no clock");
    }
}
