//! The rules of the scheme that are numbers: clocks, windows and bounds. The same on every node.

use std::time::Duration;

use wire::Timestamp;

/// Settings that `decide` reads. They are configuration, not facts: a fact carries what was made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The payment's clock: from its own timestamp to the end.
    pub payment_timeout: Duration,
    /// What must be left of it when the creditor agent is asked.
    pub creditor_share: Duration,
    /// How far a timestamp may lie in the future.
    pub skew_max: Duration,
    /// How long a UETR is remembered; an instruction with an older timestamp is refused.
    pub duplicate_window: Duration,
    /// Most that one payment may move, minor units, in any currency.
    pub payment_minor_max: i64,
    /// Payments that one debtor agent may have in process.
    pub in_flight_max: u32,
    /// Payments accepted without posting that one creditor agent may leave unresolved.
    pub unposted_max: u32,
}

impl Rules {
    /// How far in the future a timestamp may lie to be rejected on the record. One still further ahead would have to
    /// be remembered longer than anything else, so it is refused like a stale one. Also: how much later than the
    /// first attempt a repeat may be stamped and is still known in any case.
    pub fn future_max(&self) -> Duration {
        self.skew_max + self.duplicate_window / 48
    }

    /// What was decided before this cannot come again: its timestamp is older than the duplicate window.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        now.minus(self.duplicate_window + self.future_max())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            payment_timeout: Duration::from_secs(10),
            creditor_share: Duration::from_secs(5),
            skew_max: Duration::from_secs(1),
            duplicate_window: Duration::from_secs(48 * 3600),
            payment_minor_max: 1_000_000_000,
            in_flight_max: 65_536,
            unposted_max: 100_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_refused_as_stale() {
        let (rules, now) = (Rules::default(), Timestamp(1_795_442_531_000_000_000));
        // The latest timestamp that an instruction recorded at the horizon can have had.
        let latest = rules.horizon(now).plus(rules.future_max());
        assert!(latest <= now.minus(rules.duplicate_window));
    }
}
