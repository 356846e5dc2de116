//! How a payment ended.

use serde::{Deserialize, Serialize};

use crate::Severity;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Settled,
    Rejected,
    TimedOut,
    /// A return that settled.
    Returned,
}

impl Outcome {
    pub const ALL: [Outcome; 4] = [Outcome::Settled, Outcome::Rejected, Outcome::TimedOut, Outcome::Returned];

    /// In filters and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Settled => "settled",
            Outcome::Rejected => "rejected",
            Outcome::TimedOut => "timed_out",
            Outcome::Returned => "returned",
        }
    }

    /// In sentences.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::TimedOut => "timed out",
            other => other.word(),
        }
    }

    /// Money moved.
    pub fn is_settled(self) -> bool {
        matches!(self, Outcome::Settled | Outcome::Returned)
    }

    pub fn severity(self) -> Severity {
        match self {
            Outcome::Settled | Outcome::Returned => Severity::Fine,
            Outcome::Rejected => Severity::Degraded,
            Outcome::TimedOut => Severity::Critical,
        }
    }
}

impl std::str::FromStr for Outcome {
    type Err = String;

    fn from_str(word: &str) -> Result<Outcome, String> {
        let words = Outcome::ALL.map(Outcome::word).join(", ");
        Outcome::ALL.into_iter().find(|own| own.word() == word).ok_or(format!("{word:?} is no outcome: {words}"))
    }
}
