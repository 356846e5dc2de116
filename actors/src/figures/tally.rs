//! What the book folded, as it was folded: not what was replayed at a start, nor what came with a snapshot.

use std::time::Duration;

use meter::{Distribution, Resolution};
use settlement::{Book, Fact, Key};
use wire::{Currency, Reason, Timestamp};

use super::ends::{Ends, Outcome, Outcomes};
use super::known::Known;
use super::notes::{End, Notes, Start};

/// Final within this, from the decision on, is what the scheme promises. The payment's own clock began before, when its debtor agent
/// wrote it: what ended because that had run out, or was refused because it had by then, is late however short it was here.
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
    /// Timed out though it was told in time; not what the switch held up.
    pub unanswered: u64,
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
            unanswered: 0,
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
    notes: Notes,
}

impl Tally {
    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        let mut own = std::mem::take(self);
        [&mut own.settled, &mut own.failed].into_iter().for_each(Ends::clear);
        [&mut own.creditor_wait, &mut own.apply].into_iter().for_each(Distribution::clear);
        own.rejects.clear();
        own.participants.iter_mut().for_each(Own::clear);
        let Tally { settled, failed, creditor_wait, apply, rejects, participants, notes, .. } = own;
        *self = Tally { settled, failed, creditor_wait, apply, rejects, participants, notes, ..Tally::default() };
    }

    /// Notes a fact that the book has just applied; `decided_at` is what the book said about it.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>, known: &mut Known) {
        self.notes.note(fact, book, decided_at, known);
        if self.notes.is_full() {
            self.count();
        }
    }

    /// Counts what was noted.
    pub(crate) fn count(&mut self) {
        let mut notes = std::mem::take(&mut self.notes);
        notes.starts.drain(..).for_each(|start| self.start(&start));
        notes.ends.drain(..).for_each(|end| self.end(&end));
        self.notes = notes;
    }

    fn start(&mut self, start: &Start) {
        let Start { debtor, creditor, currency, refused } = *start;
        self.started += 1;
        self.own(debtor, |own| own.start(currency));
        self.own(creditor, |own| own.received += 1);
        if let Some((reason, has_run_out)) = refused {
            self.outcomes.rejected += 1;
            self.within_objective += u64::from(!has_run_out);
            self.beyond_objective += u64::from(has_run_out);
            self.reject(reason, false);
            self.own(debtor, |own| {
                own.outcomes.rejected += 1;
                own.within_objective += u64::from(!has_run_out);
                own.beyond_objective += u64::from(has_run_out);
            });
        }
    }

    fn end(&mut self, end: &End) {
        let End { uetr, debtor, creditor, outcome, rejected, at, began, waited } = *end;
        let took_ns = at.nanoseconds().saturating_sub(began.nanoseconds());
        self.outcomes.count(outcome);
        if let Some((reason, by_creditor)) = rejected {
            self.reject(reason, by_creditor);
        }
        let is_within = outcome != Outcome::TimedOut && took_ns <= OBJECTIVE.as_nanos() as u64;
        let ends = if outcome.is_settled() { &mut self.settled } else { &mut self.failed };
        ends.note(uetr, at, took_ns, outcome);
        self.within_objective += u64::from(is_within);
        self.beyond_objective += u64::from(!is_within);
        self.own(debtor, |own| {
            own.outcomes.count(outcome);
            own.within_objective += u64::from(is_within);
            own.beyond_objective += u64::from(!is_within);
            own.total.record_ns(took_ns);
        });
        let has_answered = outcome != Outcome::TimedOut;
        if let Some(waited) = waited.filter(|_| has_answered) {
            self.creditor_wait.record(waited);
        }
        self.own(creditor, |own| {
            own.answered.count(outcome);
            match waited {
                Some(waited) if has_answered => own.answer.record(waited),
                Some(_) => own.unanswered += 1,
                None => {}
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

#[cfg(test)]
mod tests {
    use settlement::{Expired, Payment, Rejected, Reserved, Settled, Stage};
    use wire::{BusinessDate, MessageId, Reasons, Status, Uetr};

    use super::super::notes::NOTES_MAX;
    use super::*;

    const MS: u64 = 1_000_000;

    fn payment() -> Payment {
        let message_id = MessageId::compose(BusinessDate::default(), "BANK-0001".parse().unwrap(), 1);
        let (debtor, creditor, uetr) = (Key(0), Key(1), Uetr::from_random([7; 16]));
        Payment { debtor, creditor, uetr, amount_minor: 1, currency: Currency::EUR, message_id, original: None }
    }

    /// What is set aside and what ends otherwise each of these; those that had been set aside end after 5 ms.
    fn facts(payment: Payment, began: Timestamp) -> [(Fact<'static>, Option<Timestamp>); 7] {
        let (at, horizon) = (Timestamp(began.0 + 5 * MS), Timestamp(0));
        let reserved = Reserved { at: began, payment, content: 1, deadline: at, horizon, body: &[] };
        let settled = Settled { at, payment, status: Status::ACSC, settlement_date: at.date() };
        let expired = Expired { at, payment, reasons: Reasons::one(Reason::AB05) };
        let mut too_late = Reasons::one(Reason::CNOR);
        too_late.add(Reason::AB03);
        let rejected = |stage, code| {
            let reasons = Reasons::one(code);
            Rejected { at, payment, content: 1, horizon, stage, reasons, additional_information: None }
        };
        [
            (Fact::Reserved(reserved), None),
            (Fact::Settled(settled), Some(began)),
            (Fact::Returned(settled), Some(began)),
            (Fact::Expired(expired), Some(began)),
            (Fact::Rejected(rejected(Stage::Answer, Reason::AC04)), Some(began)),
            (Fact::Rejected(rejected(Stage::Submit, Reason::AM04)), None),
            (Fact::Rejected(Rejected { reasons: too_late, ..rejected(Stage::Submit, Reason::AB03) }), None),
        ]
    }

    #[test]
    fn every_payment_is_counted_once_however_many_there_are() {
        let (mut tally, mut known, book) = (Tally::default(), Known::default(), Book::default());
        let rounds = 2 * NOTES_MAX as u64 + 5;
        for round in 1..=rounds {
            for (fact, decided_at) in facts(payment(), Timestamp(round * MS)) {
                tally.note(&fact, &book, decided_at, &mut known);
                let (starts, ends) = (tally.notes.starts.len(), tally.notes.ends.len());
                assert!(starts < NOTES_MAX && ends < NOTES_MAX, "{starts} {ends}");
            }
        }
        tally.count();
        tally.count();
        let each = Outcomes { settled: rounds, rejected: rounds, timed_out: rounds, returned: rounds };
        let all = Outcomes { rejected: 3 * rounds, ..each };
        assert_eq!((tally.started, tally.outcomes), (3 * rounds, all));
        // What expired a little early, and what came when its clock had run out, is late.
        assert_eq!((tally.within_objective, tally.beyond_objective), (4 * rounds, 2 * rounds));
        assert_eq!((tally.settled.took.count(), tally.failed.took.count()), (2 * rounds, 2 * rounds));
        assert_eq!(tally.settled.took.sum_ns(), 2 * rounds * 5 * MS);
        assert_eq!((tally.creditor_wait.count(), tally.creditor_wait.sum_ns()), (3 * rounds, 3 * rounds * 5 * MS));
        let [debtor, creditor] = &tally.participants[..] else { panic!("{:?}", tally.participants.len()) };
        assert_eq!((debtor.started, debtor.outcomes, debtor.total.count()), (3 * rounds, all, 4 * rounds));
        assert_eq!((debtor.within_objective, debtor.beyond_objective), (4 * rounds, 2 * rounds));
        assert_eq!(debtor.started_in, [(Some(Currency::EUR), rounds), (None, 2 * rounds)]);
        assert_eq!((creditor.received, creditor.answered, creditor.answer.count()), (rounds, each, 3 * rounds));
        assert_eq!(creditor.unanswered, rounds);
        let rejects = |reason, by_creditor| Rejects { reason, by_creditor, count: rounds };
        for expected in [rejects(Reason::AM04, false), rejects(Reason::CNOR, false), rejects(Reason::AC04, true)] {
            assert!(tally.rejects.contains(&expected), "{:?}", tally.rejects);
        }
        tally.clear();
        tally.count();
        assert_eq!((tally.started, tally.participants[0].total.count(), tally.rejects.len()), (0, 0, 0));
    }
}
