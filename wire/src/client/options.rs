//! How a client is set up, and what it says about its connection.

use std::fmt;
use std::time::Duration;

use super::{Error, Result};
use crate::{BusinessDate, ParticipantId, Timestamp};

/// Everything a client can be told. Change what differs:
/// `Options { payments_max: 100, ..Options::new("127.0.0.1:7800", participant) }`.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of the nodes. Any of them will do; they are tried in turn, after those that a node names when it sends
    /// its clients away.
    pub addresses: Vec<String>,
    pub participant: ParticipantId,
    /// Name and version of your program, for the operator's eyes: 1 to 64 characters.
    pub software: String,
    /// Where the feeds stopped in the life before this one: [`Client::position`](super::Client::position), saved.
    pub resume: Resume,
    /// When a notice counts as processed.
    pub processed: Processed,
    /// Payments and returns without an outcome; one more waits for a place.
    pub payments_max: usize,
    /// Answers that were neither confirmed nor refused; one more waits for a place. A program that answers from within its
    /// notice loop gives more places than it can have offers, or answers from a task of its own: while it waits for a
    /// place it takes no notice, and the notice that frees the place may be behind it.
    pub answers_max: usize,
    /// Notices that were not taken; the library reads no further, give or take one read of the socket (256 KiB).
    pub notices_max: usize,
    /// Deadline of every call, counted from the call; an instruction that is past it is not sent again after a reconnect,
    /// so ask for its status, or send it again yourself. [`Client::within`](super::Client::within) changes it for one call.
    pub timeout: Duration,
    /// How long [`Client::connect`](super::Client::connect) tries.
    pub connect_timeout: Duration,
    /// How long one attempt may take from the first packet to the switch's answer.
    pub attempt_timeout: Duration,
    /// A node that is asked by heartbeats and says nothing for so long is given up, if it does not itself allow less.
    pub silence_max: Duration,
    /// The pause before a node is tried again; one that was not tried since the last pause is tried at once.
    pub backoff: Backoff,
}

impl Options {
    pub fn new(address: impl Into<String>, participant: ParticipantId) -> Self {
        Options {
            addresses: vec![address.into()],
            participant,
            software: concat!("crosstie-wire ", env!("CARGO_PKG_VERSION")).into(),
            resume: Resume::default(),
            processed: Processed::WhenSaid,
            payments_max: 10_000,
            answers_max: 10_000,
            notices_max: 16_384,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(5),
            silence_max: Duration::from_secs(6),
            backoff: Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) },
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |field, what: &str| Err(Error::Invalid(crate::Error::field_is(field, what)));
        if self.addresses.is_empty() {
            return wrong("addresses", "must name at least one host:port");
        }
        if self.participant.is_none() {
            return wrong("participant", "must be set");
        }
        for (field, bound) in
            [("payments_max", self.payments_max), ("answers_max", self.answers_max), ("notices_max", self.notices_max)]
        {
            if bound == 0 || bound > 10_000_000 {
                return wrong(field, "must be 1 to 10000000");
            }
        }
        if self.silence_max < Duration::from_millis(30) {
            return wrong("silence_max", "must be at least 30 ms");
        }
        crate::text::check(&self.software, 64, "software").map_err(Error::Invalid)
    }
}

/// Numbers of the last notices that were processed; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    pub last_notice: u64,
    pub last_system_notice: u64,
}

/// When a notice counts as processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// When [`Client::processed`](super::Client::processed) or [`Notices::processed`](super::Notices::processed) says so.
    WhenSaid,
    /// As soon as it is taken.
    WhenTaken,
}

/// The pause doubles from `first` to `most` with each failed attempt, and each is taken half to one and a half times,
/// so that a thousand clients do not come back in the same instant.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
}

impl Backoff {
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let whole = self.first.saturating_mul(1u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(self.most);
        whole.mul_f64(rand::random_range(0.5..1.5))
    }
}

/// What the connection does.
#[derive(Clone, Debug)]
pub enum State {
    /// Asks this address.
    Connecting { address: String },
    /// Signed on at this node, by these rules.
    SignedOn { since: Timestamp, node: String, rules: Rules },
    /// Will connect again. Instructions without an outcome are kept and sent again.
    Waiting { until: Timestamp, because: String },
    /// Over; nothing more happens. Make a new client when `why` is dealt with.
    Ended { why: Error },
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Connecting { address } => write!(formatter, "connecting to {address}"),
            State::SignedOn { since, node, .. } => write!(formatter, "signed on at {node} since {since}"),
            State::Waiting { until, because } => write!(formatter, "waiting until {until} to connect again: {because}"),
            State::Ended { why } => write!(formatter, "ended: {why}"),
        }
    }
}

/// The rules of the session, as the switch stated them at sign-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub protocol: u16,
    /// Instructions the switch takes before it stops reading until some are decided.
    pub window: u32,
    pub silence_max: Duration,
    /// From the timestamp of a credit transfer to its end.
    pub payment_timeout: Duration,
    /// Of that, what is left to the creditor agent.
    pub creditor_share: Duration,
    /// How far ahead a timestamp may be.
    pub skew_max: Duration,
    pub business_date: BusinessDate,
}
