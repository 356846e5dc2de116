//! Nodes that join, are removed, are drained or die, and the participants that they serve: real processes, real clients.

#![allow(clippy::unwrap_used)] // a test may panic, its helpers too

mod client;
mod diverged;
mod drain;
mod feeds;
mod losses;
mod members;
mod support;
mod witness;
