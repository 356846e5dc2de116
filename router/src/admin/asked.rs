//! Who asked for what, as nodes tell each other and as it is told of the audit trail.

use serde::{Deserialize, Serialize};

use super::protocol::Command;

/// From where an operator asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    Cli,
    Console,
    /// Nobody asked: the node did it of its own accord.
    Node,
}

/// What the node where an operator asked wants of the one that leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarded {
    /// To do it.
    Change { command: Command, who: Who },
    /// To write down what was done.
    Record(Record),
}

impl Forwarded {
    /// The connection proves which node asks, and a node speaks for its own operators. For those of another one it speaks
    /// where it led when that one asked it, and no longer does: of what came of it, and when it is to go itself.
    pub(super) fn may_come_from(&self, node: u64) -> bool {
        match self {
            Forwarded::Change { command: Command::RemoveMember { node: leaving, .. }, .. } if *leaving == node => true,
            Forwarded::Change { command, who } => command.needs_leader() && who.node == node,
            Forwarded::Record(_) => true,
        }
    }
}

/// Who asks, where and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    pub operator: String,
    /// Of the process that asked, as the system told the node.
    pub uid: u32,
    pub node: u64,
    pub origin: Origin,
    pub reason: String,
    /// By the clock of that node.
    pub asked_at_ns: u64,
    /// The task that this ends, and the second person.
    #[serde(default)]
    pub task: Option<u64>,
    #[serde(default)]
    pub approver: Option<Approver>,
}

impl Who {
    /// For people.
    pub fn told(&self) -> String {
        told(&self.operator, self.uid, self.origin)
    }
}

/// For people: at the console the user id is its node's, and says nothing of who has signed in.
pub fn told(operator: &str, uid: u32, origin: Origin) -> String {
    match origin {
        Origin::Cli if operator != nameless(uid) => format!("{operator} (uid {uid})"),
        Origin::Console => format!("{operator} at the console"),
        Origin::Cli | Origin::Node => operator.into(),
    }
}

/// Who has no name but what the system gives.
pub fn nameless(uid: u32) -> String {
    format!("uid {uid}")
}

/// Who approved or refused a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    pub operator: String,
    pub uid: u32,
}

/// An entry of the audit trail on its way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub action: String,
    pub parameters: String,
    pub who: Who,
    pub outcome: Outcome,
    pub why: String,
}

impl Record {
    /// Whether this entry is it, or tells that what was asked is done after all.
    pub fn is_in(&self, entry: &settlement::Audited<'_>) -> bool {
        let own = &self.who;
        let approver = own.approver.as_ref().map(|own| (own.operator.as_str(), own.uid));
        (entry.node, entry.asked_at.nanoseconds(), entry.operator) == (own.node, own.asked_at_ns, &own.operator)
            && (entry.action, entry.task) == (&self.action, own.task)
            && entry.approver.map(|own| (own.operator, own.uid)) == approver
            && (entry.outcome == self.outcome.into() || entry.outcome == settlement::Outcome::Done)
    }
}

/// What became of what an operator asked; see [`settlement::Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits for a second person.
    Proposed {
        until_ns: u64,
    },
    Done,
    Refused,
    Unknown,
}

/// A change that waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Of the entry of the audit trail that proposed it.
    pub number: u64,
    pub action: String,
    pub parameters: String,
    pub who: Who,
    pub until: String,
}

/// What can be done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Approve,
    Refuse,
    Withdraw,
}

/// Which entries of the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSearch {
    /// Recorded at this time or later; see [`Command::Find`].
    pub since: Option<String>,
    pub operator: Option<String>,
    pub action: Option<String>,
    /// The latest so many.
    pub limit: usize,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    pub number: u64,
    /// When it was recorded, by the clock of the node that led.
    pub at: String,
    pub asked_at: String,
    /// Where it was asked.
    pub node: u64,
    pub origin: Origin,
    pub operator: String,
    pub uid: u32,
    pub action: String,
    pub parameters: String,
    pub reason: String,
    pub task: Option<u64>,
    pub approver: Option<Approver>,
    pub outcome: Outcome,
    pub why: String,
    /// Hexadecimal, see `actors/settlement/src/trail.rs`.
    pub hash: String,
    /// The bytes of its canonical form, hexadecimal; only in an export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<String>,
}

/// Where the audit trail of a node ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    pub entries: u64,
    /// Of the last entry, hexadecimal.
    pub hash: String,
    /// Of the entry that was asked for, if there is one of that number.
    pub asked: Option<String>,
}

impl AuditEntry {
    pub fn new(entry: &settlement::Entry<'_>) -> AuditEntry {
        let audited = &entry.audited;
        AuditEntry {
            number: entry.head.number,
            at: audited.at.to_string(),
            asked_at: audited.asked_at.to_string(),
            node: audited.node,
            origin: audited.origin.into(),
            operator: audited.operator.into(),
            uid: audited.uid,
            action: audited.action.into(),
            parameters: audited.parameters.into(),
            reason: audited.reason.into(),
            task: audited.task,
            approver: audited.approver.map(|own| Approver { operator: own.operator.into(), uid: own.uid }),
            outcome: match audited.outcome {
                settlement::Outcome::Proposed { until } => Outcome::Proposed { until_ns: until.nanoseconds() },
                settlement::Outcome::Done => Outcome::Done,
                settlement::Outcome::Refused => Outcome::Refused,
                settlement::Outcome::Unknown => Outcome::Unknown,
            },
            why: audited.why.into(),
            hash: hex::encode(entry.head.hash),
            fact: None,
        }
    }

    /// With its canonical form.
    pub fn whole(entry: &settlement::Entry<'_>) -> AuditEntry {
        AuditEntry { fact: Some(hex::encode(entry.fact)), ..AuditEntry::new(entry) }
    }
}

impl From<settlement::Origin> for Origin {
    fn from(origin: settlement::Origin) -> Self {
        match origin {
            settlement::Origin::Cli => Origin::Cli,
            settlement::Origin::Console => Origin::Console,
            settlement::Origin::Node => Origin::Node,
        }
    }
}

impl From<Origin> for settlement::Origin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Cli => settlement::Origin::Cli,
            Origin::Console => settlement::Origin::Console,
            Origin::Node => settlement::Origin::Node,
        }
    }
}

impl From<Outcome> for settlement::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Proposed { until_ns } => settlement::Outcome::Proposed { until: wire::Timestamp(until_ns) },
            Outcome::Done => settlement::Outcome::Done,
            Outcome::Refused => settlement::Outcome::Refused,
            Outcome::Unknown => settlement::Outcome::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_speaks_for_another_one_only_where_it_led() {
        let who = Who {
            operator: "ann".into(),
            uid: 7,
            node: 2,
            origin: Origin::Cli,
            reason: "ticket 7".into(),
            asked_at_ns: 1,
            task: None,
            approver: None,
        };
        let change = |command| Forwarded::Change { command, who: who.clone() };
        let (action, parameters, why) = ("fund".into(), "{}".into(), String::new());
        let record = Record { action, parameters, who: who.clone(), outcome: Outcome::Unknown, why };
        let remove = |node| change(Command::RemoveMember { node, dry_run: false });
        for (forwarded, from_own, from_another) in [
            (change(Command::Roll { date: None }), true, false),
            (change(Command::Drain), false, false),
            (remove(1), true, false),
            (remove(3), true, true),
            (Forwarded::Record(record), true, true),
        ] {
            assert_eq!(
                (forwarded.may_come_from(2), forwarded.may_come_from(3)),
                (from_own, from_another),
                "{forwarded:?}"
            );
        }
    }
}
