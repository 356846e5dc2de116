//! How payments ended: counted, measured, and of each band of lengths the slowest kept, so that a slow tail has a name.

use meter::{BANDS, Distribution, band};
use settlement::Fact;
use wire::{Timestamp, Uetr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Settled,
    Rejected,
    TimedOut,
    /// A return that settled.
    Returned,
}

impl Outcome {
    /// The end that a fact is, if it is one.
    pub(super) fn of(fact: &Fact<'_>) -> Option<Outcome> {
        Some(match fact {
            Fact::Settled(_) => Outcome::Settled,
            Fact::Returned(_) => Outcome::Returned,
            Fact::Rejected(_) => Outcome::Rejected,
            Fact::Expired(_) => Outcome::TimedOut,
            _ => return None,
        })
    }

    /// Money moved.
    pub fn is_settled(self) -> bool {
        matches!(self, Outcome::Settled | Outcome::Returned)
    }
}

/// Ends of payments and returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub settled: u64,
    pub rejected: u64,
    pub timed_out: u64,
    /// Settled returns; not among `settled`.
    pub returned: u64,
}

impl Outcomes {
    pub(super) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Settled => &mut self.settled,
            Outcome::Rejected => &mut self.rejected,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Returned => &mut self.returned,
        } += 1;
    }
}

/// One payment that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub uetr: Uetr,
    pub at: Timestamp,
    /// From the decision, rounded up.
    pub took_us: u64,
    pub outcome: Outcome,
}

/// Payments that ended alike. Some 2 KiB besides the distribution.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    pub took: Distribution,
    /// By [`band`]; exact where the distribution is only nearly so.
    pub counts: [u32; BANDS],
    slowest: [Option<Ended>; BANDS],
}

impl Ends {
    pub(super) fn note(&mut self, uetr: Uetr, at: Timestamp, took_ns: u64, outcome: Outcome) {
        self.took.record_ns(took_ns);
        let took_us = took_ns.div_ceil(1000);
        let band = band(took_us);
        self.counts[band] += 1;
        let slowest = &mut self.slowest[band];
        if slowest.is_none_or(|own| own.took_us < took_us) {
            *slowest = Some(Ended { uetr, at, took_us, outcome });
        }
    }

    /// Of each band in which there was one the slowest, the fastest band first.
    pub fn slowest(&self) -> impl Iterator<Item = &Ended> {
        self.slowest.iter().flatten()
    }

    /// Empty again; keeps its memory.
    pub(super) fn clear(&mut self) {
        self.took.clear();
        (self.counts, self.slowest) = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_band_keeps_its_slowest() {
        let mut ends = Ends::default();
        let mut note = |number: u8, ns: u64| {
            ends.note(Uetr::from_random([number; 16]), Timestamp(9), ns, Outcome::Settled);
        };
        for (number, ns) in
            [(1, 60_000_000), (2, 90_000_000), (3, 70_000_000), (4, 10_000_000_000), (5, 10_000_000_001)]
        {
            note(number, ns);
        }
        let kept: Vec<_> = ends.slowest().map(|own| (own.uetr, own.took_us)).collect();
        let expected = [(2, 90_000), (4, 10_000_000), (5, 10_000_001)];
        assert_eq!(
            kept,
            expected.map(|(number, us)| (Uetr::from_random([number; 16]), us)),
            "a nanosecond late is late"
        );
        assert_eq!((ends.counts[9], ends.counts[15], ends.counts[16], ends.took.count()), (3, 1, 1, 5));
        ends.clear();
        assert_eq!((ends.slowest().count(), ends.counts, ends.took.count()), (0, [0; BANDS], 0));
    }
}
