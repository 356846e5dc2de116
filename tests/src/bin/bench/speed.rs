//! One node and the floor in turn: at saturation, at fixed rates, at a quarter of the floor's saturation.

use super::goals::median;
use super::server::{Run, Server};
use super::{Bench, Result};

type Read = fn(&Run) -> f64;

impl Bench {
    /// Ours and the floor in turn; a line for every run.
    fn rounds(&self, name: &str, participants: u32, load: &[&str]) -> Result<Vec<(Run, Run)>> {
        let mut rounds = Vec::new();
        for round in 1..=self.options.rounds_or(3) {
            let mut both = Vec::new();
            for (server, who) in [(Server::Ours, "ours"), (Server::Floor, "floor")] {
                let run = self.run(server, participants, load)?;
                println!(
                    "run {name} round {round} {who} {:.0}/s p50 {:.2} p99 {:.2} p99.9 {:.2} ms, {:.2} us CPU a payment, {:.0} MiB, steal {:.1} %{}",
                    run.rate,
                    run.p50_ms,
                    run.p99_ms,
                    run.p999_ms,
                    run.cpu_us,
                    run.memory_mib,
                    run.steal,
                    if run.trusted { "" } else { ", generator late" },
                );
                both.push(run);
            }
            let (Some(floor), Some(ours)) = (both.pop(), both.pop()) else { continue };
            rounds.push((ours, floor));
        }
        Ok(rounds)
    }

    pub(super) fn saturation(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds_or(10));
        let rounds = self.rounds("saturation", 36, &["--shape", "saturate", "--for", &seconds, "--warm-up", "3s"])?;
        let of =
            |read: fn(&Run) -> f64| rounds.iter().map(|(ours, floor)| read(ours) / read(floor)).collect::<Vec<_>>();
        let (rates, costs) = (of(|run| run.rate), of(|run| run.cpu_us));
        let best = |read: fn(&Run) -> f64| median(rounds.iter().map(|(ours, _)| read(ours)).collect()).1;
        self.goal_at_least("saturation_rate", best(|run| run.rate), "payments/s", 200_000.0, "");
        self.goal_at_most("saturation_cpu", best(|run| run.cpu_us), "us", 5.0, "");
        self.ratio_at_least("saturation_to_floor", rates, 0.5, "");
        self.ratio_at_most("cpu_to_floor", costs, 2.5);
        Ok(())
    }

    /// `goals`: p50, p99 and p99.9 in milliseconds, where there is one.
    pub(super) fn open_loop(&mut self, name: &str, rate: u64, goals: [Option<f64>; 3], ratio: f64) -> Result<()> {
        let (rate, seconds) = (format!("{rate}/s"), format!("{}s", self.options.seconds_or(10)));
        let load =
            ["--shape", "constant", "--arrivals", "poisson", "--rate", &rate, "--for", &seconds, "--warm-up", "3s"];
        let rounds = self.rounds(name, 36, &load)?;
        let reads: [(&str, Read); 3] =
            [("p50", |run| run.p50_ms), ("p99", |run| run.p99_ms), ("p999", |run| run.p999_ms)];
        for ((quantile, read), goal) in reads.into_iter().zip(goals) {
            if let Some(goal) = goal {
                let value = median(rounds.iter().map(|(ours, _)| read(ours)).collect()).1;
                self.goal_at_most(&format!("{name}_{quantile}"), value, "ms", goal, "");
            }
        }
        for (quantile, read) in &reads[..2] {
            let ratios = rounds.iter().map(|(ours, floor)| read(ours) / read(floor)).collect();
            self.ratio_at_most(&format!("{name}_{quantile}_to_floor"), ratios, ratio);
        }
        Ok(())
    }

    pub(super) fn quarter(&mut self) -> Result<()> {
        let floor = self.run(Server::Floor, 36, &["--shape", "saturate", "--for", "5s", "--warm-up", "2s"])?;
        let rate = (floor.rate / 4.0) as u64;
        println!("run quarter: the floor saturates at {:.0}/s", floor.rate);
        self.open_loop("quarter", rate, [None; 3], 2.0)
    }
}
