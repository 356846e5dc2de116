//! A UETR is decided once: its repeats, with whatever content, never reserve again and are never refused anew.

use settlement::{Fact, Stage};

use super::{Kept, Witness};

pub fn check(witness: &Witness, fact: &Fact<'_>) -> Kept {
    let payment = match fact {
        Fact::Reserved(reserved) => reserved.payment,
        Fact::Rejected(rejected) if rejected.stage == Stage::Submit => rejected.payment,
        _ => return Ok(()),
    };
    match witness.known(payment.debtor, payment.uetr) {
        None => Ok(()),
        Some(known) => Err(format!("duplicates never reserve twice: {known:?}, and now {fact:?}")),
    }
}
