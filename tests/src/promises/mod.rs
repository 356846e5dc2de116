//! What the switch promises, one promise a file. Each is checked against what a stranger could see: the committed
//! facts, the frames that participants were sent, the book. None trusts the core's own arithmetic.
//!
//! | promise | checked |
//! |---|---|
//! | `money` is conserved, nothing is negative that must not be | after every step |
//! | `outcome`: one per payment, ever, whoever is told | with every notice and report |
//! | `ending`: every payment that was set aside ends at most once, as what it was | with every fact |
//! | `durable`: what was told is told again, byte by byte | with every notice, after every crash |
//! | `gapless`: feeds are numbered without a gap | with every notice |
//! | `punctual`: late answers never settle, nothing expires early | with every fact |
//! | `duplicates` never reserve twice | with every fact |
//! | `returns` never exceed their original, and claim nothing of it when they fail | with every fact, at rest |
//! | `dates`: settlement dates never go back | with every fact |
//! | `stamps`: no reign dates anything before what an earlier one did | with every fact of a replicated log |
//! | `replies`: what is replied stands in the log | with every reply of a replicated log |
//! | `reservations` all end | at rest |
//! | `actors`: a live actor equals the facts folded | at rest |
//! | `replay`: the log from nothing, the running book, a snapshot and its tail are the same | at rest |

pub mod actors;
pub mod dates;
pub mod duplicates;
pub mod durable;
pub mod ending;
pub mod gapless;
pub mod money;
pub mod outcome;
pub mod punctual;
pub mod replay;
pub mod replies;
pub mod reservations;
pub mod returns;
pub mod stamps;

mod feeds;
mod witness;

pub use feeds::{Feed, Feeds};
pub use witness::{Known, Witness};

/// Which promise was broken, and how.
pub type Kept = Result<(), String>;
