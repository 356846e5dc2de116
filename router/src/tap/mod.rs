//! The live tap: payments as they end, a line each, for whoever looks just now.
//!
//! ```text
//!  trail ──> one thread, while anybody taps ──> each tap: filter, so many lines a second, a bounded queue ──> its reader
//!                                               full: the tap ends, and its reader is told why
//! ```
//!
//! It follows the log behind the journal, as traces do, and on any node: all fold the same. While nobody taps there is no
//! thread and nothing is gathered. The filter looks at every payment; lines are made of no more than a person could read, and
//! what is left out is counted. Names and accounts of customers are in none.
//!
//! In reading order: `wanted` (the filter), `open` (one tap), this file (who follows for all of them).

mod open;
mod wanted;

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actors::Switch;
use actors::trail::{Follower, Interest, News};
use console::Waiting;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use watch::tap::{Filter, Tapped};

use crate::admin::Desk;
use crate::admin::desk::{problem, unavailable};
use crate::admin::protocol::{Problem, ProblemKind};
use open::Open;
use wanted::Wanted;

/// At a time, at one node.
const TAPS_MAX: usize = 8;
/// How often a tap is told of.
const EVERY: Duration = Duration::from_millis(200);
/// Lower than everything that a payment waits for.
const NICE: i32 = 5;

/// The taps of a node.
#[derive(Clone, Default)]
pub struct Taps(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: Vec<Open>,
    /// The thread runs.
    is_followed: bool,
}

/// The reader's end of a tap; it ends when this is dropped.
#[derive(Debug)]
pub struct Tap {
    told: mpsc::Receiver<Tapped>,
    /// Why it ended, if not because the node does.
    why: Arc<OnceLock<String>>,
}

impl Tap {
    /// Waits for what came of it, which may be nothing; or tells why there is no more.
    pub async fn next(&mut self) -> Result<Tapped, String> {
        let ended = || self.why.get().cloned().unwrap_or_else(|| "The node ends.".into());
        self.told.recv().await.ok_or_else(ended)
    }
}

impl console::Tap for Tap {
    fn next(&mut self) -> Waiting<'_, Result<Tapped, String>> {
        Box::pin(self.next())
    }
}

impl Desk {
    /// Payments that end from now on and fit the filter.
    pub fn tap(&self, filter: &Filter) -> Result<Tap, Problem> {
        let wanted = Wanted::parse(filter, |id| self.key_of(id))?;
        self.taps.open(wanted, &self.switch)
    }
}

impl Taps {
    fn open(&self, wanted: Wanted, switch: &Arc<Switch>) -> Result<Tap, Problem> {
        let mut state = self.0.lock();
        state.open.retain(|open| !open.is_left());
        if state.open.len() == TAPS_MAX {
            let next = Some("close one of them, or tap another node: all see the same payments".into());
            let message = format!("{TAPS_MAX} taps are open at this node already");
            return Err(Problem { next, ..problem(ProblemKind::Refused, message) });
        }
        if !state.is_followed {
            let (taps, follower, switch) = (self.clone(), switch.trail.follow(Interest::Ends), Arc::downgrade(switch));
            let follow = move || {
                _ = rustix::process::nice(NICE);
                taps.follow(&follower, &switch);
            };
            std::thread::Builder::new().name("tap".into()).spawn(follow).map_err(unavailable)?;
            state.is_followed = true;
        }
        let (open, tap) = Open::new(wanted);
        state.open.push(open);
        Ok(tap)
    }

    /// Until nobody taps any more, or the switch has ended.
    fn follow(&self, follower: &Follower, switch: &Weak<Switch>) {
        let (mut tell_at, mut lost, mut lost_at_gap, mut has_begun) = (Instant::now() + EVERY, 0, 0, false);
        loop {
            let news = follower.next(tell_at.saturating_duration_since(Instant::now()));
            let Some(switch) = switch.upgrade() else { break };
            let mut state = self.0.lock();
            if let Some(News::Folded { entry, is_behind_gap }) = news {
                if is_behind_gap {
                    // What was lost is counted; and before the first there is nothing that anybody wanted to hear.
                    let is_skip = has_begun && follower.lost() == lost_at_gap;
                    lost_at_gap = follower.lost();
                    state.open.iter_mut().for_each(|open| open.miss(0, u64::from(is_skip)));
                }
                has_begun = true;
                state.open.iter_mut().for_each(|open| open.take(&entry.steps, &|key| switch.scheme().id(key)));
            }
            if Instant::now() >= tell_at {
                tell_at = Instant::now() + EVERY;
                let missed = follower.lost() - lost;
                lost += missed;
                state.open.iter_mut().for_each(|open| open.miss(missed, 0));
                state.open.retain_mut(Open::tell);
                if state.open.is_empty() {
                    state.is_followed = false;
                    return;
                }
            }
        }
        let mut state = self.0.lock();
        state.open.clear();
        state.is_followed = false;
    }
}
