//! One payment's whole story: what happened and who must act, where its time went, every step with its place in the log,
//! what moved, what it is linked to. Of every payment, because it is read from the book, the archive and the log, which
//! hold every payment, and not from what somebody sampled.
//!
//! ```text
//!  book or archive ── what became of it, and when ──> log ── the facts of those times ──┐
//!       └── returns and originals ─────────────────────────────────────────────────────┴─> Story ── page, JSON
//! ```
//!
//! What is not known is said to be unknown ([`Story::untold`]) and never made up: a log that begins later than the
//! payment, a feed whose numbers would take too long to count, what no fact was ever written about.
//! Names, accounts and free text of customers are in no story.
//!
//! In reading order: this file (what a story is), `known` (what book and archive have), `evidence` (what the log adds: who
//! refused, whether the switch held it up), `sentence` (what happened and who must act), `tell` (makes the story), `desk` (asks a switch for it), `page` (as text); `query` and `when` (a search as
//! text), `find` (carries it out).

mod desk;
mod evidence;
mod find;
mod known;
pub mod page;
mod query;
mod sentence;
mod tell;
#[cfg(test)]
mod tests;
pub(crate) mod when;

use serde::{Deserialize, Serialize};

pub(crate) use desk::{PARTICIPANTS_AT_A_TIME, PATIENCE, aside};
pub use find::Found;
pub(crate) use known::state_name;
pub(crate) use query::WORDS;

/// The state of an original that nobody knows.
pub(crate) const UNKNOWN: &str = "unknown";

/// What became of a payment, as the book or the archive has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub uetr: String,
    pub debtor_agent: String,
    /// `-` when it named nobody who is registered.
    pub creditor_agent: String,
    pub is_return: bool,
    pub amount: String,
    pub currency: String,
    /// Of that, claimed by returns; the archive does not know.
    pub returned: Option<String>,
    /// in_process, settled, settled_without_posting, rejected, timed_out.
    pub state: String,
    /// ISO 20022 status: ACSP, ACSC, ACWP, RJCT.
    pub status: String,
    pub reasons: Vec<String>,
    /// Absent when it stood in a part of the log that the archive could not read any more.
    pub decided_at: Option<String>,
    pub ended_at: Option<String>,
    /// While it is in process: when it times out.
    pub deadline: Option<String>,
    pub settlement_date: Option<String>,
    pub summary: String,
    pub must_act: String,
}

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    #[serde(flatten)]
    pub payment: Payment,
    /// Message id of the instruction.
    pub message_id: Option<String>,
    /// book or archive.
    pub told_by: String,
    pub budget: Option<Budget>,
    pub timeline: Vec<Moment>,
    pub postings: Vec<Posting>,
    /// Of a return: what it gives back.
    pub original: Option<Link>,
    pub returns: Vec<Link>,
    /// What this story cannot tell and why, a sentence each.
    pub untold: Vec<String>,
}

/// Where the time went that the payment had, from the instruction's own timestamp to its deadline. Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub total_us: u64,
    /// From the debtor agent's timestamp, by its clock, until the funds were set aside, or it was refused for its clock.
    pub before_us: u64,
    /// Of what was refused for its clock no timestamp is kept: `before_us` is what it was at least, `left_us` at most.
    pub is_at_least: bool,
    /// From then until the end, or until now, but not past the deadline by more than a timer's lateness: the creditor
    /// agent's time, with the way to it and back and a commit each.
    pub waiting_us: u64,
    /// Of that time an unknown part is the switch's own: it decided late, or its leader changed.
    pub is_shared: bool,
    /// From the deadline until its end was decided, or until now: the switch could not decide.
    pub late_us: u64,
    pub left_us: u64,
    pub has_ended: bool,
}

/// A step of the payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub at: String,
    /// Since it was first decided; before that, negative.
    pub after_us: i64,
    /// The log entry that holds it; `None` for what is known without the log.
    pub entry: Option<u64>,
    pub term: Option<u64>,
    pub what: String,
    pub notices: Vec<Notice>,
}

/// How an agent was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub to: String,
    /// In its feed; `None` when finding it would have meant to read too much of the log.
    pub number: Option<u64>,
}

/// A change of a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// reserve and release change what is available; debit and credit the balance. A debit uses the reservation up.
    pub kind: String,
    pub participant: String,
    /// With its sign.
    pub amount: String,
    pub currency: String,
    pub entry: Option<u64>,
}

/// Another payment that this one belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub uetr: String,
    pub debtor_agent: String,
    pub amount: String,
    pub currency: String,
    pub state: String,
    pub ended_at: Option<String>,
}
