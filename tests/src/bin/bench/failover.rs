//! Leaders killed under load, again and again: how long until a payment that was submitted afterwards is settled.

use std::time::Duration;

use wire::Timestamp;

use super::journal::Journal;
use super::nodes::{Nodes, SAME_HOST, distances, plan};
use super::{Bench, Result};

/// The cluster is whole again for so long before the next leader is killed.
const REST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// A leader that was killed.
struct Kill {
    at: Timestamp,
    node: u64,
    successor: u64,
}

impl Bench {
    pub(super) async fn failover(&mut self) -> Result<()> {
        let mut nodes = self.nodes("failover", plan(&distances())?).await?;
        let journal = nodes.file("payments");
        let mut load = nodes.load(&nodes.cluster.up(), &self.steadily());
        load.journal(&journal);
        let mut load = load.begin()?;
        let mut kills = Vec::new();
        for _ in 0..self.options.rounds_or(20) {
            tokio::time::sleep(REST).await;
            if load.has_ended() {
                break;
            }
            kills.push(nodes.kill_leader().await?);
        }
        tokio::time::sleep(REST).await;
        let run = load.end().await?;
        let seconds = times(&Journal::read(&journal)?, &kills)?;
        nodes.end().await?;
        println!(
            "run failover {} leaders killed, {} payments settled, steal {:.1} %{SAME_HOST}",
            kills.len(),
            run.count("settled"),
            run.steal
        );
        let at =
            |quantile: f64| seconds[((seconds.len() as f64 * quantile).ceil() as usize).clamp(1, seconds.len()) - 1];
        let beside = format!(" (p50 {:.3}, max {:.3}; the aim is 1){SAME_HOST}", at(0.5), at(1.0));
        self.goal_at_most("failover_p99", at(0.99), "s", 2.0, &beside);
        self.goal_at_most("failover_lost", run.count("lost") as f64, "payments", 0.0, SAME_HOST);
        self.goal_at_most("failover_doubled", run.count("doubled") as f64, "payments", 0.0, SAME_HOST);
        Ok(())
    }

    /// Payments at a rate the machine carries easily, until the load is ended.
    pub(super) fn steadily(&self) -> [&'static str; 8] {
        let rate: &'static str = format!("{}/s", self.options.rate.unwrap_or(500)).leak();
        ["--arrivals", "poisson", "--rate", rate, "--for", "1h", "--warm-up", "1s"]
    }
}

/// A line each; sorted.
fn times(journal: &Journal, kills: &[Kill]) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for (round, kill) in (1..).zip(kills) {
        let at = journal.moment(kill.at).ok_or("a time that cannot be read")?;
        let took = journal.first_new_settled_s(at).ok_or("no payment was settled after a leader was killed")?;
        let Kill { node, successor, .. } = kill;
        println!(
            "run failover round {round} node {node} killed, node {successor} leads, first new payment settled after {took:.3} s{SAME_HOST}"
        );
        seconds.push(took);
    }
    seconds.sort_by(f64::total_cmp);
    if seconds.is_empty() { Err("the load ended before a leader was killed".into()) } else { Ok(seconds) }
}

impl Nodes {
    /// And starts it again, once another one leads; until it follows closely.
    async fn kill_leader(&mut self) -> Result<Kill> {
        let node = self.leader().await?;
        let others = self.others(node);
        let at = Timestamp::now();
        self.cluster.kill(node).await?;
        let (successor, _) = self.cluster.leader_among(&others, PATIENCE).await?;
        self.cluster.start_node(node).await?;
        self.whole().await?;
        Ok(Kill { at, node, successor })
    }
}
