//! A crash run of a cluster: in each cycle one fault under load, seen to have happened, and seen to be survived.
//!
//! ```text
//!  a leader is there ── load ── fault ── it has happened ── the rest goes on, if a majority is left ── healed ── all go on ─┐
//!    ^                                                                                                                      │
//!    └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//!  at the end: quiet ── all books equal ── feeds read again on every node ── SIGKILL ── every log folded from nothing
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crosstie::admin::protocol::{Command, Leadership};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::sleep;

use super::crowd::{Crowd, ids};
use super::fault::{Bag, Fault, Stroke};
use super::options::Options;
use super::{Hits, Outcome, audit, replay, setup};
use crate::cluster::Cluster;
use crate::cluster::plan::Plan;

/// Whatever is waited for has come by then; elections and restarts among many others on the machine included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between regions there and back; within one there is nothing.
const ROUND_TRIP: Duration = Duration::from_millis(6);

struct Run {
    options: Options,
    cluster: Cluster,
    crowd: Crowd,
    random: SmallRng,
    bag: Bag,
    faults: BTreeMap<&'static str, u32>,
}

/// See the file's head.
pub(super) async fn run(
    options: &Options,
    program: &Path,
    directory: &Path,
    seed: u64,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let crowd = Crowd::new(options, directory, &mut random)?;
    let setup = setup(&ids(options)?);
    let plan = match options.witness {
        true => Plan::two_two_witness(&setup),
        false => Plan::of(&vec!["voter"; usize::from(options.nodes)], &setup),
    };
    let cluster = Cluster::start_by(program, directory, &plan.with_roads()).await?;
    let (bag, faults) = (Bag::default(), BTreeMap::new());
    let mut run = Run { options: options.clone(), cluster, crowd, random, bag, faults };
    run.lengthen_roads();
    run.go(say).await
}

impl Run {
    fn lengthen_roads(&self) {
        for one in self.cluster.nodes() {
            for other in self.cluster.nodes().filter(|other| one < *other) {
                if self.cluster.seat(one).region != self.cluster.seat(other).region {
                    self.cluster.roads().set_round_trip(one, other, ROUND_TRIP);
                }
            }
        }
    }

    /// Those that participants may connect to.
    fn serving(&self) -> Vec<u64> {
        self.cluster.nodes().filter(|node| self.cluster.seat(*node).kind != "witness").collect()
    }

    async fn go(&mut self, say: &mut dyn FnMut(&str)) -> Result<Outcome, String> {
        self.all_taken_in().await?;
        self.crowd.reach(self.serving().into_iter().map(|node| self.cluster.address(node)).collect());
        self.crowd.come();
        let mut cycles = 0;
        for cycle in 1..=self.options.cycles {
            cycles = cycle;
            let ended = self.cycle().await;
            if !self.crowd.is_well_after(cycle, ended, say) {
                break;
            }
        }
        // Whatever cannot be looked at is not as it should be.
        if let Err(error) = self.end(say).await {
            self.crowd.record.violate(error);
        }
        let record = &self.crowd.record;
        let (counts, violations) = (record.counts(), record.violations());
        Ok(Outcome { cycles, counts, violations, hits: Hits::default(), faults: self.faults.clone() })
    }

    /// The participants of the configuration are known on every node.
    async fn all_taken_in(&self) -> Result<(), String> {
        let wanted = usize::from(self.options.participants);
        let counts = |node| {
            let list: Value = self.cluster.exchange(node, Command::Participants)?;
            Ok::<bool, String>(list.as_array().is_some_and(|all| all.len() == wanted))
        };
        self.cluster
            .until(|cluster| {
                let known = cluster.nodes().map(counts).collect::<Result<Vec<_>, _>>()?;
                Ok(known.into_iter().all(|known| known).then_some(()))
            })
            .await
    }

    async fn cycle(&mut self) -> Result<String, String> {
        self.leader().await?;
        let up_to = Duration::from_millis(self.options.pause_max_ms);
        sleep(up_to.mul_f64(self.random.random())).await;
        let leader = self.leader().await?;
        let has_region = self.options.witness;
        let fault = self.bag.draw(has_region, &mut self.random);
        let stroke = Stroke::aim(fault, &self.cluster, leader, &mut self.random);
        let (open, began) = (self.crowd.open(), Instant::now());
        let proof = self.strike(&stroke).await?;
        let survived = self.survive(&stroke).await?;
        sleep(up_to.mul_f64(self.random.random::<f64>() / 2.0)).await;
        self.heal(&stroke).await?;
        self.leader().await?;
        self.acknowledges(&format!("after {} was healed", fault.name())).await?;
        for node in self.cluster.nodes() {
            self.cluster.ended(node).map_or(Ok(()), Err)?;
        }
        *self.faults.entry(fault.name()).or_default() += 1;
        let took = began.elapsed().as_millis();
        Ok(format!(
            "{}, leader was {}, {open} payments open: {proof}; {survived}; healed after {took} ms",
            fault.name(),
            stroke.leader
        ))
    }

    /// Waits until a node that may keep it has leadership.
    async fn leader(&self) -> Result<(u64, u64), String> {
        self.cluster.leader_among(&self.serving()).await
    }

    /// Does it, and says by what it is known to have happened.
    async fn strike(&mut self, stroke: &Stroke) -> Result<String, String> {
        if stroke.kills() {
            return self.kill(stroke);
        }
        let roads = self.cluster.roads();
        let before = roads.lost_bytes();
        match stroke.fault {
            Fault::CutOneWay => roads.cut(stroke.way.0, stroke.way.1),
            Fault::PauseLeader => {
                self.cluster.pause(stroke.leader).await?;
                return Ok(format!("node {} stands still", stroke.leader));
            }
            Fault::Transfer => {
                let handed: Leadership = self.cluster.exchange(stroke.leader, Command::StepDown { node: None })?;
                return Ok(format!("asked to step down in term {}, now it is {}", stroke.term, handed.term));
            }
            _ => roads.cut_off(&stroke.victims),
        }
        let lost = |cluster: &Cluster| cluster.roads().lost_bytes() - before;
        self.cluster.until(|cluster| Ok((lost(cluster) > 0).then_some(()))).await?;
        let who = if stroke.victims.is_empty() { vec![stroke.way.0, stroke.way.1] } else { stroke.victims.clone() };
        Ok(format!("nodes {who:?}, first bytes lost"))
    }

    /// SIGKILL to all of them, at once.
    fn kill(&mut self, stroke: &Stroke) -> Result<String, String> {
        let processes: Vec<u32> = stroke.victims.iter().filter_map(|node| self.cluster.process_id(*node)).collect();
        stroke.victims.iter().for_each(|node| self.cluster.kill(*node));
        let left = processes.iter().find(|process| Path::new(&format!("/proc/{process}")).exists());
        match left {
            Some(process) => Err(format!("process {process} was killed and is still there")),
            None => Ok(format!("nodes {:?} are gone", stroke.victims)),
        }
    }

    /// What is left of the cluster does what it must.
    async fn survive(&self, stroke: &Stroke) -> Result<String, String> {
        let nodes = self.cluster.nodes().count();
        let mut what = String::from("no majority");
        if stroke.moves_leadership(nodes) {
            let began = Instant::now();
            let moved = self.cluster.until(|cluster| {
                let views = stroke.rest.iter().filter_map(|node| cluster.view(*node).ok());
                Ok(views.filter(|view| view.leads).map(|view| view.term).max().filter(|term| *term > stroke.term))
            });
            let term =
                moved.await.map_err(|error| format!("nobody took over after {}: {error}", stroke.fault.name()))?;
            what = format!("term {} to {term} within {} ms", stroke.term, began.elapsed().as_millis());
        } else if stroke.goes_on(nodes) {
            what = "goes on".into();
        }
        if stroke.goes_on(nodes) {
            self.acknowledges(&format!("during {}", stroke.fault.name())).await?;
        }
        Ok(what)
    }

    async fn heal(&mut self, stroke: &Stroke) -> Result<(), String> {
        if stroke.kills() {
            for node in &stroke.victims {
                self.cluster.start_node(*node).await?;
            }
        } else if stroke.cuts() {
            self.cluster.roads().heal();
        } else if stroke.fault == Fault::PauseLeader {
            self.cluster.resume(stroke.leader)?;
        }
        Ok(())
    }

    /// Waits until banks are told of more payments than were open.
    async fn acknowledges(&self, when: &str) -> Result<(), String> {
        let acknowledged = || self.crowd.record.counts().acknowledged;
        let (before, until) = (acknowledged() + 20, Instant::now() + PATIENCE);
        while acknowledged() < before {
            if self.crowd.record.counts().violated > 0 {
                return Ok(()); // that says more
            }
            if Instant::now() > until {
                return Err(format!("{when} no payment had an outcome for {PATIENCE:?}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn end(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), String> {
        say("quiet: nothing new is submitted, everything gets its outcome");
        self.heal_all().await?;
        self.crowd.quiet().await;
        self.crowd.go().await?;
        self.cluster.at_rest().await?;
        for node in self.serving() {
            audit::feeds(self.cluster.address(node), &self.crowd)
                .await
                .map_err(|error| format!("node {node}: {error}"))?;
        }
        let live = self.cluster.at_rest().await?;
        let last = self.cluster.view(1)?.committed_index;
        self.cluster.nodes().for_each(|node| self.cluster.kill(node));
        self.reckon(&live, last, say)
    }

    /// Whatever a cycle that failed has left.
    async fn heal_all(&mut self) -> Result<(), String> {
        self.cluster.roads().heal();
        for node in self.cluster.nodes() {
            match self.cluster.runs(node) {
                true => self.cluster.resume(node)?,
                false => drop(self.cluster.start_node(node).await?),
            }
        }
        self.leader().await.map(drop)
    }

    /// Every node's log, folded from nothing, is the same and agrees with what every bank was told.
    fn reckon(&self, live: &Value, last: u64, say: &mut dyn FnMut(&str)) -> Result<(), String> {
        let mut all: Option<(Vec<u32>, u64)> = None;
        for node in self.cluster.nodes() {
            let log = self.cluster.place(node).log();
            let replay = replay::replay(log, last).map_err(|error| format!("the log of node {node}: {error}"))?;
            audit::log(&replay, live, &self.crowd)?;
            let seen = (replay.checksums, replay.book.digest());
            if *all.get_or_insert_with(|| seen.clone()) != seen {
                self.crowd.record.violate(format!("the log of node {node} is another one"));
            }
        }
        let (entries, nodes) = (all.map_or(0, |(checksums, _)| checksums.len()), self.cluster.nodes().count());
        say(&format!("reckoning: {entries} entries on each of {nodes} nodes, {:?}", self.faults));
        Ok(())
    }
}
