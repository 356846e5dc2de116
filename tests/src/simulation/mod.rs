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

pub(crate) mod bank;
mod end;
mod fault;
pub(crate) mod log;
pub(crate) mod node;
mod options;
pub(crate) mod world;

pub use options::{Options, Weights};
pub use world::Tally;

use crate::seeds::{self, Failure, Test};
use world::World;

/// A kind of run: what a seed draws.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name of the test that runs it.
    pub test: &'static str,
    pub draw: fn(u64) -> Options,
}

/// Runs so many seeds, or as many as the environment says.
pub fn run_all(scenario: Scenario, count: u64) -> Result<Tally, Box<Failure>> {
    seeds::run_all(Test { file: "simulation", name: scenario.test }, count, |seed, trace| {
        let mut world = World::new(seed, (scenario.draw)(seed), trace);
        let result = seeds::caught(|| world.run());
        (result.map(|()| world.tally), world.trace)
    })
}
