//! When entries came: how old is what another node lacks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fold::Index;

/// Between two samples, at least.
const APART_MIN: Duration = Duration::from_millis(5);
const SAMPLES_MAX: usize = 512;

/// The end of the log at moments, oldest first.
#[derive(Default)]
pub(super) struct Pace(VecDeque<(Index, Duration)>);

impl Pace {
    /// The log ends with `last` now.
    pub(super) fn note(&mut self, last: Index, now: Duration) {
        // Cut off behind a new leader: what came later than that never was.
        while self.0.back().is_some_and(|(index, _)| *index > last) {
            self.0.pop_back();
        }
        let is_new = |(index, at): &(Index, Duration)| *index < last && now.saturating_sub(*at) >= APART_MIN;
        if self.0.back().is_none_or(is_new) {
            if self.0.len() == SAMPLES_MAX {
                self.thin();
            }
            self.0.push_back((last, now));
        }
    }

    /// The older half gets coarser: who lacks much is not measured in milliseconds.
    fn thin(&mut self) {
        let mut place = 0;
        self.0.retain(|_| {
            place += 1;
            place > SAMPLES_MAX / 2 || place % 2 == 1
        });
    }

    /// How long ago the first entry after `index` came.
    pub(super) fn age_after(&self, index: Index, now: Duration) -> Duration {
        let first = self.0.partition_point(|(last, _)| *last <= index);
        self.0.get(first).map_or(Duration::ZERO, |(_, at)| now.saturating_sub(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn ages() {
        let mut pace = Pace::default();
        for number in 1..=10 {
            pace.note(number, MS * 10 * number as u32);
        }
        for (index, age) in [(0, 140), (1, 130), (9, 50), (10, 0), (11, 0)] {
            assert_eq!(pace.age_after(index, MS * 150), MS * age, "after {index}");
        }
        pace.note(4, MS * 200);
        assert_eq!(pace.age_after(3, MS * 210), MS * 170);
        pace.note(5, MS * 200);
        assert_eq!(pace.age_after(4, MS * 210), MS * 10);
    }

    #[test]
    fn is_bounded_and_keeps_the_oldest() {
        let mut pace = Pace::default();
        for number in 1..=100_000 {
            pace.note(number, MS * number as u32);
            assert!(pace.0.len() <= SAMPLES_MAX);
        }
        let age = pace.age_after(0, MS * 100_001);
        assert!(age >= MS * 99_000, "{age:?}");
        let age = pace.age_after(99_900, MS * 100_001);
        assert!(age >= MS * 80 && age <= MS * 101, "{age:?}");
    }
}
