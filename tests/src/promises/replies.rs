//! Nobody is told that an instruction is done before the log holds what became of it: a payment that was taken is
//! recorded, an answer that was taken has ended it, one that is called late finds it expired, a repeat finds the first.

use settlement::{Book, Inquiry, Purpose, Reply, State};
use wire::{Kind, Reason, Uetr};

use super::Kept;

/// Against the book of the node that replies; without a reply the instruction made a fact.
pub fn check(book: &Book, subject: (Kind, Option<Uetr>), reply: Option<&Reply>) -> Kept {
    let state = |uetr: Uetr| book.participants().iter().find_map(|own| own.payment(uetr)).map(|record| record.state);
    let broken = |uetr: Uetr, what: &str| {
        let state = state(uetr);
        Err(format!("what is told stands in the log: {uetr} {what}, and the log has it as {state:?}"))
    };
    match (subject, reply) {
        ((Kind::CreditTransfer, Some(uetr)), None) if state(uetr).is_none() => broken(uetr, "was taken"),
        ((Kind::Answer, Some(uetr)), None) if matches!(state(uetr), None | Some(State::Reserved)) => {
            broken(uetr, "was answered")
        }
        ((Kind::Answer, Some(uetr)), Some(Reply::Refused(Reason::LATE))) if state(uetr) != Some(State::Expired) => {
            broken(uetr, "was answered late")
        }
        (_, Some(Reply::Inquire(Inquiry { debtor, uetr, purpose: Purpose::Repeat })))
            if book.participant(*debtor).is_none_or(|own| own.payment(*uetr).is_none()) =>
        {
            broken(*uetr, "was sent before")
        }
        _ => Ok(()),
    }
}
