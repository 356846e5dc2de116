//! What the journal's thread writes down of the facts that the book folded: as little as can be counted from.

use std::time::Duration;

use settlement::{Book, Fact, Key, Payment, Stage};
use wire::{Currency, Reason, Timestamp, Uetr};

use super::ends::Outcome;
use super::known::Known;

/// A payment was decided on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) debtor: Key,
    /// [`Key::NONE`] when it was refused at once: it never concerned its creditor agent.
    pub(super) creditor: Key,
    /// None where the debtor agent has no position in it.
    pub(super) currency: Option<Currency>,
    /// Why it was refused at once, and whether its clock had run out by then.
    pub(super) refused: Option<(Reason, bool)>,
}

/// A payment ended for which funds had been set aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) uetr: Uetr,
    pub(super) debtor: Key,
    pub(super) creditor: Key,
    pub(super) outcome: Outcome,
    /// Of a rejection, and whether it was the creditor agent's.
    pub(super) rejected: Option<(Reason, bool)>,
    pub(super) at: Timestamp,
    /// When it was decided on.
    pub(super) began: Timestamp,
    /// How long its creditor agent took to answer, or had for it when it timed out; none if neither is known.
    pub(super) waited: Option<Duration>,
}

const _: () = assert!(size_of::<End>() <= 64, "what is noted of an end fits a line of the processor's cache");

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) starts: Vec<Start>,
    pub(super) ends: Vec<End>,
}

/// Of each kind; some 170 KiB in all.
pub(super) const NOTES_MAX: usize = 2048;

impl Notes {
    /// True when they are to be counted before the next.
    pub(super) fn is_full(&self) -> bool {
        self.starts.len() >= NOTES_MAX || self.ends.len() >= NOTES_MAX
    }

    /// Notes a fact that the book has just applied; `decided_at` is what the book said about it.
    pub(super) fn note(&mut self, fact: &Fact<'_>, book: &Book, decided_at: Option<Timestamp>, known: &mut Known) {
        match fact {
            Fact::Reserved(reserved) => {
                known.decided(reserved.at);
                let Payment { debtor, creditor, currency, .. } = reserved.payment;
                self.starts.push(Start { debtor, creditor, currency: Some(currency), refused: None });
            }
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => {
                let Payment { debtor, currency, .. } = rejected.payment;
                // Whoever is refused may have asked for any currency.
                let is_held = book.participant(debtor).is_some_and(|debtor| debtor.position(currency).is_some());
                let currency = Some(currency).filter(|_| is_held);
                let reasons = &rejected.reasons;
                let refused = Some((reasons.first(), reasons.has(Reason::AB03)));
                self.starts.push(Start { debtor, creditor: Key::NONE, currency, refused });
            }
            _ => self.ends.extend(End::of(fact, decided_at, known)),
        }
    }
}

impl End {
    /// None where the fact ends no payment.
    fn of(fact: &Fact<'_>, decided_at: Option<Timestamp>, known: &mut Known) -> Option<End> {
        let (outcome, at) = (Outcome::of(fact)?, fact.at());
        let Payment { uetr, debtor, creditor, .. } = *fact.payment()?;
        let rejected = match fact {
            Fact::Rejected(rejected) => Some((rejected.reasons.first(), rejected.stage == Stage::Answer)),
            _ => None,
        };
        let began = decided_at.unwrap_or(at);
        // All but what the switch refused at its creditor agent's door.
        let was_asked = rejected.is_none_or(|(_, by_creditor)| by_creditor);
        let waited = was_asked.then(|| known.waited(began, at)).flatten();
        Some(End { uetr, debtor, creditor, outcome, rejected, at, began, waited })
    }
}
