//! The switch as a program: listener, sessions, configuration, administration. `node.rs` wires it on one page.

mod courier;
pub mod node;
mod outlet;
pub mod session;
