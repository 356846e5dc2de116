//! `crosstie cluster` and `crosstie node`: the nodes of a cluster, who belongs to it, and who leads.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::operate::{drain, undrain};
use super::output::Table;
use super::show::read;
use super::task::Asked;
use super::{Node, examples};
use crate::admin::protocol::{self, Command, MemberRole, NewMember};
use crate::exit::{Exit, Failure};

/// Between two looks whether a learner has caught up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum Cluster {
    /// Regions, roles, lag, agreement, how many more nodes may be lost; the leader knows most; exit code 6 if one is not there
    #[command(after_help = examples("crosstie cluster status\n  crosstie cluster status --json --data /var/lib/crosstie"))]
    Status(Node),
    /// Take in a node: it gets the log as a learner, and a vote when it is promoted
    #[command(after_help = examples("crosstie cluster add --id 4 --name n4 --region east --address 10.0.0.4:7900 --reason 'replaces n2'"))]
    Add(Add),
    /// Give a learner its vote, once it has caught up
    #[command(after_help = examples("crosstie cluster promote 4 --reason 'in service'\n  crosstie cluster promote 4 --instead-of 2 --wait 10m --reason 'n2 is dead'"))]
    Promote(Promote),
    /// Remove a node for good; its number is never used again
    #[command(after_help = examples("crosstie cluster remove 2 --reason 'machine sold'\n  crosstie cluster remove 2 --dry-run"))]
    Remove(Remove),
    /// Change the name, region or address of a node; what is left out stays as it is
    #[command(after_help = examples("crosstie cluster describe 2 --address 10.0.7.2:7900 --reason 'moves to another rack'"))]
    Describe(Describe),
}

/// Why, and whether to do it.
#[derive(Args)]
pub(super) struct Change {
    /// Why; kept in the audit trail with your name
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "dry_run",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Only say what is against it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    node: Node,
}

#[derive(Args)]
pub(super) struct Add {
    /// Its number: new, and never given to another one
    #[arg(long)]
    id: u64,
    /// Its name, for people
    #[arg(long)]
    name: String,
    /// Where it stands
    #[arg(long)]
    region: String,
    /// Where the other nodes reach it
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// What it will be; a witness votes and keeps the log, but serves no participants
    #[arg(long, value_enum, default_value = "voter")]
    kind: MemberRole,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(super) struct Promote {
    /// The learner
    learner: u64,
    /// Remove this node in the same step: a dead one
    #[arg(long, value_name = "NODE")]
    instead_of: Option<u64>,
    /// How long to wait until it has caught up
    #[arg(long, value_name = "LENGTH", default_value = "60s", value_parser = crate::config::parse_length)]
    wait: Duration,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(super) struct Remove {
    /// The node
    member: u64,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
#[group(id = "new", required = true, multiple = true, args = ["name", "region", "address"])]
pub(super) struct Describe {
    /// The node
    member: u64,
    /// Its name, for people
    #[arg(long)]
    name: Option<String>,
    /// Where it stands
    #[arg(long)]
    region: Option<String>,
    /// Where the other nodes reach it from now on: they end their connections to it and dial there
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Subcommand)]
pub(super) enum One {
    /// Hand leadership over, if this node has it
    #[command(after_help = examples("crosstie node step-down\n  crosstie node step-down --to 2"))]
    StepDown(StepDown),
    /// Give up the damaged log of a node that is not running, so that the others bring it back
    #[command(after_help = examples("crosstie node repair --config node-2.toml --dry-run\n  crosstie node repair --config node-2.toml"))]
    Repair(super::repair::Repair),
    /// Serve nobody: hand leadership over, send participants to other nodes. A node alone refuses new payments
    #[command(after_help = examples("crosstie node drain && crosstie cluster status"))]
    Drain(Asked),
    /// Take a drain back
    #[command(after_help = examples("crosstie node undrain"))]
    Undrain(Asked),
}

#[derive(Args)]
pub(super) struct StepDown {
    /// To this node; to the one that does best when left out
    #[arg(long, value_name = "NODE")]
    to: Option<u64>,
    #[command(flatten)]
    asked: Asked,
}

impl Cluster {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Cluster::Status(node) => {
                let answer = node.ask(Command::Cluster, "")?;
                let cluster: protocol::Cluster = read(&answer)?;
                let is_partial = cluster.members.iter().any(|member| member.error.is_some());
                let shown = show(&node, &answer)?;
                Ok(if is_partial { Exit::Partial } else { shown })
            }
            Cluster::Add(add) => add.run(),
            Cluster::Promote(promote) => promote.run(),
            Cluster::Remove(Remove { member, change }) => change
                .ask(Command::RemoveMember { node: member, dry_run: change.dry_run }, || {
                    format!("node {member} is no member any more; stop it, and give its number to nobody")
                }),
            Cluster::Describe(describe) => describe.run(),
        }
    }
}

impl Change {
    fn ask(&self, command: Command, done: impl FnOnce() -> String) -> Result<Exit, Failure> {
        let answer = self.node.ask(command, &self.reason)?;
        self.show(&answer, &done())
    }

    fn show(&self, answer: &Value, done: &str) -> Result<Exit, Failure> {
        talk!("{}", if self.dry_run { "nothing is against it; nothing was changed" } else { done });
        show(&self.node, answer)
    }
}

impl Add {
    fn run(self) -> Result<Exit, Failure> {
        let Add { id, name, region, address, kind: role, change } = self;
        let command =
            Command::AddMember { member: NewMember { id, name, region, address, role }, dry_run: change.dry_run };
        change.ask(command, || {
            format!(
                "node {id} is a learner: start it with cluster.node = {id} and cluster.join = \"yes\", then crosstie cluster promote {id}"
            )
        })
    }
}

impl Describe {
    fn run(self) -> Result<Exit, Failure> {
        let Describe { member: node, name, region, address, change } = self;
        let moves = address.clone();
        let command = Command::DescribeMember { node, name, region, address, dry_run: change.dry_run };
        change.ask(command, || match moves {
            Some(address) => format!("node {node} is dialled at {address} from now on: see that it listens there"),
            None => format!("node {node} is described anew"),
        })
    }
}

impl Promote {
    /// Asks until the learner has caught up, and says how far it is whenever that changes.
    fn run(self) -> Result<Exit, Failure> {
        let Promote { learner: node, instead_of, wait, change } = self;
        let until = Instant::now() + wait;
        let mut told = String::new();
        loop {
            let command = Command::Promote { node, instead_of, dry_run: change.dry_run };
            match change.node.ask(command, &change.reason) {
                Ok(answer) => return change.show(&answer, &format!("node {node} has its vote")),
                // Not yet; or leadership changes hands just now.
                Err(Failure { exit: Exit::No, message, .. }) if Instant::now() < until => {
                    if told != message {
                        talk!("{message}");
                        told = message;
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl One {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            One::StepDown(step_down) => step_down.run(),
            One::Repair(repair) => repair.run(),
            One::Drain(asked) => drain(&asked),
            One::Undrain(asked) => undrain(&asked),
        }
    }
}

impl StepDown {
    fn run(self) -> Result<Exit, Failure> {
        let StepDown { to, asked: Asked { reason, node } } = self;
        let answer = node.ask(Command::StepDown { node: to }, &reason)?;
        node.output.show(&answer, || {
            let leadership: protocol::Leadership = read(&answer)?;
            let mut table = Table::default();
            let leader = leadership.leader.map_or("not known here yet".into(), |leader| format!("node {leader}"));
            table.row(["leader", &leader]);
            table.row(["term", &leadership.term.to_string()]);
            Ok(table)
        })
    }
}

fn show(node: &Node, answer: &Value) -> Result<Exit, Failure> {
    node.output.show(answer, || {
        let cluster: protocol::Cluster = read(answer)?;
        if !node.output.plain {
            talk!("{}", summary(&cluster));
        }
        Ok(table(&cluster))
    })
}

/// What is true of all of them.
fn summary(cluster: &protocol::Cluster) -> String {
    let protocol::Cluster { node, leadership, last_index, quorum_margin, .. } = cluster;
    let leader = leadership.leader.map_or("nobody".into(), |leader| format!("node {leader}"));
    let margin = match (quorum_margin, leadership.leader) {
        (Some(margin), _) if *margin < 0 => {
            "there is no majority: nothing is acknowledged until nodes come back".into()
        }
        (Some(margin), _) => format!("{margin} more may be lost"),
        (None, Some(_)) => format!("how many more may be lost only the leader knows ({leader})"),
        (None, None) => "how many more may be lost is known once a node leads".into(),
    };
    format!(
        "node {node}, a {}, says: {leader} leads in term {}; the log ends with entry {last_index}, {} is committed; {}; {margin}",
        leadership.role,
        leadership.term,
        leadership.committed_index,
        agreement(cluster)
    )
}

fn agreement(cluster: &protocol::Cluster) -> String {
    let protocol::Cluster { members, agreed_index, agreed_ago_ms, .. } = cluster;
    let is_different = |member: &&protocol::Member| member.book.is_some_and(|book| !book.is_same);
    let different: Vec<String> = members.iter().filter(is_different).map(|member| member.node.to_string()).collect();
    match agreed_ago_ms {
        _ if !different.is_empty() => format!(
            "the book of node {} DIFFERS from this one: a person must look, and crosstie log verify on each",
            different.join(", ")
        ),
        _ if members.len() < 2 => "it has nobody to compare its book with".into(),
        Some(ago) => format!("a majority had the same book at entry {agreed_index}, found {} s ago", ago / 1000),
        None => "its book was not compared with another one yet".into(),
    }
}

fn table(cluster: &protocol::Cluster) -> Table {
    let mut table = Table::new(&[
        "NODE",
        "NAME",
        "REGION",
        "KIND",
        "STATE",
        "LAG",
        "LAG MS",
        "BOOK",
        "ROUND TRIP MS",
        "ADDRESS",
        "SERVES",
        "ERROR",
    ]);
    for member in &cluster.members {
        let or_dash = |number: Option<String>| number.unwrap_or("-".into());
        let lag = or_dash(member.lag_entries.map(|lag| lag.to_string()));
        let lag_ms = or_dash(member.lag_ms.map(|lag| lag.to_string()));
        let book = or_dash(member.book.map(|book| {
            let word = if book.is_same { "same" } else { "DIFFERS" };
            format!("{word} at {}", book.index)
        }));
        let round_trip = or_dash(member.round_trip_us.map(|us| format!("{:.1}", us as f64 / 1e3)));
        let protocol::Member { node, name, region, kind, address, state, serves, error, .. } = member;
        let [state, serves, error] = [state, serves, error].map(|text| text.as_deref().unwrap_or("-"));
        let node = node.to_string();
        table.row([&node, name, region, kind, state, &lag, &lag_ms, &book, &round_trip, address, serves, error]);
    }
    table
}
