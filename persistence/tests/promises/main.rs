//! What the log promises, each promise in a file of its own.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod ledger;

mod commits;
mod damage;
mod failures;
mod golden;
mod power_loss;
mod reading;
mod replicated;
mod snapshots;
mod stale;
