//! `crosstie task`: what waits for a second person.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::{Table, say};
use super::show::{self, read};
use super::{Node, examples};
use crate::admin::asked::Task as Waiting;
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Task {
    /// What waits, and until when
    #[command(after_help = examples("crosstie task list\n  crosstie task list --json"))]
    List(Node),
    /// Have it done, as another operator than the one who proposed it
    #[command(after_help = examples("crosstie task approve 17\n  crosstie task approve 17 --reason 'seen on statement 4'"))]
    Approve {
        #[command(flatten)]
        one: One,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Have it not done, as another operator than the one who proposed it
    #[command(after_help = examples("crosstie task refuse 17 --reason 'wrong participant'"))]
    Refuse {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        why: Reason,
    },
    /// Take back what you proposed yourself
    #[command(after_help = examples("crosstie task withdraw 17 --reason 'wrong amount'"))]
    Withdraw {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        why: Reason,
    },
}

#[derive(Args)]
pub(super) struct Reason {
    /// Why; kept in the audit trail with your name
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
}

/// The node itself, and perhaps why.
#[derive(Args)]
pub(super) struct Asked {
    /// Why; kept in the audit trail with your name
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) node: Node,
}

#[derive(Args)]
pub(super) struct One {
    /// Its number, as crosstie task list tells
    number: u64,
    #[command(flatten)]
    node: Node,
}

impl Task {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Task::List(node) => {
                let value = node.ask(Command::Tasks, "")?;
                node.output.show(&value, || table(&value))
            }
            Task::Approve { one: One { number, node }, reason } => {
                let value = node.ask(Command::ApproveTask { number }, &reason)?;
                show::participants(&node, &value)
            }
            Task::Refuse { one, why } => one.end(|number| Command::RefuseTask { number }, &why, "refused"),
            Task::Withdraw { one, why } => one.end(|number| Command::WithdrawTask { number }, &why, "withdrawn"),
        }
    }
}

impl One {
    fn end(&self, command: fn(u64) -> Command, why: &Reason, ended: &str) -> Result<Exit, Failure> {
        let One { number, node } = self;
        let value = node.ask(command(*number), &why.reason)?;
        if node.output.json {
            return say(&format!("{value}\n"));
        }
        talk!("task {number} is {ended}");
        Ok(Exit::Done)
    }
}

fn table(value: &Value) -> Result<Table, Failure> {
    let tasks: Vec<Waiting> = read(value)?;
    let mut table = Table::new(&["TASK", "ACTION", "PARAMETERS", "PROPOSED BY", "REASON", "UNTIL"]);
    for Waiting { number, action, parameters, who, until } in tasks {
        let proposer = who.told();
        table.row([number.to_string(), action, parameters, proposer, who.reason, until]);
    }
    Ok(table)
}

/// Tells of a change that was proposed instead of done; `None` if it was done.
pub(super) fn proposed(node: &Node, value: &Value) -> Option<Result<Exit, Failure>> {
    let task = value.get("task")?;
    if node.output.json {
        return Some(say(&format!("{value}\n")));
    }
    talk!("not done yet: task {} waits for a second person", task["number"]);
    talk!("next:  {}", value["next"].as_str().unwrap_or_default());
    Some(Ok(Exit::Done))
}
