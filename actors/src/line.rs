//! A participant's connection, as far as actors and journal know it: what it may have outstanding, what it is to be
//! told besides its feed, and whether it is to end.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use settlement::Key;
use tokio::sync::Notify;
use wire::Reason;

use crate::Instruction;

/// Why the switch ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub reason: Reason,
    pub retry_after_ms: u32,
    pub text: String,
}

/// See the file's head.
pub struct Line {
    key: Key,
    window: u32,
    outstanding: AtomicU32,
    waiting: AtomicBool,
    freed: Notify,
    /// Replies, as frames: unnumbered, gone with the connection.
    direct: Mutex<Vec<u8>>,
    ending: Mutex<Option<Ending>>,
    ended: Notify,
    /// Memory of instructions that are done.
    spare: Mutex<Vec<(Vec<u8>, Vec<Instruction>)>>,
}

impl Line {
    /// Replies that wait to be sent; with more the session reads no further.
    pub const DIRECT_BYTES_MAX: usize = 1 << 20;

    const SPARE_MAX: usize = 2;

    /// `window`: instructions that may be outstanding, that is read but not yet decided and committed.
    pub fn new(key: Key, window: u32) -> Self {
        Line {
            key,
            window,
            outstanding: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            freed: Notify::new(),
            direct: Mutex::new(Vec::new()),
            ending: Mutex::new(None),
            ended: Notify::new(),
            spare: Mutex::default(),
        }
    }

    pub fn key(&self) -> Key {
        self.key
    }

    pub fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Acquire)
    }

    /// Counts instructions that were read.
    pub fn take(&self, instructions: u32) {
        self.outstanding.fetch_add(instructions, Ordering::AcqRel);
    }

    /// Counts instructions that were decided and committed.
    pub fn give_back(&self, instructions: u32) {
        self.outstanding.fetch_sub(instructions, Ordering::AcqRel);
        if self.waiting.swap(false, Ordering::AcqRel) {
            self.freed.notify_one();
        }
    }

    /// Returns when less than the window is outstanding and the replies have been taken.
    pub async fn wait_for_room(&self) {
        loop {
            if self.has_room() {
                return;
            }
            // An exchange, not a store: the look at the count below must not be done before it.
            self.waiting.swap(true, Ordering::AcqRel);
            if self.has_room() {
                return;
            }
            self.freed.notified().await;
        }
    }

    pub fn has_room(&self) -> bool {
        self.outstanding() < self.window && self.direct.lock().len() < Self::DIRECT_BYTES_MAX
    }

    /// Empty memory for the next read, used before if there is any.
    pub fn spare(&self) -> (Vec<u8>, Vec<Instruction>) {
        self.spare.lock().pop().unwrap_or_default()
    }

    /// Takes back the memory of instructions that are done.
    pub(crate) fn take_back(&self, mut bytes: Vec<u8>, mut items: Vec<Instruction>) {
        bytes.clear();
        items.clear();
        let mut spare = self.spare.lock();
        if spare.len() < Self::SPARE_MAX {
            spare.push((bytes, items));
        }
    }

    /// Adds a reply: `write` appends one frame.
    pub fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.direct.lock());
    }

    /// Moves the waiting replies to the end of `out`.
    pub fn take_direct(&self, out: &mut Vec<u8>) {
        let mut direct = self.direct.lock();
        if !direct.is_empty() {
            out.extend_from_slice(&direct);
            direct.clear();
            drop(direct);
            if self.waiting.swap(false, Ordering::AcqRel) {
                self.freed.notify_one();
            }
        }
    }

    /// Asks the session to say why and to close. The first reason stands.
    pub fn end(&self, ending: Ending) {
        self.ending.lock().get_or_insert(ending);
        self.ended.notify_one();
    }

    pub fn ending(&self) -> Option<Ending> {
        self.ending.lock().clone()
    }

    /// Returns when the connection is to end.
    pub async fn until_ended(&self) -> Ending {
        loop {
            if let Some(ending) = self.ending() {
                return ending;
            }
            self.ended.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_window_waits_until_something_is_committed() {
        let line = std::sync::Arc::new(Line::new(Key(0), 2));
        line.take(2);
        let waiting = tokio::spawn({
            let line = line.clone();
            async move { line.wait_for_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        line.give_back(1);
        waiting.await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_first_ending_stands() {
        let line = Line::new(Key(0), 2);
        for text in ["first", "second"] {
            line.end(Ending { reason: Reason::FORM, retry_after_ms: 0, text: text.into() });
        }
        assert_eq!(line.until_ended().await.text, "first");
    }
}
