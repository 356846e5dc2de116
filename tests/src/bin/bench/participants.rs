//! One node with 2,000 participants and with 36, in turn.

use std::error::Error;

use super::server::{Run, Server};
use super::{Bench, Result};

impl Bench {
    pub(super) fn participants(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds_or(10));
        let load = |depth: &'static str| {
            ["--shape", "saturate", "--in-flight-max", depth, "--warm-up", "3s", "--for"].map(String::from).to_vec()
        };
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds_or(3) {
            let run = |participants: u32, depth: &'static str| {
                let mut load = load(depth);
                load.push(seconds.clone());
                let run = self.run(Server::Ours, participants, &load.iter().map(String::as_str).collect::<Vec<_>>())?;
                println!(
                    "run participants round {round} {participants}: {:.0}/s p50 {:.1} ms, {:.2} us CPU a payment, {:.0} MiB, steal {:.1} %",
                    run.rate, run.p50_ms, run.cpu_us, run.memory_mib, run.steal
                );
                Ok::<Run, Box<dyn Error>>(run)
            };
            let (many, few) = (run(2000, "8")?, run(36, "64")?);
            rates.push(many.rate / few.rate);
            costs.push(many.cpu_us / few.cpu_us);
        }
        self.ratio_at_least("participants_rate_2000_to_36", rates, 0.5, "");
        self.ratio_at_most("participants_cpu_2000_to_36", costs, 2.0);
        Ok(())
    }
}
