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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{self, START};
    use crate::{Facts, Rules};
    use std::time::Duration;

    #[test]
    fn earliest_first_and_each_once() {
        let table = table::run(
            Rules::default(),
            "
            submit P1 A B 10 created=-1s    -> reserved
            submit P2 A B 10 created=-3s    -> reserved
            submit P3 A B 10                -> reserved
            submit P4 A C 10                -> reserved
            ",
        );
        let own = table.book.participant(Key(1)).unwrap();
        let mut deadlines = Deadlines::of(own);
        let mut armed = Deadlines::default();
        Facts::new(&table.facts).map(Result::unwrap).for_each(|fact| match fact.payment() {
            Some(payment) if payment.creditor == Key(1) => armed.arm(&fact),
            _ => {}
        });
        assert_eq!(deadlines.0, armed.0);
        let second = |seconds| START.plus(Duration::from_secs(seconds));
        assert_eq!(deadlines.earliest(), Some(second(7)));
        assert_eq!(deadlines.take_due(Timestamp(second(7).nanoseconds() - 1)), None);
        assert_eq!(deadlines.take_due(second(7)), Some((Key(0), table::uetr("P2"))));
        deadlines.disarm(second(9), Key(0), table::uetr("P1"));
        assert_eq!(deadlines.take_due(second(20)), Some((Key(0), table::uetr("P3"))));
        assert_eq!((deadlines.take_due(second(20)), deadlines.earliest()), (None, None));
    }
}
