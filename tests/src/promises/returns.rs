//! Returns never exceed the payment they return; they come from who was paid and go to who paid.

use settlement::{Book, Fact};

use super::{Kept, Witness};

pub fn check(witness: &Witness, fact: &Fact<'_>) -> Kept {
    let payment = match fact {
        Fact::Returned(returned) => returned.payment,
        Fact::Settled(settled) if settled.payment.original.is_none() => return Ok(()),
        Fact::Settled(settled) => return Err(format!("a return settles as a return: {:?}", settled.payment)),
        _ => return Ok(()),
    };
    let broken = |what: &str| Err(format!("returns never exceed the original: {what}: {payment:?}"));
    let Some(original) = payment.original.and_then(|uetr| witness.known(payment.creditor, uetr)) else {
        return broken("the original is unknown");
    };
    if !original.settled {
        return broken("the original is not settled");
    }
    if original.payment.original.is_some() {
        return broken("the original is a return itself");
    }
    if original.payment.creditor != payment.debtor || original.payment.currency != payment.currency {
        return broken("the original was paid to another, or in another currency");
    }
    if original.returned_minor + payment.amount_minor > original.payment.amount_minor {
        return broken("together with earlier ones it is more than the original");
    }
    Ok(())
}

/// At rest nothing is claimed but by returns that settled: what did not settle may be returned after all.
pub fn check_claims(book: &Book, witness: &Witness) -> Kept {
    for own in book.participants() {
        for record in own.payments().iter() {
            let settled = witness.known(own.key(), record.uetr).map_or(0, |known| known.returned_minor);
            if record.returned_minor != settled {
                let (uetr, claimed) = (record.uetr, record.returned_minor);
                return Err(format!("returns release what they claimed: {uetr}: {claimed} claimed, {settled} settled"));
            }
        }
    }
    Ok(())
}
