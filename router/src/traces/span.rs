//! A stage of a payment, as small as the queue wants it.

use actors::trail::What;
use settlement::Key;
use wire::{ParticipantId, Timestamp, Uetr};

/// Which stage: its number is the last byte of the span's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Stage {
    /// All of it, parent of the others.
    Payment = 0,
    Reserve = 1,
    Creditor = 2,
    /// Settle, reject or time out.
    End = 3,
    ToldDebtor = 4,
    ToldCreditor = 5,
}

/// Why a payment is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Slow,
    Failed,
    Share,
}

impl Kept {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kept::Slow => "slow",
            Kept::Failed => "failed",
            Kept::Share => "share",
        }
    }
}

/// What all spans of a payment say.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) uetr: Uetr,
    pub(super) debtor: Key,
    pub(super) creditor: Key,
    pub(super) debtor_agent: ParticipantId,
    pub(super) creditor_agent: ParticipantId,
    pub(super) original: Option<Uetr>,
    pub(super) end: What,
    pub(super) kept: Kept,
    /// The log entry that holds its end.
    pub(super) entry: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) about: About,
    pub(super) stage: Stage,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Span {
    pub(super) fn new(about: About, stage: Stage, start: Timestamp, end: Timestamp) -> Span {
        // Stamps are the leader's, the rest is by this node's clock.
        Span { about, stage, start, end: end.max(start) }
    }
}

/// A span's id: the same on every node, and never zero. The half of the UETR that begins with its variant, with the debtor
/// agent mixed in, who alone makes a UETR unique.
pub(super) fn id(uetr: Uetr, debtor: Key, stage: Stage) -> [u8; 8] {
    let half = uetr.number() as u64 & !0xff;
    (half ^ u64::from(debtor.0) << 8 | stage as u64).to_be_bytes()
}
