//! What can be asked of a cluster that runs: carried out here, said back in a sentence.

use std::time::Duration;

use super::cluster::Cluster;
use super::control::Order;
use crate::exit::{Exit, Failure};

impl Cluster {
    /// What was done, in words.
    pub(super) async fn carry_out(&mut self, order: Order) -> Result<String, Failure> {
        Ok(match order {
            Order::Status => String::new(),
            Order::Kill { node } => {
                let pid = self.ready(node).map_or(0, |(ready, _)| ready.pid);
                self.kill(node).await?;
                format!("node {node} was killed by SIGKILL (process {pid}); crosstie local start {node} brings it back")
            }
            Order::Start { node } => {
                let ready = self.start_node(node).await?;
                let (pid, entries) = (ready.pid, ready.recovered_entries);
                format!("node {node} runs as process {pid}; {entries} entries of its log were replayed")
            }
            Order::Stop { node } => {
                self.stop(node).await?;
                format!("node {node} stopped in good order; crosstie local start {node} brings it back")
            }
            Order::Pause { node } => {
                self.pause(node)?;
                format!("node {node} stands still (SIGSTOP) until crosstie local resume {node}")
            }
            Order::Resume { node } => {
                self.resume(node)?;
                format!("node {node} goes on (SIGCONT)")
            }
            Order::Partition { what } => {
                let nodes = self.target(&what)?;
                if nodes.len() == self.place().plan().seats.len() {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("{what} is all there is: nothing to cut it off from"),
                    ));
                }
                self.cut_off(nodes.iter().copied());
                format!("{} cut off from all others, until crosstie local heal", named(&nodes))
            }
            Order::Heal => match self.heal() {
                0 => "nothing was cut".into(),
                _ => "all roads are open again".into(),
            },
            Order::Delay { from, to, round_trip_us } => self.delay(&from, &to, Duration::from_micros(round_trip_us))?,
            Order::Down => "the cluster stops; its data stays".into(),
        })
    }

    fn delay(&mut self, from: &str, to: &str, length: Duration) -> Result<String, Failure> {
        let (near, far) = (self.target(from)?, self.target(to)?);
        if near.iter().any(|node| far.contains(node)) {
            return Err(Failure::new(Exit::Usage, format!("{from} and {to} are not apart")));
        }
        for one in &near {
            for other in &far {
                self.roads.set_round_trip(*one, *other, length);
            }
        }
        Ok(format!(
            "between {} and {} a round trip now takes {length:?} more than the host itself",
            named(&near),
            named(&far)
        ))
    }

    /// The nodes that a word means: `2`, `n2`, or a region.
    fn target(&self, text: &str) -> Result<Vec<u64>, Failure> {
        let plan = self.place().plan();
        let number = text.strip_prefix('n').unwrap_or(text).parse::<u64>();
        let nodes: Vec<u64> = match number {
            Ok(number) => plan.nodes().filter(|node| *node == number).collect(),
            Err(_) => plan.seats.iter().filter(|seat| seat.region == text).map(|seat| seat.node).collect(),
        };
        if nodes.is_empty() {
            let all: Vec<String> = plan.nodes().map(|node| node.to_string()).collect();
            let what =
                format!("{text:?} is neither a node ({}) nor a region ({})", all.join(", "), plan.regions().join(", "));
            return Err(Failure::new(Exit::NotFound, what));
        }
        Ok(nodes)
    }
}

fn named(nodes: &[u64]) -> String {
    match nodes {
        [one] => format!("node {one}"),
        several => {
            let numbers: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("nodes {}", numbers.join(" and "))
        }
    }
}
