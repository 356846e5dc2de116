//! A payment that was set aside ends at most once, and as the same payment that was set aside.

use settlement::{Fact, Stage};

use super::{Kept, Witness};

pub fn check(witness: &Witness, fact: &Fact<'_>) -> Kept {
    let payment = match fact {
        Fact::Settled(settled) | Fact::Returned(settled) => settled.payment,
        Fact::Expired(expired) => expired.payment,
        Fact::Rejected(rejected) if rejected.stage != Stage::Submit => rejected.payment,
        _ => return Ok(()),
    };
    let uetr = payment.uetr;
    let Some(known) = witness.known(payment.debtor, uetr) else {
        return Err(format!("every payment ends once: {uetr} ends and was never set aside: {fact:?}"));
    };
    if known.payment != payment {
        return Err(format!("every payment ends once: {uetr} ends as {payment:?}, it was {:?}", known.payment));
    }
    if known.ended {
        return Err(format!("every payment ends once: {uetr} ends a second time: {fact:?}"));
    }
    Ok(())
}
