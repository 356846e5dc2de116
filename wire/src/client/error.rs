//! What can go wrong in a client: what happened, who must act, whether trying again is safe.

use std::time::Duration;

use super::Feed;
use crate::reason::Actor;
use crate::{Reason, Uetr};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message breaks the protocol and was not sent.
    #[error("not sent: {0}")]
    Invalid(crate::Error),
    /// The switch refused the instruction and recorded nothing of it.
    #[error("the switch refused it, nothing was recorded: {reason}: {text}")]
    Refused { reason: Reason, text: String },
    /// No outcome is known within the deadline. The payment may still settle.
    #[error("no outcome within {after:?}; it may still come ({standing})")]
    Deadline { uetr: Option<Uetr>, after: Duration, standing: String },
    /// All places are taken by instructions without an outcome.
    #[error("{places} instructions have no outcome yet, and that is the limit you set")]
    WindowFull { places: usize },
    /// This client already waits for the outcome of the same instruction.
    #[error("{uetr} is already on its way in this client")]
    InFlight { uetr: Uetr },
    /// No node could be reached.
    #[error("not signed on after {after:?}: {because}")]
    Unreachable { after: Duration, because: String },
    /// The switch ended the session for good.
    #[error("the switch sent this client away: {reason}: {text}")]
    SentAway { reason: Reason, text: String },
    /// A newer session of the same participant took over.
    #[error("a newer session of this participant took over: {text}")]
    Superseded { text: String },
    /// A notice is missing. The client has ended, because going on would lose it silently.
    #[error("notice {expected} of the {feed} feed is missing, {got} came: report this to the operator of the switch")]
    Gap { feed: Feed, expected: u64, got: u64 },
    #[error("the participant has signed off")]
    SignedOff,
    #[error("the client was closed")]
    Closed,
}

/// Who has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// You, the participant.
    You,
    /// The operator of the switch.
    Operator,
    Nobody,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same instruction with the same UETR: safe at any time, it never pays twice.
    SameAgain,
    /// Not as it is: correct it and use a new UETR.
    Corrected,
    /// By a new client, after what is wrong has been dealt with; then the same UETR is safe.
    NewClient,
}

impl Error {
    pub fn who_must_act(&self) -> Who {
        match self {
            Error::Refused { reason, .. } | Error::SentAway { reason, .. } => {
                match reason.explanation().map(|it| it.act) {
                    Some(Actor::Operator) => Who::Operator,
                    Some(Actor::Nobody) => Who::Nobody,
                    _ => Who::You,
                }
            }
            Error::Gap { .. } => Who::Operator,
            Error::Deadline { .. } | Error::SignedOff | Error::Closed => Who::Nobody,
            _ => Who::You,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Error::Invalid(_) => Retry::Corrected,
            Error::Refused { reason, .. } => match reason.explanation() {
                Some(explanation) if !explanation.is_final && *reason != Reason::FORM && *reason != Reason::STAL => {
                    Retry::SameAgain
                }
                _ => Retry::Corrected,
            },
            Error::Deadline { .. } | Error::WindowFull { .. } | Error::InFlight { .. } => Retry::SameAgain,
            _ => Retry::NewClient,
        }
    }

    /// What to do next, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Error::Invalid(_) => "Correct the field.",
            Error::Refused { reason, .. } | Error::SentAway { reason, .. } => {
                reason.explanation().map_or("Read the text.", |explanation| explanation.advice)
            }
            Error::Deadline { .. } => "Ask with status(), or send it again with the same UETR: it never pays twice.",
            Error::WindowFull { .. } => "Wait for outcomes, or raise the limit.",
            Error::InFlight { .. } => "Wait for the outcome; the client resends by itself.",
            Error::Unreachable { .. } => "Check the address and the network, then connect again.",
            Error::Superseded { .. } => "Find out which of your programs holds the newer session.",
            Error::Gap { .. } => "Stop, keep your journal, and call the operator of the switch.",
            Error::SignedOff | Error::Closed => "Connect again to take part again.",
        }
    }
}
