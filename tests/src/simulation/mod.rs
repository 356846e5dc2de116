//! The pure core in a world of its own: participants, operators, clocks, a log and crashes, all drawn from one seed,
//! on one thread. What the ractor shells will do at run time is done here step by step, in any order that a mailbox
//! system allows; after every step the promises of [`crate::promises`] are checked.
//!
//! ```text
//!   Bank ──ask──> Actor (mailbox) ── decide, apply ──> Office ──append──> Log ──sync──> committed
//!     ^             ^                                    │                                  │
//!     │             └───────────── letters ──────────────┘                                  v
//!     └─────────────── notices, replies ─────────────────────────────────── Feeds <─────── Book
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `options.rs` | what a seed draws before the first step |
//! | `world.rs` | everything together, and which step comes next |
//! | `node.rs` | one life of the switch: actors, post office, the scheme they share |
//! | `log.rs` | what was appended, what of it is synced, where it can be cut |
//! | `bank.rs` | a participant: pays, answers, repeats itself, goes away, comes back |
//! | `fault.rs` | actors and nodes crash and are rebuilt |
//! | `end.rs` | the rest: everything is let finish, then looked at as a whole |
//!
//! A seed that fails is replayed alone: `CROSSTIE_SEED=1234 cargo test -p tests --test simulation`. More seeds:
//! `CROSSTIE_SEEDS=1000000`.

mod bank;
mod end;
mod fault;
mod log;
mod node;
mod options;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

pub use options::Options;
pub use world::Tally;

use world::World;

/// A promise was broken.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The last steps before it.
    pub trace: Vec<String>,
    /// Which test replays it.
    pub test: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}: {}", self.seed, self.what)?;
        self.trace.iter().try_for_each(|step| writeln!(formatter, "    {step}"))?;
        write!(formatter, "replay: CROSSTIE_SEED={} cargo test -p tests --test simulation {}", self.seed, self.test)
    }
}

/// A kind of run: what a seed draws.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name of the test that runs it.
    pub test: &'static str,
    pub draw: fn(u64) -> Options,
}

/// Runs one seed. On failure it runs once more, writing down its steps.
pub fn run(scenario: Scenario, seed: u64) -> Result<Tally, Box<Failure>> {
    let attempt = |traced: bool| {
        let mut world = World::new(seed, (scenario.draw)(seed), traced);
        let result = catch_unwind(AssertUnwindSafe(|| world.run()));
        let result = result.unwrap_or_else(|panic| Err(panic_text(&panic)));
        (result, world)
    };
    let (result, world) = attempt(false);
    let Err(first) = result else { return Ok(world.tally) };
    let (again, world) = attempt(true);
    let what = again.err().unwrap_or_else(|| format!("{first} (but not when repeated: the run is not deterministic)"));
    Err(Box::new(Failure { seed, what, trace: world.trace.steps(), test: scenario.test }))
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a word"))
}

/// Runs `count` seeds on all cores, or the one that `CROSSTIE_SEED` names; gives back what happened in sum, or the
/// failure with the smallest seed among those found first.
pub fn run_all(scenario: Scenario, count: u64) -> Result<Tally, Box<Failure>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("CROSSTIE_SEED") {
        return run(scenario, seed);
    }
    let count = number("CROSSTIE_SEEDS").unwrap_or(count);
    let (next, failed_below) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut sum = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || failed_below.load(Ordering::Relaxed) < seed {
                return Ok(sum);
            }
            match run(scenario, seed) {
                Ok(tally) => sum += tally,
                Err(failure) => {
                    failed_below.fetch_min(seed, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker catches every panic")).collect()
    });
    let mut sum = Tally::default();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(tally) => sum += tally,
            Err(failure) => failures.push(failure),
        }
    }
    match failures.into_iter().min_by_key(|failure| failure.seed) {
        Some(failure) => Err(failure),
        None => Ok(sum),
    }
}
