//! A reply leaves when the log holds what it speaks of: an answer that is called late finds its payment ended, an
//! instruction that is known as a repeat finds itself recorded.

use settlement::{Book, Inquiry, Purpose, Reply, State};
use wire::{Reason, Uetr};

use super::Kept;

/// Against the book of the node that replies.
pub fn check(book: &Book, uetr: Option<Uetr>, reply: &Reply) -> Kept {
    match (reply, uetr) {
        (Reply::Refused(Reason::LATE), Some(uetr)) => {
            let record = book.participants().iter().find_map(|own| own.payment(uetr));
            match record.map(|record| record.state) {
                Some(State::Expired) => Ok(()),
                other => {
                    Err(format!("what is told stands in the log: an answer was late for {uetr}, which is {other:?}"))
                }
            }
        }
        (Reply::Inquire(Inquiry { debtor, uetr, purpose: Purpose::Repeat }), _) => {
            match book.participant(*debtor).and_then(|own| own.payment(*uetr)) {
                Some(_) => Ok(()),
                None => Err(format!("what is told stands in the log: {uetr} is known as a repeat and not recorded")),
            }
        }
        _ => Ok(()),
    }
}
