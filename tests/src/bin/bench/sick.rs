//! One node is sick, not dead. As a follower it slows nobody down; as the leader it leads no longer soon.
//!
//! Throughput is that of a closed loop without distances, with the banks at the leader and at the healthy follower: banks at
//! a node that stands still would wait for it and move, which is another measurement.

use std::time::{Duration, Instant};

use super::load::Run;
use super::nodes::{Nodes, SAME_HOST, plan};
use super::sickness::{Patient, SICKNESSES, Sickness};
use super::slow_disk::wrap;
use super::{Bench, Result};

const LEADER: u64 = 1;
const FOLLOWERS: [u64; 2] = [2, 3];
const PATIENT: u64 = 3;
/// A leader that still leads after this time is not expected to give up.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// Until a node that was sick reaches the others as before: asked to lead sooner, it hands over again.
const RECOVERY: Duration = Duration::from_secs(5);
/// Before the leader falls sick under load.
const REST: Duration = Duration::from_secs(3);

impl Bench {
    pub(super) async fn sick(&mut self) -> Result<()> {
        let program = wrap(&self.binaries.join("crosstie"), &self.directory)?;
        let nodes = self.nodes_of("sick", plan(&[Duration::ZERO])?, &program).await?;
        for sickness in SICKNESSES {
            let mut ratios = Vec::new();
            for round in 1..=self.options.rounds_or(2) {
                ratios.push(self.with_sick_follower(&nodes, sickness, round).await?);
            }
            let name = format!("sick_follower_{}_to_healthy", sickness.name());
            self.ratio_at_least(&name, ratios, 0.8, SAME_HOST);
        }
        for sickness in SICKNESSES {
            let seconds = sick_leader(&nodes, sickness).await?;
            let beside = if seconds < LOOK_FOR.as_secs_f64() { "" } else { " (it led until the end)" };
            self.goal_at_most(
                &format!("sick_leader_{}_moved", sickness.name()),
                seconds,
                "s",
                3.0,
                &format!("{beside}{SAME_HOST}"),
            );
        }
        nodes.end().await
    }

    /// Healthy, then with a sick follower; the second's rate to the first's.
    async fn with_sick_follower(&self, nodes: &Nodes, sickness: Sickness, round: usize) -> Result<f64> {
        let seconds = format!("{}s", self.options.seconds_or(6));
        let load = ["--shape", "saturate", "--in-flight-max", "16", "--for", &seconds, "--warm-up", "1s"];
        nodes.lead(LEADER).await?;
        nodes.whole().await?;
        let at = [LEADER, FOLLOWERS[0]];
        let healthy = nodes.run(&at, &load).await?;
        let mut patient = Patient::new(nodes, PATIENT)?;
        let run = nodes.run(&at, &load);
        let sick: Run = tokio::select! {
            run = run => run?,
            ended = patient.suffer(nodes, sickness) => return Err(format!("{sickness:?} ended: {ended:?}").into()),
        };
        let led = nodes.leader().await?;
        let proof = patient.relieve(nodes, sickness)?;
        println!(
            "run sick round {round} closed loop, healthy {}; follower {} ({proof}) {}; node {led} leads then{SAME_HOST}",
            healthy.figures(),
            sickness.name(),
            sick.figures()
        );
        Ok(sick.rate / healthy.rate)
    }
}

/// Seconds until another node leads.
async fn sick_leader(nodes: &Nodes, sickness: Sickness) -> Result<f64> {
    nodes.whole().await?;
    tokio::time::sleep(RECOVERY).await;
    nodes.lead(LEADER).await?;
    let load = ["--arrivals", "poisson", "--rate", "1000/s", "--for", "1h", "--warm-up", "1s"];
    let load = nodes.load(&FOLLOWERS, &load).begin()?;
    tokio::time::sleep(REST).await;
    let mut patient = Patient::new(nodes, LEADER)?;
    let started = Instant::now();
    let moved = tokio::select! {
        moved = nodes.cluster.leader_among(&FOLLOWERS, LOOK_FOR) => moved.ok(),
        ended = patient.suffer(nodes, sickness) => return Err(format!("{sickness:?} ended: {ended:?}").into()),
    };
    let took = started.elapsed();
    let proof = patient.relieve(nodes, sickness)?;
    nodes.whole().await?;
    let run = load.end().await?.sound()?;
    let then = moved.map_or("nobody else leads".into(), |(leader, _)| format!("node {leader} leads"));
    println!(
        "run sick leader {} ({proof}) {then} after {:.2} s; {} settled, {} rejected{SAME_HOST}",
        sickness.name(),
        took.as_secs_f64(),
        run.count("settled"),
        run.count("rejected")
    );
    Ok(took.as_secs_f64())
}
