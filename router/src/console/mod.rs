//! The console's counter at the desk: what its pages ask for goes the way of the command line's requests.

mod payments;
mod records;

use std::sync::Arc;

use console::{Action, Direction, Order, Page, Subject, Switch, Tap, Waiting};
use tokio::sync::{Mutex, SetOnce};
use watch::tap::Filter;
use watch::{Actor, Moment, Snapshot};

use crate::admin::Desk;
use crate::admin::asked::Origin;
use crate::admin::desk::problem;
use crate::admin::protocol::{self, Command, Problem, ProblemKind, Request};
use crate::ops::Watcher;

/// Open before the desk is: whether the process lives is asked while it reads its log, too.
#[derive(Default)]
pub(crate) struct Counter {
    desk: SetOnce<Arc<Desk>>,
    watcher: Mutex<Option<Watcher>>,
}

impl Counter {
    /// From now on pages are answered. Called once.
    pub(crate) fn open(&self, desk: Arc<Desk>) {
        _ = self.desk.set(desk);
    }

    fn desk(&self) -> Result<&Arc<Desk>, Problem> {
        let starting = || problem(ProblemKind::Unavailable, "the node is starting: it reads its log");
        self.desk.get().ok_or_else(starting)
    }

    async fn act(&self, order: Order) -> Result<String, Problem> {
        let done = done(&order.action);
        let answer = self.desk()?.answer(request(order), own_uid()).await?;
        Ok(match answer["task"]["number"].as_u64() {
            Some(task) => format!("It waits for a second person, as task {task}: see Tasks."),
            None => done,
        })
    }

    async fn page(&self, subject: Subject) -> Result<Page, Problem> {
        let desk = self.desk()?;
        match subject {
            Subject::Payments { words } => payments::search(desk, &words).await,
            Subject::Payment { uetr } => payments::stories(desk, &uetr).await,
            Subject::Audit => records::audit(desk).await,
            Subject::Task { number } => records::one_task(desk, number).await,
            Subject::Tasks { operator } => records::tasks(desk, operator.as_deref()).await,
        }
    }
}

impl Switch for Counter {
    fn next(&self) -> Waiting<'_, Option<Arc<Snapshot>>> {
        Box::pin(async {
            let desk = self.desk.wait().await;
            let mut watcher = self.watcher.lock().await;
            watcher.get_or_insert_with(|| desk.watcher.clone()).next().await
        })
    }

    fn history(&self) -> Vec<Moment> {
        self.desk.get().map_or_else(Vec::new, |desk| desk.watcher.history())
    }

    fn act(&self, order: Order) -> Waiting<'_, Result<String, console::Problem>> {
        Box::pin(async { self.act(order).await.map_err(told) })
    }

    fn forbidden(&self, order: Order, why: String) -> Waiting<'_, ()> {
        Box::pin(async move {
            if let Ok(desk) = self.desk() {
                desk.keep_refused(request(order), own_uid(), why).await;
            }
        })
    }

    fn page(&self, subject: Subject) -> Waiting<'_, Result<Page, console::Problem>> {
        Box::pin(async { self.page(subject).await.map_err(told) })
    }

    fn check_tap(&self, filter: &Filter) -> Result<(), console::Problem> {
        self.desk().and_then(|desk| desk.check_tap(filter)).map_err(told)
    }

    fn tap(&self, filter: &Filter) -> Result<Box<dyn Tap>, console::Problem> {
        Ok(Box::new(self.desk().and_then(|desk| desk.tap(filter, Origin::Console)).map_err(told)?))
    }

    fn actor(&self, participant: &str) -> Result<Actor, console::Problem> {
        self.desk().and_then(|desk| desk.actor(participant)).map_err(told)
    }
}

fn request(order: Order) -> Request {
    let Order { action, operator, reason } = order;
    Request { command: command(action), operator, origin: Origin::Console, reason }
}

/// The file of operators belongs to the user of the node, so its user id is theirs.
fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn command(action: Action) -> Command {
    match action {
        Action::Suspend { participant: id, direction } => Command::Suspend { id, direction: way(direction) },
        Action::Resume { participant: id, direction } => Command::Resume { id, direction: way(direction) },
        Action::Fund { participant: id, currency, amount } => Command::Fund { id, currency, amount },
        Action::Defund { participant: id, currency, amount } => Command::Defund { id, currency, amount },
        Action::Limit { participant: id, currency, net_debit_cap, payment_max } => {
            Command::Limit { id, currency, net_debit_cap, payment_max }
        }
        Action::Drain => Command::Drain,
        Action::Undrain => Command::Undrain,
        Action::StepDown => Command::StepDown { node: None },
        Action::Approve { task: number } => Command::ApproveTask { number },
        Action::Refuse { task: number } => Command::RefuseTask { number },
        Action::Withdraw { task: number } => Command::WithdrawTask { number },
    }
}

fn way(direction: Direction) -> protocol::Direction {
    match direction {
        Direction::Send => protocol::Direction::Send,
        Direction::Receive => protocol::Direction::Receive,
        Direction::Both => protocol::Direction::Both,
    }
}

fn done(action: &Action) -> String {
    let of = |direction: &Direction| match direction {
        Direction::Send => "sending",
        Direction::Receive => "receiving",
        Direction::Both => "sending and receiving",
    };
    match action {
        Action::Suspend { participant, direction } => format!("{participant} is suspended from {}.", of(direction)),
        Action::Resume { participant, direction } => format!("{participant} may go on {}.", of(direction)),
        Action::Fund { participant, currency, amount } => format!("{participant} has {amount} {currency} more."),
        Action::Defund { participant, currency, amount } => format!("{participant} has {amount} {currency} less."),
        Action::Limit { participant, currency, .. } => format!("The limits of {participant} in {currency} are set."),
        Action::Drain => "The node is drained.".into(),
        Action::Undrain => "The node serves participants again.".into(),
        Action::StepDown => "Another node leads.".into(),
        Action::Approve { task } => format!("Task {task} is approved and done."),
        Action::Refuse { task } => format!("Task {task} is refused; nothing was changed."),
        Action::Withdraw { task } => format!("Task {task} is withdrawn; nothing was changed."),
    }
}

fn told(problem: Problem) -> console::Problem {
    let Problem { kind, message, next } = problem;
    let kind = match kind {
        ProblemKind::Usage => console::ProblemKind::Usage,
        ProblemKind::Refused | ProblemKind::NotYet => console::ProblemKind::Refused,
        ProblemKind::NotFound => console::ProblemKind::NotFound,
        ProblemKind::Unavailable | ProblemKind::Integrity => console::ProblemKind::Unavailable,
    };
    console::Problem { kind, message, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn while_the_node_reads_its_log_everything_else_is_told_to_wait() {
        let counter = Counter::default();
        let order = Order { action: Action::Drain, operator: "ann".into(), reason: "ticket 7".into() };
        let refused = Switch::act(&counter, order).await.unwrap_err();
        assert_eq!((refused.kind, refused.message.contains("is starting")), (console::ProblemKind::Unavailable, true));
        assert!(counter.history().is_empty() && counter.actor("BANK-0001").is_err());
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, counter.next()).await.is_err(), "there is no snapshot yet");
    }
}
