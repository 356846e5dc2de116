//! An entry of the audit trail before it is stamped: who asked for what, and why.

use settlement::{Approver, Audited, Fact, Origin, Outcome, PARAMETERS_BYTES_MAX, WHY_BYTES_MAX};
use wire::Timestamp;

/// See [`Audited`], which this becomes when its outcome is known. A change that a participant's actor or the supervisor
/// decides carries it along, so that the change and its entry are committed together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub asked_at: Timestamp,
    pub node: u64,
    pub origin: Origin,
    pub operator: String,
    pub uid: u32,
    pub action: String,
    pub parameters: String,
    pub reason: String,
    /// The task that this ends, and the second person: name and user id.
    pub task: Option<u64>,
    pub approver: Option<(String, u32)>,
    /// What is to be said of it when it is done, besides the reason.
    pub why: String,
}

impl Draft {
    /// Appends the entry of what was done, as the log keeps it.
    pub(crate) fn done(&self, at: Timestamp, out: &mut Vec<u8>) {
        self.ended(at, Outcome::Done, &self.why, out);
    }

    /// Appends the entry, as the log keeps it.
    pub(crate) fn ended(&self, at: Timestamp, outcome: Outcome, why: &str, out: &mut Vec<u8>) {
        let audited = Audited {
            at,
            asked_at: self.asked_at,
            node: self.node,
            origin: self.origin,
            operator: &self.operator,
            uid: self.uid,
            action: &self.action,
            parameters: cut(&self.parameters, PARAMETERS_BYTES_MAX),
            reason: &self.reason,
            task: self.task,
            approver: self.approver.as_ref().map(|(operator, uid)| Approver { operator, uid: *uid }),
            outcome,
            why: cut(why, WHY_BYTES_MAX),
        };
        Fact::Audited(audited).encode(out);
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
