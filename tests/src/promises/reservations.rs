//! Every reservation ends: when all is quiet and every deadline is over, nothing is set aside and nobody is asked.

use settlement::{Book, Deadlines, Participant};

use super::{Kept, Witness};

pub fn check<'a>(book: &Book, witness: &Witness, live: impl Iterator<Item = (&'a Participant, &'a Deadlines)>) -> Kept {
    if let Some(open) = witness.payments().find(|known| !known.ended) {
        return Err(format!("every reservation ends: {:?} is still in process", open.payment));
    }
    for own in book.participants() {
        let reserved: i64 = own.positions().iter().map(|(_, position)| position.reserved).sum();
        let (in_flight, offered) = (own.payments().in_flight(), own.incoming_count());
        if (reserved, in_flight, offered) != (0, 0, 0) {
            let key = own.key();
            return Err(format!(
                "every reservation ends: {key:?} has {reserved} reserved, {in_flight} in flight, {offered} offered"
            ));
        }
    }
    for (own, deadlines) in live {
        if let Some(deadline) = deadlines.earliest() {
            return Err(format!("every reservation ends: {:?} still waits for {deadline}", own.key()));
        }
    }
    Ok(())
}
