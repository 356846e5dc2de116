//! What the book folded, as it was folded: not what was replayed at a start, nor what came with a snapshot.

use std::collections::VecDeque;
use std::time::Duration;

use meter::{Distribution, Resolution};
use settlement::{Book, Fact, Key, Payment, Stage};
use wire::{Currency, Reason, Timestamp};

use super::ends::{Ends, Outcome, Outcomes};

/// Final within this is what the scheme promises.
pub const OBJECTIVE: Duration = Duration::from_secs(10);

/// One participant's part.
#[derive(Clone, Debug)]
pub struct Own {
    /// Decided of what it sent: set aside, or refused at once.
    pub started: u64,
    /// Of those, by the currencies in which it has a position.
    pub started_in: Vec<(Currency, u64)>,
    /// How those ended.
    pub outcomes: Outcomes,
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// From the decision to the end, of those that it sent and for which funds were set aside.
    pub total: Distribution,
    /// Offered to it.
    pub received: u64,
    pub answered: Outcomes,
    /// From when it could be told until it answered.
    pub answer: Distribution,
}

impl Default for Own {
    fn default() -> Own {
        let coarse = || Distribution::new(Resolution::Coarse);
        Own {
            started: 0,
            started_in: Vec::new(),
            outcomes: Outcomes::default(),
            within_objective: 0,
            beyond_objective: 0,
            total: coarse(),
            received: 0,
            answered: Outcomes::default(),
            answer: coarse(),
        }
    }
}

impl Own {
    fn clear(&mut self) {
        let Own { mut started_in, mut total, mut answer, .. } = std::mem::take(self);
        started_in.clear();
        total.clear();
        answer.clear();
        *self = Own { started_in, total, answer, ..Own::default() };
    }

    fn start(&mut self, currency: Option<Currency>) {
        self.started += 1;
        let Some(currency) = currency else { return };
        match self.started_in.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, count)) => *count += 1,
            None => self.started_in.push((currency, 1)),
        }
    }
}

/// How often a payment was rejected for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejects {
    /// [`Reason::NONE`] for what is none of the known ones.
    pub reason: Reason,
    pub by_creditor: bool,
    pub count: u64,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Tally {
    pub started: u64,
    pub outcomes: Outcomes,
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// From the decision to the end, of what settled; of what ended otherwise after funds had been set aside.
    pub settled: Ends,
    pub failed: Ends,
    pub creditor_wait: Distribution,
    /// Folding one entry.
    pub apply: Distribution,
    pub rejects: Vec<Rejects>,
    /// By key.
    pub participants: Vec<Own>,
}

impl Tally {
    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        let mut own = std::mem::take(self);
        [&mut own.settled, &mut own.failed].into_iter().for_each(Ends::clear);
        [&mut own.creditor_wait, &mut own.apply].into_iter().for_each(Distribution::clear);
        own.rejects.clear();
        own.participants.iter_mut().for_each(Own::clear);
        let Tally { settled, failed, creditor_wait, apply, rejects, participants, .. } = own;
        *self = Tally { settled, failed, creditor_wait, apply, rejects, participants, ..Tally::default() };
    }

    /// Notes a fact that the book has just applied; `decided_at` is what the book said about it.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>, known: &mut Known) {
        let Some(payment) = fact.payment() else { return };
        match fact {
            Fact::Reserved(reserved) => {
                known.decided(reserved.at);
                self.started += 1;
                self.own(payment.debtor, |own| own.start(Some(payment.currency)));
                self.own(payment.creditor, |own| own.received += 1);
            }
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => {
                self.started += 1;
                self.outcomes.rejected += 1;
                self.within_objective += 1;
                self.reject(rejected.reasons.first(), false);
                // Whoever is refused may have asked for any currency.
                let debtor = book.participant(payment.debtor);
                let is_held = debtor.is_some_and(|debtor| debtor.position(payment.currency).is_some());
                self.own(payment.debtor, |own| {
                    own.start(Some(payment.currency).filter(|_| is_held));
                    own.outcomes.rejected += 1;
                    own.within_objective += 1;
                });
            }
            _ => self.ended(fact, payment, decided_at.unwrap_or(fact.at()), known),
        }
    }

    fn ended(&mut self, fact: &Fact<'_>, payment: &Payment, began: Timestamp, known: &mut Known) {
        let Some(outcome) = Outcome::of(fact) else { return };
        self.outcomes.count(outcome);
        let by_creditor = match fact {
            Fact::Settled(_) | Fact::Returned(_) => true,
            Fact::Rejected(rejected) => {
                let by_creditor = rejected.stage == Stage::Answer;
                self.reject(rejected.reasons.first(), by_creditor);
                by_creditor
            }
            _ => false,
        };
        let took = fact.at().since(began);
        let is_within = took <= OBJECTIVE;
        let ends = if outcome.is_settled() { &mut self.settled } else { &mut self.failed };
        ends.note(payment.uetr, fact.at(), took, outcome);
        self.within_objective += u64::from(is_within);
        self.beyond_objective += u64::from(!is_within);
        self.own(payment.debtor, |own| {
            own.outcomes.count(outcome);
            own.within_objective += u64::from(is_within);
            own.beyond_objective += u64::from(!is_within);
            own.total.record(took);
        });
        let waited = by_creditor.then(|| fact.at().since(known.at(began)));
        if let Some(waited) = waited {
            self.creditor_wait.record(waited);
        }
        self.own(payment.creditor, |own| {
            own.answered.count(outcome);
            if let Some(waited) = waited {
                own.answer.record(waited);
            }
        });
    }

    fn own(&mut self, key: Key, change: impl FnOnce(&mut Own)) {
        if key == Key::NONE {
            return;
        }
        if self.participants.len() <= key.place() {
            self.participants.resize_with(key.place() + 1, Own::default);
        }
        change(&mut self.participants[key.place()]);
    }

    fn reject(&mut self, reason: Reason, by_creditor: bool) {
        let reason = if reason.explanation().is_some() { reason } else { Reason::NONE };
        let own = self.rejects.iter_mut().find(|own| (own.reason, own.by_creditor) == (reason, by_creditor));
        match own {
            Some(own) => own.count += 1,
            None => self.rejects.push(Rejects { reason, by_creditor, count: 1 }),
        }
    }
}

/// When the creditor agents could be told of what was decided: the decisions of the last entries, and when those were folded.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: VecDeque<(Timestamp, Timestamp)>,
    latest: Option<Timestamp>,
    has_forgotten: bool,
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

    fn decided(&mut self, at: Timestamp) {
        self.latest = self.latest.max(Some(at));
    }

    /// The entry at hand is folded.
    pub(crate) fn folded(&mut self, now: Timestamp) {
        let Some(latest) = self.latest.take() else { return };
        if self.entries.len() == Self::ENTRIES_MAX {
            self.entries.pop_front();
            self.has_forgotten = true;
        }
        self.entries.push_back((latest, now));
    }

    /// When it was known what was decided at `decided`; that itself where it is too long ago to tell them apart.
    fn at(&mut self, decided: Timestamp) -> Timestamp {
        if decided <= self.bunch.after || decided > self.bunch.latest {
            let place = self.entries.partition_point(|(latest, _)| *latest < decided);
            let after = place.checked_sub(1).map(|before| self.entries[before].0);
            match self.entries.get(place) {
                Some(_) if after.is_none() && self.has_forgotten => return decided,
                None => return decided,
                Some((latest, folded)) => {
                    self.bunch = Bunch { after: after.unwrap_or_default(), latest: *latest, folded: *folded };
                }
            }
        }
        self.bunch.folded.max(decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_is_what_was_folded_with_it() {
        let stamp = |ms: u64| Timestamp(ms * 1_000_000);
        let mut known = Known::default();
        assert_eq!(known.at(stamp(5)), stamp(5), "nothing was folded yet");
        for (decided, folded) in [(10, 12), (20, 25), (30, 31)] {
            known.decided(stamp(decided - 2));
            known.decided(stamp(decided));
            known.folded(stamp(folded));
            known.folded(stamp(folded + 1));
        }
        for (decided, folded) in [(8, 12), (10, 12), (11, 25), (20, 25), (29, 31), (40, 40)] {
            assert_eq!(known.at(stamp(decided)), stamp(folded), "{decided}");
        }
        for more in 0..Known::ENTRIES_MAX as u64 {
            known.decided(stamp(100 + more));
            known.folded(stamp(100 + more + 1));
        }
        assert_eq!((known.at(stamp(20)), known.entries.len()), (stamp(20), Known::ENTRIES_MAX), "too long ago");
    }
}
