//! `crosstie cluster` and `crosstie node`: the nodes of a cluster, and who leads.

use clap::{Args, Subcommand};

use super::output::Table;
use super::show::read;
use super::{Node, examples};
use crate::admin::protocol::{self, Command};
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Cluster {
    /// Regions, roles, lag, agreement, how many more nodes may be lost; the leader knows most
    #[command(after_help = examples("crosstie cluster status\n  crosstie cluster status --json --data /var/lib/crosstie"))]
    Status(Node),
}

#[derive(Subcommand)]
pub(super) enum One {
    /// Hand leadership over, if this node has it
    #[command(after_help = examples("crosstie node step-down\n  crosstie node step-down --to 2"))]
    StepDown(StepDown),
    /// Give up the damaged log of a node that is not running, so that the others bring it back
    #[command(after_help = examples("crosstie node repair --config node-2.toml --dry-run\n  crosstie node repair --config node-2.toml"))]
    Repair(super::repair::Repair),
}

#[derive(Args)]
pub(super) struct StepDown {
    /// To this node; to the one that does best when left out
    #[arg(long, value_name = "NODE")]
    to: Option<u64>,
    #[command(flatten)]
    node: Node,
}

impl Cluster {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Cluster::Status(node) = self;
        let answer = node.ask(Command::Cluster, "")?;
        node.output.show(&answer, || {
            let cluster: protocol::Cluster = read(&answer)?;
            if !node.output.plain {
                eprintln!("{}", summary(&cluster));
            }
            Ok(table(&cluster))
        })
    }
}

impl One {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let StepDown { to, node } = match self {
            One::StepDown(step_down) => step_down,
            One::Repair(repair) => return repair.run(),
        };
        let answer = node.ask(Command::StepDown { node: to }, "")?;
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

/// What is true of all of them.
fn summary(cluster: &protocol::Cluster) -> String {
    let protocol::Cluster { node, leadership, last_index, agreed_index, quorum_margin, .. } = cluster;
    let leader = leadership.leader.map_or("nobody, as far as it knows".into(), |leader| format!("node {leader}"));
    let margin = match quorum_margin {
        Some(margin) if *margin < 0 => "there is no majority: nothing is acknowledged until nodes come back".into(),
        Some(margin) => format!("{margin} more may be lost"),
        None => format!("how many more may be lost only the leader knows ({leader})"),
    };
    format!(
        "node {node}, a {}, says: {leader} leads in term {}; the log ends with entry {last_index}, {} is committed; the books were \
         the same at entry {agreed_index}; {margin}",
        leadership.role, leadership.term, leadership.committed_index
    )
}

fn table(cluster: &protocol::Cluster) -> Table {
    let mut table = Table::new(&["NODE", "NAME", "REGION", "KIND", "STATE", "LAG", "ROUND TRIP MS", "ADDRESS"]);
    for member in &cluster.members {
        let lag = member.lag_entries.map_or("-".into(), |lag| lag.to_string());
        let round_trip = member.round_trip_us.map_or("-".into(), |us| format!("{:.1}", us as f64 / 1e3));
        let protocol::Member { node, name, region, kind, address, state, .. } = member;
        let state = state.as_deref().unwrap_or("-");
        table.row([&node.to_string(), name, region, kind, state, &lag, &round_trip, address]);
    }
    table
}
