//! The node's clock: what time it is, never earlier than what was said before.
//!
//! When the wall clock steps back, this one goes on at half speed until the other has caught up: deadlines still pass,
//! and no stamp is smaller than one before it. Stamps are whole microseconds.

use std::time::Instant;

use parking_lot::Mutex;
use wire::Timestamp;

/// Wall-clock time that does not run backwards, neither within the process nor past the last stamp in the log.
pub struct Clock(Mutex<Reading>);

struct Reading {
    nanoseconds: u64,
    at: Instant,
}

impl Clock {
    pub fn starting_at(last: Timestamp) -> Self {
        Clock(Mutex::new(Reading { nanoseconds: last.nanoseconds(), at: Instant::now() }))
    }

    /// Never says less than `last` from now on: another node's clock has stamped so far.
    pub(crate) fn reach(&self, last: Timestamp) {
        let mut reading = self.0.lock();
        reading.nanoseconds = reading.nanoseconds.max(last.nanoseconds());
    }

    pub fn now(&self) -> Timestamp {
        let mut last = self.0.lock();
        let at = Instant::now();
        let elapsed = at.duration_since(last.at).as_nanos() as u64;
        last.nanoseconds = advance(last.nanoseconds, elapsed, Timestamp::now().nanoseconds());
        last.at = at;
        Timestamp(last.nanoseconds / 1000 * 1000)
    }
}

fn advance(last: u64, elapsed: u64, wall: u64) -> u64 {
    if wall >= last { wall } else { last + elapsed / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_wall_and_never_runs_backwards() {
        assert_eq!(advance(100, 10, 110), 110);
        assert_eq!(advance(100, 10, 5_000), 5_000);
        assert_eq!(advance(5_000, 10, 1_000), 5_005);
        let clock = Clock::starting_at(Timestamp(u64::MAX / 2));
        let (first, mut last) = (clock.now(), clock.now());
        while last == first {
            last = clock.now();
        }
        assert!(last > first && last.nanoseconds().is_multiple_of(1000));
        let of_another = Timestamp(last.nanoseconds() + 5_000_000);
        clock.reach(of_another);
        clock.reach(first);
        assert!(clock.now() >= Timestamp(of_another.nanoseconds() / 1000 * 1000));
    }
}
