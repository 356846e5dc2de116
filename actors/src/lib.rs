//! The actors around the pure core: who decides, how decisions reach the log, how the committed facts reach the book
//! and the feeds.
//!
//! ```text
//!   session ──Batch──> Dispatch ──Instructions──> Host (actor of one or several participants) ── decide, apply
//!                         │ or                       │ facts, letters, replies
//!                         │ to the node              v
//!                         │ that leads           PostOffice ── facts ──> journal ── commit ──> Ledger: book, feeds
//!                         v                          └── letters, one message per recipient      │ Bell
//!                       Relay <─────────────────────     and batch ──> Host                      v
//!                                replies to other nodes' connections                       sessions, Relay
//! ```
//!
//! The [`Switch`] is there as long as the process. Actors and their [`PostOffice`] are there for one reign of this node: they
//! are made from the book when it comes to lead, and are gone when it does not. A connection keeps what it asked until that
//! is done, so it goes on whoever leads.
//!
//! Finished payments go on from the ledger to the [`archive`], off everybody's way.
//!
//! Hosts, post office and sessions share one thread; the ledger lives on the journal's. Nothing is told to a
//! participant before the ledger has seen it committed.
//!
//! In reading order: `switch`, `line` (a connection), `instruction`, `dispatch` (to whoever leads), `host` (an actor),
//! `draft` (who asked for an operation), `post`, `supervisor`, `ledger`, `feed`, `bell`, `throne` and `reign` (who leads),
//! `relay` (between nodes), `archive`, `trace` (one payment read from the log), `trail` (for traces), `figures` (what is measured
//! meanwhile).

pub mod archive;
mod bell;
mod clock;
mod dispatch;
mod draft;
mod feed;
pub mod figures;
mod host;
mod instruction;
mod ledger;
mod line;
mod post;
mod premises;
mod reign;
pub mod relay;
mod supervisor;
mod switch;
#[cfg(test)]
mod tests;
mod throne;
pub mod trace;
pub mod trail;

pub use bell::{Bell, Rung};
pub use clock::Clock;
pub use draft::Draft;
pub use feed::{Cursor, Feed, Progress};
pub use host::OwnedOperation;
pub use instruction::{Batch, Instruction, Other};
#[doc(hidden)] // names the type of the journal, nothing else
pub use ledger::{Answered, Passenger, ReadBook};
pub use ledger::{Feeds, replay_feed};
pub use line::{Elsewhere, Ending, Line};
pub use post::PostOffice;
pub use premises::{Death, Restarts, Traffic};
pub use relay::Relay;
pub use switch::{Config, Error, Switch, start, start_among};
