//! Who was turned away, and why: counted, and logged no oftener than a person can read.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(10);
const LOGGED_PER_WINDOW: u64 = 10;

#[derive(Default)]
pub(crate) struct Refusals {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    count: u64,
    last: Option<String>,
    window_began: Option<Instant>,
    in_window: u64,
}

impl Refusals {
    pub(crate) fn refuse(&self, from: IpAddr, why: &str) {
        let mut book = self.book.lock();
        book.count += 1;
        book.last = Some(format!("{from}: {why}"));
        let now = Instant::now();
        if book.window_began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            let silent = book.in_window.saturating_sub(LOGGED_PER_WINDOW);
            if silent > 0 {
                tracing::warn!(event = "strangers_refused", count = silent, "more than were logged");
            }
            (book.window_began, book.in_window) = (Some(now), 0);
        }
        book.in_window += 1;
        if book.in_window <= LOGGED_PER_WINDOW {
            tracing::warn!(event = "stranger_refused", address = %from, why, "at the port between nodes");
        }
    }

    pub(crate) fn read(&self) -> (u64, Option<String>) {
        let book = self.book.lock();
        (book.count, book.last.clone())
    }
}
