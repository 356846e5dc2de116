//! The log replayed from nothing, the book that ran all the time, and a snapshot with the facts after it are the same.

use settlement::{Book, Facts, restore};

use super::Kept;

/// Folds `facts` into `book` and tells nobody.
pub fn fold(book: &mut Book, facts: &[u8]) -> Kept {
    for fact in Facts::new(facts) {
        book.apply(&fact.map_err(|error| error.to_string())?, &mut ());
    }
    Ok(())
}

/// A book written and read back.
pub fn snapshot(book: &Book) -> Vec<u8> {
    let mut bytes = Vec::new();
    book.freeze().write(&mut bytes).expect("a Vec takes everything");
    bytes
}

/// `log`: all facts; `tail`: those after `early`, a snapshot taken at some time.
pub fn check(book: &Book, log: &[u8], early: Option<(&[u8], &[u8])>) -> Kept {
    let mut replayed = Book::default();
    fold(&mut replayed, log)?;
    if replayed.digest() != book.digest() {
        return Err("replay gives the same book: equal books have different digests".into());
    }
    if &replayed != book {
        return Err(format!("replay gives the same book: replayed {replayed:#?}\nrunning {book:#?}"));
    }
    let restored = restore(&mut snapshot(book).as_slice())?;
    if restored != *book || restored.digest() != book.digest() {
        return Err("replay gives the same book: a snapshot of it reads back as another".into());
    }
    let Some((early, tail)) = early else { return Ok(()) };
    let mut resumed = restore(&mut &early[..])?;
    fold(&mut resumed, tail)?;
    if &resumed != book || resumed.digest() != book.digest() {
        return Err(format!("replay gives the same book: snapshot and tail {resumed:#?}\nrunning {book:#?}"));
    }
    Ok(())
}
