//! The world: nodes, the network between them, virtual time, and what happens when. Who is a bank and what goes wrong is
//! up to whoever drives it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use persistence::{Error, IncomingError, NodeId, Term};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use settlement::{Key, Rules};
use wire::{Message, Uetr};

use super::court::{Court, End};
use super::events::{Arriving, Event, Planned};
use super::machine::{Instruction, Machine, members};
use super::network::{Network, Sent, Time};
use super::reign::Reign;
use crate::promises::Kept;
use crate::seeds::Trace;
use crate::simulation::node::Asker;

pub(super) const TICK_US: Time = 25_000;
pub(super) const SECOND_US: Time = 1_000_000;
/// What was asked and is not done goes to the same leader again after so long.
const PATIENCE_US: Time = 300_000;

/// See the file's head.
pub(super) struct World {
    pub(super) random: SmallRng,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) court: Arc<Mutex<Court>>,
    pub(super) rules: Rules,
    pub(super) hosted_together: usize,
    now: Arc<AtomicU64>,
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    /// Where each asker is connected.
    homes: HashMap<Asker, usize>,
    /// Reigns that began, by node, since the last look.
    pub(super) begun: Vec<(usize, Term)>,
    /// What reigns that are over had decided.
    pub(super) decided: BTreeMap<Term, HashMap<(Key, Uetr), End>>,
    /// What arrived at the nodes of those who had asked.
    pub(super) told: Vec<(usize, Asker, Option<Message<'static>>)>,
    pub(super) crashes: u64,
    pub(super) snapshots_arrived: u64,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, nodes: u64, hosted_together: usize, rules: Rules, trace: Trace) -> World {
        let members = members(nodes);
        let mut world = World {
            random: SmallRng::seed_from_u64(seed),
            machines: members.iter().map(|member| Machine::new(member.id, &members)).collect(),
            network: Network::default(),
            court: Arc::default(),
            rules,
            hosted_together,
            now: Arc::default(),
            events: BinaryHeap::new(),
            planned: 0,
            homes: HashMap::new(),
            begun: Vec::new(),
            decided: BTreeMap::new(),
            told: Vec::new(),
            crashes: 0,
            snapshots_arrived: 0,
            trace,
        };
        world.court.lock().witness.decisions_wait = true;
        (0..world.machines.len()).for_each(|node| world.start(node));
        world
    }

    pub(super) fn now(&self) -> Time {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn plan(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at, number: self.planned, event }));
    }

    /// Whoever leads in the newest term.
    pub(super) fn leader(&self) -> Option<usize> {
        let running = self.machines.iter().enumerate().filter_map(|(node, own)| Some((node, own.replica.as_ref()?)));
        let leads = running.filter(|(_, replica)| replica.standing().leads);
        leads.max_by_key(|(_, replica)| replica.standing().term).map(|(node, _)| node)
    }

    pub(super) fn is_paused(&self, node: usize) -> bool {
        self.machines[node].paused_until > self.now()
    }

    /// Brings a node that is down up again.
    pub(super) fn start(&mut self, node: usize) {
        if self.machines[node].replica.is_some() {
            return;
        }
        let (seed, now, court) = (self.random.random(), Arc::clone(&self.now), Arc::clone(&self.court));
        let own = &mut self.machines[node];
        own.open(now, seed, self.hosted_together, court);
        if own.replica.is_none() {
            return self.crashed(node);
        }
        let (at, life) = (self.now() + self.random.random_range(0..TICK_US), self.machines[node].life);
        self.trace.say(|| format!("{at} node {node} starts"));
        self.plan(at, Event::Tick { node, life });
        self.carry(node);
    }

    /// The machine of a node goes; it comes back after a while with what was synced, or with all that was written.
    pub(super) fn crash(&mut self, node: usize) {
        if self.machines[node].replica.is_some() {
            self.crashed(node);
        }
    }

    fn crashed(&mut self, node: usize) {
        self.crashes += 1;
        self.depose(node);
        let (loses, seed) = (self.random.random_bool(0.7), self.random.random());
        let after = self.random.random_range(10_000..2 * SECOND_US);
        let own = &mut self.machines[node];
        own.close();
        let failure = own.failure.take();
        own.disk = if loses { own.disk.power_loss(seed) } else { own.disk.kill() };
        assert!(matches!(failure, Some(Error::Disk { .. }) | None), "node {node} ended: {failure:?}");
        self.trace.say(|| format!("node {node} is down"));
        self.plan(self.now() + after, Event::Restart { node });
    }

    /// Lets a node work; what it says goes on its way.
    pub(super) fn turn(&mut self, node: usize) {
        let own = &mut self.machines[node];
        let Some(replica) = &mut own.replica else { return };
        let mut result = replica.turn();
        if result.is_ok() && replica.wants_snapshot() && replica.folded_index() > 0 {
            result = replica.snapshot();
        }
        if let Err(error) = result {
            own.failure = Some(error);
            self.carry(node); // what was said before has left
            return self.crashed(node);
        }
        self.take_stand(node);
        self.carry(node);
    }

    pub(super) fn snapshot(&mut self, node: usize) {
        let own = &mut self.machines[node];
        let Some(replica) = own.replica.as_mut().filter(|replica| replica.folded_index() > 0) else { return };
        if let Err(error) = replica.snapshot() {
            own.failure = Some(error);
            self.crashed(node);
        }
    }

    /// A reign that goes on is not begun again; one that ended takes its actors with it.
    fn take_stand(&mut self, node: usize) {
        let Some(replica) = &mut self.machines[node].replica else { return };
        let facts = replica.fold().facts;
        for (standing, actors) in std::mem::take(&mut replica.fold().changes) {
            let goes_on = |reign: &Reign| actors.is_some() && reign.term == standing.term;
            if self.machines[node].reign.as_ref().is_some_and(goes_on) {
                continue;
            }
            self.depose(node);
            if let Some(mut actors) = actors {
                self.trace.say(|| format!("node {node} reigns in term {}", standing.term));
                actors.judge_arrivals(self.machines[node].clock(self.now()), &self.rules);
                self.machines[node].reign = Some(Reign::begin(standing.term, actors, facts));
                self.begun.push((node, standing.term));
                self.call(node);
            }
        }
    }

    fn depose(&mut self, node: usize) {
        if let Some(over) = self.machines[node].reign.take() {
            self.decided.insert(over.term, over.decided);
        }
    }

    /// The actors of a node work soon.
    pub(super) fn call(&mut self, node: usize) {
        if !self.machines[node].is_called {
            self.machines[node].is_called = true;
            let (at, life) = (self.now() + self.random.random_range(5..200), self.machines[node].life);
            self.plan(at, Event::Work { node, life });
        }
    }

    fn work(&mut self, node: usize) {
        let now = self.now();
        // Mailboxes are worked off at once or a little at a time, before or after the timers.
        let few = if self.random.random_bool(0.5) { usize::MAX } else { self.random.random_range(1..6) };
        let how = (few, self.random.random_bool(0.5));
        let own = &mut self.machines[node];
        own.is_called = false;
        let clock = own.clock(now);
        let (Some(reign), Some(replica)) = (&mut own.reign, &mut own.replica) else { return };
        let super::ledger::Ledger { book, facts, .. } = replica.fold();
        if reign.actors.rebuild_all(book, *facts) {
            reign.actors.judge_arrivals(clock, &self.rules);
        }
        let goes_on = reign.work(replica, clock, &self.rules, how);
        self.turn(node);
        if goes_on {
            self.call(node);
        }
        self.arm(node);
    }

    /// Sets the timer for the earliest deadline.
    fn arm(&mut self, node: usize) {
        let now = self.now();
        let own = &mut self.machines[node];
        let Some(earliest) = own.reign.as_ref().and_then(|reign| reign.actors.earliest()) else { return };
        let at = own.when(earliest.nanoseconds()).max(now + 1);
        let (Some(reign), life) = (&mut own.reign, own.life) else { return };
        if reign.timer_at.is_none_or(|set| at < set || set <= now) {
            reign.timer_at = Some(at);
            self.plan(at, Event::Work { node, life });
        }
    }

    fn carry(&mut self, node: usize) {
        let (now, from) = (self.now(), self.machines[node].id);
        let sent: Vec<(NodeId, Sent)> = self.machines[node].outbox.lock().drain(..).collect();
        for (to, sent) in sent {
            match sent {
                Sent::Message(message) => self.send(from, to, Arriving::Message(Bytes::from(message))),
                Sent::Snapshot { header, file } => {
                    // On a connection of its own, which may break; what has been removed meanwhile cannot be sent.
                    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    let breaks = self.network.is_cut(from, to) || self.random.random_bool(0.1);
                    let content = self.machines[node].disk.content(&name).filter(|_| !breaks);
                    let at = now + self.random.random_range(10_000..400_000);
                    let sent = Arriving::Snapshot { header: Bytes::from(header), content };
                    self.plan(at, Event::Arrive { from, to, sent });
                }
            }
        }
        let done = self.machines[node].replica.as_mut().map(|replica| std::mem::take(&mut replica.fold().done));
        for (asker, message) in done.unwrap_or_default() {
            if let Some(home) = self.homes.get(&asker) {
                self.send(from, self.machines[*home].id, Arriving::Done(asker, message));
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, sent: Arriving) {
        let now = self.now();
        let arrival = if from == to { Some(now + 1) } else { self.network.arrival(now, from, to, &mut self.random) };
        if let Some(at) = arrival {
            self.plan(at, Event::Arrive { from, to, sent });
        }
    }

    /// Sends on what banks have asked of this node.
    fn relay(&mut self, node: usize) {
        let (now, from) = (self.now(), self.machines[node].id);
        if let Some((leader, instructions)) = self.machines[node].take_letters(now, PATIENCE_US) {
            for instruction in instructions {
                self.send(from, leader, Arriving::Instruction(instruction));
            }
        }
    }

    fn position(&self, id: NodeId) -> usize {
        id as usize - 1
    }

    /// The next event; says how the world stands after it.
    pub(super) fn step(&mut self) -> Kept {
        let Some(Reverse(Planned { at, event, .. })) = self.events.pop() else { return Ok(()) };
        self.now.store(at.max(self.now()), Ordering::Relaxed);
        self.happen(event);
        self.court.lock().look()
    }

    fn happen(&mut self, event: Event) {
        let node = match &event {
            Event::Tick { node, .. } | Event::Work { node, .. } | Event::Say { node, .. } | Event::Restart { node } => {
                *node
            }
            Event::Arrive { to, .. } => self.position(*to),
            Event::SnapshotSent { from, .. } => self.position(*from),
        };
        if self.is_paused(node) {
            return self.plan(self.machines[node].paused_until, event);
        }
        let life_now = self.machines[node].life;
        match event {
            Event::Tick { life, .. } if life == life_now => self.tick(node, life),
            Event::Work { life, .. } if life == life_now => self.work(node),
            Event::Tick { .. } | Event::Work { .. } => {}
            Event::Arrive { from, to, sent } => self.arrive(node, from, to, sent),
            Event::SnapshotSent { to, went_well, .. } => {
                if let Some(replica) = &mut self.machines[node].replica {
                    replica.snapshot_sent(to, went_well);
                    self.turn(node);
                }
            }
            Event::Say { instruction, .. } => self.hear(node, instruction),
            Event::Restart { .. } => self.start(node),
        }
    }

    fn tick(&mut self, node: usize, life: u64) {
        let Some(replica) = &mut self.machines[node].replica else { return };
        replica.tick(Duration::from_micros(TICK_US), Duration::ZERO);
        self.turn(node);
        self.relay(node);
        self.arm(node);
        // Actors that crashed wait for the book.
        if self.machines[node].reign.as_ref().is_some_and(|reign| !reign.actors.is_idle()) {
            self.call(node);
        }
        // Clocks do not run alike.
        let at = self.now() + TICK_US - TICK_US / 10 + self.random.random_range(0..TICK_US / 5);
        self.plan(at, Event::Tick { node, life });
    }

    /// A bank says something to its node.
    fn hear(&mut self, node: usize, instruction: Instruction) {
        let own = &mut self.machines[node];
        if own.replica.is_none() {
            return;
        }
        self.trace.say(|| format!("node {node} hears {:?} say {:?}", instruction.asker, instruction.ask));
        self.homes.insert(instruction.asker, node);
        own.outstanding.insert(instruction.asker, instruction.clone());
        self.relay(node);
        let own = &self.machines[node];
        if let Some((_, leader, at)) = own.route
            && at < self.now()
        {
            self.send(own.id, leader, Arriving::Instruction(instruction));
        }
    }

    fn arrive(&mut self, node: usize, from: NodeId, to: NodeId, sent: Arriving) {
        match sent {
            Arriving::Message(message) => {
                if let Some(replica) = &mut self.machines[node].replica {
                    let received = replica.receive(from, &message);
                    assert!(received.is_ok(), "nodes understand each other: {received:?}");
                    // Several messages are often looked at in one turn.
                    if self.random.random_bool(0.7) {
                        self.turn(node);
                        self.relay(node);
                    }
                }
            }
            Arriving::Snapshot { header, content } => self.install(node, (from, to), &header, content),
            Arriving::Instruction(Instruction { to, asker, ask }) => {
                if let Some(reign) = &mut self.machines[node].reign {
                    reign.ask(to, Some(asker), ask);
                    self.call(node);
                }
            }
            Arriving::Done(asker, message) => {
                if self.machines[node].outstanding.remove(&asker).is_some() {
                    if let Some(message) = &message {
                        self.trace.say(|| format!("{asker:?} is told {message:?}"));
                    }
                    self.told.push((node, asker, message));
                }
            }
        }
    }

    fn install(&mut self, node: usize, (from, to): (NodeId, NodeId), header: &Bytes, content: Option<Vec<u8>>) {
        let (file, own) = (format!("incoming-{}.tmp", self.planned), &mut self.machines[node]);
        let went_well = own.replica.is_some() && content.is_some();
        if let (Some(content), Some(replica)) = (content, &mut own.replica) {
            own.disk.set_content(&file, content);
            let result = replica.snapshot_arrived(from, header, &file);
            let stopped = |error: &IncomingError| matches!(error, IncomingError::Unusable(Error::Disk { .. }));
            assert!(result.as_ref().map_or_else(stopped, |()| true), "{result:?}");
            self.snapshots_arrived += 1;
            self.turn(node);
        }
        let at = self.now() + self.random.random_range(1000..50_000);
        self.plan(at, Event::SnapshotSent { from, to, went_well });
    }

    pub(super) fn run_until(&mut self, until: Time) -> Kept {
        while self.events.peek().is_some_and(|Reverse(planned)| planned.at <= until) {
            self.step()?;
        }
        self.now.fetch_max(until, Ordering::Relaxed);
        Ok(())
    }

    /// Everything works again.
    pub(super) fn heal(&mut self) {
        self.network.heal();
        self.network.drop_rate = 0.0;
        self.network.delay_max_us = self.network.delay_max_us.min(5_000);
        self.machines.iter_mut().for_each(|own| own.paused_until = 0);
    }
}
