//! Everything goes wrong while banks pay, answer, repeat themselves, go away and come back to another node: machines stop
//! at any write, links are cut, nodes sleep, clocks jump, actors crash, leadership moves.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use persistence::simulated::Fault;
use rand::Rng;
use settlement::{Fact, Rules};
use wire::{ParticipantId, Timestamp};

use super::events::Event;
use super::machine::Instruction;
use super::network::Time;
use super::world::{SECOND_US, World};
use crate::promises::Kept;
use crate::seeds::Trace;
use crate::simulation::Options;
use crate::simulation::bank::{Bank, Street, name};
use crate::simulation::world::operation;

const LENGTH_US: Time = 12 * SECOND_US;

/// What happened, to see that anything did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    pub worlds: u64,
    pub reigns: u64,
    pub entries: u64,
    pub facts: u64,
    pub settled: u64,
    pub expired: u64,
    pub crashes: u64,
    pub actor_crashes: u64,
    pub snapshots_arrived: u64,
    /// Banks that came back to another node than the one they were at.
    pub moved: u64,
    /// Of those, to one that had not yet folded all that they had been told.
    pub ahead: u64,
}

impl AddAssign for Chaos {
    fn add_assign(&mut self, other: Chaos) {
        self.worlds += other.worlds;
        self.reigns += other.reigns;
        self.entries += other.entries;
        self.facts += other.facts;
        self.settled += other.settled;
        self.expired += other.expired;
        self.crashes += other.crashes;
        self.actor_crashes += other.actor_crashes;
        self.snapshots_arrived += other.snapshots_arrived;
        self.moved += other.moved;
        self.ahead += other.ahead;
    }
}

/// A bank and the node it is, or was last, connected to.
struct Client {
    bank: Bank,
    home: usize,
}

struct Town {
    world: World,
    options: Options,
    names: Vec<ParticipantId>,
    clients: Vec<Client>,
    harshness: f64,
    tally: Chaos,
}

fn options(seed: u64) -> Options {
    let any = Options::any(seed);
    let timeout = Duration::from_secs([1, 3, 10][seed as usize % 3]);
    let rules = Rules {
        payment_timeout: timeout,
        creditor_share: timeout / 10,
        // Longer than a world lasts and its clocks are apart: a UETR is remembered until the end.
        duplicate_window: Duration::from_secs(48 * 3600),
        ..any.rules
    };
    Options { rules, ..any }
}

/// One world.
pub(super) fn run(seed: u64, trace: Trace) -> (Result<Chaos, String>, Trace) {
    let options = options(seed);
    let nodes = if seed.is_multiple_of(3) { 5 } else { 3 };
    let mut world = World::new(seed, nodes, options.hosted_together, options.rules.clone(), trace);
    world.network.delay_max_us = [1_000, 10_000, 60_000][world.random.random_range(0..3)];
    let harshness = [0.02, 0.1, 0.3][world.random.random_range(0..3)];
    let names: Vec<ParticipantId> = (0..options.participants).map(name).collect();
    let client = |(place, id): (usize, &ParticipantId)| Client {
        bank: Bank::new(settlement::Key(place as u32), *id),
        home: place % nodes as usize,
    };
    let clients = names.iter().enumerate().map(client).collect();
    let mut town = Town { world, options, names, clients, harshness, tally: Chaos::default() };
    let result = crate::seeds::caught(|| town.run());
    (result.map(|()| town.tally), town.world.trace)
}

impl Town {
    fn run(&mut self) -> Kept {
        self.world.open(&self.names, self.options.opening_minor)?;
        self.world.network.drop_rate = [0.0, 0.01, 0.1][self.world.random.random_range(0..3)];
        let until = self.world.now() + LENGTH_US;
        while self.world.now() < until {
            let next = self.world.now() + self.world.random.random_range(100..12_000);
            self.run_until(next)?;
            self.disturb()?;
        }
        self.rest()?;
        self.sum_up();
        Ok(())
    }

    fn sum_up(&mut self) {
        let court = self.world.court.lock();
        let mut ends: BTreeMap<_, u64> = BTreeMap::new();
        court.ended.iter().for_each(|(.., end)| *ends.entry(*end).or_default() += 1);
        let count = |end| ends.get(&end).copied().unwrap_or(0);
        self.tally = Chaos {
            worlds: 1,
            reigns: court.reigns() as u64,
            entries: court.committed(),
            facts: court.witness.position as u64,
            settled: count(super::court::End::Settled),
            expired: count(super::court::End::Expired),
            crashes: self.world.crashes,
            snapshots_arrived: self.world.snapshots_arrived,
            ..self.tally
        };
    }

    fn run_until(&mut self, until: Time) -> Kept {
        self.world.run_until(until)?;
        self.listen();
        Ok(())
    }

    /// Banks hear what was replied on their present connections; those whose node went have none.
    fn listen(&mut self) {
        for (node, asker, message) in std::mem::take(&mut self.world.told) {
            let Client { bank, home } = &mut self.clients[asker.key.place()];
            if let Some(message) = message.filter(|_| *home == node && bank.session == Some(asker.session)) {
                bank.hear(&message);
            }
        }
        for Client { bank, home } in &mut self.clients {
            if self.world.machines[*home].replica.is_none() {
                bank.session = None;
            }
        }
    }

    fn disturb(&mut self) -> Kept {
        let node = self.world.random.random_range(0..self.world.machines.len());
        match self.world.random.random_range(0..100) {
            0..70 => {
                let place = self.world.random.random_range(0..self.clients.len());
                self.act(place)?;
            }
            70..76 => self.operate(),
            76..78 if !self.world.is_paused(node) => self.world.snapshot(node),
            78 if !self.world.is_paused(node) => self.hand_over(node),
            _ if !self.world.random.random_bool(self.harshness) => {}
            79..84 => {
                let nth = self.world.random.random_range(1..60);
                self.world.machines[node].disk.plan(Fault::Stop { nth });
            }
            84..87 => self.world.crash(node),
            87..90 => self.crash_actor(),
            90..93 => self.cut_off(node),
            93..95 => {
                let most = [1_000_000, 100_000_000, 5_000_000_000][self.world.random.random_range(0..3)];
                self.world.machines[node].skew_ns = self.world.random.random_range(-most..=most);
            }
            95..97 => {
                let until = self.world.now() + self.world.random.random_range(10_000..2 * SECOND_US);
                self.world.machines[node].paused_until = until;
            }
            _ => self.world.network.heal(),
        }
        Ok(())
    }

    fn cut_off(&mut self, node: usize) {
        let id = self.world.machines[node].id;
        let others: Vec<u64> = self.world.machines.iter().map(|own| own.id).filter(|other| *other != id).collect();
        if self.world.random.random_bool(0.5) {
            let other = others[self.world.random.random_range(0..others.len())];
            return self.world.network.cut(id, other);
        }
        for other in others {
            self.world.network.cut(id, other);
            self.world.network.cut(other, id);
        }
    }

    fn hand_over(&mut self, node: usize) {
        let to = self.world.machines[self.world.random.random_range(0..self.world.machines.len())].id;
        if let Some(replica) = &mut self.world.machines[node].replica {
            let _ = replica.transfer(Some(to));
            self.world.turn(node);
        }
    }

    fn crash_actor(&mut self) {
        let Some(leader) = self.world.leader() else { return };
        let Some(reign) = &mut self.world.machines[leader].reign else { return };
        let actor = self.world.random.random_range(0..reign.actors.actors.len());
        if !reign.actors.actors[actor].is_alive() {
            return;
        }
        reign.actors.crash_actor(actor);
        for Client { bank, .. } in &mut self.clients {
            if reign.actors.actor_of(bank.key) == actor {
                bank.session = None;
            }
        }
        self.tally.actor_crashes += 1;
    }

    fn operate(&mut self) {
        let Some(leader) = self.world.leader().filter(|leader| !self.world.is_paused(*leader)) else { return };
        let key = settlement::Key(self.world.random.random_range(0..self.clients.len()) as u32);
        let asked = operation(&mut self.world.random);
        let clock = self.world.machines[leader].clock(self.world.now());
        let Some(reign) = &mut self.world.machines[leader].reign else { return };
        match asked {
            Some(ask) => reign.ask(key, None, ask),
            None => {
                let at = reign.actors.now(clock);
                let date = reign.actors.scheme.business_date().next();
                reign.actors.post(&Fact::DayRolled { at, date });
            }
        }
        self.world.call(leader);
    }

    /// A bank does something; one without a connection first finds a node that it can go on at.
    fn act(&mut self, place: usize) -> Kept {
        if self.clients[place].bank.session.is_none() && !self.find_home(place) {
            return Ok(());
        }
        self.with_bank(place, |bank, street| bank.act(street))
    }

    fn find_home(&mut self, place: usize) -> bool {
        let node = self.world.random.random_range(0..self.world.machines.len());
        if self.world.is_paused(node) {
            return false;
        }
        let Client { bank, home } = &mut self.clients[place];
        let Some(book) = self.world.machines[node].book() else { return false };
        self.tally.moved += u64::from(*home != node);
        if book.last_notice(bank.key) < bank.last_notice || book.participants().is_empty() {
            self.tally.ahead += 1;
            return false;
        }
        *home = node;
        true
    }

    fn with_bank<T>(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Bank, &mut Street<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let now = self.latest();
        let at = self.world.now() + 1;
        let Client { bank, home } = &mut self.clients[place];
        let World { machines, random, trace, court, .. } = &mut self.world;
        let court = court.lock();
        let Some(book) = machines[*home].book() else {
            return Err("a bank is connected to a node that is down".into());
        };
        let (feeds, names, options, gossip) = (&court.feeds, &self.names, &self.options, None);
        let mut street = Street { feeds, book, random, options, now, names, gossip, trace, said: Vec::new() };
        let result = act(bank, &mut street);
        let said = std::mem::take(&mut street.said);
        drop(court);
        for (asker, ask) in said {
            let instruction = Instruction { to: asker.key, asker, ask };
            self.world.plan(at, Event::Say { node: *home, instruction });
        }
        result
    }

    /// The latest that any clock says or any leader has stamped.
    fn latest(&self) -> Timestamp {
        let now = self.world.now();
        let clock = |own: &super::machine::Machine| {
            let stamped = own.reign.as_ref().map_or(0, |reign| reign.actors.last().nanoseconds());
            own.clock(now).max(stamped)
        };
        Timestamp(self.world.machines.iter().map(clock).max().unwrap_or(0)).max(self.world.court.lock().latest())
    }

    /// Everything works again and ends; then all banks come back, send again what has no outcome, and once more.
    fn rest(&mut self) -> Kept {
        self.world.heal();
        self.world.come_to_rest()?;
        self.listen();
        self.world.check_at_rest()?;
        // A fault that was planned on some disk may still come; then what banks said to that node was lost once more.
        let mut undisturbed = 0;
        while undisturbed < 2 {
            let crashes = self.world.crashes;
            self.come_back()?;
            undisturbed += u32::from(self.world.crashes == crashes);
        }
        for Client { bank, home } in &self.clients {
            bank.knows_everything()?;
            let told = self.world.machines[*home].book().map_or(0, |book| book.last_notice(bank.key));
            if bank.last_notice != told {
                return Err(format!("every bank has every notice: {:?} has {}, of {told}", bank.key, bank.last_notice));
            }
        }
        self.world.check_at_rest()
    }

    /// All banks connect to any node, send again what has no outcome, and read all that they are told.
    fn come_back(&mut self) -> Kept {
        for place in 0..self.clients.len() {
            self.clients[place].home = self.world.random.random_range(0..self.world.machines.len());
            self.with_bank(place, |bank, street| bank.connect(street))?;
        }
        let next = self.world.now() + SECOND_US / 10;
        self.run_until(next)?;
        self.world.come_to_rest()?;
        self.listen();
        for place in 0..self.clients.len() {
            self.with_bank(place, |bank, street| bank.read_some(u64::MAX, street.book, street.feeds))?;
        }
        Ok(())
    }
}
