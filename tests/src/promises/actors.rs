//! A live actor equals the facts folded: at rest it has the same participant as the book.

use settlement::{Book, Participant};

use super::Kept;

pub fn check<'a>(book: &Book, live: impl Iterator<Item = &'a Participant>) -> Kept {
    for own in live {
        let folded = book.participant(own.key());
        if folded != Some(own) {
            return Err(format!("a live actor equals the facts folded: live {own:#?}\nfolded {folded:#?}"));
        }
    }
    Ok(())
}
