//! The clock ran out before a yes was decided: the payment ends and its funds are released.

use wire::{Reason, Reasons, Uetr};

use crate::Key;
use crate::fact::{Expired, Fact};
use crate::participant::{Decision, Participant, View};

/// Nothing when the payment has ended already, or is not over yet.
pub(crate) fn decide<'a>(creditor: &Participant, debtor: Key, uetr: Uetr, view: &View<'_>) -> Decision<'a> {
    match creditor.incoming.get(&(debtor, uetr.number())) {
        Some(incoming) if view.now >= incoming.deadline => {
            let reasons = Reasons::one(Reason::AB05);
            Decision::fact(Fact::Expired(Expired { at: view.now, payment: incoming.payment, reasons }))
        }
        _ => Decision::default(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Rules, table};

    fn check(script: &str) {
        table::run(Rules::default(), script);
    }

    #[test]
    fn nothing_expires_early_or_twice() {
        check(
            "
            submit P1 A B 10                -> reserved
            expire P1                       -> nothing
            wait   9999999999ns
            expire P1                       -> nothing              | A 100/10
            wait   1ns
            expire P1                       -> expired AB05         | A 100/0  B 0/0
            expire P1                       -> nothing
            ask    A P1                     -> told RJCT AB05
            ask    B P1                     -> told RJCT AB05
            ",
        );
    }

    #[test]
    fn what_has_ended_does_not_expire() {
        check(
            "
            submit P1 A B 10                -> reserved
            submit P2 A B 10                -> reserved
            answer P1 yes                   -> settled 2026-11-23
            answer P2 no                    -> rejected AC04
            wait   1h
            expire P1                       -> nothing
            expire P2                       -> nothing              | A 90/0  B 10/0
            ",
        );
    }

    #[test]
    fn the_clock_starts_with_the_instruction() {
        check(
            "
            submit P1 A B 10 created=-4s    -> reserved
            submit P2 A B 10 created=1s     -> reserved
            wait   6s
            expire P1                       -> expired AB05
            expire P2                       -> nothing
            wait   5s
            expire P2                       -> expired AB05         | A 100/0
            ",
        );
    }
}
