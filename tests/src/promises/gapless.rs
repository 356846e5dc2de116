//! Feeds are numbered from 1 without a gap, whichever book, new or rebuilt, goes on with them.

use settlement::Recipient;

use super::{Feed, Kept};

pub fn check(feed: &Feed, to: Recipient, number: u64) -> Kept {
    if number == feed.last + 1 {
        return Ok(());
    }
    Err(format!("feeds have no gap: notice {number} to {to:?} follows notice {}", feed.last))
}
