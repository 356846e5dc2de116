//! What a node checks of itself every day, and what operators had done at it.

use serde::{Deserialize, Serialize};

use crate::text::{count, length};

/// The latest of each; none before the first since the node's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    pub self_check: Option<SelfCheck>,
    pub audit: Option<AuditCheck>,
}

/// Every position of a business date was added up again from its payments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
    /// None while no business date with movements is over: then nothing could be added up.
    pub date: Option<String>,
    pub positions: u64,
    pub payments: u64,
    /// What does not add up, and the first of it in words. Must be 0.
    pub differences: u64,
    pub first: Option<String>,
    /// Positions that this node's archive does not go back to.
    pub unchecked: u64,
}

/// Every hash of the audit trail was computed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
    pub entries: u64,
    /// The first entry that is not what was written, in words.
    pub broken: Option<String>,
}

impl Checks {
    /// What to call each, and how it went, in words.
    pub fn told(&self, now_ms: u64) -> [(&'static str, String); 2] {
        let none = || "not yet since the start of the node".to_string();
        let own = self.self_check.as_ref().map_or_else(none, |check| check.sentence(now_ms));
        let audit = self.audit.as_ref().map_or_else(none, |check| check.sentence(now_ms));
        [("self-check", own), ("audit trail", audit)]
    }
}

impl SelfCheck {
    fn sentence(&self, now_ms: u64) -> String {
        let SelfCheck { positions, payments, differences, unchecked, .. } = self;
        let ago = length(now_ms.saturating_sub(self.at_ms) * 1000);
        let Some(date) = &self.date else { return format!("no business date with movements is over, {ago} ago") };
        let rest = match unchecked {
            0 => String::new(),
            unchecked => format!(", {} could not be checked", count(*unchecked)),
        };
        match differences {
            0 => {
                let (positions, payments) = (count(*positions), count(*payments));
                format!("{positions} positions of {date} are what {payments} payments made of them{rest}, {ago} ago")
            }
            differences => {
                let first = self.first.as_deref().unwrap_or_default();
                format!("{} differences on {date}{rest}, {ago} ago; the first: {first}", count(*differences))
            }
        }
    }
}

impl AuditCheck {
    fn sentence(&self, now_ms: u64) -> String {
        let ago = length(now_ms.saturating_sub(self.at_ms) * 1000);
        match &self.broken {
            None => format!("{} entries, each follows from the one before, {ago} ago", count(self.entries)),
            Some(broken) => format!("not what was written, {ago} ago: {broken}"),
        }
    }
}

/// How often operators asked for something that came to this, since the node's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// `fund`, `suspend`, `member_add`…
    pub action: String,
    /// `done`, `proposed`, `refused`, `wrong`, `unknown`.
    pub result: String,
    pub count: u64,
}
