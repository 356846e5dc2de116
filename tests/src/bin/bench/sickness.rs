//! What can ail a node that is not dead, and the proof that it did.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::Result;
use super::nodes::Nodes;
use super::slow_disk::SlowDisk;

/// Of each tenth of a second a starved node runs this much, as if a quota gave it a tenth of a processor.
const RUNS: Duration = Duration::from_millis(10);
const STANDS: Duration = Duration::from_millis(90);
const PAUSE: Duration = Duration::from_secs(5);
const LOSS_PER_MILLE: u32 = 50;
const DISK_FACTOR: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sickness {
    Starved,
    Paused,
    Lossy,
    SlowDisk,
}

pub(super) const SICKNESSES: [Sickness; 4] = [Sickness::Starved, Sickness::Paused, Sickness::Lossy, Sickness::SlowDisk];

impl Sickness {
    pub(super) fn name(self) -> &'static str {
        match self {
            Sickness::Starved => "starved",
            Sickness::Paused => "paused",
            Sickness::Lossy => "lossy",
            Sickness::SlowDisk => "slow_disk",
        }
    }
}

/// A node, as the means to make it sick and well again.
pub(super) struct Patient {
    node: u64,
    pid: Pid,
    disk: SlowDisk,
    stops: u64,
    late_reads_before: u64,
    held_up_before: (u64, Duration),
}

impl Patient {
    pub(super) fn new(nodes: &Nodes, node: u64) -> Result<Patient> {
        let pid = nodes.cluster.ready(node).and_then(|(ready, _)| Pid::from_raw(ready.pid as i32));
        let disk = SlowDisk::of(&nodes.cluster.place().config(node))?;
        Ok(Patient {
            node,
            pid: pid.ok_or("the node does not run")?,
            held_up_before: disk.held_up()?,
            disk,
            stops: 0,
            late_reads_before: nodes.cluster.late_reads(node),
        })
    }

    /// Goes on until it is dropped; then [`Patient::relieve`] ends it.
    pub(super) async fn suffer(&mut self, nodes: &Nodes, sickness: Sickness) -> Result<()> {
        match sickness {
            Sickness::Starved => loop {
                self.stand(STANDS).await?;
                sleep(RUNS).await;
            },
            Sickness::Paused => self.stand(PAUSE).await?,
            Sickness::Lossy => nodes.cluster.set_loss(self.node, LOSS_PER_MILLE),
            Sickness::SlowDisk => self.disk.set_factor(DISK_FACTOR)?,
        }
        std::future::pending().await
    }

    async fn stand(&mut self, length: Duration) -> Result<()> {
        kill_process(self.pid, Signal::STOP)?;
        self.stops += 1;
        sleep(length).await;
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Well again. What shows that it was sick; it is an error if nothing does.
    pub(super) fn relieve(self, nodes: &Nodes, sickness: Sickness) -> Result<String> {
        kill_process(self.pid, Signal::CONT)?;
        nodes.cluster.set_loss(self.node, 0);
        self.disk.set_factor(1)?;
        let late_reads = nodes.cluster.late_reads(self.node) - self.late_reads_before;
        let (calls, held_up) = self.disk.held_up()?;
        let (calls, held_up) = (calls - self.held_up_before.0, held_up.saturating_sub(self.held_up_before.1));
        let (count, proof) = match sickness {
            Sickness::Starved => (self.stops, format!("stopped {} times for {STANDS:?}", self.stops)),
            Sickness::Paused => (self.stops, format!("stopped for {PAUSE:?}")),
            Sickness::Lossy => (late_reads, format!("{late_reads} reads late by a retransmission")),
            Sickness::SlowDisk => (
                calls,
                format!("{calls} writes held up by {:.1} ms each", held_up.as_secs_f64() * 1e3 / calls.max(1) as f64),
            ),
        };
        match count {
            0 => Err(format!("nothing shows that node {} was {}", self.node, sickness.name()).into()),
            _ => Ok(proof),
        }
    }
}
