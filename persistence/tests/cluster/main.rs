//! What a cluster promises, in a deterministic simulation: the real replicas on simulated disks, with a virtual network and
//! virtual time. Messages are dropped and delayed and overtake those of other nodes; links are cut one way; nodes stop at
//! any write, lose what was not synced, pause, and come back; disks are slow, clocks stop and jump; logs are damaged, given up and
//! brought back. A seed that fails is printed, and repeats exactly.
//!
//! `CROSSTIE_SEEDS=N` runs more seeds, `CROSSTIE_SEED=N` only that one.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod book;
mod chaos;
mod journals;
mod members;
mod network;
mod older;
mod oracle;
mod repair;
mod world;

mod planned;
