//! All of it together: the nodes and what becomes of them, the roads between them, and questions to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::place::Place;
use super::process::{Process, Ready, own_program};
use super::roads::Roads;
use crate::admin::client::exchange;
use crate::admin::protocol::{self, Command};
use crate::exit::{Exit, Failure};

/// How long a node may take to answer a question of this process.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What became of a node.
pub(super) enum Life {
    Up(Process),
    Paused(Process),
    /// Why it does not run: killed, stopped, or how it ended by itself.
    Away(String),
}

/// See the file's head. Its nodes end with it.
pub struct Cluster {
    place: Place,
    program: PathBuf,
    pub(super) roads: Roads,
    pub(super) lives: BTreeMap<u64, Life>,
}

/// Asks a node over its admin socket, without a word to stderr.
pub async fn ask<T: DeserializeOwned>(socket: PathBuf, command: Command, timeout: Duration) -> Result<T, Failure> {
    let asked = tokio::task::spawn_blocking(move || exchange(&socket, command, "", timeout)?.reply.result()).await;
    let value = asked.map_err(|error| Failure::new(Exit::No, error.to_string()))??;
    serde_json::from_value(value)
        .map_err(|error| Failure::new(Exit::No, format!("the node's answer cannot be read: {error}")))
}

impl Cluster {
    /// Starts all nodes of `place` at once, as processes of `program`, and waits until all take connections.
    pub async fn start(place: Place, program: Option<&Path>) -> Result<Cluster, Failure> {
        let program = program.map_or_else(own_program, |program| Ok(program.into()))?;
        let roads = place.lay_roads()?;
        place.configure(&roads)?;
        let mut starting = JoinSet::new();
        for node in place.plan().nodes() {
            let launch = place.launch(node, &program);
            starting.spawn(async move { Process::start(launch).await.map(|process| (node, process)) });
        }
        let mut lives = BTreeMap::new();
        while let Some(started) = starting.join_next().await {
            let (node, process) = started.map_err(|error| Failure::new(Exit::No, error.to_string()))??;
            lives.insert(node, Life::Up(process));
        }
        Ok(Cluster { place, program, roads, lives })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Nodes whose processes run, paused ones not.
    pub fn up(&self) -> Vec<u64> {
        self.lives.iter().filter(|(_, life)| matches!(life, Life::Up(_))).map(|(node, _)| *node).collect()
    }

    /// What the node said when it was ready, and since when it runs.
    pub fn ready(&self, node: u64) -> Option<(&Ready, Instant)> {
        match self.lives.get(&node)? {
            Life::Up(process) | Life::Paused(process) => Some((&process.ready, process.started)),
            Life::Away(_) => None,
        }
    }

    /// SIGKILL.
    pub async fn kill(&mut self, node: u64) -> Result<(), Failure> {
        self.take(node, "killed")?.kill().await
    }

    /// SIGTERM, and waits until it has ended in good order.
    pub async fn stop(&mut self, node: u64) -> Result<(), Failure> {
        self.resume_if_paused(node)?;
        self.take(node, "stopped")?.stop().await
    }

    /// Starts a node that does not run, on the data it left.
    pub async fn start_node(&mut self, node: u64) -> Result<&Ready, Failure> {
        match self.life(node)? {
            Life::Away(_) => {}
            _ => return Err(Failure::new(Exit::Refused, format!("node {node} runs already"))),
        }
        let process = Process::start(self.place.launch(node, &self.program)).await?;
        self.lives.insert(node, Life::Up(process));
        match &self.lives[&node] {
            Life::Up(process) => Ok(&process.ready),
            _ => unreachable!("it was put there a line above"),
        }
    }

    /// SIGSTOP: it stands still and does not know it.
    pub fn pause(&mut self, node: u64) -> Result<(), Failure> {
        if matches!(self.life(node)?, Life::Paused(_)) {
            return Err(Failure::new(Exit::Refused, format!("node {node} is paused already")));
        }
        let process = self.take(node, "gone")?;
        let paused = process.signal(Signal::STOP);
        self.lives.insert(node, Life::Paused(process));
        paused
    }

    /// SIGCONT.
    pub fn resume(&mut self, node: u64) -> Result<(), Failure> {
        match self.life(node)? {
            Life::Paused(_) => self.resume_if_paused(node),
            _ => Err(Failure::new(Exit::Refused, format!("node {node} is not paused"))),
        }
    }

    fn resume_if_paused(&mut self, node: u64) -> Result<(), Failure> {
        if !matches!(self.life(node)?, Life::Paused(_)) {
            return Ok(());
        }
        let process = self.take(node, "gone")?;
        let resumed = process.signal(Signal::CONT);
        self.lives.insert(node, Life::Up(process));
        resumed
    }

    /// Stops all nodes that run, all at once, in good order.
    pub async fn stop_all(&mut self) -> Result<(), Failure> {
        let running: Vec<u64> = self.lives.keys().copied().filter(|node| self.ready(*node).is_some()).collect();
        let mut stopping = JoinSet::new();
        for node in running {
            self.resume_if_paused(node)?;
            stopping.spawn(self.take(node, "stopped")?.stop());
        }
        while let Some(stopped) = stopping.join_next().await {
            stopped.map_err(|error| Failure::new(Exit::No, error.to_string()))??;
        }
        Ok(())
    }

    /// Nodes that ended although nobody asked them to, and their last words.
    pub fn ended_by_themselves(&mut self) -> Vec<(u64, String)> {
        let mut ended = Vec::new();
        for (node, life) in &mut self.lives {
            let (Life::Up(process) | Life::Paused(process)) = life else { continue };
            if let Some(how) = process.ended() {
                ended.push((*node, how.clone()));
                *life = Life::Away(format!("ended by itself, {how}"));
            }
        }
        ended
    }

    /// Cuts these nodes off from all others.
    pub fn cut_off(&mut self, nodes: impl IntoIterator<Item = u64>) {
        self.roads.cut_off(&nodes.into_iter().collect::<BTreeSet<_>>());
    }

    /// Opens all roads that were cut; how many.
    pub fn heal(&mut self) -> usize {
        self.roads.heal()
    }

    pub fn is_cut_off(&self, node: u64) -> bool {
        self.roads.is_cut_off(node)
    }

    /// So many of a thousand reads between this node and the others come late, as if packets of them were lost.
    pub fn set_loss(&self, node: u64, per_mille: u32) {
        self.roads.set_loss(node, per_mille);
    }

    /// How many have come late so.
    pub fn late_reads(&self, node: u64) -> u64 {
        self.roads.late_reads(node)
    }

    /// Asks one node.
    pub async fn ask<T: DeserializeOwned>(&self, node: u64, command: Command) -> Result<T, Failure> {
        ask(self.place.admin(node), command, ASK_TIMEOUT).await
    }

    /// Waits until one of these nodes leads; which, and in which term.
    pub async fn leader_among(&self, nodes: &[u64], patience: Duration) -> Result<(u64, u64), Failure> {
        let started = Instant::now();
        loop {
            let mut leaders = Vec::new();
            for node in nodes.iter().copied().filter(|node| matches!(self.lives.get(node), Some(Life::Up(_)))) {
                let said: Result<protocol::Cluster, Failure> = self.ask(node, Command::Cluster).await;
                leaders.extend(said.ok().filter(|said| said.leadership.role == "leader").map(|said| said.leadership));
            }
            if let Some(leadership) = leaders.iter().max_by_key(|leadership| leadership.term)
                && let Some(leader) = leadership.leader
            {
                return Ok((leader, leadership.term));
            }
            if started.elapsed() > patience {
                let what = format!("none of the nodes {nodes:?} leads after {patience:?}");
                let next = "crosstie local status tells which of them run and who is cut off";
                return Err(Failure::new(Exit::Unreachable, what).next(next));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(super) fn life(&self, node: u64) -> Result<&Life, Failure> {
        self.lives.get(&node).ok_or_else(|| {
            let nodes: Vec<String> = self.lives.keys().map(ToString::to_string).collect();
            Failure::new(Exit::NotFound, format!("there is no node {node}; there are {}", nodes.join(", ")))
        })
    }

    /// The process of a node, which is away from now on.
    fn take(&mut self, node: u64, why: &str) -> Result<Process, Failure> {
        if let Life::Away(why) = self.life(node)? {
            let next = format!("crosstie local start {node}");
            return Err(Failure::new(Exit::Refused, format!("node {node} does not run: {why}")).next(next));
        }
        match self.lives.insert(node, Life::Away(why.into())) {
            Some(Life::Up(process) | Life::Paused(process)) => Ok(process),
            _ => unreachable!("it ran a line above"),
        }
    }
}
