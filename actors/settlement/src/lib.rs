//! The pure core: every rule of payment, in plain single-threaded deterministic Rust. No I/O, no clock, no randomness,
//! no async. What is asked is a [`Command`], what happened is a [`Fact`]; `decide` reads, `apply` changes.
//!
//! A live actor holds a [`Participant`] and applies what it decided. The [`Book`] holds all of them and applies what
//! the log holds. Same struct, same `apply`. A letter to another participant is the fact itself.

mod answer;
mod book;
mod days;
mod deadlines;
mod digest;
mod expire;
mod fact;
mod notice;
mod operate;
mod participant;
mod payments;
mod position;
mod rules;
mod scheme;
mod snapshot;
mod submit;
#[cfg(test)]
mod table;
mod trail;

pub use answer::Answer;
pub use book::{Book, Sink};
pub use days::{DAYS_MAX, Day, Days, Diary, FUNDINGS_MAX, Flow, Funding};
pub use deadlines::Deadlines;
pub use digest::DIGEST_VERSION;
pub use fact::{
    Annotated, Expired, Fact, Facts, LimitChanged, Payment, PositionMoved, Rejected, Reserved, Settled, Stage, Standing,
};
pub use notice::{Recipient, notices};
pub use operate::{Direction, NOTE_BYTES_MAX, Operation, meaning};
pub use participant::{Command, Decision, Inquiry, Participant, Purpose, Reply, View};
pub use payments::{Payments, Record, State};
pub use position::{Limits, Position};
pub use rules::Rules;
pub use scheme::{Listing, Scheme};
pub use snapshot::{Frozen, restore};
pub use submit::{Submit, content_of};
pub use trail::{
    Approver, Audited, Broken, Entry, Hash, Head, Origin, Outcome, PARAMETERS_BYTES_MAX, Trail, WHY_BYTES_MAX,
};

/// Where a participant stands in the scheme's list: small, dense, never reused. Its identifier is in the [`Scheme`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, wincode::SchemaRead, wincode::SchemaWrite)]
pub struct Key(pub u32);

impl Key {
    /// Nobody: the creditor of a payment whose creditor agent is not registered.
    pub const NONE: Key = Key(u32::MAX);

    pub fn place(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Key::NONE { formatter.write_str("#-") } else { write!(formatter, "#{}", self.0) }
    }
}

/// The log holds something that cannot be: a bug or another program's log. The node must not go on with it.
#[derive(Debug, thiserror::Error)]
#[error("the log holds what cannot be read as facts: {0}")]
pub struct Unreadable(pub String);
