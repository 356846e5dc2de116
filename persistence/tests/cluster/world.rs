//! The simulated world: nodes, their disks, the network between them, and what happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use persistence::simulated::{Fault, SimulatedDisk};
use persistence::{
    ChangeRefused, Config, Error, IncomingError, Member, MemberChange, MemberKind, NodeId, Replica, Surroundings, Sync,
    repair,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::book::{Book, Passenger};
use crate::network::{Network, Outbox, Sent, Time, Way};
use crate::oracle::{Oracle, Request};

pub(crate) const TICK_US: Time = 25_000;
pub(crate) const SECOND_US: Time = 1_000_000;

fn config(node: NodeId, members: Vec<Member>) -> Config {
    Config {
        segment_bytes: 16 << 10,
        batch_bytes_max: 2 << 10,
        snapshot_every_bytes: u64::MAX,
        free_bytes_min: 0,
        spin_us: 0,
        sync: Sync::Real,
        cluster: 7,
        node,
        members,
        uncommitted_bytes_max: 16 << 10,
        cache_bytes_max: 8 << 10,
        message_bytes_max: 4 << 10,
        checkpoint_every: 16,
        ..Config::new("unused")
    }
}

pub(crate) fn member(id: NodeId, kind: MemberKind) -> Member {
    Member { kind, name: format!("n{id}"), region: format!("r{}", id % 3), address: format!("n{id}:7"), id }
}

pub(crate) fn voters(count: u64) -> Vec<Member> {
    (1..=count).map(|id| member(id, MemberKind::Voter)).collect()
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) disk: SimulatedDisk,
    pub(crate) replica: Option<Replica<SimulatedDisk, Book>>,
    outbox: Outbox,
    config: Config,
    /// Counts its lives, so that what was meant for an earlier one finds nobody.
    life: u64,
    paused_until: Time,
    pub(crate) is_wrong: bool,
    /// Its log was damaged or given up, and it is not back yet.
    is_weak: bool,
    /// What its disk takes for a write. Meanwhile it does nothing, and what it says is not heard.
    pub(crate) write_takes_us: Arc<AtomicU64>,
    /// Why its last life ended, if by itself.
    pub(crate) failure: Option<Error>,
    /// Taken away for good.
    pub(crate) is_gone: bool,
}

pub(crate) type Answer = Arc<Mutex<Option<Result<(), ChangeRefused>>>>;

/// Virtual time; whoever looks twice finds that a write came between.
fn clock(now: Arc<AtomicU64>, write_takes_us: Arc<AtomicU64>) -> Box<dyn Fn() -> Duration + Send> {
    let looks = AtomicU64::new(0);
    Box::new(move || {
        let looked = looks.fetch_add(1, Ordering::Relaxed);
        Duration::from_micros(now.load(Ordering::Relaxed) + looked % 2 * write_takes_us.load(Ordering::Relaxed))
    })
}

pub(crate) enum Event {
    Tick { node: usize, life: u64 },
    Arrive { from: NodeId, to: NodeId, sent: Arriving },
    SnapshotSent { from: NodeId, to: NodeId, went_well: bool },
    Restart { node: usize },
}

pub(crate) enum Arriving {
    Message(Bytes),
    Snapshot { header: Bytes, content: Option<Vec<u8>> },
}

/// An event in the order of time; those of one moment as they were planned.
struct Planned {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) struct World {
    pub(crate) random: SmallRng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
    now: Arc<AtomicU64>,
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    requests: Request,
    /// A failed disk ends a life; anything else that ends one is a violation.
    pub(crate) tolerates_end: bool,
    pub(crate) snapshots_arrived: u64,
    pub(crate) crashes: u64,
    pub(crate) repairs: u64,
    /// How often a clock stops for a while, or catches up.
    pub(crate) clock_jump_rate: f64,
    /// What nodes keep of the log beyond what they need.
    retained_bytes_max: u64,
}

impl World {
    pub(crate) fn new(seed: u64, members: &[Member]) -> World {
        World::retaining(24 << 10, seed, members)
    }

    pub(crate) fn retaining(retained_bytes_max: u64, seed: u64, members: &[Member]) -> World {
        let mut world = World {
            random: SmallRng::seed_from_u64(seed),
            nodes: Vec::new(),
            network: Network::default(),
            oracle: Arc::default(),
            now: Arc::default(),
            events: BinaryHeap::new(),
            planned: 0,
            requests: 0,
            tolerates_end: false,
            snapshots_arrived: 0,
            crashes: 0,
            repairs: 0,
            clock_jump_rate: 0.0,
            retained_bytes_max,
        };
        for member in members {
            world.join(member.id, members.to_vec());
        }
        world
    }

    /// A new node, with an empty disk.
    pub(crate) fn join(&mut self, id: NodeId, members: Vec<Member>) {
        self.nodes.push(Node {
            id,
            disk: SimulatedDisk::new(),
            replica: None,
            outbox: Outbox::default(),
            config: Config { retained_bytes_max: self.retained_bytes_max, ..config(id, members) },
            life: 0,
            paused_until: 0,
            is_wrong: false,
            is_weak: false,
            write_takes_us: Arc::default(),
            failure: None,
            is_gone: false,
        });
        self.start(self.nodes.len() - 1);
    }

    pub(crate) fn now(&self) -> Time {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn plan(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at, number: self.planned, event }));
    }

    pub(crate) fn next_request(&mut self) -> Request {
        self.requests += 1;
        self.requests
    }

    pub(crate) fn position(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Brings a node that is down up again. It may find the disk stopping while it opens.
    pub(crate) fn start(&mut self, node: usize) {
        let seed = self.random.random();
        let now = Arc::clone(&self.now);
        let oracle = Arc::clone(&self.oracle);
        let Node { id, disk, outbox, config, life, replica, is_wrong, write_takes_us, failure, is_gone, .. } =
            &mut self.nodes[node];
        if replica.is_some() || *is_gone {
            return;
        }
        *life += 1;
        outbox.lock().clear();
        let surroundings = Surroundings {
            peers: Box::new(Way(Arc::clone(outbox))),
            clock: clock(now, Arc::clone(write_takes_us)),
            seed,
        };
        let book = Book { node: *id, requests: Vec::new(), oracle, is_wrong: *is_wrong };
        match Replica::open(disk.clone(), config, book, surroundings) {
            Ok((opened, _)) => *replica = Some(opened),
            Err(error) => *failure = Some(error),
        }
        if self.nodes[node].replica.is_some() {
            let (at, life) = (self.now() + self.random.random_range(0..TICK_US), self.nodes[node].life);
            self.plan(at, Event::Tick { node, life });
            self.carry(node, 0);
        } else {
            self.crashed(node);
        }
    }

    /// A node that does not come back.
    pub(crate) fn take_away(&mut self, node: usize) {
        self.nodes[node].replica = None;
        self.nodes[node].is_gone = true;
    }

    /// Asks a node for a change of members; the answer comes some time.
    pub(crate) fn change(&mut self, node: usize, change: &MemberChange) -> Answer {
        let answer = Answer::default();
        let told = Arc::clone(&answer);
        if let Some(replica) = &mut self.nodes[node].replica {
            replica.change(change, Box::new(move |result| *told.lock() = Some(result)));
            self.turn(node);
        }
        answer
    }

    /// The machine of a node goes; it comes back after a while with what was synced, or with all that was written.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].replica.take().is_some() {
            self.crashed(node);
        }
    }

    fn crashed(&mut self, node: usize) {
        self.crashes += 1;
        let ended = &mut self.nodes[node];
        ended.replica = None;
        let failure = ended.failure.take();
        ended.disk = match self.random.random_bool(0.7) {
            true => ended.disk.power_loss(self.random.random()),
            false => ended.disk.kill(),
        };
        match failure {
            Some(Error::Disk { .. }) | None => {
                let at = self.now() + self.random.random_range(10_000..2 * SECOND_US);
                self.plan(at, Event::Restart { node });
            }
            Some(Error::Damaged { .. }) if self.nodes[node].is_weak => {
                self.repair(node);
                self.plan(self.now() + 10_000, Event::Restart { node });
            }
            Some(error) => {
                assert!(self.tolerates_end, "node {} ended: {error}", self.nodes[node].id);
                self.nodes[node].failure = Some(error);
            }
        }
    }

    /// A node ends, and its log is not what it was: a bit is flipped somewhere, or it is given up as it is. Never so many at
    /// once that those who have forgotten nothing are no majority.
    pub(crate) fn crash_for_good(&mut self, node: usize) {
        let weak = self.nodes.iter().filter(|node| node.is_weak).count();
        if weak >= (self.nodes.len() - 1) / 2 || self.nodes[node].replica.take().is_none() {
            return;
        }
        self.crashed(node);
        self.nodes[node].is_weak = true;
        if self.random.random_bool(0.5) {
            return self.repair(node);
        }
        let disk = self.nodes[node].disk.clone();
        let segments: Vec<String> = disk.files().into_iter().filter(|name| name.starts_with("log-")).collect();
        let name = &segments[self.random.random_range(0..segments.len())];
        let mut content = disk.content(name).unwrap();
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let at = self.random.random_range(0..used.max(1));
        content[at] ^= 1 << self.random.random_range(0..8);
        disk.set_content(name, content);
    }

    pub(crate) fn try_repair(&self, node: usize, is_dry: bool) -> Result<repair::Repair, repair::Error> {
        let Node { disk, config, .. } = &self.nodes[node];
        repair::repair(disk, config, &format!("set-aside-{}", self.now()), is_dry)
    }

    /// Gives the log of a node up; the machine may stop in the middle of it.
    pub(crate) fn repair(&mut self, node: usize) {
        self.nodes[node].is_weak = true;
        self.repairs += 1;
        while let Err(error) = {
            if self.random.random_bool(0.3) {
                let nth = self.random.random_range(1..30);
                self.nodes[node].disk.plan(Fault::Stop { nth });
            }
            self.try_repair(node, false)
        } {
            assert!(matches!(error, repair::Error::Log(Error::Disk { .. })), "{error}");
            self.nodes[node].disk = self.nodes[node].disk.power_loss(self.random.random());
        }
        self.nodes[node].disk = self.nodes[node].disk.power_loss(self.random.random());
    }

    /// Lets a node work; what it says goes on its way.
    pub(crate) fn turn(&mut self, node: usize) {
        let now = self.now();
        let running = &mut self.nodes[node];
        let Some(replica) = &mut running.replica else { return };
        let written = running.disk.counts().writes;
        let result = replica.turn();
        running.is_weak &= replica.is_repairing();
        let writes = running.disk.counts().writes - written;
        let took = writes * running.write_takes_us.load(Ordering::Relaxed);
        running.paused_until = running.paused_until.max(now + took);
        if let Err(error) = result {
            running.failure = Some(error);
            self.carry(node, took); // what was said before has left
            return self.crashed(node);
        }
        if replica.wants_snapshot() {
            self.snapshot(node);
        }
        self.carry(node, took);
    }

    pub(crate) fn snapshot(&mut self, node: usize) {
        let running = &mut self.nodes[node];
        let Some(replica) = running.replica.as_mut().filter(|replica| replica.folded_index() > 0) else { return };
        if let Err(error) = replica.snapshot() {
            running.failure = Some(error);
            self.crashed(node);
        }
    }

    /// What was said leaves when the writing is done.
    fn carry(&mut self, node: usize, took: Time) {
        let from = self.nodes[node].id;
        let sent: Vec<(NodeId, Sent)> = self.nodes[node].outbox.lock().drain(..).collect();
        for (to, sent) in sent {
            let now = self.now() + took;
            match sent {
                Sent::Message(message) => {
                    if let Some(at) = self.network.arrival(now, from, to, &mut self.random) {
                        let sent = Arriving::Message(Bytes::from(message));
                        self.plan(at, Event::Arrive { from, to, sent });
                    }
                }
                Sent::Snapshot { header, file } => {
                    // On a connection of its own, which may break; what has been removed meanwhile cannot be sent.
                    let name = file.file_name().unwrap().to_string_lossy().into_owned();
                    let content = self.nodes[node].disk.content(&name);
                    let took = self.random.random_range(10_000..400_000);
                    let breaks = self.network.is_cut(from, to) || self.random.random_bool(0.1);
                    let content = content.filter(|_| !breaks);
                    let sent = Arriving::Snapshot { header: Bytes::from(header), content };
                    self.plan(now + took, Event::Arrive { from, to, sent });
                }
            }
        }
    }

    /// A snapshot that is on its way with all its bytes: from, to, header and content. It is taken out of the network.
    pub(crate) fn catch_snapshot(&mut self) -> Option<(NodeId, NodeId, Bytes, Vec<u8>)> {
        let mut caught = None;
        let events = std::mem::take(&mut self.events);
        for Reverse(planned) in events {
            match planned.event {
                Event::Arrive { from, to, sent: Arriving::Snapshot { header, content: Some(content) } }
                    if caught.is_none() =>
                {
                    caught = Some((from, to, header, content));
                }
                event => self.events.push(Reverse(Planned { event, ..planned })),
            }
        }
        caught
    }

    /// Proposes on a node that believes that it leads; false if it has no place.
    pub(crate) fn write(&mut self, node: usize) -> Option<Request> {
        let length = self.random.random_range(8..1500);
        if !self.nodes[node].replica.as_ref().is_some_and(|replica| replica.has_place(length)) {
            return None;
        }
        let request = self.next_request();
        let mut payload = request.to_le_bytes().to_vec();
        payload.resize(length, request as u8);
        let replica = self.nodes[node].replica.as_mut()?;
        replica.propose(Bytes::from(payload), vec![Passenger::Writer(request)]);
        Some(request)
    }

    pub(crate) fn read(&mut self, node: usize) {
        if self.nodes[node].replica.as_ref().is_some_and(|replica| replica.standing().leads) {
            let request = self.next_request();
            self.oracle.lock().asked_to_read(request);
            self.nodes[node].replica.as_mut().unwrap().accompany(vec![Passenger::Reader(request)]);
        }
    }

    pub(crate) fn is_paused(&self, node: usize) -> bool {
        self.nodes[node].paused_until > self.now()
    }

    pub(crate) fn pause(&mut self, node: usize, for_us: Time) {
        self.nodes[node].paused_until = self.now() + for_us;
    }

    /// Whoever leads and is known to lead by a majority.
    pub(crate) fn leader(&self) -> Option<usize> {
        let running =
            self.nodes.iter().enumerate().filter_map(|(node, running)| Some((node, running.replica.as_ref()?)));
        let leads = running.filter(|(_, replica)| replica.standing().leads);
        leads.max_by_key(|(_, replica)| replica.standing().term).map(|(node, _)| node)
    }

    /// Who belongs to the cluster, as a node that runs sees it.
    pub(crate) fn members_by(&self, node: usize) -> Vec<NodeId> {
        let members = self.nodes[node].replica.as_ref().map(Replica::members);
        members.map_or(Vec::new(), |members| members.iter().map(|member| member.id).collect())
    }

    /// Waits until somebody leads, and writes so many times.
    pub(crate) fn write_some(&mut self, count: usize) -> Result<(), String> {
        let target = self.oracle.lock().acknowledged() + count;
        let until = self.now() + 60 * SECOND_US;
        while self.oracle.lock().acknowledged() < target {
            if self.now() > until {
                return Err(format!("{count} writes took longer than a minute"));
            }
            if let Some(leader) = self.leader().filter(|leader| !self.is_paused(*leader)) {
                self.write(leader);
                self.turn(leader);
            }
            let next = self.now() + 5_000;
            self.run_until(next)?;
        }
        Ok(())
    }

    /// The next event; says how the world stands after it.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let Some(Reverse(Planned { at, event, .. })) = self.events.pop() else { return Ok(()) };
        self.now.store(at.max(self.now()), Ordering::Relaxed);
        self.happen(event);
        match self.oracle.lock().violation() {
            Some(what) => Err(what.to_string()),
            None => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) {
        let affected = match &event {
            Event::Tick { node, .. } | Event::Restart { node } => Some(*node),
            Event::Arrive { to, .. } => self.position(*to),
            Event::SnapshotSent { from, .. } => self.position(*from),
        };
        let Some(node) = affected else { return };
        if self.nodes[node].paused_until > self.now() {
            let at = self.nodes[node].paused_until;
            return self.plan(at, event);
        }
        match event {
            Event::Tick { node, life } => self.tick(node, life),
            Event::Arrive { from, to, sent } => self.arrive(node, from, to, sent),
            Event::SnapshotSent { to, went_well, .. } => {
                if let Some(replica) = &mut self.nodes[node].replica {
                    replica.snapshot_sent(to, went_well);
                    self.turn(node);
                }
            }
            Event::Restart { node } => self.start(node),
        }
    }

    /// Clocks do not run alike. One may stop for a while, or jump ahead.
    fn tick(&mut self, node: usize, life: u64) {
        let (mut ticks, mut rest) = (1, TICK_US - TICK_US / 10 + self.random.random_range(0..TICK_US / 5));
        if self.random.random_bool(self.clock_jump_rate) {
            match self.random.random_bool(0.5) {
                true => ticks = self.random.random_range(2..30),
                false => rest = self.random.random_range(0..40 * TICK_US),
            }
        }
        for _ in 0..ticks {
            if self.nodes[node].life == life
                && let Some(replica) = &mut self.nodes[node].replica
            {
                replica.tick(Duration::from_micros(TICK_US), Duration::ZERO);
                self.turn(node);
            }
        }
        if self.nodes[node].life == life && self.nodes[node].replica.is_some() {
            self.plan(self.now() + rest, Event::Tick { node, life });
        }
    }

    fn arrive(&mut self, node: usize, from: NodeId, to: NodeId, sent: Arriving) {
        let is_up = self.nodes[node].replica.is_some();
        match sent {
            Arriving::Message(message) => {
                if let Some(replica) = &mut self.nodes[node].replica {
                    replica.receive(from, &message).unwrap();
                    // Several messages are often looked at in one turn.
                    if self.random.random_bool(0.7) {
                        self.turn(node);
                    }
                }
            }
            Arriving::Snapshot { header, content } => {
                let went_well = is_up && content.is_some();
                let receiver = &mut self.nodes[node];
                if let (Some(content), Some(replica)) = (content, &mut receiver.replica) {
                    let file = format!("incoming-{}.tmp", self.planned);
                    receiver.disk.set_content(&file, content);
                    self.snapshots_arrived += 1;
                    let result = replica.snapshot_arrived(from, &header, &file);
                    let stopped = |error: &IncomingError| matches!(error, IncomingError::Unusable(Error::Disk { .. }));
                    assert!(result.as_ref().map_or_else(stopped, |()| true), "{result:?}");
                    self.turn(node);
                }
                let at = self.now() + self.random.random_range(1000..50_000);
                self.plan(at, Event::SnapshotSent { from, to, went_well });
            }
        }
    }

    pub(crate) fn run_until(&mut self, until: Time) -> Result<(), String> {
        while self.events.peek().is_some_and(|Reverse(planned)| planned.at <= until) {
            self.step()?;
        }
        self.now.fetch_max(until, Ordering::Relaxed);
        Ok(())
    }

    /// Runs until it is so, at most so long.
    pub(crate) fn run_while(&mut self, for_us: Time, is_not_yet: impl Fn(&World) -> bool) -> Result<(), String> {
        let until = self.now() + for_us;
        while is_not_yet(self) {
            if self.now() >= until {
                return Err(format!("it did not come to that in {} ms", for_us / 1000));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Everything works again: somebody leads, a new write is acknowledged, and every node comes to the same state.
    pub(crate) fn heal_and_check(&mut self) -> Result<(), String> {
        self.network.heal();
        self.network.drop_rate = 0.0;
        self.network.delay_max_us = 5_000;
        self.clock_jump_rate = 0.0;
        for node in 0..self.nodes.len() {
            self.nodes[node].paused_until = 0;
            self.nodes[node].write_takes_us.store(0, Ordering::Relaxed);
        }
        let is_up = |world: &World| {
            world.nodes.iter().all(|node| node.replica.is_some() || node.failure.is_some() || node.is_gone)
        };
        self.run_while(10 * SECOND_US, |world| !is_up(world)).map_err(|what| format!("restarting: {what}"))?;
        let acknowledged = self.oracle.lock().acknowledged();
        let until = self.now() + 30 * SECOND_US;
        while self.oracle.lock().acknowledged() == acknowledged {
            if self.now() > until {
                return Err("nothing was acknowledged for 30 s after everything was healed".into());
            }
            if let Some(leader) = self.leader() {
                self.write(leader);
                self.turn(leader);
            }
            let next = self.now() + 50_000;
            self.run_until(next)?;
        }
        let is_even = |world: &World| {
            let committed = world.oracle.lock().committed();
            let Some(leader) = world.leader() else { return false };
            let members = world.members_by(leader);
            let mut running =
                world.nodes.iter().filter(|node| members.contains(&node.id)).flat_map(|node| &node.replica);
            running.all(|replica| replica.folded_index() == committed)
        };
        self.run_while(30 * SECOND_US, |world| !is_even(world)).map_err(|what| {
            let folded: Vec<_> =
                self.nodes.iter().map(|node| node.replica.as_ref().map(Replica::folded_index)).collect();
            format!("coming to the same state ({folded:?}): {what}")
        })
    }
}
