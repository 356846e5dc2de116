//! One payment as the log tells it: its facts, the entries that hold them, the numbers of the notices that told of them.
//!
//! Nothing is kept for it. A fact carries its time and the log is in the order of time, so what happened at a known time
//! is found by going to the segment of that time and reading on. That costs the corridor nothing and memory nothing; it
//! costs whoever asks the reading of a segment for each of the two times.
//!
//! In reading order: this file (what is sought, what is found), `walk` (the log), `number` (the feeds).

mod number;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;

use persistence::{Error, Index, Term};
use settlement::{Fact, Key};
use wire::{ParticipantId, Timestamp, Uetr};

use crate::ledger::Feeds;
pub use walk::by_message;

/// Which payment, and when it is known to have happened.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    pub uetr: Uetr,
    pub debtor: Key,
    pub debtor_agent: ParticipantId,
    /// When it was decided first; `None` where nobody knows any more.
    pub decided_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// It was accepted without posting: the creditor agent may have said more after it had ended.
    pub may_be_annotated: bool,
}

/// A fact about the payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub index: Index,
    pub term: Term,
    /// Without bodies and free text: those are nobody's who looks at a story.
    pub fact: Fact<'static>,
    /// The instruction's own timestamp, by the debtor agent's clock; not kept of what was refused at once.
    pub created_at: Option<Timestamp>,
    /// Whom it was addressed to, where that is nobody who is registered.
    pub addressed_to: Option<ParticipantId>,
    /// The agents that were told, the debtor agent first.
    pub notices: Vec<Notice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub to: Key,
    /// Its number in the feed; `None` when finding it would mean to read too much of the log.
    pub number: Option<u64>,
}

/// Where the decisions of one reign end and those of the next begin: the leader changed, or a node alone started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    pub terms: (Term, Term),
    /// The last decision of the one and the first of the other.
    pub between: (Timestamp, Timestamp),
}

/// Everything that was found, in the order of the log.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Trace {
    pub steps: Vec<Step>,
    /// The last ones before its end, as far as the log was read; some may be of long before the payment.
    pub leader_changes: Vec<LeaderChange>,
    /// The oldest entry that is kept and the time of its facts, when the payment is older than that.
    pub log_begins: Option<(Index, Timestamp)>,
    /// What the creditor agent said after it had ended was looked for up to this entry only.
    pub annotated_up_to: Option<Index>,
}

/// Payments by the message id of their instructions.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Named {
    pub payments: Vec<(Key, Uetr)>,
    /// Set when so much was read that what was decided after this time was not looked at.
    pub reached: Option<Timestamp>,
}

/// Reads the log in `directory`; `up_to` is the last committed entry. Blocks on the disk.
pub fn trace(directory: &Path, feeds: &Feeds, sought: &Sought, up_to: Index) -> Result<Trace, Error> {
    let mut trace = walk::walk(directory, sought, up_to)?;
    for step in &mut trace.steps {
        step.notices = number::notices_of(directory, feeds, sought, step, up_to)?;
    }
    Ok(trace)
}
