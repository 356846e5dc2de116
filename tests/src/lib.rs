//! What the switch promises, and the machinery that holds it to it.

pub mod promises;
pub mod simulation;
