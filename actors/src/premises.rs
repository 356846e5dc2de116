//! What actors need and what outlives every reign.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use persistence::Journal;
use settlement::Rules;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::figures::Figures;
use crate::ledger::Passenger;

/// How much went through, since start.
#[derive(Debug, Default)]
pub struct Traffic {
    pub instructions: AtomicU64,
    pub letters: AtomicU64,
    pub messages: AtomicU64,
    pub restarts: Restarts,
}

/// How an actor died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Of an error or a panic.
    Failed,
    Stopped,
}

/// Actors that died and were rebuilt from the book.
#[derive(Debug, Default)]
pub struct Restarts {
    failed: AtomicU64,
    stopped: AtomicU64,
}

impl Restarts {
    fn of(&self, death: Death) -> &AtomicU64 {
        match death {
            Death::Failed => &self.failed,
            Death::Stopped => &self.stopped,
        }
    }

    pub(crate) fn count(&self, death: Death) {
        self.of(death).fetch_add(1, Relaxed);
    }

    pub fn after(&self, death: Death) -> u64 {
        self.of(death).load(Relaxed)
    }

    pub fn all(&self) -> u64 {
        self.after(Death::Failed) + self.after(Death::Stopped)
    }
}

/// See the file's head.
pub(crate) struct Premises {
    pub(crate) journal: Journal<Passenger>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) rules: Rules,
    pub(crate) clock: Arc<Clock>,
    pub(crate) traffic: Traffic,
    pub(crate) figures: Arc<Figures>,
    pub(crate) draining: AtomicBool,
    /// In which term this node leads, 0 in none. Set on the journal's thread, in order with what is committed.
    pub(crate) leading: Arc<AtomicU64>,
    pub(crate) participants_per_actor: usize,
}
