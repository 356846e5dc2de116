//! Three nodes on this host, each a process; the distances between them are made by proxies in this process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crosstie::admin::protocol::{self, Command, Member, Participant};
use crosstie::local::{self, Cluster, Place, Plan, Ports, Stake};

use super::load::{Load, Run};
use super::{Bench, Result};

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
pub(super) const PARTICIPANTS: u32 = 36;
/// What every line about a cluster must say.
pub(super) const SAME_HOST: &str = " (same host)";
const REGIONS: [&str; 3] = ["north", "south", "west"];

/// Round trips between the regions: 1-2, 1-3, 2-3.
pub(super) fn distances() -> [Duration; 3] {
    [30, 40, 70].map(Duration::from_millis)
}

/// A plan for three nodes that far apart, with 36 participants who have money.
pub(super) fn plan(round_trips: &[Duration]) -> Result<Plan> {
    let mut plan = Plan::new(3, &REGIONS.map(String::from), round_trips, false)?
        .with("log.retained_bytes_max", "1GiB")
        .with("listen.silence_max", "60s")
        .with("scheme.duplicate_window", "60s")
        .with("logs.level", "info");
    plan.stakes = vec![Stake {
        id: "BANK-0001".into(),
        currency: "EUR".into(),
        funded: "100000000000.00".into(),
        count: PARTICIPANTS,
    }];
    Ok(plan)
}

/// They run, somebody leads, and the participants are taken in.
pub(super) struct Nodes {
    pub(super) cluster: Cluster,
    binaries: PathBuf,
    directory: PathBuf,
}

impl Bench {
    pub(super) async fn nodes(&self, name: &str, plan: Plan) -> Result<Nodes> {
        self.nodes_of(name, plan, &self.binaries.join("crosstie")).await
    }

    /// `program` is started for each node as the switch would be.
    pub(super) async fn nodes_of(&self, name: &str, plan: Plan, program: &Path) -> Result<Nodes> {
        let directory = self.fresh(name)?;
        let place = Place::furnish(&directory, Some(plan), Ports::Any)?;
        let cluster = Cluster::start(place, Some(program)).await?;
        let nodes = Nodes { cluster, binaries: self.binaries.clone(), directory };
        nodes.leader().await?;
        nodes
            .until("every node knows every participant", async |nodes, node| {
                let known: Vec<Participant> = nodes.cluster.ask(node, Command::Participants).await.ok()?;
                (known.len() >= PARTICIPANTS as usize).then_some(())
            })
            .await?;
        Ok(nodes)
    }
}

impl Nodes {
    pub(super) async fn leader(&self) -> Result<u64> {
        Ok(self.cluster.leader_among(&self.cluster.up(), PATIENCE).await?.0)
    }

    pub(super) fn others(&self, node: u64) -> Vec<u64> {
        self.cluster.up().into_iter().filter(|other| *other != node).collect()
    }

    /// Hands leadership to `node`, if it has it not.
    pub(super) async fn lead(&self, node: u64) -> Result<()> {
        let leader = self.leader().await?;
        if leader != node {
            self.order(leader, Command::StepDown { node: Some(node) }).await?;
            self.cluster.leader_among(&[node], PATIENCE).await?;
        }
        Ok(())
    }

    /// Gives an order that may take its time.
    pub(super) async fn order(&self, node: u64, command: Command) -> Result<()> {
        let _: serde_json::Value = local::ask(self.cluster.place().admin(node), command, PATIENCE).await?;
        Ok(())
    }

    /// The round trip to the nearest nodes that make a majority with the leader, as the leader measured it.
    pub(super) async fn quorum_round_trip(&self) -> Result<Duration> {
        let leader = self.leader().await?;
        let said: protocol::Cluster = self.cluster.ask(leader, Command::Cluster).await?;
        let others = said.members.iter().filter(|member| member.node != leader);
        let mut round_trips: Vec<u64> = others.filter_map(|member| member.round_trip_us).collect();
        round_trips.sort_unstable();
        let last_needed = said.members.len() / 2 - 1;
        let found = round_trips.get(last_needed).ok_or("the leader has not measured its round trips")?;
        Ok(Duration::from_micros(*found))
    }

    /// Waits until all nodes follow one leader closely, with no node silent.
    pub(super) async fn whole(&self) -> Result<()> {
        let leader = self.leader().await?;
        self.until("all nodes follow closely", async |nodes, node| {
            if node != leader {
                return Some(());
            }
            let said: protocol::Cluster = nodes.cluster.ask(node, Command::Cluster).await.ok()?;
            let follows = |member: &Member| member.node == leader || member.lag_entries.is_some_and(|lag| lag < 64);
            said.members.iter().all(|member| follows(member) && member.state.as_deref() != Some("silent")).then_some(())
        })
        .await
    }

    /// Waits until `look` finds what it looks for at every node that runs.
    async fn until(&self, what: &str, look: impl AsyncFn(&Nodes, u64) -> Option<()>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        for node in self.cluster.up() {
            while look(self, node).await.is_none() {
                if Instant::now() > until {
                    let diary = self.cluster.place().diary(node);
                    return Err(format!("{what}: not after {PATIENCE:?}; read {}", diary.display()).into());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Load by banks that connect to these nodes.
    pub(super) fn load(&self, at: &[u64], arguments: &[&str]) -> Load {
        let address = |node: &u64| self.cluster.place().address(*node);
        let targets: Vec<String> = at.iter().filter_map(address).map(|address| address.to_string()).collect();
        let mut load = Load::new(&self.binaries, &self.directory.join("load"), &targets, arguments);
        load.participants(PARTICIPANTS).feeds(&self.directory.join("feeds"));
        load
    }

    pub(super) async fn run(&self, at: &[u64], arguments: &[&str]) -> Result<Run> {
        self.load(at, arguments).run_beside().await?.sound()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Stops all nodes in good order and removes their data.
    pub(super) async fn end(mut self) -> Result<()> {
        self.cluster.stop_all().await?;
        std::fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}
