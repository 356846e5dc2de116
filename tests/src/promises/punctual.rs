//! Late answers never settle: what settles is stamped before its deadline. And nothing expires before it.

use settlement::Fact;

use super::{Kept, Witness};

pub fn check(witness: &Witness, fact: &Fact<'_>) -> Kept {
    let settles = match fact {
        Fact::Settled(_) | Fact::Returned(_) => true,
        Fact::Expired(_) => false,
        _ => return Ok(()),
    };
    let Some(payment) = fact.payment() else { return Ok(()) };
    let Some(deadline) = witness.known(payment.debtor, payment.uetr).and_then(|known| known.deadline) else {
        return Ok(());
    };
    if settles == (fact.at() < deadline) {
        return Ok(());
    }
    let (uetr, at) = (payment.uetr, fact.at().nanoseconds());
    let what = if settles { "late answers never settle" } else { "nothing expires early" };
    Err(format!("{what}: {uetr} at {at}, its deadline is {}", deadline.nanoseconds()))
}
