//! What the connections between nodes promise, on real sockets.

#![allow(clippy::unwrap_used)] // a test may panic, its helpers too

mod faults;
mod files;
mod mesh;
mod queue;
mod reconnecting;
mod strangers;
mod support;
