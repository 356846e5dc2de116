//! How many lines one event may write: what happens thousands of times a second is said often enough by a hundred lines
//! and a count.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Lines of one event in one second.
pub(super) const LINES_PER_SECOND_MAX: u32 = 100;

/// The limit of one event. Threads that meet at the change of a second may write a few lines more.
#[derive(Default)]
pub(super) struct Limit {
    second: AtomicU64,
    lines: AtomicU32,
    left_out: AtomicU64,
}

impl Limit {
    /// True if a line may be written in this second; if not, it is counted.
    pub(super) fn admits(&self, second: u64) -> bool {
        if self.second.load(Ordering::Relaxed) != second {
            self.second.store(second, Ordering::Relaxed);
            self.lines.store(0, Ordering::Relaxed);
        }
        let admits = self.lines.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND_MAX;
        if !admits {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        admits
    }

    /// Since it was asked last.
    pub(super) fn take_left_out(&self) -> u64 {
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_begins_anew() {
        let limit = Limit::default();
        let admitted = |second, tries| (0..tries).filter(|_| limit.admits(second)).count();
        assert_eq!(admitted(7, 250), 100);
        assert_eq!((limit.take_left_out(), limit.take_left_out()), (150, 0));
        assert_eq!(admitted(8, 60), 60);
        assert_eq!(admitted(8, 60), 40);
        assert_eq!(admitted(9, 1), 1);
        assert_eq!(limit.take_left_out(), 20);
    }
}
