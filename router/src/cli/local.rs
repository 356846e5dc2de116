//! `crosstie local`: a cluster on this machine, for work by hand.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::{Output, Table};
use super::{LOCAL_DIRECTORY, examples};
use crate::config::parse_length;
use crate::exit::{Exit, Failure};
use crate::local::{self, Order, Plan, Ports, Stake, Up};

const ROUND_TRIPS_MS: [u64; 3] = [30, 40, 70];
const NODES: usize = 3;
const PARTICIPANTS: u32 = 36;
const REGIONS: [&str; 5] = ["north", "south", "west", "east", "middle"];
/// Beyond this an election takes so long that nothing can be tried any more.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(super) enum Local {
    /// Start a cluster on this machine and keep it running until Ctrl-C; its data stays
    #[command(after_help = examples("crosstie local up\n  crosstie local up --delay 30ms,40ms,70ms --fresh\n  \
        crosstie local up --nodes 5 --witness --regions frankfurt,paris,madrid --dir five\n  \
        crosstie local up --participants 1000"))]
    Up(Start),
    /// What runs, who leads, which roads are cut
    #[command(after_help = examples("crosstie local status\n  crosstie local status --json --dir five"))]
    Status(Place),
    /// Kill a node (SIGKILL)
    #[command(after_help = examples("crosstie local kill 1"))]
    Kill(One),
    /// Start a node that does not run, on the data it left
    #[command(after_help = examples("crosstie local start 1"))]
    Start(One),
    /// Stop a node in good order (SIGTERM): it hands leadership over first
    #[command(after_help = examples("crosstie local stop 1"))]
    Stop(One),
    /// Let a node stand still (SIGSTOP)
    #[command(after_help = examples("crosstie local pause 2 && sleep 5 && crosstie local resume 2"))]
    Pause(One),
    /// Let a paused node go on (SIGCONT)
    #[command(after_help = examples("crosstie local resume 2"))]
    Resume(One),
    /// Cut a node, or a region with all its nodes, off from the others
    #[command(after_help = examples("crosstie local partition 1\n  crosstie local partition south"))]
    Partition(What),
    /// Open all roads that were cut
    #[command(after_help = examples("crosstie local heal"))]
    Heal(Place),
    /// Set the round trip between two nodes or regions
    #[command(after_help = examples("crosstie local delay north west 200ms\n  crosstie local delay 1 3 0ms"))]
    Delay(Delay),
    /// Stop all nodes in good order; the data stays
    #[command(after_help = examples("crosstie local down"))]
    Down(Place),
}

#[derive(Args)]
pub(super) struct Start {
    /// 3 or 5
    #[arg(long, value_name = "N")]
    nodes: Option<usize>,
    /// Names of the regions: three, or one for each node. Five nodes in three regions stand two and two and one
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    regions: Vec<String>,
    /// Round trips between regions, in the order 1-2, 1-3, 2-3; or one for all [30ms,40ms,70ms]
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',', value_parser = round_trip)]
    delay: Vec<Duration>,
    /// The last node votes and keeps the log, and serves no participants
    #[arg(long)]
    witness: bool,
    /// Banks that are registered, BANK-0001 and so on, with a thousand millions each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    participants: Option<u32>,
    /// Begin anew: the data of the cluster that is there is lost
    #[arg(long)]
    fresh: bool,
    /// Take ports that are free instead of 7801 to 7805 and 7901 to 7905, which are taken only if they are
    #[arg(long)]
    any_ports: bool,
    /// Where its files are
    #[arg(long = "dir", value_name = "DIR", default_value = LOCAL_DIRECTORY)]
    directory: PathBuf,
}

#[derive(Args)]
pub(super) struct Place {
    /// Where the cluster's files are
    #[arg(long = "dir", value_name = "DIR", default_value = LOCAL_DIRECTORY)]
    directory: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct One {
    /// Its number
    node: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct What {
    /// Number of a node, or name of a region
    #[arg(value_name = "NODE|REGION")]
    what: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct Delay {
    /// Number of a node, or name of a region
    #[arg(value_name = "A")]
    from: String,
    #[arg(value_name = "B")]
    to: String,
    /// There and back, beside what the host itself takes
    #[arg(value_name = "LENGTH", value_parser = round_trip)]
    length: Duration,
    #[command(flatten)]
    place: Place,
}

fn round_trip(text: &str) -> Result<Duration, String> {
    match parse_length(text)? {
        length if length > ROUND_TRIP_MAX => Err(format!("{text:?} is more than {ROUND_TRIP_MAX:?}")),
        length => Ok(length),
    }
}

impl Local {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let (place, order) = match self {
            Local::Up(start) => return local::up(&start.wanted()?),
            Local::Status(place) => (place, Order::Status),
            Local::Kill(One { node, place }) => (place, Order::Kill { node }),
            Local::Start(One { node, place }) => (place, Order::Start { node }),
            Local::Stop(One { node, place }) => (place, Order::Stop { node }),
            Local::Pause(One { node, place }) => (place, Order::Pause { node }),
            Local::Resume(One { node, place }) => (place, Order::Resume { node }),
            Local::Partition(What { what, place }) => (place, Order::Partition { what }),
            Local::Heal(place) => (place, Order::Heal),
            Local::Delay(Delay { from, to, length, place }) => {
                (place, Order::Delay { from, to, round_trip_us: length.as_micros() as u64 })
            }
            Local::Down(place) => (place, Order::Down),
        };
        let answer = local::order(&place.directory, &order)?;
        if !answer.said.is_empty() {
            talk!("{}", answer.said);
        }
        if !place.output.plain && !place.output.json {
            talk!("{}", roads(&answer.status));
        }
        let value = serde_json::to_value(&answer.status).unwrap_or_default();
        place.output.show(&value, || Ok(table(&answer.status)))
    }
}

impl Start {
    fn wanted(self) -> Result<Up, Failure> {
        let nodes = self.nodes.unwrap_or(NODES);
        let default_regions = || REGIONS[..3].iter().map(ToString::to_string).collect();
        let insists = self.nodes.is_some() || !self.regions.is_empty() || self.witness || self.participants.is_some();
        let regions: Vec<String> = if self.regions.is_empty() { default_regions() } else { self.regions };
        let round_trips = Some(self.delay).filter(|delay| !delay.is_empty());
        let usual = match regions.len() {
            3 => ROUND_TRIPS_MS.map(Duration::from_millis).to_vec(),
            _ => vec![Duration::from_millis(ROUND_TRIPS_MS[0])],
        };
        let plan = Plan::new(nodes, &regions, round_trips.as_ref().unwrap_or(&usual), self.witness);
        let mut plan = plan.map_err(|what| Failure::new(Exit::Usage, what).next("crosstie local up --help"))?;
        let count = self.participants.unwrap_or(PARTICIPANTS);
        plan.stakes =
            vec![Stake { id: "BANK-0001".into(), currency: "EUR".into(), funded: "1000000000.00".into(), count }];
        let plan = plan.with("drain.deadline", "5s").with("log.free_bytes_min", "256MiB");
        let ports = if self.any_ports { Ports::Any } else { Ports::Usual };
        Ok(Up { directory: self.directory, plan, insists, round_trips, fresh: self.fresh, ports })
    }
}

fn roads(status: &local::Status) -> String {
    let roads = status.roads.iter().map(|road| {
        let length = format!("{} ms", road.round_trip_us as f64 / 1e3);
        let cut = if road.is_cut { ", CUT" } else { "" };
        format!("{} – {}: {length}{cut}", road.from, road.to)
    });
    format!("round trips by the proxies, same host: {}", roads.collect::<Vec<_>>().join(" · "))
}

fn table(status: &local::Status) -> Table {
    let mut table =
        Table::new(&["NODE", "REGION", "KIND", "STATE", "ROLE", "TERM", "COMMITTED", "PROCESS", "PARTICIPANTS AT"]);
    let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    for node in &status.nodes {
        let state = match node.is_cut_off {
            true => format!("{}, cut off", node.state),
            false => node.state.clone(),
        };
        table.row([
            node.node.to_string(),
            node.region.clone(),
            node.kind.clone(),
            state,
            node.role.clone().unwrap_or("-".into()),
            number(node.term),
            number(node.committed_index),
            number(node.pid.map(u64::from)),
            node.address.clone().unwrap_or("-".into()),
        ]);
    }
    table
}
