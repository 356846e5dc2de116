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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actors::Switch;
use actors::trail::{Follower, Interest, News};
use console::Waiting;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use watch::tap::{Filter, Tapped};

use crate::admin::Desk;
use crate::admin::asked::Origin;
use crate::admin::desk::{problem, unavailable};
use crate::admin::protocol::{Problem, ProblemKind};
use crate::office::give_way;
use open::Open;
use wanted::Wanted;

/// At a time, at one node.
const TAPS_MAX: usize = 8;
/// Of those: the others are kept for the command line.
const CONSOLE_TAPS_MAX: usize = 6;
/// How often a tap is told of.
const EVERY: Duration = Duration::from_millis(200);

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
    pub fn tap(&self, filter: &Filter, from: Origin) -> Result<Tap, Problem> {
        self.taps.open(self.wanted(filter)?, from, &self.switch)
    }

    /// Whether the filter is one, or why not.
    pub fn check_tap(&self, filter: &Filter) -> Result<(), Problem> {
        self.wanted(filter).map(drop)
    }

    fn wanted(&self, filter: &Filter) -> Result<Wanted, Problem> {
        Wanted::parse(filter, |id| self.key_of(id))
    }
}

impl State {
    /// Whether there is a place for one more.
    fn has_place(&self, from: Origin) -> Result<(), Problem> {
        let of_console = self.open.iter().filter(|open| open.from == Origin::Console).count();
        let message = match from {
            _ if self.open.len() >= TAPS_MAX => format!("{TAPS_MAX} taps are open at this node already"),
            Origin::Console if of_console >= CONSOLE_TAPS_MAX => {
                format!("{CONSOLE_TAPS_MAX} taps are open at this node's console already")
            }
            _ => return Ok(()),
        };
        let next = Some("close one of them, or tap another node: all see the same payments".into());
        Err(Problem { next, ..problem(ProblemKind::Refused, message) })
    }
}

impl Taps {
    fn open(&self, wanted: Wanted, from: Origin, switch: &Arc<Switch>) -> Result<Tap, Problem> {
        let mut state = self.0.lock();
        state.open.retain(|open| !open.is_left());
        state.has_place(from)?;
        if !state.is_followed {
            let (taps, follower, switch) = (self.clone(), switch.trail.follow(Interest::Ends), Arc::downgrade(switch));
            let run = move || {
                give_way();
                taps.run(|| taps.follow(&follower, &switch));
            };
            std::thread::Builder::new().name("tap".into()).spawn(run).map_err(unavailable)?;
            state.is_followed = true;
        }
        let (open, tap) = Open::new(wanted, from);
        state.open.push(open);
        Ok(tap)
    }

    /// Nobody waits for a thread that has failed: who taps is told, and the next tap starts another.
    fn run(&self, follow: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(follow)).is_err() {
            let mut state = self.0.lock();
            state
                .open
                .drain(..)
                .for_each(|open| open.end("The tap has failed; the node's log says how. Open it again."));
            state.is_followed = false;
        }
    }

    /// Until nobody taps any more, or the switch has ended.
    fn follow(&self, follower: &Follower, switch: &Weak<Switch>) {
        let (mut tell_at, mut missed) = (Instant::now() + EVERY, Missed::default());
        loop {
            let news = follower.next(tell_at.saturating_duration_since(Instant::now()));
            let Some(switch) = switch.upgrade() else { break };
            let mut state = self.0.lock();
            if let Some(News::Folded { entry, is_behind_gap }) = news {
                if missed.is_unknown(is_behind_gap, follower.lost()) {
                    state.open.iter_mut().for_each(Open::gap);
                }
                state.open.iter_mut().for_each(|open| open.take(&entry.steps, &|key| switch.scheme().id(key)));
            }
            if Instant::now() >= tell_at {
                tell_at = Instant::now() + EVERY;
                let lost = missed.since_told(follower.lost());
                state.open.iter_mut().for_each(|open| open.miss(lost));
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

/// What the follower lost, counted; and gaps that this does not explain.
#[derive(Default)]
struct Missed {
    told: u64,
    at_gap: u64,
    has_begun: bool,
}

impl Missed {
    fn since_told(&mut self, lost: u64) -> u64 {
        lost - std::mem::replace(&mut self.told, lost)
    }

    /// Whether nobody knows how many are missing before the next entry. Before the first nothing was wanted.
    fn is_unknown(&mut self, is_behind_gap: bool, lost: u64) -> bool {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        is_behind_gap && std::mem::replace(&mut self.at_gap, lost) == lost && has_begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_leaves_places_to_the_command_line() {
        let mut state = State::default();
        let mut taps = Vec::new();
        let mut fill = |state: &mut State, from, count| {
            for _ in 0..count {
                state.has_place(from).unwrap();
                let (open, tap) = Open::new(Wanted::default(), from);
                state.open.push(open);
                taps.push(tap);
            }
        };
        fill(&mut state, Origin::Console, CONSOLE_TAPS_MAX);
        let why = state.has_place(Origin::Console).unwrap_err().message;
        assert!(why.contains("6 taps are open at this node's console"), "{why}");
        fill(&mut state, Origin::Cli, TAPS_MAX - CONSOLE_TAPS_MAX);
        for from in [Origin::Console, Origin::Cli] {
            assert!(state.has_place(from).unwrap_err().message.contains("8 taps are open at this node already"));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_taps_is_told_when_the_thread_fails() {
        let taps = Taps::default();
        let (open, mut tap) = Open::new(Wanted::default(), Origin::Cli);
        *taps.0.lock() = State { open: vec![open], is_followed: true };
        taps.run(|| {
            let _held = taps.0.lock();
            panic!("made up");
        });
        assert!(tap.next().await.unwrap_err().contains("has failed"));
        assert!(!taps.0.lock().is_followed, "the next tap starts another");
    }

    #[test]
    fn what_is_missing_is_counted_or_said_to_be_unknown() {
        let mut missed = Missed::default();
        assert!(!missed.is_unknown(true, 0), "before it began");
        assert!(!missed.is_unknown(false, 0));
        assert_eq!((missed.since_told(7), missed.since_told(7)), (7, 0));
        assert!(!missed.is_unknown(true, 7), "seven are");
        assert!(missed.is_unknown(true, 7), "the book of another was taken over");
        assert!(!missed.is_unknown(false, 9) && !missed.is_unknown(true, 9));
        assert_eq!(missed.since_told(9), 2);
    }
}
