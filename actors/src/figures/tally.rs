//! What the book folded, as it was folded: not what was replayed at a start, nor what came with a snapshot.

use std::time::Duration;

use meter::{Distribution, Resolution};
use settlement::{Book, Fact, Key, Payment, Stage};
use wire::{Currency, Reason, Timestamp, Uetr};

use super::ends::{Ends, Outcome, Outcomes};
use super::known::Known;

/// Final within this is what the scheme promises.
pub const OBJECTIVE: Duration = Duration::from_secs(10);

/// One participant's part.
#[derive(Clone, Debug)]
pub struct Own {
    /// Decided of what it sent: set aside, or refused at once.
    pub started: u64,
    /// Of those, by the currencies in which it had a position then; none for all others.
    pub started_in: Vec<(Option<Currency>, u64)>,
    /// How those ended.
    pub outcomes: Outcomes,
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// From the decision to the end, of those that it sent and for which funds were set aside.
    pub total: Distribution,
    /// Offered to it.
    pub received: u64,
    pub answered: Outcomes,
    /// From when it could be told until it answered, of what the switch did not hold up meanwhile.
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
    noted: Vec<Noted>,
}

/// What is kept of a fact until it is counted. Counting touches some dozen places in memory for each payment: done for many
/// at once, they stay in the cache; done for one between other work, each is fetched anew.
#[derive(Clone, Copy, Debug)]
enum Noted {
    Reserved {
        debtor: Key,
        creditor: Key,
        currency: Currency,
    },
    /// Refused at once; the currency, if the debtor agent has a position in it.
    Refused {
        debtor: Key,
        currency: Option<Currency>,
        reason: Reason,
    },
    Ended(Ending),
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    uetr: Uetr,
    debtor: Key,
    creditor: Key,
    outcome: Outcome,
    /// Of a rejection, and whether it was the creditor agent's.
    rejected: Option<(Reason, bool)>,
    at: Timestamp,
    took: Duration,
    /// How long the creditor agent took to answer, if it did.
    waited: Option<Duration>,
}

/// Some 11 KiB: they stay in the first cache.
const NOTED_MAX: usize = 128;

impl Tally {
    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        let mut own = std::mem::take(self);
        [&mut own.settled, &mut own.failed].into_iter().for_each(Ends::clear);
        [&mut own.creditor_wait, &mut own.apply].into_iter().for_each(Distribution::clear);
        own.rejects.clear();
        own.participants.iter_mut().for_each(Own::clear);
        let Tally { settled, failed, creditor_wait, apply, rejects, participants, noted, .. } = own;
        *self = Tally { settled, failed, creditor_wait, apply, rejects, participants, noted, ..Tally::default() };
    }

    /// Notes a fact that the book has just applied; `decided_at` is what the book said about it.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>, known: &mut Known) {
        let Some(payment) = fact.payment() else { return };
        let Payment { debtor, creditor, currency, .. } = *payment;
        let noted = match fact {
            Fact::Reserved(reserved) => {
                known.decided(reserved.at);
                Noted::Reserved { debtor, creditor, currency }
            }
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => {
                // Whoever is refused may have asked for any currency.
                let is_held = book.participant(debtor).is_some_and(|debtor| debtor.position(currency).is_some());
                let currency = Some(currency).filter(|_| is_held);
                Noted::Refused { debtor, currency, reason: rejected.reasons.first() }
            }
            _ => match Ending::of(fact, payment, decided_at.unwrap_or(fact.at()), known) {
                Some(ending) => Noted::Ended(ending),
                None => return,
            },
        };
        self.noted.push(noted);
        if self.noted.len() >= NOTED_MAX {
            self.count();
        }
    }

    /// Counts what was noted.
    pub(crate) fn count(&mut self) {
        let mut noted = std::mem::take(&mut self.noted);
        for noted in noted.drain(..) {
            match noted {
                Noted::Reserved { debtor, creditor, currency } => {
                    self.started += 1;
                    self.own(debtor, |own| own.start(Some(currency)));
                    self.own(creditor, |own| own.received += 1);
                }
                Noted::Refused { debtor, currency, reason } => {
                    self.started += 1;
                    self.outcomes.rejected += 1;
                    self.within_objective += 1;
                    self.reject(reason, false);
                    self.own(debtor, |own| {
                        own.start(currency);
                        own.outcomes.rejected += 1;
                        own.within_objective += 1;
                    });
                }
                Noted::Ended(ending) => self.end(&ending),
            }
        }
        self.noted = noted;
    }

    fn end(&mut self, ending: &Ending) {
        let Ending { uetr, debtor, creditor, outcome, rejected, at, took, waited } = *ending;
        self.outcomes.count(outcome);
        if let Some((reason, by_creditor)) = rejected {
            self.reject(reason, by_creditor);
        }
        let is_within = took <= OBJECTIVE;
        let ends = if outcome.is_settled() { &mut self.settled } else { &mut self.failed };
        ends.note(uetr, at, took, outcome);
        self.within_objective += u64::from(is_within);
        self.beyond_objective += u64::from(!is_within);
        self.own(debtor, |own| {
            own.outcomes.count(outcome);
            own.within_objective += u64::from(is_within);
            own.beyond_objective += u64::from(!is_within);
            own.total.record(took);
        });
        if let Some(waited) = waited {
            self.creditor_wait.record(waited);
        }
        self.own(creditor, |own| {
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

impl Ending {
    /// `began`: when the payment was decided on. None where the fact ends no payment.
    fn of(fact: &Fact<'_>, payment: &Payment, began: Timestamp, known: &mut Known) -> Option<Ending> {
        let Payment { uetr, debtor, creditor, .. } = *payment;
        let (outcome, at) = (Outcome::of(fact)?, fact.at());
        let rejected = match fact {
            Fact::Rejected(rejected) => Some((rejected.reasons.first(), rejected.stage == Stage::Answer)),
            _ => None,
        };
        let has_answered = rejected.map_or(outcome.is_settled(), |(_, by_creditor)| by_creditor);
        let waited = has_answered.then(|| known.waited(began, at)).flatten();
        Some(Ending { uetr, debtor, creditor, outcome, rejected, at, took: at.since(began), waited })
    }
}
