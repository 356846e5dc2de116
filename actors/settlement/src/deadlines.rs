//! When the payments offered to one creditor agent run out, earliest first.
//!
//! Kept beside the participant and not in it: a deadline is something a live actor waits for; the book does not.

use std::collections::BTreeSet;

use wire::{Timestamp, Uetr};

use crate::{Fact, Key, Participant};

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub struct Deadlines(BTreeSet<(Timestamp, Key, Uetr)>);

impl Deadlines {
    /// Those of everything that is in process towards `participant`.
    pub fn of(participant: &Participant) -> Self {
        Deadlines(participant.incoming().map(|(payment, deadline)| (deadline, payment.debtor, payment.uetr)).collect())
    }

    /// Arms with a payment that arrived.
    pub fn arm(&mut self, fact: &Fact<'_>) {
        if let Fact::Reserved(reserved) = fact {
            self.0.insert((reserved.deadline, reserved.payment.debtor, reserved.payment.uetr));
        }
    }

    /// Disarms a payment that ended.
    pub fn disarm(&mut self, deadline: Timestamp, debtor: Key, uetr: Uetr) {
        self.0.remove(&(deadline, debtor, uetr));
    }

    pub fn earliest(&self) -> Option<Timestamp> {
        self.0.first().map(|(deadline, _, _)| *deadline)
    }

    /// Takes one that is over at `now`.
    pub fn take_due(&mut self, now: Timestamp) -> Option<(Key, Uetr)> {
        let (deadline, debtor, uetr) = *self.0.first()?;
        if deadline > now {
            return None;
        }
        self.0.pop_first();
        Some((debtor, uetr))
    }
}
