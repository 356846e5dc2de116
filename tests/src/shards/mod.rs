//! Several logs, on paper and in simulation: participants divided over shards, each a log and the actors of its own
//! participants. The pure core is the one of production; the protocol between shards is written here alone, to prove it
//! before anybody needs it. See `SCALE.md`.
//!
//! ```text
//!   debtor's shard                                     creditor's shard
//!   submit -> Reserved, commit ───── letter ─────────> not known: Reserved again, commit -> the creditor agent is asked
//!   (asks again until it knows)                        known and ended: the outcome again
//!   Settled again, commit -> debtor told <── letter ── answer -> Settled, commit -> the creditor agent is told
//! ```
//!
//! Letters are the facts themselves, sent when committed, at least once, in any order. The creditor's log is the
//! decision; a reservation whose decision is unknown waits.

mod shard;
mod world;

pub use world::{Tally, World, run};
