//! What operators look at: once a second, on a thread of its own, a [`watch::Snapshot`] of the node is taken, judged and kept.
//!
//! ```text
//!   sessions, actors, journal ── figures, swapped out ──> Collector ──> latest snapshot ──> console, top, /metrics, status
//!   book (a visit of the journal's thread) ────────────────┘     └────> the last hour
//! ```
//!
//! It costs the same whether anybody looks or not. In reading order: this file (what readers hold), `collector` (the loop),
//! `totals` and `ends` (from seconds to counts since the start), `messages` (of participants' connections), `reading` (what is
//! read from the book), `node` and `kinds` (the other parts), `process` (what the system says).

mod collector;
mod ends;
mod kinds;
pub(crate) mod messages;
mod node;
mod process;
mod reading;
mod totals;

use std::sync::Arc;

use meter::Distribution;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch::Receiver;
use watch::{History, Moment, Snapshot};

pub(crate) use collector::{Sources, start};
pub(crate) use kinds::actor;
use messages::Messages;

/// What sessions measure.
#[derive(Default)]
pub(crate) struct Measured {
    /// Taking the instructions out of what one read brought, as each of them saw it.
    pub(crate) decode: Mutex<Distribution>,
    /// From the ring until all that it was for were written to.
    pub(crate) write: Mutex<Distribution>,
    pub(crate) messages: Messages,
}

/// The latest snapshot and the last hour; clones see the same.
#[derive(Clone)]
pub struct Watcher {
    latest: Receiver<Arc<Snapshot>>,
    history: Arc<RwLock<History>>,
}

impl Watcher {
    /// Number 0, and empty, before the first was taken.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.latest.borrow().clone()
    }

    /// Waits for the next that was not seen by this clone; none when the node ends.
    pub async fn next(&mut self) -> Option<Arc<Snapshot>> {
        self.latest.changed().await.ok()?;
        Some(self.latest.borrow_and_update().clone())
    }

    /// Waits until there is one.
    pub async fn first(&self) -> Option<Arc<Snapshot>> {
        let mut latest = self.latest.clone();
        latest.wait_for(|snapshot| snapshot.number > 0).await.ok().map(|snapshot| snapshot.clone())
    }

    /// The oldest first.
    pub fn history(&self) -> Vec<Moment> {
        self.history.read().moments().cloned().collect()
    }
}
