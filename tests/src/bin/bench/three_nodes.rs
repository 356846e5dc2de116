//! Three nodes on one host without distances, at saturation, and one node in turn.

use std::time::Duration;

use super::goals::median;
use super::nodes::{PARTICIPANTS, SAME_HOST, plan};
use super::server::Server;
use super::{Bench, Result};

impl Bench {
    pub(super) async fn three_nodes(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds_or(10));
        let load = ["--shape", "saturate", "--for", &seconds, "--warm-up", "3s"];
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds_or(3) {
            let alone = self.run(Server::Ours, PARTICIPANTS, &load)?;
            println!("run three-nodes round {round} one node {}", alone.figures());
            let nodes = self.nodes("three", plan(&[Duration::ZERO])?.direct()).await?;
            let everywhere = nodes.run(&nodes.cluster.up(), &load).await?;
            println!(
                "run three-nodes round {round} three nodes, banks at all of them {}{SAME_HOST}",
                everywhere.figures()
            );
            let leader = nodes.leader().await?;
            let beside = nodes.run(&[leader], &load).await?;
            println!("run three-nodes round {round} three nodes, banks at the leader {}{SAME_HOST}", beside.figures());
            nodes.end().await?;
            rates.push(everywhere.rate);
            ratios.push(everywhere.rate / alone.rate);
        }
        self.goal_at_least("three_nodes_rate", median(rates).1, "payments/s", 50_000.0, SAME_HOST);
        self.ratio_at_least("three_nodes_to_one", ratios, 0.25, SAME_HOST);
        Ok(())
    }
}
