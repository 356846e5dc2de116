//! How the journal's thread tells that there is something to write: one wake-up of the sessions' thread per batch, or
//! none, when the listener takes it at once.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use persistence::Index;
use settlement::Key;
use tokio::sync::Notify;

use crate::Line;

/// What there is to write.
#[derive(Default)]
pub struct Rung {
    /// Participants whose feeds grew. May name one more than once.
    pub feeds: Vec<Key>,
    /// The system feed grew.
    pub everyone: bool,
    /// Connections with replies.
    pub lines: Vec<Arc<Line>>,
    /// Connections of other nodes: something is done or replied, or they are to end. And the last entry that was folded
    /// by then, 0 if that is not known.
    pub(crate) remote: Vec<Arc<Line>>,
    pub(crate) index: Index,
    /// When it rang first.
    pub since: Option<Instant>,
}

impl Rung {
    /// A connection has something to be told besides its feed. Of many replies in a row it is rung for once.
    pub(crate) fn add(&mut self, line: Arc<Line>) {
        let lines = if line.remote.is_some() { &mut self.remote } else { &mut self.lines };
        if lines.last().is_none_or(|last| !Arc::ptr_eq(last, &line)) {
            lines.push(line);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty() && !self.everyone && self.lines.is_empty() && self.remote.is_empty()
    }

    pub fn clear(&mut self) {
        self.feeds.clear();
        self.lines.clear();
        self.remote.clear();
        self.everyone = false;
        self.since = None;
    }
}

type Listener = Box<dyn Fn(&mut Rung) + Send + Sync>;
type Carrier = Box<dyn Fn(&mut Vec<Arc<Line>>, Index) + Send + Sync>;

/// See the file's head.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<Rung>,
    notify: Notify,
    listener: OnceLock<Listener>,
    carrier: OnceLock<Carrier>,
}

impl Bell {
    /// Hears every ring first, on the journal's thread: takes from the rung what it has written at once. Set once.
    pub fn listen(&self, listener: impl Fn(&mut Rung) + Send + Sync + 'static) {
        let set = self.listener.set(Box::new(listener));
        assert!(set.is_ok(), "a bell has one listener");
    }

    /// Carries what there is for connections of other nodes, always at once. Set once.
    pub(crate) fn carry(&self, carrier: impl Fn(&mut Vec<Arc<Line>>, Index) + Send + Sync + 'static) {
        let set = self.carrier.set(Box::new(carrier));
        assert!(set.is_ok(), "a bell has one carrier");
    }

    /// Tells what there is to write, and leaves `rung` empty.
    pub(crate) fn ring(&self, rung: &mut Rung) {
        if !rung.remote.is_empty() {
            if let Some(carrier) = self.carrier.get() {
                carrier(&mut rung.remote, rung.index);
            }
            rung.remote.clear();
        }
        if rung.is_empty() {
            return;
        }
        let since = *rung.since.get_or_insert_with(Instant::now);
        if let Some(listener) = self.listener.get() {
            listener(rung);
        }
        if rung.is_empty() {
            return;
        }
        {
            let mut waiting = self.rung.lock();
            waiting.feeds.append(&mut rung.feeds);
            waiting.lines.append(&mut rung.lines);
            waiting.everyone |= rung.everyone;
            waiting.since.get_or_insert(since);
        }
        (rung.everyone, rung.since) = (false, None);
        self.notify.notify_one();
    }

    /// [`Bell::ring`] for one connection.
    pub(crate) fn ring_for(&self, line: Arc<Line>) {
        let mut rung = Rung::default();
        rung.add(line);
        self.ring(&mut rung);
    }

    /// Waits until it rings, and swaps what there is to write against the empty `rung`.
    pub async fn heard(&self, rung: &mut Rung) {
        loop {
            {
                let mut waiting = self.rung.lock();
                if !waiting.is_empty() {
                    std::mem::swap(&mut *waiting, rung);
                    return;
                }
            }
            self.notify.notified().await;
        }
    }
}
