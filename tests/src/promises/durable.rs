//! Acknowledged is durable: a notice that anyone was told comes again after every crash, under its number, byte by byte.

use settlement::{Book, Recipient};

use super::{Feed, Feeds, Kept};

/// A notice that was told before is told again.
pub fn check(feed: &Feed, to: Recipient, number: u64, frame: &[u8]) -> Kept {
    if feed.frame(number) == Some(frame) {
        return Ok(());
    }
    Err(format!("acknowledged is durable: notice {number} to {to:?} is another one after a crash"))
}

/// After a crash: the book knows of every notice that was told.
pub fn check_all(feeds: &Feeds, book: &Book) -> Kept {
    for (to, feed) in feeds.all() {
        let known = match to {
            Recipient::Participant(key) => book.last_notice(key),
            Recipient::Everyone => book.last_system_notice(),
        };
        if known < feed.told() {
            let told = feed.told();
            return Err(format!("acknowledged is durable: {to:?} was told notice {told}, the book ends with {known}"));
        }
    }
    Ok(())
}
