//! The whole switch but its sockets and threads, on several nodes, in a world of its own: the real replicated log
//! ([`persistence::Replica`]) on simulated disks and a virtual network, the real book as its fold, the real participants
//! as actors of whoever leads. Virtual time, one thread, one seed; the promises of [`crate::promises`] after every step.
//!
//! ```text
//!   bank ── says ──> its node ── relay ──> leader: actors decide ──> batch ── propose ──> Replica ══ network ══ Replicas
//!    ^                  │  ^                  ^ built at the reign's begin                    │                    │
//!    │                  │  └── done, reply ───┼──────────────────────────── folded <──────────┤                    │
//!    └── notices from its node's own book     └────────────── the book <──────────────────────┘      book <────────┘
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `court.rs` | sees everything that any node folds and tells; holds it to the promises |
//! | `ledger.rs` | the fold of a node: its book, its feeds, what is replied |
//! | `reign.rs` | the actors of one reign and the batch that is not proposed yet |
//! | `machine.rs` | one node: disk, replica, clock, what was asked there |
//! | `network.rs` of `persistence/tests/cluster` | what happens to messages |
//! | `events.rs` | what can happen |
//! | `world.rs` | nodes, time, and what happens when |
//! | `rest.rs` | how a world begins, and how it ends |
//! | `chaos.rs` | banks, and everything that goes wrong |
//! | `races.rs` | answer against timeout while leadership changes |
//!
//! Production's actors run on threads of their own, with a relay and sessions between them and the banks; here stand
//! models of these: a mailbox that is worked off a little at a time, instructions that go to each new leader again until
//! they are done, and again to the same one when they wait for long.
//!
//! Seen to bite, each planted alone and caught within a second; with the seeds (`chaos`; `races`):
//!
//! | planted | caught by |
//! |---|---|
//! | a deposed leader still tells what it had decided | `replies`: 1, 0 |
//! | actors at a reign's begin do not wait for entries of earlier terms | `duplicates`: 1; `ending`: 0 |
//! | a new leader's clock goes back behind the last fact | `stamps`: 1, 0 |
//! | a node that leads again goes on with the actors it had | `ending`: 1; `reservations`: 0 |
//! | actors are built from the book before its last entry: an answer is accepted twice | `duplicates`: 0; `ending`: 0 |
//! | an instruction is called done when it is proposed | `replies`: 0, 0 |
//! | an entry is committed before a majority has it | a replica that finds itself behind: 0; `court`, nodes agree: 0 |
//! | nothing is synced | a replica that finds its log damaged: 0, 0 |
//!
//! A seed that fails is replayed alone: `CROSSTIE_SEED=1234 cargo test -p tests --test replicated`. More seeds:
//! `CROSSTIE_SEEDS=10000`.

mod chaos;
mod court;
mod events;
mod ledger;
mod machine;
#[path = "../../../persistence/tests/cluster/network.rs"]
mod network;
mod races;
mod reign;
mod rest;
mod world;

pub use chaos::Chaos;
pub use races::Races;

use crate::seeds::{self, Failure, Test, Trace};

/// So many worlds full of races.
pub fn races(count: u64) -> Result<Races, Box<Failure>> {
    seeds::run_all(Test { file: "replicated", name: "answer_and_timeout" }, count, races::run)
}

/// So many worlds in which everything goes wrong.
pub fn chaos(count: u64) -> Result<Chaos, Box<Failure>> {
    seeds::run_all(Test { file: "replicated", name: "every_promise" }, count, chaos::run)
}

/// What became of a seed in both kinds of world, in words.
pub fn again(seed: u64) -> String {
    format!("{:?} {:?}", races::run(seed, Trace::default()).0, chaos::run(seed, Trace::default()).0)
}
