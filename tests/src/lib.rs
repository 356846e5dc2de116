//! What the switch promises, and the machinery that holds it to it.

pub mod cluster;
pub mod crash;
pub mod peer;
pub mod process;
pub mod promises;
pub mod replicated;
pub mod seeds;
pub mod shards;
pub mod simulation;
pub mod witness;
