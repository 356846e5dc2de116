//! Reads every committed fact once, in the log's order, and remembers the little that promises are held against.

use std::collections::HashMap;

use settlement::{Fact, Key, Payment, Stage};
use wire::{BusinessDate, Currency, Timestamp, Uetr};

use super::{Kept, dates, duplicates, ending, punctual, returns};

/// A payment as the facts tell it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub payment: Payment,
    /// None when it was refused on submission.
    pub deadline: Option<Timestamp>,
    pub ended: bool,
    pub settled: bool,
    /// Given back so far, by settled returns.
    pub returned_minor: i64,
}

/// See the file's head.
#[derive(Default)]
pub struct Witness {
    payments: HashMap<(Key, Uetr), Known>,
    /// Brought in less taken out.
    funded: HashMap<(Key, Currency), i64>,
    pub business_date: BusinessDate,
    /// Set when a decision reaches the log later than it was made: a date may roll in between.
    pub decisions_wait: bool,
    /// Facts read so far.
    pub position: usize,
}

impl Witness {
    /// The next committed fact.
    pub fn read(&mut self, fact: &Fact<'_>) -> Kept {
        duplicates::check(self, fact)?;
        ending::check(self, fact)?;
        punctual::check(self, fact)?;
        returns::check(self, fact)?;
        dates::check(self, fact)?;
        self.note(fact);
        self.position += 1;
        Ok(())
    }

    pub fn known(&self, debtor: Key, uetr: Uetr) -> Option<&Known> {
        self.payments.get(&(debtor, uetr))
    }

    pub fn payments(&self) -> impl Iterator<Item = &Known> {
        self.payments.values()
    }

    pub fn funded(&self, key: Key, currency: Currency) -> i64 {
        self.funded.get(&(key, currency)).copied().unwrap_or(0)
    }

    fn note(&mut self, fact: &Fact<'_>) {
        let fresh = |payment: Payment, deadline: Option<Timestamp>| Known {
            payment,
            deadline,
            ended: deadline.is_none(),
            settled: false,
            returned_minor: 0,
        };
        match fact {
            Fact::Reserved(reserved) => {
                let payment = reserved.payment;
                self.payments.insert((payment.debtor, payment.uetr), fresh(payment, Some(reserved.deadline)));
            }
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => {
                let payment = rejected.payment;
                self.payments.insert((payment.debtor, payment.uetr), fresh(payment, None));
            }
            Fact::Rejected(rejected) => self.end(&rejected.payment, false),
            Fact::Expired(expired) => self.end(&expired.payment, false),
            Fact::Settled(settled) | Fact::Returned(settled) => {
                self.end(&settled.payment, true);
                let payment = settled.payment;
                if let Some(original) = payment.original
                    && let Some(known) = self.payments.get_mut(&(payment.creditor, original))
                {
                    known.returned_minor += payment.amount_minor;
                }
            }
            Fact::Funded(moved) => {
                *self.funded.entry((moved.participant, moved.currency)).or_default() += moved.amount_minor;
            }
            Fact::Defunded(moved) => {
                *self.funded.entry((moved.participant, moved.currency)).or_default() -= moved.amount_minor;
            }
            Fact::DayRolled { date, .. } => self.business_date = *date,
            _ => {}
        }
    }

    fn end(&mut self, payment: &Payment, settled: bool) {
        if let Some(known) = self.payments.get_mut(&(payment.debtor, payment.uetr)) {
            (known.ended, known.settled) = (true, settled);
        }
    }
}
