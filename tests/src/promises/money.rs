//! Money only moves: in every currency all net positions sum to zero, everyone's money in is what was funded, what is
//! reserved is what is in process, and nothing is negative that must not be.

use settlement::{Book, Key};
use wire::Currency;

use super::{Kept, Witness};

/// Cheap enough for after every step.
pub fn check(book: &Book, witness: &Witness) -> Kept {
    for own in book.participants() {
        for (currency, position) in own.positions() {
            let key = own.key();
            let wrong = |what: &str| Err(format!("money is conserved: {what}: {key:?} {currency} {position:?}"));
            if position.funded != witness.funded(key, *currency) {
                return wrong(&format!("{} was brought in", witness.funded(key, *currency)));
            }
            if position.reserved < 0 || position.balance() < 0 || position.available() < 0 {
                return wrong("a negative amount");
            }
            if i128::from(position.funded) + i128::from(position.net) != i128::from(position.balance()) {
                return wrong("the balance is not what was funded and paid");
            }
        }
    }
    for (currency, imbalance) in book.imbalances() {
        let sum: i128 =
            book.participants().iter().filter_map(|own| own.position(currency)).map(|p| i128::from(p.net)).sum();
        if sum != 0 || imbalance != 0 || book.imbalance(currency) != 0 {
            return Err(format!("money is conserved: the net positions in {currency} sum to {sum}"));
        }
    }
    Ok(())
}

/// Sums up every payment; for now and then. `witness` has read what the book has applied.
pub fn check_reserved(book: &Book, witness: &Witness) -> Kept {
    for own in book.participants() {
        for (currency, position) in own.positions() {
            let (reserved, net) = expected(witness, own.key(), *currency);
            if (position.reserved, position.net) != (reserved, net) {
                let key = own.key();
                return Err(format!(
                    "money is conserved: {key:?} {currency} has {position:?}; by its payments {reserved} is reserved and {net} is net"
                ));
            }
        }
    }
    Ok(())
}

fn expected(witness: &Witness, key: Key, currency: Currency) -> (i64, i64) {
    let (mut reserved, mut net) = (0, 0);
    for known in witness.payments().filter(|known| known.payment.currency == currency) {
        let amount = known.payment.amount_minor;
        reserved += if known.payment.debtor == key && !known.ended { amount } else { 0 };
        net -= if known.payment.debtor == key && known.settled { amount } else { 0 };
        net += if known.payment.creditor == key && known.settled { amount } else { 0 };
    }
    (reserved, net)
}
