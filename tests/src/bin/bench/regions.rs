//! What distance costs: a payment over the leader's node takes two round trips to a majority, and hardly more.

use std::time::Duration;

use super::goals::median;
use super::nodes::{Nodes, SAME_HOST, distances, plan};
use super::{Bench, Result};

/// A modest rate: what is measured is the way, not the queue before a disk. A payment is two entries, and a write with its
/// sync takes up to a millisecond where three nodes share a disk.
const RATE_PER_SECOND: u64 = 200;

impl Bench {
    pub(super) async fn regions(&mut self) -> Result<()> {
        let nodes = self.nodes("regions", plan(&distances())?).await?;
        nodes.lead(1).await?;
        let mut beyond = Vec::new();
        for round in 1..=self.options.rounds_or(3) {
            beyond.push(self.over("the leader's node", round, &nodes, 1).await?);
            self.over("a follower's node, 30 ms away", round, &nodes, 2).await?;
        }
        nodes.end().await?;
        let (least, middle, most) = median(beyond);
        let beside = format!(" ({least:.2} to {most:.2}){SAME_HOST}");
        self.goal_at_most("regions_p50_beyond_two_quorum_round_trips", middle, "ms", 3.0, &beside);
        Ok(())
    }

    /// All banks at one node: how much longer than two round trips a payment takes at the median, in milliseconds.
    async fn over(&self, what: &str, round: usize, nodes: &Nodes, node: u64) -> Result<f64> {
        let seconds = format!("{}s", self.options.seconds_or(8));
        let rate = format!("{}/s", self.options.rate.unwrap_or(RATE_PER_SECOND));
        let load =
            ["--shape", "constant", "--arrivals", "poisson", "--rate", &rate, "--for", &seconds, "--warm-up", "2s"];
        let before = nodes.quorum_round_trip().await?;
        let run = nodes.run(&[node], &load).await?;
        let round_trip = (before + nodes.quorum_round_trip().await?) / 2;
        if nodes.leader().await? != 1 {
            return Err("leadership moved during the run: the machine is too busy for this measurement".into());
        }
        let milliseconds = |length: Duration| length.as_secs_f64() * 1e3;
        let beyond = run.p50_ms - 2.0 * milliseconds(round_trip);
        println!(
            "run regions round {round} over {what} {}; round trip to a majority {:.2} ms, p50 beyond two of them {beyond:.2} ms{SAME_HOST}",
            run.figures(),
            milliseconds(round_trip)
        );
        Ok(beyond)
    }
}
