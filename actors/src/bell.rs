//! How the journal's thread tells that there is something to write: one wake-up of the sessions' thread per batch, or
//! none, when the listener takes it at once.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
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
}

impl Rung {
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty() && !self.everyone && self.lines.is_empty()
    }

    pub fn clear(&mut self) {
        self.feeds.clear();
        self.lines.clear();
        self.everyone = false;
    }
}

type Listener = Box<dyn Fn(&mut Rung) + Send + Sync>;

/// See the file's head.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<Rung>,
    notify: Notify,
    listener: OnceLock<Listener>,
}

impl Bell {
    /// Hears every ring first, on the journal's thread: takes from the rung what it has written at once. Set once.
    pub fn listen(&self, listener: impl Fn(&mut Rung) + Send + Sync + 'static) {
        let set = self.listener.set(Box::new(listener));
        assert!(set.is_ok(), "a bell has one listener");
    }

    /// Tells what there is to write, and leaves `rung` empty.
    pub(crate) fn ring(&self, rung: &mut Rung) {
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
        }
        rung.everyone = false;
        self.notify.notify_one();
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
