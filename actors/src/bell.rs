//! How the journal's thread tells the sessions' thread that there is something to write: one wake-up per batch.

use std::sync::Arc;

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

/// See the file's head.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<Rung>,
    notify: Notify,
}

impl Bell {
    /// Adds what there is to write; `with` only appends.
    pub fn ring(&self, with: impl FnOnce(&mut Rung)) {
        with(&mut self.rung.lock());
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
