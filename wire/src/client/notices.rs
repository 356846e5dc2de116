//! Notices: the numbered feeds, as a stream of owned messages.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Error, Processed, Result, Resume, Shared};
use crate::Message;

/// The two feeds of a participant, each numbered from 1 without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// What concerns this participant alone.
    Own,
    /// What concerns everyone: the day rolled, a participant signed off.
    System,
}

impl fmt::Display for Feed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Feed::Own => "participant's",
            Feed::System => "system",
        })
    }
}

/// One notice, with its own bytes (shared with others of the same read).
#[derive(Clone)]
pub struct Notice {
    pub feed: Feed,
    pub number: u64,
    pub(super) kind: u16,
    pub(super) body: Bytes,
}

impl Notice {
    pub(super) fn new(feed: Feed, number: u64, kind: u16, body: Bytes) -> Self {
        Notice { feed, number, kind, body }
    }

    /// The message itself.
    pub fn view(&self) -> Message<'_> {
        crate::frame::decode(self.kind, &self.body).expect("the body was decoded when it was received")
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(formatter)
    }
}

/// The notices of both feeds in the order of their arrival. Repeats are dropped here, a gap ends the client.
pub struct Notices {
    shared: Arc<Shared>,
}

impl Notices {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Notices { shared }
    }

    /// Waits for the next notice. `None` after sign-off or close; an error when the client ended otherwise.
    pub async fn next(&mut self) -> Result<Option<Notice>> {
        loop {
            if let Some(notice) = self.take(1).pop_front() {
                return Ok(Some(notice));
            }
            if let Some(end) = self.shared.inbox.end_reached() {
                return end.map(|()| None);
            }
            self.shared.inbox.filled.notified().await;
        }
    }

    /// Waits for one, then takes what is there, at most `most`. Returns how many were added; 0 when no more will come.
    pub async fn next_batch(&mut self, into: &mut Vec<Notice>, most: usize) -> Result<usize> {
        loop {
            let taken = self.take(most);
            if !taken.is_empty() {
                let count = taken.len();
                into.extend(taken);
                return Ok(count);
            }
            if let Some(end) = self.shared.inbox.end_reached() {
                return end.map(|()| 0);
            }
            self.shared.inbox.filled.notified().await;
        }
    }

    /// Says that this notice and all before it in its feed are processed: after a restart the feed goes on behind it.
    pub fn processed(&self, notice: &Notice) {
        self.shared.progress.processed(notice.feed, notice.number);
    }

    fn take(&self, most: usize) -> VecDeque<Notice> {
        let taken = self.shared.inbox.take(most);
        if self.shared.options.processed == Processed::WhenTaken {
            taken.iter().for_each(|notice| self.shared.progress.processed(notice.feed, notice.number));
        }
        taken
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        for notice in self.shared.inbox.nobody_listens() {
            self.shared.progress.processed(notice.feed, notice.number);
        }
    }
}

/// Notices that were received and not taken.
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    most: usize,
    filled: Notify,
    /// Reading was paused and may go on.
    pub(super) room: Notify,
}

struct Queue {
    notices: VecDeque<Notice>,
    paused: bool,
    deaf: bool,
    end: Option<Result<()>>,
}

impl Inbox {
    pub(super) fn new(most: usize) -> Self {
        let queue = Queue { notices: VecDeque::new(), paused: false, deaf: false, end: None };
        Inbox { queue: Mutex::new(queue), most, filled: Notify::new(), room: Notify::new() }
    }

    /// Adds what one read brought. Where nobody listens, it counts as processed.
    pub(super) fn put(&self, fresh: &mut Vec<Notice>, progress: &Progress) {
        if fresh.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.deaf {
            fresh.drain(..).for_each(|notice| progress.processed(notice.feed, notice.number));
            return;
        }
        queue.notices.extend(fresh.drain(..));
        queue.paused = queue.notices.len() >= self.most;
        drop(queue);
        self.filled.notify_one();
    }

    fn take(&self, most: usize) -> VecDeque<Notice> {
        let mut queue = self.queue.lock();
        let count = queue.notices.len().min(most);
        let rest = queue.notices.split_off(count);
        let taken = std::mem::replace(&mut queue.notices, rest);
        if queue.paused && queue.notices.len() <= self.most / 2 {
            queue.paused = false;
            self.room.notify_one();
        }
        taken
    }

    fn nobody_listens(&self) -> VecDeque<Notice> {
        let mut queue = self.queue.lock();
        queue.deaf = true;
        queue.paused = false;
        self.room.notify_one();
        std::mem::take(&mut queue.notices)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.queue.lock().paused
    }

    pub(super) fn length(&self) -> usize {
        self.queue.lock().notices.len()
    }

    pub(super) fn end(&self, why: &Error) {
        let end = match why {
            Error::SignedOff | Error::Closed => Ok(()),
            other => Err(other.clone()),
        };
        self.queue.lock().end = Some(end);
        self.filled.notify_one();
    }

    fn end_reached(&self) -> Option<Result<()>> {
        let queue = self.queue.lock();
        queue.end.clone().filter(|_| queue.notices.is_empty())
    }
}

/// How far the feeds were received and processed.
pub(super) struct Progress {
    received: [AtomicU64; 2],
    processed: [AtomicU64; 2],
}

impl Progress {
    pub(super) fn new(resume: Resume) -> Self {
        let start = || [AtomicU64::new(resume.last_notice), AtomicU64::new(resume.last_system_notice)];
        Progress { received: start(), processed: start() }
    }

    /// True when the notice is new, false when it is a repeat, an error when one before it is missing.
    pub(super) fn receive(&self, feed: Feed, number: u64) -> Result<bool> {
        let received = &self.received[feed as usize];
        let expected = received.load(Ordering::Relaxed) + 1;
        if number > expected {
            return Err(Error::Gap { feed, expected, got: number });
        }
        if number == expected {
            received.store(number, Ordering::Relaxed);
        }
        Ok(number == expected)
    }

    /// Nothing counts as processed that was not received: a wrong number must not make the switch skip notices.
    pub(super) fn processed(&self, feed: Feed, number: u64) {
        let number = number.min(self.received[feed as usize].load(Ordering::Relaxed));
        self.processed[feed as usize].fetch_max(number, Ordering::Relaxed);
    }

    pub(super) fn position(&self) -> Resume {
        let of = |feed: Feed| self.processed[feed as usize].load(Ordering::Relaxed);
        Resume { last_notice: of(Feed::Own), last_system_notice: of(Feed::System) }
    }
}
