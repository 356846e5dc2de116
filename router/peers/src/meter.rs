//! Round trips to one peer, as measured by pings, and how it says it is.

use std::time::{Duration, Instant};

/// Each of the two windows over which the longest round trip is kept.
const WINDOW: Duration = Duration::from_secs(5);

/// How long a ping and its echo take, with both nodes' queues and threads in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    pub last: Duration,
    /// A moving mean: each measurement counts an eighth (RFC 6298).
    pub smoothed: Duration,
    /// The longest of the last five to ten seconds.
    pub recent_max: Duration,
}

#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) round_trip: Option<RoundTrip>,
    pub(crate) health: Option<u32>,
    window_began: Option<Instant>,
    window_max: Duration,
    previous_max: Duration,
    /// Since when a ping waits for its echo from a peer that is connected to us.
    owed_since: Option<Instant>,
}

impl Meter {
    pub(crate) fn pinged(&mut self, now: Instant) {
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

    pub(crate) fn echoed(&mut self, now: Instant, took: Duration, health: u32) -> RoundTrip {
        self.owed_since = None;
        self.health = Some(health);
        let began = *self.window_began.get_or_insert(now);
        if now.saturating_duration_since(began) >= WINDOW {
            self.previous_max = std::mem::take(&mut self.window_max);
            self.window_began = Some(now);
        }
        self.window_max = self.window_max.max(took);
        let smoothed = self.round_trip.map_or(took, |before| (before.smoothed * 7 + took) / 8);
        let recent_max = self.window_max.max(self.previous_max);
        let round_trip = RoundTrip { last: took, smoothed, recent_max };
        self.round_trip = Some(round_trip);
        round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_smoothed_and_the_longest_is_forgotten_in_time() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let ms = Duration::from_millis;
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(meter.echoed(at(0), ms(8), 1).smoothed, ms(8));
        assert_eq!(meter.echoed(at(1), ms(80), 1), RoundTrip { last: ms(80), smoothed: ms(17), recent_max: ms(80) });
        assert_eq!(meter.echoed(at(6), ms(8), 1).recent_max, ms(80));
        assert_eq!(meter.echoed(at(11), ms(8), 2).recent_max, ms(8));
        assert_eq!(meter.health, Some(2));
    }

    #[test]
    fn an_echo_is_owed_from_the_first_ping_that_got_none() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let later = start + Duration::from_secs(3);
        meter.pinged(start);
        meter.pinged(later);
        assert_eq!(meter.owed(later), Duration::from_secs(3));
        meter.forgive();
        assert_eq!(meter.owed(later), Duration::ZERO);
    }
}
