//! How long a creditor agent took to answer, where that can be told from what the switch took.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use persistence::Term;
use wire::Timestamp;

use super::pulse::{Pulse, STANDSTILL};

/// When the creditor agents could be told of what was decided: the decisions of the last entries, and when those were folded.
///
/// Stamps of facts are of the clock of the node that led, so this is known only to the node that decided both, which is the
/// one where its own clock tells when it folded. All others count from the decision: a commit more, on one clock, rather
/// than a difference of two.
///
/// A wait in which the leader changed is nobody's measure, and on the node that leads none in which it stood still or a
/// commit took as long: the answer may have been there all the time.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pulse: Arc<Pulse>,
    term: Term,
    is_own: bool,
    /// The first decision of this reign that was seen.
    since: Option<Timestamp>,
    /// The last commit that took as long as a standstill ended here.
    stalled_until: Timestamp,
    entries: VecDeque<(Timestamp, Timestamp)>,
    /// What was decided up to here is not among the entries.
    forgotten: Timestamp,
    latest: Option<Timestamp>,
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

    pub(crate) fn new(pulse: Arc<Pulse>) -> Known {
        Known { pulse, ..Known::default() }
    }

    /// The next entry was decided in `term`, by this node or by another.
    pub(crate) fn begin(&mut self, term: Term, is_own: bool) {
        if (term, is_own) != (self.term, self.is_own) {
            let (pulse, mut entries) = (self.pulse.clone(), std::mem::take(&mut self.entries));
            entries.clear();
            *self = Known { pulse, term, is_own, entries, ..Known::default() };
        }
    }

    pub(super) fn decided(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
        if self.is_own {
            self.latest = self.latest.max(Some(at));
        }
    }

    /// The entry at hand is folded; `now` by the clock that stamps this node's facts.
    pub(crate) fn folded(&mut self, now: impl FnOnce() -> Timestamp) {
        let Some(latest) = self.latest.take() else { return };
        let now = now();
        if now.since(latest) > STANDSTILL {
            self.stalled_until = now;
        }
        if self.entries.len() == Self::ENTRIES_MAX
            && let Some((forgotten, _)) = self.entries.pop_front()
        {
            self.forgotten = forgotten;
        }
        self.entries.push_back((latest, now));
    }

    /// How long the creditor agent took that was asked at `decided` and whose answer was decided on at `answered`; `None`
    /// where that is not known.
    pub(super) fn waited(&mut self, decided: Timestamp, answered: Timestamp) -> Option<Duration> {
        if self.since.is_none_or(|since| decided < since) {
            return None;
        }
        let told = self.told(decided);
        let is_whole = !self.is_own || told >= self.stalled_until.max(self.pulse.stood_until(answered));
        is_whole.then(|| answered.since(told))
    }

    /// When what was decided at `decided` was known; that itself where this cannot be told, or was too long ago.
    fn told(&mut self, decided: Timestamp) -> Timestamp {
        if decided <= self.bunch.after || decided > self.bunch.latest {
            if decided <= self.forgotten {
                return decided;
            }
            let place = self.entries.partition_point(|(latest, _)| *latest < decided);
            let Some((latest, folded)) = self.entries.get(place).copied() else { return decided };
            let after = place.checked_sub(1).map_or(self.forgotten, |before| self.entries[before].0);
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

    fn stamp(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn known_is_what_was_folded_with_it() {
        let mut known = Known::default();
        known.begin(1, true);
        assert_eq!(known.told(stamp(5)), stamp(5), "nothing was folded yet");
        for (decided, folded) in [(10, 12), (20, 25), (30, 31)] {
            known.decided(stamp(decided - 2));
            known.decided(stamp(decided));
            known.folded(|| stamp(folded));
            known.folded(|| stamp(folded + 1));
        }
        for (decided, folded) in [(8, 12), (10, 12), (11, 25), (20, 25), (29, 31), (40, 40)] {
            assert_eq!(known.told(stamp(decided)), stamp(folded), "{decided}");
        }
        for more in 0..Known::ENTRIES_MAX as u64 {
            known.decided(stamp(100 + more));
            known.folded(|| stamp(100 + more + 1));
        }
        assert_eq!((known.told(stamp(20)), known.entries.len()), (stamp(20), Known::ENTRIES_MAX), "too long ago");
        assert_eq!(known.waited(stamp(20), stamp(9_000)), Some(Duration::from_millis(8_980)), "and slow all the same");
        assert_eq!(known.waited(stamp(7), stamp(9_000)), None, "it was decided before this node looked");
    }

    /// A node that leads: asked at 1,000 s and told of it with the commit, answered when it says.
    struct Leader(Known);

    impl Leader {
        fn new() -> Leader {
            let mut leader = Leader(Known::default());
            leader.0.begin(1, true);
            leader.0.pulse.beat(stamp(999_900));
            leader.commit(1_000_000, 1_000_005);
            leader
        }

        fn commit(&mut self, decided_ms: u64, folded_ms: u64) {
            self.0.decided(stamp(decided_ms));
            self.0.folded(|| stamp(folded_ms));
        }

        fn beat(&self, at_ms: impl IntoIterator<Item = u64>) {
            at_ms.into_iter().for_each(|at| self.0.pulse.beat(stamp(at)));
        }

        fn waited_ms(&mut self, decided_ms: u64, answered_ms: u64) -> Option<u128> {
            self.0.waited(stamp(decided_ms), stamp(answered_ms)).map(|waited| waited.as_millis())
        }
    }

    #[test]
    fn a_slow_bank_is_slow_while_the_node_goes_on() {
        let mut leader = Leader::new();
        leader.beat((1_000_150..=1_009_000).step_by(250));
        leader.commit(1_005_000, 1_005_900);
        assert_eq!(leader.waited_ms(1_000_000, 1_009_000), Some(8_995));
    }

    #[test]
    fn a_standstill_of_the_node_is_not_the_banks() {
        // Stopped for six seconds; the answer is decided on before the next beat.
        let mut leader = Leader::new();
        assert_eq!(leader.waited_ms(1_000_000, 1_006_000), None);
        // And behind it.
        leader.beat([1_006_001, 1_006_250]);
        assert_eq!(leader.waited_ms(1_000_000, 1_006_260), None);
        leader.commit(1_006_100, 1_006_110);
        assert_eq!(leader.waited_ms(1_006_100, 1_006_130), Some(20), "what was told since is measured");
    }

    #[test]
    fn a_commit_that_stalls_is_not_the_banks() {
        let mut leader = Leader::new();
        leader.beat((1_000_150..=1_007_000).step_by(250));
        leader.commit(1_000_100, 1_006_000);
        assert_eq!(leader.waited_ms(1_000_000, 1_006_500), None, "its answer may have waited for a place in the log");
        assert_eq!(leader.waited_ms(1_000_100, 1_006_500), Some(500), "it was told when the commit was there");
    }

    /// Reserved at 1,000 s and answered 40 ms later by the leader's clock, folded here `ahead` of it by another; each in its
    /// term and by this node or another. Milliseconds.
    fn waited(of: [(Term, bool); 2], clock_ahead_ms: u64) -> Option<u64> {
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
        for (fact, (term, is_own)) in [Fact::Reserved(reserved), Fact::Settled(settled)].into_iter().zip(of) {
            known.begin(term, is_own);
            tally.note(&fact, &Book::default(), Some(table[0]), &mut known);
            known.folded(|| stamp(fact.at().nanoseconds() / 1_000_000 + 5 + clock_ahead_ms));
        }
        tally.count();
        assert_eq!(tally.creditor_wait.count(), tally.participants[1].answer.count());
        (tally.creditor_wait.count() > 0).then(|| tally.creditor_wait.sum_ns() / 1_000_000)
    }

    #[test]
    fn the_creditors_wait_is_measured_on_one_clock() {
        assert_eq!(waited([(1, true), (1, true)], 0), Some(35), "the commit of 5 ms is not the creditor agent's");
        // This clock is three seconds off the leader's.
        assert_eq!(waited([(1, false), (1, false)], 3_000), Some(40));
    }

    #[test]
    fn a_wait_with_a_change_of_leader_is_not_measured() {
        assert_eq!(waited([(1, true), (2, false)], 0), None, "it led, and the next leader took the answer");
        assert_eq!(waited([(1, false), (2, true)], 0), None, "it leads only since");
        assert_eq!(waited([(1, false), (2, false)], 0), None, "seen from a third node");
    }
}
