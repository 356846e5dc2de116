//! What only shows after long: one node in its twentieth minute, and its restart with millions of payments to remember.

use std::time::Instant;

use super::machine::resident_mib;
use super::server::{Server, end};
use super::{Bench, Result};

impl Bench {
    pub(super) fn minutes(&mut self) -> Result<()> {
        let length = format!("{}m", self.options.minutes);
        let run = self.run(Server::Ours, 36, &["--shape", "saturate", "--for", &length, "--warm-up", "5s"])?;
        // Of the first seconds some connect and warm up.
        let rates = run.settled_by_second.get(6..).ok_or("the load ended early")?;
        let minute = |from: usize| {
            let minute: Vec<f64> = rates.iter().skip(from).take(60).copied().collect();
            minute.iter().sum::<f64>() / minute.len().max(1) as f64
        };
        let last = rates.len().saturating_sub(60);
        println!(
            "run minutes {:.0}/s, first minute {:.0}/s, last {:.0}/s, {:.2} us CPU, {:.0} MiB",
            run.rate,
            minute(0),
            minute(last),
            run.cpu_us,
            run.memory_mib
        );
        self.goal_at_least("minutes_last_to_first", minute(last) / minute(0), "ratio", 0.95, "");
        Ok(())
    }

    pub(super) fn restart(&mut self) -> Result<()> {
        let data = self.fresh("restart")?;
        let wanted = self.options.remembered;
        let (mut server, address) = self.start(Server::Ours, 36, &data, "1h")?;
        let filled = Instant::now();
        // Every run goes on in the feeds where the one before ended: their beginnings are soon no longer kept.
        let feeds = self.directory.join("feeds").display().to_string();
        let fill = ["--shape", "saturate", "--for", "20s", "--warm-up", "0s", "--feeds", &feeds];
        let mut done = 0;
        while done < wanted {
            done += (self.load(&server, &address, 36, &fill)?.rate * 20.0) as u64;
        }
        println!("run restart: {done} payments in {:.0} s", filled.elapsed().as_secs_f64());
        end(&mut server)?;
        let started = Instant::now();
        let (mut server, _) = self.start(Server::Ours, 36, &data, "1h")?;
        let took = started.elapsed().as_secs_f64();
        let memory_bytes = resident_mib(server.id()) * 1_048_576.0;
        self.goal_at_most("restart_with_remembered", took, "s", 5.0, &format!(" ({done} payments)"));
        println!("run restart: {:.0} bytes resident for each remembered payment", memory_bytes / done as f64);
        end(&mut server)
    }
}
