//! What operators ask of a running node.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Node, examples, show, task};
use crate::admin::protocol::{Command, Direction};
use crate::cli::output::say;
use crate::exit::{Exit, Failure};
use crate::story::WORDS;

/// One participant, why, and how the node is reached.
#[derive(Args)]
pub(super) struct Change {
    /// The participant, for example BANK-0001
    id: String,
    /// Why; kept in the audit trail with your name
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    node: Node,
}

impl Change {
    fn ask(&self, command: Command) -> Result<Exit, Failure> {
        let value = self.node.ask(command, &self.reason)?;
        task::proposed(&self.node, &value).unwrap_or_else(|| show::participants(&self.node, &value))
    }
}

#[derive(Args)]
pub(super) struct Amount {
    #[command(flatten)]
    change: Change,
    /// Decimal text such as 1000.00
    amount: String,
    /// ISO 4217, for example EUR
    #[arg(long)]
    currency: String,
}

#[derive(Args)]
#[group(id = "limits", required = true, multiple = true, args = ["net_debit_cap", "payment_max"])]
pub(super) struct Limits {
    #[command(flatten)]
    change: Change,
    /// ISO 4217, for example EUR
    #[arg(long)]
    currency: String,
    /// Most it may owe by payments alone, or none
    #[arg(long, value_name = "AMOUNT")]
    net_debit_cap: Option<String>,
    /// Most that one payment it sends may move, or none
    #[arg(long, value_name = "AMOUNT")]
    payment_max: Option<String>,
}

#[derive(Args)]
pub(super) struct Direct {
    #[command(flatten)]
    change: Change,
    /// Which way
    #[arg(long, value_enum, default_value = "both")]
    direction: Direction,
}

#[derive(Subcommand)]
pub(super) enum Participant {
    /// All participants with their positions
    #[command(after_help = examples("crosstie participant list\n  crosstie participant list --plain | cut -f1,4"))]
    List(Node),
    /// One participant
    #[command(after_help = examples("crosstie participant show BANK-0001 --json"))]
    Show {
        /// The participant, for example BANK-0001
        id: String,
        #[command(flatten)]
        node: Node,
    },
    /// Take in a participant, with a position in one currency
    #[command(after_help = examples("crosstie participant register BANK-0001 --currency EUR --reason 'contract 17'"))]
    Register {
        #[command(flatten)]
        change: Change,
        /// ISO 4217, for example EUR
        #[arg(long)]
        currency: String,
    },
    /// Bring money in; opens a position in a currency that is new to it
    #[command(after_help = examples("crosstie participant fund BANK-0001 1000000.00 --currency EUR --reason 'statement 4, line 12'"))]
    Fund(Amount),
    /// Take money out; no more than is available
    #[command(after_help = examples("crosstie participant defund BANK-0001 500.00 --currency EUR --reason 'asked by letter'"))]
    Defund(Amount),
    /// Set its net debit cap or its maximum for one payment; the other stays
    #[command(after_help = examples("crosstie participant limit BANK-0001 --currency EUR --net-debit-cap 50000.00 --reason 'review'\n  crosstie participant limit BANK-0001 --currency EUR --payment-max none --reason 'review'"))]
    Limit(Limits),
    /// Stop payments from it, to it, or both; from receiving it is signed off
    #[command(after_help = examples("crosstie participant suspend BANK-0001 --direction send --reason 'fraud desk, case 9'"))]
    Suspend(Direct),
    /// Lift a suspension; it then signs on again by itself
    #[command(after_help = examples("crosstie participant resume BANK-0001 --reason 'case 9 closed'"))]
    Resume(Direct),
}

impl Participant {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Participant::List(node) => {
                let value = node.ask(Command::Participants, "")?;
                show::participants(&node, &value)
            }
            Participant::Show { id, node } => {
                let value = node.ask(Command::Participant { id }, "")?;
                show::participant(&node, &value)
            }
            Participant::Register { change, currency } => {
                change.ask(Command::Register { id: change.id.clone(), currency })
            }
            Participant::Fund(Amount { change, amount, currency }) => {
                change.ask(Command::Fund { id: change.id.clone(), currency, amount })
            }
            Participant::Defund(Amount { change, amount, currency }) => {
                change.ask(Command::Defund { id: change.id.clone(), currency, amount })
            }
            Participant::Limit(Limits { change, currency, net_debit_cap, payment_max }) => {
                change.ask(Command::Limit { id: change.id.clone(), currency, net_debit_cap, payment_max })
            }
            Participant::Suspend(Direct { change, direction }) => {
                change.ask(Command::Suspend { id: change.id.clone(), direction })
            }
            Participant::Resume(Direct { change, direction }) => {
                change.ask(Command::Resume { id: change.id.clone(), direction })
            }
        }
    }
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Payment {
    #[command(subcommand)]
    find: Option<Find>,
    /// The payment's UETR, with or without hyphens
    #[arg(required = true)]
    uetr: Option<String>,
    /// Only the payment of this debtor agent
    #[arg(long, value_name = "PARTICIPANT")]
    debtor: Option<String>,
    #[command(flatten)]
    node: Node,
}

#[derive(Subcommand)]
enum Find {
    /// Payments that fit all of the words: those in process first, then the latest
    #[command(after_help = examples("crosstie payment find BANK-0001 since:2h\n  crosstie payment find from:BANK-0001 to:BANK-0002 amount:100..200 currency:EUR\n  crosstie payment find state:rejected reason:AC04 since:2026-11-23 until:2026-11-24 --limit 1000\n  crosstie payment find uetr:7b0e0d4c"))]
    Find {
        #[arg(value_name = "WORD", required = true, help = WORDS)]
        words: Vec<String>,
        /// So many; at most 10000
        #[arg(long, value_name = "COUNT", default_value_t = crate::admin::protocol::FIND_LIMIT)]
        limit: usize,
        #[command(flatten)]
        node: Node,
    },
}

impl Payment {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        if let Some(Find::Find { words, limit, node }) = self.find {
            let find = Command::Find { query: words.join(" "), limit: Some(limit) };
            return show::found(&node, &node.ask(find, "")?);
        }
        let uetr = self.uetr.unwrap_or_default();
        let value = self.node.ask(Command::Payment { uetr, debtor: self.debtor }, "")?;
        show::stories(&self.node, &value)
    }
}

#[derive(Subcommand)]
pub(super) enum Day {
    /// The business date and when it rolls
    #[command(after_help = examples("crosstie day show"))]
    Show(Node),
    /// Roll the business date now; payments go on
    #[command(after_help = examples("crosstie day roll --reason 'all banks are in'\n  crosstie day roll --to 2026-11-24 --reason 'holiday'"))]
    Roll {
        /// To this date instead of the next
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
        #[command(flatten)]
        why: task::Reason,
        #[command(flatten)]
        node: Node,
    },
}

impl Day {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let (command, why, node) = match self {
            Day::Show(node) => (Command::Day, String::new(), node),
            Day::Roll { to, why, node } => (Command::Roll { date: to }, why.reason, node),
        };
        let value = node.ask(command, &why)?;
        show::day(&node, &value)
    }
}

pub(super) fn snapshot(task::Asked { reason, node }: &task::Asked) -> Result<Exit, Failure> {
    let value = node.ask(Command::Snapshot, reason)?;
    tell(node, &value, "a snapshot is being taken; crosstie status tells when it is there")
}

pub(super) fn drain(task::Asked { reason, node }: &task::Asked) -> Result<Exit, Failure> {
    let value = node.ask(Command::Drain, reason)?;
    let back = "crosstie node undrain, or a restart, takes this back";
    let sentence = match value["elsewhere"].as_array() {
        Some(nodes) => {
            let nodes: Vec<&str> = nodes.iter().filter_map(Value::as_str).collect();
            format!(
                "the node serves nobody and does not lead; its participants were sent to {}. {back}",
                nodes.join(", ")
            )
        }
        None => format!("new payments are refused; {} in process. {back}", value["in_process"]),
    };
    tell(node, &value, &sentence)
}

pub(super) fn undrain(task::Asked { reason, node }: &task::Asked) -> Result<Exit, Failure> {
    let value = node.ask(Command::Undrain, reason)?;
    let sentence = match value["closed"].as_str() {
        Some(closed) => format!("the drain is taken back; the node still serves nobody: {}", closed.replace('_', " ")),
        None => "the node serves participants again".into(),
    };
    tell(node, &value, &sentence)
}

pub(super) fn stop(task::Asked { reason, node }: &task::Asked) -> Result<Exit, Failure> {
    let value = node.ask(Command::Stop, reason)?;
    let left = &value["in_process"];
    tell(node, &value, &format!("the node is stopping; {left} payments in process"))
}

fn tell(node: &Node, value: &Value, sentence: &str) -> Result<Exit, Failure> {
    if node.output.json {
        return say(&format!("{value}\n"));
    }
    talk!("{sentence}");
    Ok(Exit::Done)
}
