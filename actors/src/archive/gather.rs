//! The ledger's side: collects what ended and hands it over in chunks. It never waits; what finds no room is left to the
//! log, from which the archive reads it again.

use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use persistence::Index;
use settlement::{Fact, Key};
use wire::{Timestamp, Uetr};

use super::Span;
use super::entry::Entry;
use super::error::Error;

/// Payments handed over at a time, and how old the first of them may become while others come.
pub(super) const CHUNK_ENTRIES: usize = 1024;
const CHUNK_AGE_MAX: Duration = Duration::from_millis(100);
/// With the chunks' size this bounds what waits, to some 28 MiB.
const CHUNKS_MAX: usize = 256;

/// Payments that ended, and the part of the log in which all that ended are these.
pub(super) struct Chunk {
    pub(super) span: Span,
    pub(super) entries: Vec<Entry>,
}

/// What was found, the latest first.
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    /// The archive goes back to the first log entry without a gap: what is not found never was.
    pub(crate) is_whole: bool,
}

type Answer = Box<dyn FnOnce(Result<Found, Error>) + Send>;

/// A question that must be answered after everything that was handed over before it.
pub(crate) struct Question {
    pub(crate) uetr: Uetr,
    pub(crate) debtor: Key,
    pub(crate) answer: Answer,
}

pub(super) enum Message {
    Ended(Chunk),
    Ask(Question),
    /// Answered when everything before it is done.
    Pass(Sender<()>),
    Stop,
}

/// See the file's head.
pub(crate) struct Gatherer {
    sender: Sender<Message>,
    entries: Vec<Entry>,
    /// What the entries at hand come from; none before the first live log entry.
    span: Option<Span>,
}

pub(super) fn channel() -> (Gatherer, Sender<Message>, Receiver<Message>) {
    let (sender, receiver) = bounded(CHUNKS_MAX);
    let gatherer = Gatherer { sender: sender.clone(), entries: Vec::new(), span: None };
    (gatherer, sender, receiver)
}

impl Gatherer {
    /// Notes a fact that the book has just applied.
    pub(crate) fn note(&mut self, fact: &Fact<'_>, index: Index, decided_at: Option<Timestamp>) {
        if let Some(mut entry) = Entry::of(fact, index) {
            entry.decided_at = decided_at.unwrap_or(entry.decided_at);
            self.add(entry);
        }
    }

    pub(super) fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// A log entry is folded. `now` is the time of its last fact.
    pub(crate) fn folded(&mut self, index: Index, now: Timestamp) {
        self.span.get_or_insert(Span { first: index, last: index }).last = index;
        let is_old = |first: &Entry| now.since(first.ended_at) >= CHUNK_AGE_MAX;
        if self.entries.len() >= CHUNK_ENTRIES || self.entries.first().is_some_and(is_old) {
            self.hand_over();
        }
    }

    /// The book was taken from a snapshot: between what was folded before and what comes next entries were skipped.
    pub(crate) fn skipped(&mut self) {
        self.send();
        self.span = None;
    }

    /// Hands over what is at hand. If there is no room it is dropped, and the next chunk shows the hole.
    pub(crate) fn hand_over(&mut self) {
        if !self.entries.is_empty() {
            self.send();
        }
    }

    /// Sends what is at hand, also when nothing has ended: the archive then knows how far it should have come. False when
    /// there was no room.
    fn send(&mut self) -> bool {
        let Some(span) = self.span.as_mut() else { return true };
        let next = Span { first: span.last + 1, last: span.last };
        let chunk = Chunk { span: std::mem::replace(span, next), entries: std::mem::take(&mut self.entries) };
        match self.sender.try_send(Message::Ended(chunk)) {
            Ok(()) => {
                self.entries = Vec::with_capacity(CHUNK_ENTRIES);
                true
            }
            Err(TrySendError::Full(Message::Ended(chunk))) => {
                self.entries = chunk.entries;
                self.entries.clear();
                false
            }
            Err(_) => false,
        }
    }

    /// As if there had been no room.
    #[cfg(test)]
    pub(super) fn lose_what_is_at_hand(&mut self) {
        if let Some(span) = &mut self.span {
            span.first = span.last + 1;
        }
        self.entries.clear();
    }

    /// Asks after everything noted so far. Gives the question back when too much waits.
    pub(crate) fn ask(&mut self, question: Question) -> Result<(), Question> {
        if !self.send() {
            return Err(question);
        }
        match self.sender.try_send(Message::Ask(question)) {
            Err(TrySendError::Full(Message::Ask(question)) | TrySendError::Disconnected(Message::Ask(question))) => {
                Err(question)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        self.hand_over();
    }
}
