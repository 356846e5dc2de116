//! Answer against timeout with a change of leader in between. In each episode many payments run out about when the leader
//! dies, is cut off, sleeps or hands over; their answers come within a hair of that, at any node, once or several times,
//! yes and no.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::time::Duration;

use persistence::simulated::Fault;
use rand::Rng;
use settlement::{Key, Rules, Submit, content_of};
use wire::frame::{self, HEADER_BYTES};
use wire::message::{CreditTransfer, Party};
use wire::{BusinessDate, Currency, Kind, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::court::End;
use super::events::Event;
use super::machine::{Instruction, START_NS};
use super::network::Time;
use super::world::{SECOND_US, World};
use crate::promises::Kept;
use crate::seeds::Trace;
use crate::simulation::bank::name;
use crate::simulation::node::{Ask, Asker};

const PARTICIPANTS: usize = 4;
const DUELS: usize = 200;
const EPISODES: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(3);
/// An answer within this of a deadline races with it.
const HAIR_US: Time = 25_000;

/// How the leader goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goes {
    /// Its machine stops.
    Dead,
    /// Its machine stops somewhere in the middle of its writes.
    DeadWriting,
    CutOff,
    /// It hears nobody, but is heard.
    Deaf,
    /// It is not heard, but hears.
    Mute,
    /// It wakes up some time later and believes that it leads.
    Asleep,
    /// It hands over.
    HandingOver,
}

const ALL: [Goes; 7] =
    [Goes::Dead, Goes::DeadWriting, Goes::CutOff, Goes::Deaf, Goes::Mute, Goes::Asleep, Goes::HandingOver];

/// What happened in all races.
#[derive(Clone, Copy, Debug, Default)]
pub struct Races {
    pub worlds: u64,
    pub reigns: u64,
    /// An answer and an expiry of the same payment were both under way when a new reign began.
    pub races: u64,
    pub settled: u64,
    pub rejected: u64,
    pub expired: u64,
    /// By how the leader went.
    pub after: [u64; ALL.len()],
    /// Decided in more than one reign; only one decision came into the log.
    pub decided_again: u64,
    /// An earlier or deposed leader had decided otherwise than the log has it: yes, then expired.
    pub yes_then_expired: u64,
    /// Expired, then yes.
    pub expired_then_yes: u64,
    /// Any other two.
    pub otherwise: u64,
    /// The first reign went on deciding after the second had begun.
    pub two_reigns_at_once: u64,
}

impl AddAssign for Races {
    fn add_assign(&mut self, other: Races) {
        self.worlds += other.worlds;
        self.reigns += other.reigns;
        self.races += other.races;
        self.settled += other.settled;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.after.iter_mut().zip(other.after).for_each(|(own, other)| *own += other);
        self.decided_again += other.decided_again;
        self.yes_then_expired += other.yes_then_expired;
        self.expired_then_yes += other.expired_then_yes;
        self.otherwise += other.otherwise;
        self.two_reigns_at_once += other.two_reigns_at_once;
    }
}

/// A payment whose answers and deadline are near each other.
struct Duel {
    deadline_ns: u64,
    is_race: bool,
}

struct Arena {
    world: World,
    names: Vec<ParticipantId>,
    duels: HashMap<(Key, Uetr), Duel>,
    said: u64,
    tally: Races,
}

/// One world full of races.
pub(super) fn run(seed: u64, trace: Trace) -> (Result<Races, String>, Trace) {
    let rules = Rules {
        payment_timeout: TIMEOUT,
        creditor_share: Duration::from_nanos(1),
        skew_max: Duration::from_secs(2),
        ..Rules::default()
    };
    let nodes = if seed.is_multiple_of(4) { 5 } else { 3 };
    let hosted_together = 1 + seed as usize % 2;
    let world = World::new(seed, nodes, hosted_together, rules, trace);
    let names = (0..PARTICIPANTS).map(name).collect();
    let mut arena = Arena { world, names, duels: HashMap::new(), said: 0, tally: Races::default() };
    let result = crate::seeds::caught(|| arena.run());
    (result.map(|()| arena.tally), arena.world.trace)
}

impl Arena {
    fn run(&mut self) -> Kept {
        self.world.network.delay_max_us = 2_000;
        self.world.open(&self.names, 1_000_000_000)?;
        for _ in 0..EPISODES {
            self.episode()?;
        }
        self.world.heal();
        self.world.come_to_rest()?;
        self.world.check_at_rest()?;
        self.tally.worlds = 1;
        self.tally.reigns = self.world.court.lock().reigns() as u64;
        Ok(())
    }

    fn episode(&mut self) -> Kept {
        self.world.heal();
        self.world.network.delay_max_us = [500, 2_000, 8_000][self.world.random.random_range(0..3)];
        self.world.settle_down()?;
        self.world.decided.clear();
        self.set_clocks();
        // Handing over is quick, and makes the narrowest races.
        let goes = ALL[self.world.random.random_range(0..ALL.len() + 2).min(ALL.len() - 1)];
        let gap = if goes == Goes::HandingOver { 40_000 } else { 700_000 };
        let fault_at = self.world.now() + SECOND_US / 2;
        for _ in 0..DUELS {
            self.challenge(fault_at, gap);
        }
        self.watch_until(fault_at)?;
        self.go(goes);
        self.watch_until(fault_at + 2 * gap + 100_000)?;
        self.world.heal();
        while self.world.court.lock().open > 0 {
            if self.world.now() > fault_at + 30 * SECOND_US {
                return Err("every reservation ends: some did not within 30 s".into());
            }
            self.watch()?;
        }
        self.count(goes)
    }

    /// Clocks are off by nothing, little or much, and go back as well as forth.
    fn set_clocks(&mut self) {
        for node in 0..self.world.machines.len() {
            let most = [0, 1_000_000, 30_000_000, 300_000_000][self.world.random.random_range(0..4)];
            self.world.machines[node].skew_ns = self.world.random.random_range(-most..=most);
        }
    }

    /// A payment that runs out when the leader is about to change, and its answers.
    fn challenge(&mut self, fault_at: Time, gap: Time) {
        let debtor = self.world.random.random_range(0..PARTICIPANTS);
        let creditor = (debtor + self.world.random.random_range(1..PARTICIPANTS)) % PARTICIPANTS;
        let runs_out_at = fault_at + self.world.random.random_range(0..gap + HAIR_US) - HAIR_US / 2;
        let deadline_ns = START_NS + runs_out_at * 1000;
        let uetr = Uetr::from_random(self.world.random.random());
        let created_at = Timestamp(deadline_ns).minus(TIMEOUT);
        let submit = self.submit(debtor, creditor, uetr, created_at);
        let at = self.world.now() + self.world.random.random_range(0..200_000);
        self.say(at, debtor, submit);
        for _ in 0..self.world.random.random_range(1..=3) {
            let between = self.world.random.random_range(fault_at.min(runs_out_at)..=fault_at.max(runs_out_at));
            let near = [runs_out_at, runs_out_at, between, fault_at][self.world.random.random_range(0..4)];
            let at = near + self.world.random.random_range(0..HAIR_US) - HAIR_US / 2;
            let yes = self.world.random.random_bool(0.75);
            let (status, reason) = if yes { (Status::ACTC, Reason::NONE) } else { (Status::RJCT, Reason::AC04) };
            let debtor_agent = self.names[debtor];
            self.say(at, creditor, Ask::Answer { debtor_agent, uetr, status, reason });
        }
        self.duels.insert((Key(debtor as u32), uetr), Duel { deadline_ns, is_race: false });
    }

    fn submit(&mut self, debtor: usize, creditor: usize, uetr: Uetr, created_at: Timestamp) -> Ask {
        let (debtor_agent, creditor_agent) = (self.names[debtor], self.names[creditor]);
        let date = BusinessDate::new(2026, 11, 23).unwrap_or_default();
        let message_id = MessageId::compose(date, debtor_agent, self.said);
        let (amount_minor, currency) = (self.world.random.random_range(1..1000), Currency::EUR);
        let mut frame = Vec::with_capacity(320);
        let transfer = CreditTransfer {
            message_id: message_id.as_str(),
            created_at,
            uetr,
            debtor_agent,
            creditor_agent,
            amount_minor,
            currency,
            end_to_end_id: "E2E",
            instruction_id: None,
            debtor: Party { name: "Ada", account: "A-1" },
            creditor: Party { name: "Grace", account: "G-2" },
            remittance_information: None,
        };
        frame::encode(Kind::CreditTransfer, &transfer, &mut frame);
        let body = frame.split_off(HEADER_BYTES);
        let content = content_of(&body, message_id.as_str());
        let original = None;
        #[rustfmt::skip]
        let submit = Submit { message_id, created_at, uetr, creditor_agent, amount_minor, currency, content, original };
        Ask::Submit { submit, body }
    }

    /// To any node: each time the bank may have another connection.
    fn say(&mut self, at: Time, who: usize, ask: Ask) {
        self.said += 1;
        let node = self.world.random.random_range(0..self.world.machines.len());
        let to = Key(who as u32);
        let instruction = Instruction { to, asker: Asker { key: to, session: node as u32, number: self.said }, ask };
        self.world.plan(at, Event::Say { node, instruction });
    }

    fn go(&mut self, goes: Goes) {
        let Some(leader) = self.world.leader() else { return };
        let now = self.world.now();
        self.world.trace.say(|| format!("{now} node {leader} goes: {goes:?}"));
        let id = self.world.machines[leader].id;
        let others: Vec<u64> = self.world.machines.iter().map(|own| own.id).filter(|other| *other != id).collect();
        match goes {
            Goes::Dead => self.world.crash(leader),
            Goes::DeadWriting => {
                let nth = self.world.random.random_range(1..40);
                self.world.machines[leader].disk.plan(Fault::Stop { nth });
            }
            Goes::CutOff | Goes::Deaf | Goes::Mute => {
                for other in others {
                    if goes != Goes::Mute {
                        self.world.network.cut(other, id);
                    }
                    if goes != Goes::Deaf {
                        self.world.network.cut(id, other);
                    }
                }
            }
            Goes::Asleep => {
                let for_us = self.world.random.random_range(300_000..1_200_000);
                self.world.machines[leader].paused_until = now + for_us;
            }
            Goes::HandingOver => {
                let to = others[self.world.random.random_range(0..others.len())];
                if let Some(replica) = &mut self.world.machines[leader].replica {
                    let _ = replica.transfer(Some(to));
                    self.world.turn(leader);
                }
            }
        }
    }

    fn watch_until(&mut self, until: Time) -> Kept {
        while self.world.now() < until {
            self.watch()?;
        }
        Ok(())
    }

    /// One step; a reign that begins finds the races that are on.
    fn watch(&mut self) -> Kept {
        self.world.step()?;
        self.world.told.clear();
        for (node, term) in std::mem::take(&mut self.world.begun) {
            let both = self.world.machines.iter().filter_map(|own| own.reign.as_ref()).filter(|own| own.term < term);
            self.tally.two_reigns_at_once += both.count() as u64;
            self.find_races(node);
        }
        Ok(())
    }

    /// An answer that some node holds and that is not done, and a deadline that is over, or nearly, by the clock of a node
    /// whose actors can decide so.
    fn find_races(&mut self, node: usize) {
        let (now, machines) = (self.world.now(), &self.world.machines);
        let Some(reign) = &machines[node].reign else { return };
        let deciding = machines.iter().filter(|own| own.reign.is_some());
        let latest = deciding.map(|own| own.clock(now)).max().unwrap_or(0);
        let answer = |instruction: &Instruction| match &instruction.ask {
            Ask::Answer { debtor_agent, uetr, .. } => Some((*debtor_agent, *uetr)),
            _ => None,
        };
        let answered: HashSet<_> =
            machines.iter().flat_map(|own| own.outstanding.values()).filter_map(answer).collect();
        for (payment, deadline) in reign.actors.live().flat_map(|hosted| hosted.participant.incoming()) {
            let Some(duel) = self.duels.get_mut(&(payment.debtor, payment.uetr)) else { continue };
            assert_eq!(duel.deadline_ns, deadline.nanoseconds(), "the deadline is what the bank asked for");
            let is_answered = answered.contains(&(self.names[payment.debtor.place()], payment.uetr));
            duel.is_race |= is_answered && duel.deadline_ns <= latest + HAIR_US * 1000;
        }
    }

    /// How they ended.
    fn count(&mut self, goes: Goes) -> Kept {
        let reigning = self.world.machines.iter().filter_map(|own| own.reign.as_ref()).map(|own| &own.decided);
        let decided: Vec<_> = self.world.decided.values().chain(reigning).collect();
        for (debtor, uetr, end) in std::mem::take(&mut self.world.court.lock().ended) {
            let Some(duel) = self.duels.remove(&(debtor, uetr)) else {
                return Err(format!("one outcome per payment: {uetr} ended and had ended before"));
            };
            if !duel.is_race {
                continue;
            }
            let tally = &mut self.tally;
            tally.races += 1;
            tally.after[goes as usize] += 1;
            match end {
                End::Settled => tally.settled += 1,
                End::Rejected => tally.rejected += 1,
                End::Expired => tally.expired += 1,
            }
            let all: Vec<End> = decided.iter().filter_map(|decided| decided.get(&(debtor, uetr)).copied()).collect();
            tally.decided_again += u64::from(all.len() > 1);
            for other in all.into_iter().filter(|other| *other != end) {
                match (other, end) {
                    (End::Settled, End::Expired) => tally.yes_then_expired += 1,
                    (End::Expired, End::Settled) => tally.expired_then_yes += 1,
                    _ => tally.otherwise += 1,
                }
            }
        }
        self.duels.clear();
        Ok(())
    }
}
