//! From when on a creditor agent's answer is waited for.

use std::collections::VecDeque;

use wire::Timestamp;

/// When the creditor agents could be told of what was decided: the decisions of the last entries, and when those were folded.
///
/// Stamps of facts are of the clock of the node that led, so this is known only to the node that decided both, which is the
/// one where its own clock tells when it folded. All others, and it of what was decided before it led, count from the decision:
/// a commit more, on one clock, rather than a difference of two.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: VecDeque<(Timestamp, Timestamp)>,
    /// What was decided before is not among the entries.
    since: Timestamp,
    latest: Option<Timestamp>,
    is_own: bool,
    /// The last answer: payments end in bunches, as they began.
    bunch: Bunch,
}

/// What was decided later than `after` and not later than `latest` was folded at `folded`.
#[derive(Clone, Copy, Debug, Default)]
struct Bunch {
    after: Timestamp,
    latest: Timestamp,
    folded: Timestamp,
}

impl Known {
    const ENTRIES_MAX: usize = 4096;

    /// The next entry was decided by this node, or by another.
    pub(crate) fn begin(&mut self, is_own: bool) {
        if !is_own && self.is_own {
            *self = Known { entries: std::mem::take(&mut self.entries), ..Known::default() };
            self.entries.clear();
        }
        self.is_own = is_own;
    }

    pub(super) fn decided(&mut self, at: Timestamp) {
        if self.is_own {
            if self.entries.is_empty() && self.latest.is_none() {
                self.since = at;
            }
            self.latest = self.latest.max(Some(at));
        }
    }

    /// The entry at hand is folded; `now` by the clock that stamps this node's facts.
    pub(crate) fn folded(&mut self, now: impl FnOnce() -> Timestamp) {
        let Some(latest) = self.latest.take() else { return };
        if self.entries.len() == Self::ENTRIES_MAX
            && let Some((forgotten, _)) = self.entries.pop_front()
        {
            self.since = Timestamp(forgotten.nanoseconds() + 1);
        }
        self.entries.push_back((latest, now()));
    }

    /// When it was known what was decided at `decided`; that itself where this is not known, or too long ago.
    pub(super) fn at(&mut self, decided: Timestamp) -> Timestamp {
        if decided <= self.bunch.after || decided > self.bunch.latest {
            if decided < self.since {
                return decided;
            }
            let place = self.entries.partition_point(|(latest, _)| *latest < decided);
            let Some((latest, folded)) = self.entries.get(place).copied() else { return decided };
            let after = place.checked_sub(1).map(|before| self.entries[before].0);
            let after = after.unwrap_or(Timestamp(self.since.nanoseconds().saturating_sub(1)));
            self.bunch = Bunch { after, latest, folded };
        }
        self.bunch.folded.max(decided)
    }
}

#[cfg(test)]
mod tests {
    use settlement::{Book, Fact, Key, Payment};

    use super::*;
    use crate::figures::Tally;

    #[test]
    fn known_is_what_was_folded_with_it() {
        let stamp = |ms: u64| Timestamp(ms * 1_000_000);
        let mut known = Known::default();
        known.begin(true);
        assert_eq!(known.at(stamp(5)), stamp(5), "nothing was folded yet");
        for (decided, folded) in [(10, 12), (20, 25), (30, 31)] {
            known.decided(stamp(decided - 2));
            known.decided(stamp(decided));
            known.folded(|| stamp(folded));
            known.folded(|| stamp(folded + 1));
        }
        for (decided, folded) in [(7, 7), (8, 12), (10, 12), (11, 25), (20, 25), (29, 31), (40, 40)] {
            assert_eq!(known.at(stamp(decided)), stamp(folded), "{decided}");
        }
        for more in 0..Known::ENTRIES_MAX as u64 {
            known.decided(stamp(100 + more));
            known.folded(|| stamp(100 + more + 1));
        }
        assert_eq!((known.at(stamp(20)), known.entries.len()), (stamp(20), Known::ENTRIES_MAX), "too long ago");
    }

    /// Reserved at 1,000 s and answered 40 ms later by the leader's clock, folded here `ahead` of it by another.
    fn waited(is_own: [bool; 2], clock_ahead_ms: u64) -> u64 {
        let stamp = |ms: u64| Timestamp(ms * 1_000_000);
        let table = [stamp(1_000_000), stamp(1_000_040)];
        let payment = Payment {
            debtor: Key(0),
            creditor: Key(1),
            uetr: wire::Uetr::from_random([7; 16]),
            amount_minor: 1,
            currency: wire::Currency::EUR,
            message_id: wire::MessageId::compose(table[0].date(), "BANK-0001".parse().unwrap(), 1),
            original: None,
        };
        let (content, horizon, deadline) = (1, Timestamp(0), stamp(1_010_000));
        let reserved = settlement::Reserved { at: table[0], payment, content, deadline, horizon, body: &[] };
        let (status, settlement_date) = (wire::Status::ACSC, table[0].date());
        let settled = settlement::Settled { at: table[1], payment, status, settlement_date };
        let (mut tally, mut known) = (Tally::default(), Known::default());
        for (fact, is_own) in [Fact::Reserved(reserved), Fact::Settled(settled)].into_iter().zip(is_own) {
            known.begin(is_own);
            tally.note(&fact, &Book::default(), Some(table[0]), &mut known);
            known.folded(|| stamp(fact.at().nanoseconds() / 1_000_000 + 5 + clock_ahead_ms));
        }
        tally.count();
        assert_eq!((tally.creditor_wait.count(), tally.participants[1].answer.count()), (1, 1));
        tally.creditor_wait.sum_ns() / 1_000_000
    }

    #[test]
    fn the_creditors_wait_is_measured_on_one_clock() {
        assert_eq!(waited([true, true], 0), 35, "the commit of 5 ms is not the creditor agent's");
        // This clock is three seconds off the leader's.
        assert_eq!(waited([false, false], 3_000), 40);
        assert_eq!(waited([true, false], 3_000), 40, "it led, and the next leader took the answer");
        assert_eq!(waited([false, true], 3_000), 40, "it leads only since");
    }
}
