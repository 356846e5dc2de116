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
