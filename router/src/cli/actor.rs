//! The actors of a node: kinds, the busiest of a kind, one of them.

use clap::{Args, Subcommand};
use serde_json::Value;
use watch::{Actor, ActorKind, Latency, Snapshot, facts, text};

use super::output::Table;
use super::show::read;
use super::{Node, examples};
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Actors {
    /// Every kind: how many, what waits, how long
    #[command(after_help = examples("crosstie actor kinds"))]
    Kinds(Node),
    /// The twenty busiest of a kind, the longest mailbox first
    #[command(after_help = examples("crosstie actor top participant"))]
    Top {
        /// participant, session or journal
        kind: String,
        #[command(flatten)]
        node: Node,
    },
    /// One participant's actor, on the node that leads: its mailbox and what it decided last
    #[command(after_help = examples("crosstie actor show BANK-0001"))]
    Show(Show),
}

#[derive(Args)]
pub(super) struct Show {
    /// The participant, for example BANK-0001
    id: String,
    #[command(flatten)]
    node: Node,
}

impl Actors {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Actors::Kinds(node) => {
                let kinds = of_all_kinds(&node)?;
                node.output.show(&serde_json::to_value(&kinds).unwrap_or_default(), || Ok(kinds_table(&kinds)))
            }
            Actors::Top { kind, node } => {
                let kinds = of_all_kinds(&node)?;
                let names = kinds.iter().map(|own| own.kind.as_str()).collect::<Vec<_>>().join(", ");
                let unknown = || Failure::new(Exit::Usage, format!("{kind} is no kind of actor; there are {names}"));
                let own = kinds.iter().find(|own| own.kind == kind).ok_or_else(unknown)?;
                node.output.show(&serde_json::to_value(&own.busiest).unwrap_or_default(), || Ok(busiest_table(own)))
            }
            Actors::Show(Show { id, node }) => {
                let value = node.ask(Command::Actor { id }, "")?;
                node.output.show(&value, || one_table(&value))
            }
        }
    }
}

fn of_all_kinds(node: &Node) -> Result<Vec<ActorKind>, Failure> {
    let snapshot: Snapshot = read(&node.ask(Command::Watch, "")?)?;
    Ok(snapshot.actors)
}

fn p99(latency: &Latency) -> String {
    text::percentile(latency.p99_us, latency.recent)
}

fn kinds_table(kinds: &[ActorKind]) -> Table {
    let heading = ["KIND", "ACTORS", "QUEUED", "LONGEST", "CAPACITY", "WAIT P99", "HANDLED", "BUSY", "RESTARTS"];
    let mut table = Table::new(&heading);
    for own in kinds {
        let capacity = if own.capacity == 0 { text::NONE.into() } else { own.capacity.to_string() };
        table.row([
            own.kind.clone(),
            own.instances.to_string(),
            own.queued.to_string(),
            own.queued_longest.to_string(),
            capacity,
            p99(&own.wait),
            own.handled.values().sum::<u64>().to_string(),
            text::length(own.busy_us),
            own.restarts.to_string(),
        ]);
    }
    table
}

fn busiest_table(kind: &ActorKind) -> Table {
    let mut table = Table::new(&["ACTOR", "QUEUED", "OLDEST", "HANDLED", "IN FLIGHT", "RESTARTS"]);
    for own in &kind.busiest {
        let or_none = |figure: Option<u64>| figure.map_or_else(|| text::NONE.into(), |figure| figure.to_string());
        table.row([
            own.name.clone(),
            own.queued.to_string(),
            own.oldest_us.map_or_else(|| text::NONE.into(), text::length),
            own.handled.to_string(),
            or_none(own.in_flight),
            or_none(own.restarts),
        ]);
    }
    table
}

fn one_table(value: &Value) -> Result<Table, Failure> {
    let own: Actor = read(value)?;
    let mut table = Table::default();
    table.row(["actor", &own.name]);
    let now_ms = wire::Timestamp::now().milliseconds();
    facts::actor(&own, now_ms).into_iter().for_each(|(name, text)| table.row([name.to_string(), text]));
    for deed in &own.deeds {
        let at = wire::Timestamp(deed.at_ms * 1_000_000).to_string();
        table.row([at, format!("{} {}", deed.what, deed.uetr.as_deref().unwrap_or_default())]);
    }
    Ok(table)
}
