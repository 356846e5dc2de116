//! The actors around the pure core: who decides, how decisions reach the log, how the committed facts reach the book
//! and the feeds.
//!
//! ```text
//!   session ──Instructions──> Host (actor of one or several participants) ── decide, apply
//!                                │ facts, letters, replies
//!                                v
//!                            PostOffice ── facts ──> journal ── commit ──> Ledger: book, feeds ── Bell ──> sessions
//!                                └── letters, one message per recipient and batch ──> Host
//! ```
//!
//! Finished payments go on from the ledger to the [`archive`], off everybody's way.
//!
//! Hosts, post office and sessions share one thread; the ledger lives on the journal's. Nothing is told to a
//! participant before the ledger has seen it committed.

pub mod archive;
mod bell;
mod clock;
mod feed;
mod host;
mod instruction;
mod ledger;
mod line;
mod post;
mod supervisor;
mod switch;
#[cfg(test)]
mod tests;

pub use bell::{Bell, Rung};
pub use clock::Clock;
pub use feed::{Cursor, Feed, Progress};
pub use host::{Operate, OwnedOperation};
pub use instruction::{Instruction, Instructions};
pub use ledger::{Feeds, replay_feed};
pub use line::{Ending, Line};
pub use post::{PostOffice, Traffic};
pub use switch::{Config, Error, Switch, start};
