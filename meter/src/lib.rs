//! Distributions of times, for threads that may not wait: recording one costs some 10 ns, memory is bounded, and who wants to
//! know takes the whole away and leaves an empty one.
//!
//! ```text
//!   hot thread   Mutex<figures>: locked once per batch ──┐
//!                                                        │ swapped once a second against what was emptied
//!   collector    empty figures  <────────────────────────┘
//! ```

mod bands;

use std::time::Duration;

use hdrhistogram::Histogram;

pub use bands::{BANDS, EDGES_US, band};

/// What took longer counts as this.
pub const LONGEST: Duration = Duration::from_secs(120);

/// How exact a distribution is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Within 1 %; 10 KiB.
    #[default]
    Fine,
    /// Within 6 %; 1.5 KiB. For what there is one of per participant.
    Coarse,
}

/// How long things took, in microseconds. Memory is taken at the first record.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    resolution: Resolution,
    histogram: Option<Box<Histogram<u32>>>,
    sum_ns: u64,
}

impl Distribution {
    pub fn new(resolution: Resolution) -> Distribution {
        Distribution { resolution, histogram: None, sum_ns: 0 }
    }

    pub fn record(&mut self, took: Duration) {
        self.record_many(took, 1);
    }

    /// So many things took so long each.
    pub fn record_many(&mut self, took: Duration, count: usize) {
        let (us, count) = (took.as_micros().min(LONGEST.as_micros()) as u64, count.min(u32::MAX as usize) as u32);
        self.histogram().saturating_record_n(us, count);
        self.sum_ns += (took.as_nanos() as u64).saturating_mul(u64::from(count));
    }

    fn histogram(&mut self) -> &mut Histogram<u32> {
        let digits = match self.resolution {
            Resolution::Fine => 2,
            Resolution::Coarse => 1,
        };
        self.histogram.get_or_insert_with(|| {
            let made = Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, digits);
            Box::new(made.expect("bounds and digits that the histogram allows"))
        })
    }

    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, |histogram| histogram.len())
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        if let Some(histogram) = self.histogram.as_mut().filter(|histogram| !histogram.is_empty()) {
            histogram.reset();
        }
        self.sum_ns = 0;
    }

    /// Takes in all of another one of the same resolution.
    pub fn add(&mut self, other: &Distribution) {
        assert_eq!(self.resolution, other.resolution, "distributions of one resolution are added");
        let Some(theirs) = other.histogram.as_ref().filter(|histogram| !histogram.is_empty()) else { return };
        let added = self.histogram().add(&**theirs);
        assert!(added.is_ok(), "histograms have the same bounds, yet {added:?}");
        self.sum_ns += other.sum_ns;
    }

    /// Every length that was recorded, as exact as the resolution is, and how often; ascending, in microseconds.
    pub fn each(&self, mut tell: impl FnMut(u64, u64)) {
        for value in self.histogram.iter().flat_map(|histogram| histogram.iter_recorded()) {
            let us = self.histogram.as_ref().map_or(0, |own| own.median_equivalent(value.value_iterated_to()));
            tell(us, u64::from(value.count_at_value()));
        }
    }

    /// The length that this share of all is not longer than, in microseconds; 0 when there is none.
    pub fn quantile_us(&self, share: f64) -> u64 {
        self.histogram.as_ref().map_or(0, |own| own.value_at_quantile(share).min(own.max()))
    }

    pub fn max_us(&self) -> u64 {
        self.histogram.as_ref().map_or(0, |own| own.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn what_is_recorded_is_found_again_within_the_resolution() {
        for (resolution, within) in [(Resolution::Fine, 0.01), (Resolution::Coarse, 0.065)] {
            let mut own = Distribution::new(resolution);
            (1..=1000).for_each(|length| own.record(us(length * 100)));
            assert_eq!((own.count(), own.sum_ns()), (1000, 500_500 * 100 * 1000));
            for (share, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (1.0, 100_000.0)] {
                let found = own.quantile_us(share) as f64;
                assert!((found - exact).abs() <= exact * within, "{resolution:?} {share}: {found} for {exact}");
            }
            let (mut counted, mut last) = (0, 0);
            own.each(|length, count| {
                assert!(length > last);
                (counted, last) = (counted + count, length);
            });
            assert_eq!(counted, 1000);
        }
    }

    #[test]
    fn what_is_too_long_or_too_short_counts_as_the_longest_or_nothing() {
        let mut own = Distribution::default();
        own.record(Duration::from_secs(1_000_000));
        own.record_many(Duration::ZERO, 3);
        assert_eq!((own.count(), own.quantile_us(0.5)), (4, 0));
        assert!(own.max_us() >= LONGEST.as_micros() as u64);
    }

    #[test]
    fn added_and_cleared() {
        let (mut one, mut other) = (Distribution::default(), Distribution::default());
        one.add(&other);
        assert_eq!((one.count(), one.max_us(), one.quantile_us(0.5)), (0, 0, 0));
        other.record_many(us(10), 2);
        one.record(us(20));
        one.add(&other);
        assert_eq!((one.count(), one.sum_ns()), (3, 40_000));
        one.clear();
        assert_eq!((one.count(), one.sum_ns()), (0, 0));
    }
}
