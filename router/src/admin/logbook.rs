//! What was done and checked at the desk since the node's start, for the snapshot.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;
use watch::{Actions, AuditCheck, Checks, SelfCheck};

use super::protocol::{Problem, ProblemKind};

/// See the file's head.
#[derive(Default)]
pub struct Logbook {
    actions: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    checks: Mutex<Checks>,
}

impl Logbook {
    /// An operator asked for `action`, a name of the closed list, and heard this. What is to be asked again later has come
    /// to nothing yet.
    pub(super) fn acted(&self, action: &'static str, answer: &Result<Value, Problem>) {
        let result = match answer.as_ref().map_err(|problem| problem.kind) {
            Ok(answer) if answer["task"]["number"].is_u64() => "proposed",
            Ok(_) => "done",
            Err(ProblemKind::NotYet) => return,
            Err(ProblemKind::Usage) => "wrong",
            Err(ProblemKind::Refused | ProblemKind::NotFound) => "refused",
            Err(ProblemKind::Unavailable | ProblemKind::Integrity) => "unknown",
        };
        *self.actions.lock().entry((action, result)).or_default() += 1;
    }

    pub fn actions(&self) -> Vec<Actions> {
        let told = |(&(action, result), &count): (&(&str, &str), &u64)| Actions {
            action: action.into(),
            result: result.into(),
            count,
        };
        self.actions.lock().iter().map(told).collect()
    }

    /// The book has the sums of so many dates: an older one could not be found right any more.
    pub(crate) fn self_checked(&self, check: SelfCheck) {
        self.checks.lock().self_checked(check, settlement::DAYS_MAX);
    }

    pub(crate) fn checked_again(&self, check: &SelfCheck) {
        self.checks.lock().checked_again(check, settlement::DAYS_MAX);
    }

    pub(crate) fn audit_checked(&self, check: AuditCheck) {
        self.checks.lock().audit = Some(check);
    }

    pub fn checks(&self) -> Checks {
        self.checks.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::desk::problem;

    #[test]
    fn what_came_of_an_action_is_counted() {
        let logbook = Logbook::default();
        let said = |kind| Err(problem(kind, "no"));
        logbook.acted("fund", &Ok(json!({ "task": { "number": 7 } })));
        logbook.acted("fund", &Ok(json!({})));
        logbook.acted("fund", &Ok(json!({})));
        logbook.acted("member_promote", &said(ProblemKind::NotYet));
        logbook.acted("fund", &said(ProblemKind::NotFound));
        logbook.acted("drain", &said(ProblemKind::Unavailable));
        let told: Vec<_> = logbook.actions().into_iter().map(|own| (own.action, own.result, own.count)).collect();
        let expected = [("drain", "unknown", 1), ("fund", "done", 2), ("fund", "proposed", 1), ("fund", "refused", 1)];
        assert_eq!(told, expected.map(|(action, result, count)| (action.into(), result.into(), count)));
    }
}
