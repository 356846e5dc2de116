//! How long things took.
//!
//! ```text
//!   microseconds   0 1 2 … 255 │ 256-257 258-259 … 510-511 │ 512-515 … 1020-1023 │ …     [`Resolution::Fine`]
//!   place          0 1 2 … 255 │     256     257 …     383 │     384 …       511 │ …
//! ```
//!
//! The places are those of an HdrHistogram of two digits, or of one; a test compares. That crate's own record takes three times as long:
//! it follows two pointers more and keeps minimum and maximum, which are found here when somebody asks.

use std::time::Duration;

/// What took longer counts as this.
pub const LONGEST: Duration = Duration::from_secs(120);
const LONGEST_US: u64 = LONGEST.as_micros() as u64;

/// How exact a distribution is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Within 1 %; 10 KiB.
    #[default]
    Fine,
    /// Within 6 %; 1.5 KiB. For what there is one of per participant.
    Coarse,
}

impl Resolution {
    /// Lengths of so many bits have a place each; of longer ones as many leading bits tell the place.
    const fn bits(self) -> u32 {
        match self {
            Resolution::Fine => 8,
            Resolution::Coarse => 5,
        }
    }

    const fn place(self, us: u64) -> usize {
        let left_out = (u64::BITS - us.leading_zeros()).saturating_sub(self.bits());
        ((left_out as usize) << (self.bits() - 1)) + (us >> left_out) as usize
    }

    /// The shortest and the longest length that have this place.
    const fn lengths(self, place: usize) -> (u64, u64) {
        let left_out = (place >> (self.bits() - 1)).saturating_sub(1);
        let shortest = ((place - (left_out << (self.bits() - 1))) as u64) << left_out;
        (shortest, shortest + (1 << left_out) - 1)
    }
}

/// How often things took how long. Memory is taken at the first record.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    resolution: Resolution,
    count: u64,
    sum_ns: u64,
    /// By place.
    counts: Box<[u32]>,
}

impl Distribution {
    pub fn new(resolution: Resolution) -> Distribution {
        Distribution { resolution, ..Distribution::default() }
    }

    pub fn record(&mut self, took: Duration) {
        self.record_ns(took.as_nanos() as u64);
    }

    pub fn record_ns(&mut self, took_ns: u64) {
        self.add_to(took_ns / 1000, 1);
        self.sum_ns += took_ns;
    }

    /// So many things took so long each.
    pub fn record_many(&mut self, took: Duration, count: usize) {
        self.add_to(took.as_micros() as u64, count.min(u32::MAX as usize) as u32);
        self.sum_ns += (took.as_nanos() as u64).saturating_mul(count as u64);
    }

    fn add_to(&mut self, us: u64, count: u32) {
        if self.counts.is_empty() {
            self.make();
        }
        let counted = &mut self.counts[self.resolution.place(us.min(LONGEST_US))];
        *counted = counted.saturating_add(count);
        self.count += u64::from(count);
    }

    #[cold]
    fn make(&mut self) {
        self.counts = vec![0; self.resolution.place(LONGEST_US) + 1].into();
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        if self.count > 0 {
            self.counts.fill(0);
        }
        (self.count, self.sum_ns) = (0, 0);
    }

    /// Takes in all of another one of the same resolution.
    pub fn add(&mut self, other: &Distribution) {
        assert_eq!(self.resolution, other.resolution, "distributions of one resolution are added");
        if other.count == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.make();
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own = own.saturating_add(*more));
        self.count += other.count;
        self.sum_ns += other.sum_ns;
    }

    /// Every length that was recorded, as exact as the resolution is, and how often; ascending, in microseconds.
    pub fn each(&self, mut tell: impl FnMut(u64, u64)) {
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (shortest, longest) = self.resolution.lengths(place);
            tell((shortest + longest).div_ceil(2), u64::from(*count));
        }
    }

    /// The length that this share of all is not longer than, in microseconds; 0 when there is none.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let place = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= wanted
        });
        place.map_or_else(|| self.max_us(), |place| self.resolution.lengths(place).1)
    }

    /// The longest, as exact as the resolution is.
    pub fn max_us(&self) -> u64 {
        let last = self.counts.iter().rposition(|count| *count > 0);
        last.map_or(0, |place| self.resolution.lengths(place).1)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

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
    fn it_says_what_an_hdr_histogram_says() {
        for (resolution, digits) in [(Resolution::Fine, 2), (Resolution::Coarse, 1)] {
            let mut own = Distribution::new(resolution);
            let mut other = Histogram::<u32>::new_with_bounds(1, LONGEST_US, digits).unwrap();
            let compare = |own: &Distribution, other: &Histogram<u32>| {
                for share in [0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
                    assert_eq!(own.quantile_us(share), other.value_at_quantile(share).min(other.max()), "{share}");
                }
                assert_eq!((own.count(), own.max_us()), (other.len(), other.max()));
            };
            compare(&own, &other);
            let edges = (0..27).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
            for (times, length) in (1..).zip(edges.chain([0, 17, 300, 4711, 999_999, LONGEST_US - 1, LONGEST_US])) {
                own.record_many(us(length), times);
                other.record_n(length, times as u32).unwrap();
                compare(&own, &other);
            }
            let (mut told, mut expected) = (Vec::new(), Vec::new());
            own.each(|length, count| told.push((length, count)));
            for value in other.iter_recorded() {
                let length = other.median_equivalent(value.value_iterated_to());
                expected.push((length, u64::from(value.count_at_value())));
            }
            assert_eq!(told, expected);
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
        assert_eq!((one.count(), one.sum_ns(), one.max_us()), (0, 0, 0));
    }
}
