//! Leadership handed over and nodes drained under load: nobody's payment fails, and outcomes hardly pause.

use std::time::Duration;

use crosstie::admin::protocol::Command;
use wire::Timestamp;

use super::journal::Journal;
use super::nodes::{SAME_HOST, distances, plan};
use super::{Bench, Result};

const REST: Duration = Duration::from_secs(3);
/// What happens so long after it counts.
const LOOK_SECONDS: u64 = 3;

impl Bench {
    pub(super) async fn planned(&mut self) -> Result<()> {
        let nodes = self.nodes("planned", plan(&distances())?).await?;
        let journal = nodes.file("payments");
        let mut load = nodes.load(&nodes.cluster.up(), &self.steadily());
        load.journal(&journal);
        let load = load.begin()?;
        let mut deeds = Vec::new();
        for _ in 0..self.options.rounds_or(5) {
            for deed in ["step-down", "drain"] {
                tokio::time::sleep(REST).await;
                let node = nodes.leader().await?;
                deeds.push((deed, node, Timestamp::now()));
                if deed == "drain" {
                    nodes.order(node, Command::Drain).await?;
                    tokio::time::sleep(REST).await;
                    nodes.order(node, Command::Undrain).await?;
                } else {
                    nodes.order(node, Command::StepDown { node: None }).await?;
                }
                nodes.whole().await?;
            }
        }
        tokio::time::sleep(REST).await;
        let run = load.end().await?.sound()?;
        let journal = Journal::read(&journal)?;
        nodes.end().await?;
        for deed in ["step-down", "drain"] {
            let these = deeds.iter().filter(|(what, ..)| *what == deed);
            let (mut longest, mut failed) = (0.0, 0);
            for (round, (_, node, at)) in (1..).zip(these) {
                let from = journal.moment(*at).ok_or("a time that cannot be read")?;
                let to = from.plus_seconds(LOOK_SECONDS);
                let gap = journal.longest_gap_ms(from, to);
                println!(
                    "run planned round {round} node {node} {deed}, longest time without an outcome {gap:.0} ms{SAME_HOST}"
                );
                longest = f64::max(longest, gap);
                failed += journal.failed(from, to);
            }
            let name = format!("planned_{}", deed.replace('-', "_"));
            self.goal_at_most(&format!("{name}_longest_gap"), longest, "ms", 300.0, SAME_HOST);
            self.goal_at_most(&format!("{name}_failed"), failed as f64, "payments", 0.0, SAME_HOST);
        }
        let failed = run.count("rejected") + run.count("refused") + run.count("unsent");
        self.goal_at_most(
            "planned_failed",
            failed as f64,
            "payments",
            0.0,
            &format!(" of {}{SAME_HOST}", run.count("due")),
        );
        Ok(())
    }
}
