//! What waits for a second person. With `operators.second_person = "money"`, money in and out and limits are proposed by one
//! operator and done when another one approves. A proposal is an entry of the audit trail, and so is what ends it: the
//! change and the entry that ends its task are committed together, so it is done once, whoever leads.
//!
//! Both are at the console, under different names, or both on the command line, under different names and user ids. Between
//! the two nobody is surely another: on the command line everybody can give any name, and the console's user id is its node's.
//! Whoever may open the socket as the node's user can also say that he is the console: two persons are as separate as their
//! access to that user is.

use std::time::Duration;

use serde_json::json;
use settlement::{Audited, Trail};
use wire::Timestamp;

use super::Desk;
use super::asked::{Approver, Origin, Outcome, Record, Task, Way, Who};
use super::desk::{Answer, problem, unavailable, value, wrong};
use super::protocol::{Command, Problem, ProblemKind};
use super::trail::Asking;

/// Tasks that may wait at a time.
const TASKS_MAX: usize = 100;

impl Task {
    fn of(number: u64, audited: &Audited<'_>) -> Option<Task> {
        let settlement::Outcome::Proposed { until } = audited.outcome else { return None };
        let who = Who {
            operator: audited.operator.into(),
            uid: audited.uid,
            node: audited.node,
            origin: audited.origin.into(),
            reason: audited.reason.into(),
            asked_at_ns: audited.asked_at.nanoseconds(),
            task: None,
            approver: None,
        };
        let (action, parameters) = (audited.action.into(), audited.parameters.into());
        Some(Task { number, action, parameters, who, until: until.to_string() })
    }

    /// What is done when it is approved.
    fn command(&self) -> Result<Command, Problem> {
        let command = format!("{{\"{}\":{}}}", self.action, self.parameters);
        serde_json::from_str(&command).map_err(|error| wrong(format!("task {} cannot be read: {error}", self.number)))
    }

    /// The proposer, with the second person and the task that this ends. Where and when are the second person's, so that two
    /// attempts are two entries; those of the proposal stand in its own.
    fn ended_by(&self, second: &Who) -> Who {
        let approver = Some(Approver { operator: second.operator.clone(), uid: second.uid });
        let (node, asked_at_ns) = (second.node, second.asked_at_ns);
        Who { task: Some(self.number), approver, node, asked_at_ns, ..self.who.clone() }
    }

    /// Who can approve it and how, where the nodes run as the user `own_uid`: on the command line nobody but that user and
    /// root is let in.
    fn next(&self, own_uid: u32) -> String {
        let number = self.number;
        match (self.who.origin, self.who.uid) {
            (Origin::Cli, 0) if own_uid == 0 => format!(
                "crosstie task withdraw {number} --reason TEXT, and propose it at the console: nobody can approve it here, \
                 since the node runs as root, so that whoever is let in on the command line is the same user as you. Another \
                 person who signs in there approves it: crosstie operator add NAME --role approver --reason TEXT"
            ),
            (Origin::Cli, uid) => {
                let other = if uid == 0 { format!("the user with uid {own_uid}") } else { "root".into() };
                format!("another person approves it on the command line, as {other}: crosstie task approve {number}")
            }
            _ => "another person who has signed in at the console approves it there".into(),
        }
    }

    /// What `who` may do with it. Whoever is neither surely the proposer nor surely another may stop it, in both names.
    pub(crate) fn ways(&self, who: &Who) -> &'static [Way] {
        match () {
            () if who.is_surely(&self.who) => &[Way::Withdraw],
            () if who.may_be(&self.who) => &[Way::Refuse],
            () => &[Way::Approve, Way::Refuse],
        }
    }
}

impl Who {
    /// See the file's head.
    fn may_be(&self, other: &Who) -> bool {
        let is_same_user = self.uid == other.uid && self.origin == Origin::Cli;
        self.operator == other.operator || self.origin != other.origin || is_same_user
    }

    /// On the command line name and user id are the same; at the console the name, since who has it has signed in.
    fn is_surely(&self, other: &Who) -> bool {
        let is_same_user = self.uid == other.uid || self.origin == Origin::Console;
        self.operator == other.operator && self.origin == other.origin && is_same_user
    }
}

fn all(trail: &Trail, now: Timestamp) -> Vec<Task> {
    trail.tasks(now).filter_map(|(number, audited)| Task::of(number, &audited)).collect()
}

fn one(tasks: Vec<Task>, number: u64) -> Result<Task, Problem> {
    tasks.into_iter().find(|task| task.number == number).ok_or_else(|| Problem {
        next: Some("crosstie task list".into()),
        ..problem(ProblemKind::NotFound, format!("no task {number} waits: it has ended or expired, or never was"))
    })
}

impl Desk {
    pub(super) fn needs_second_person(&self, command: &Command) -> bool {
        self.config.operators.second_person == "money" && command.is_of_money()
    }

    /// As this node's book has them.
    pub(super) async fn tasks(&self) -> Answer {
        let now = self.switch.clock().now();
        value(self.query(move |book| all(book.trail(), now)).await?)
    }

    /// Of the node that leads, with everything that is on its way.
    async fn tasks_for_sure(&self) -> Result<Vec<Task>, Problem> {
        let now = self.switch.clock().now();
        Ok(self.switch.read_behind(move |book| all(book.trail(), now)).await?)
    }

    async fn task(&self, number: u64) -> Result<Task, Problem> {
        one(self.tasks_for_sure().await?, number)
    }

    /// One, as this node's book has it.
    pub(crate) async fn task_told(&self, number: u64) -> Result<Task, Problem> {
        let now = self.switch.clock().now();
        one(self.query(move |book| all(book.trail(), now)).await?, number)
    }

    pub(super) async fn propose(&self, command: &Command, asking: &mut Asking) -> Answer {
        self.check_money(command)?;
        if self.tasks_for_sure().await?.len() >= TASKS_MAX {
            let next = Some("crosstie task list; approve or refuse some".into());
            let message = format!("{TASKS_MAX} tasks wait for a second person already");
            return Err(Problem { next, ..problem(ProblemKind::Refused, message) });
        }
        let timeout: Duration = self.config.operators.task_timeout;
        let until_ns = self.switch.clock().now().plus(timeout).nanoseconds();
        let who = asking.who.clone();
        let (action, parameters) = (command.name().into(), command.parameters());
        let record = Record {
            action,
            parameters,
            who: who.clone(),
            outcome: Outcome::Proposed { until_ns },
            why: String::new(),
        };
        self.record_here(&record).await?;
        asking.is_recorded = true;
        let task = self.tasks_for_sure().await?.into_iter().rfind(|task| task.who == who);
        let task = task.ok_or_else(|| unavailable("the task has expired"))?;
        let next = task.next(rustix::process::getuid().as_raw());
        value(json!({ "task": task, "next": next }))
    }

    /// Done in the name of both; whatever comes of it ends the task, unless nobody knows.
    pub(super) async fn approve(&self, number: u64, asking: &mut Asking) -> Answer {
        let task = self.task(number).await?;
        if !task.ways(&asking.who).contains(&Way::Approve) {
            let next = task.next(rustix::process::getuid().as_raw());
            let message = format!(
                "task {number} was proposed by {}, and you may be the same: both are at the console, or both on the command \
                 line with different user ids",
                task.who.told()
            );
            return Err(Problem { next: Some(next), ..problem(ProblemKind::Refused, message) });
        }
        let command = task.command()?;
        let (name, mut own) =
            (command.name(), Asking::new(&command, task.ended_by(&asking.who)).approved(&asking.who.reason));
        let answer = Box::pin(self.carry_out(command, &mut own)).await;
        self.logbook.acted(name, &answer);
        if let Some(record) = own.record(&answer) {
            self.record(record).await;
        }
        asking.is_recorded = true;
        answer
    }

    /// By a second person, or by who may be one.
    pub(super) async fn refuse_task(&self, number: u64, asking: &mut Asking) -> Answer {
        let task = self.task(number).await?;
        if !task.ways(&asking.who).contains(&Way::Refuse) {
            let next = format!("crosstie task withdraw {number} --reason TEXT");
            let message = format!("task {number} is your own: whoever proposed it withdraws it");
            return Err(Problem { next: Some(next), ..problem(ProblemKind::Refused, message) });
        }
        let who = task.ended_by(&asking.who);
        let why = format!("by the second person: {}", asking.who.reason);
        self.end_task(task, who, why, asking).await?;
        value(json!({ "refused": number }))
    }

    /// By the one who proposed it.
    pub(super) async fn withdraw_task(&self, number: u64, asking: &mut Asking) -> Answer {
        let task = self.task(number).await?;
        if !task.ways(&asking.who).contains(&Way::Withdraw) {
            let next = format!("crosstie task refuse {number} --reason TEXT");
            let message = format!("task {number} was proposed by {}, who alone may withdraw it", task.who.told());
            return Err(Problem { next: Some(next), ..problem(ProblemKind::Refused, message) });
        }
        let who = Who { task: Some(number), ..asking.who.clone() };
        self.end_task(task, who, "withdrawn".into(), asking).await?;
        value(json!({ "withdrawn": number }))
    }

    /// Nothing is done of it.
    async fn end_task(&self, task: Task, who: Who, why: String, asking: &mut Asking) -> Result<(), Problem> {
        let Task { action, parameters, .. } = task;
        self.record_here(&Record { action, parameters, who, outcome: Outcome::Refused, why }).await?;
        asking.is_recorded = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(operator: &str, uid: u32, origin: Origin) -> Who {
        let reason = "ticket 7".into();
        Who { operator: operator.into(), uid, node: 1, origin, reason, asked_at_ns: 5, task: None, approver: None }
    }

    fn proposed(who: Who) -> Task {
        Task { number: 2, action: "fund".into(), parameters: "{}".into(), who, until: String::new() }
    }

    #[test]
    fn who_is_not_surely_the_proposer_or_another_may_only_refuse() {
        use Origin::{Cli, Console};
        const OWN: &[Way] = &[Way::Withdraw];
        const UNSURE: &[Way] = &[Way::Refuse];
        const OTHERS: &[Way] = &[Way::Approve, Way::Refuse];
        for (proposer, asks, ways) in [
            (("ann", 7, Cli), ("ann", 7, Cli), OWN),
            (("ann", 7, Cli), ("ann", 8, Cli), UNSURE),
            (("ann", 7, Cli), ("bob", 7, Cli), UNSURE),
            (("ann", 7, Cli), ("ann", 7, Console), UNSURE),
            (("ann", 7, Console), ("ann", 7, Cli), UNSURE),
            (("ann", 7, Cli), ("bob", 8, Cli), OTHERS),
            (("ann", 7, Cli), ("bob", 7, Console), UNSURE),
            (("ann", 7, Console), ("bob", 8, Cli), UNSURE),
            // The console's user id is its node's.
            (("ann", 7, Console), ("ann", 8, Console), OWN),
            (("ann", 7, Console), ("bob", 7, Console), OTHERS),
        ] {
            let of = |(operator, uid, origin): (&str, u32, Origin)| who(operator, uid, origin);
            assert_eq!(proposed(of(proposer)).ways(&of(asks)), ways, "{asks:?} of {proposer:?}");
        }
    }

    #[test]
    fn a_proposal_says_who_can_be_the_second_person() {
        let next = |uid, own_uid, origin| proposed(who("ann", uid, origin)).next(own_uid);
        assert!(next(0, 0, Origin::Cli).contains("nobody can approve it here, since the node runs as root"));
        assert!(next(0, 7, Origin::Cli).contains("on the command line, as the user with uid 7"));
        assert!(next(7, 7, Origin::Cli).contains("on the command line, as root"));
        assert!(next(0, 0, Origin::Console).contains("at the console"));
    }

    #[test]
    fn each_attempt_of_a_second_person_is_an_entry_of_its_own() {
        let task = proposed(who("ann", 7, Origin::Cli));
        let attempt = |asked_at_ns, node| {
            let who = task.ended_by(&Who { asked_at_ns, node, ..who("grace", 8, Origin::Console) });
            Record {
                action: "fund".into(),
                parameters: "{}".into(),
                who,
                outcome: Outcome::Unknown,
                why: String::new(),
            }
        };
        let first = attempt(100, 3);
        let entry = Audited {
            at: Timestamp(101),
            asked_at: Timestamp(100),
            node: 3,
            origin: settlement::Origin::Cli,
            operator: "ann",
            uid: 7,
            action: "fund",
            parameters: "{}",
            reason: "ticket 7",
            task: Some(2),
            approver: Some(settlement::Approver { operator: "grace", uid: 8 }),
            outcome: settlement::Outcome::Unknown,
            why: "",
        };
        assert!(first.is_in(&entry), "told twice, written once");
        assert!(!attempt(200, 3).is_in(&entry) && !attempt(100, 2).is_in(&entry));
    }
}
