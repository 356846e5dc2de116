//! Everything together, and which step comes next.

use std::ops::AddAssign;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use settlement::{Book, Direction, Fact, Key, Limits, Position, PositionMoved, Recipient, Reply, Standing};
use wire::message::Refused;
use wire::{BusinessDate, Currency, Message, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::bank::{Bank, Street, name, read_frame};
use super::log::{Append, Log};
use super::node::{Ask, Asker, Node};
use super::options::{Options, Weights};
use crate::promises::outcome::Outcomes;
use crate::promises::{Feeds, Kept, Witness, money};
use crate::seeds::Trace;

const START_NS: u64 = 1_795_442_531_000_000_000;

/// What happened, to see that anything did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub steps: u64,
    pub facts: u64,
    pub settled: u64,
    pub returned: u64,
    pub expired: u64,
    pub actor_crashes: u64,
    pub node_crashes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.facts += other.facts;
        self.settled += other.settled;
        self.returned += other.returned;
        self.expired += other.expired;
        self.actor_crashes += other.actor_crashes;
        self.node_crashes += other.node_crashes;
    }
}

/// See the file's head.
pub(super) struct World {
    pub(super) random: SmallRng,
    pub(super) options: Options,
    pub(super) clock: u64,
    pub(super) log: Log,
    /// Facts that the book has applied.
    pub(super) applied: usize,
    pub(super) book: Book,
    pub(super) feeds: Feeds,
    pub(super) witness: Witness,
    pub(super) outcomes: Outcomes,
    pub(super) node: Node,
    pub(super) banks: Vec<Bank>,
    names: Vec<ParticipantId>,
    /// A payment that settled lately, whoever paid whom.
    gossip: Option<(ParticipantId, Uetr)>,
    pub(super) snapshot: Option<(Vec<u8>, usize)>,
    pub(super) trace: Trace,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64, options: Options, trace: Trace) -> World {
        let names: Vec<ParticipantId> = (0..options.participants).map(name).collect();
        let bank = |(place, id): (usize, &ParticipantId)| Bank::new(Key(place as u32), *id);
        let banks = names.iter().enumerate().map(bank).collect();
        let mut witness = Witness::default();
        witness.decisions_wait = options.appends_later;
        let book = Book::default();
        World {
            random: SmallRng::seed_from_u64(seed),
            clock: START_NS,
            log: Log::default(),
            applied: 0,
            feeds: Feeds::default(),
            witness,
            outcomes: Outcomes::default(),
            node: Node::new(&book, 0, options.hosted_together),
            book,
            banks,
            names,
            gossip: None,
            snapshot: None,
            trace,
            tally: Tally::default(),
            options,
        }
    }

    pub(super) fn run(&mut self) -> Kept {
        self.trace.say(|| format!("{:?}", self.options));
        self.open()?;
        for _ in 0..self.options.steps {
            self.step()?;
            self.check()?;
        }
        self.rest()?;
        self.tally.seeds = 1;
        self.tally.facts = self.log.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> Kept {
        let mut bytes = Vec::new();
        opening(&self.names, Timestamp(self.clock), self.options.opening_minor, |fact| {
            bytes.clear();
            fact.encode(&mut bytes);
            self.log.append(&bytes);
        });
        self.log.commit(self.log.len());
        self.feeds.begin(&self.book);
        self.apply(usize::MAX)?;
        self.node = Node::new(&self.book, self.applied, self.options.hosted_together);
        Ok(())
    }

    fn step(&mut self) -> Kept {
        self.tally.steps += 1;
        let Weights {
            bank,
            turn,
            append,
            deliver,
            sync,
            apply,
            fire,
            tick,
            jump,
            operate,
            snapshot,
            crash_actor,
            crash_node,
        } = self.options.weights;
        let weights =
            [bank, turn, append, deliver, sync, apply, fire, tick, jump, operate, snapshot, crash_actor, crash_node];
        let mut draw = self.random.random_range(0..weights.iter().sum());
        let chosen = weights.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let actor = self.random.random_range(0..self.node.actors.len());
        // Rather one that has something to do.
        let busy = |actor: &usize| !self.node.actors[*actor].mailbox.is_empty();
        let busy = (actor..self.node.actors.len()).chain(0..actor).find(busy).unwrap_or(actor);
        let few = self.random.random_range(1..6);
        match chosen.unwrap_or(0) {
            0 => self.act()?,
            1 => {
                (0..few).for_each(|_| self.node.turn(busy, self.clock, &self.options.rules));
                self.append_unless_later();
            }
            2 => (0..few).for_each(|_| _ = self.node.append(&mut self.log)),
            3 => (0..few).for_each(|_| _ = self.node.deliver(actor)),
            4 => self.sync(),
            5 => self.apply(few)?,
            6 => {
                self.trace.say(|| format!("timers of actor {actor} fire at {}", self.clock));
                self.node.fire(actor, self.clock, &self.options.rules);
                self.node.fire_early(actor, self.clock, &self.options.rules);
                self.append_unless_later();
            }
            7 => self.tick(),
            8 => self.jump(self.options.jump_ns_max),
            9 => self.operate(),
            10 => self.take_snapshot(),
            11 => self.crash_actor(),
            _ => self.crash_node()?,
        }
        self.rebuild_actors();
        Ok(())
    }

    fn append_unless_later(&mut self) {
        if !self.options.appends_later {
            while self.node.append(&mut self.log) {}
        }
    }

    fn check(&mut self) -> Kept {
        self.feeds.look()?;
        money::check(&self.book, &self.witness)
    }

    fn act(&mut self) -> Kept {
        let place = self.random.random_range(0..self.banks.len());
        self.with_bank(place, |bank, street| bank.act(street))
    }

    pub(super) fn with_bank<T>(&mut self, place: usize, act: impl FnOnce(&mut Bank, &mut Street<'_>) -> T) -> T {
        let mut street = Street {
            feeds: &self.feeds,
            book: &self.book,
            random: &mut self.random,
            options: &self.options,
            now: self.node.last().max(Timestamp(self.clock)),
            names: &self.names,
            gossip: self.gossip,
            trace: &mut self.trace,
            said: Vec::new(),
        };
        let result = act(&mut self.banks[place], &mut street);
        street.said.into_iter().for_each(|(asker, ask)| self.node.ask(asker.key, Some(asker), ask));
        result
    }

    /// Some of what was appended is synced; mostly all of it, sometimes a part.
    fn sync(&mut self) {
        let (committed, end) = (self.log.committed(), self.log.len());
        let up_to = if self.random.random_bool(0.5) { end } else { self.random.random_range(committed..=end) };
        self.log.commit(up_to);
    }

    fn tick(&mut self) {
        let near = self.banks[self.random.random_range(0..self.banks.len())].deadline();
        match near.filter(|deadline| *deadline > self.clock) {
            // To the nanosecond: just before a deadline, at it, just after it.
            Some(deadline) if self.random.random_range(0..100) < self.options.to_deadline => {
                self.clock = self.clock.max(deadline - 1 + self.random.random_range(0..3));
            }
            _ => self.clock += self.random.random_range(0..=self.options.tick_ns_max),
        }
        self.trace.say(|| format!("the clock says {}", self.clock));
    }

    /// The clock is set, forward or back; a new leader has another one.
    pub(super) fn jump(&mut self, most: u64) {
        let far = self.random.random_range(0..=most);
        self.clock = if self.random.random_bool(0.5) { self.clock + far } else { self.clock - far };
        self.trace.say(|| format!("the clock jumps to {}", self.clock));
    }

    fn operate(&mut self) {
        let key = Key(self.random.random_range(0..self.banks.len()) as u32);
        if self.random.random_bool(0.05) {
            self.node.refusing = [Some(Reason::FULL), None, None][self.random.random_range(0..3)];
            return;
        }
        let Some(ask) = operation(&mut self.random) else { return self.roll() };
        self.trace.say(|| format!("an operator asks {key:?} {ask:?}"));
        self.node.ask(key, None, ask);
    }

    /// The day rolls. The next one only when this one has reached the scheme, as with one clerk.
    fn roll(&mut self) {
        let at = self.node.now(self.clock);
        self.node.post(&Fact::DayRolled { at, date: self.node.scheme.business_date().next() });
        while self.node.append(&mut self.log) {}
    }

    /// Looks at what was told for the first time, and lets the replies go that waited for it.
    pub(super) fn tell(&mut self) -> Kept {
        self.feeds.look()?;
        for (to, number) in std::mem::take(&mut self.feeds.fresh) {
            let Recipient::Participant(key) = to else { continue };
            let frame = self.feeds.of(key).frame(number).ok_or("a notice was told and has no frame")?;
            let message = read_frame(frame)?;
            self.outcomes.notice(self.names[key.place()], &message)?;
            if let Message::StatusNotice(notice) = &message
                && notice.status == Status::ACSC
            {
                self.gossip = Some((notice.debtor_agent, notice.uetr));
            }
            count(&mut self.tally, &self.witness, &message, key, self.names[key.place()]);
        }
        while self.node.pending.front().is_some_and(|pending| pending.position <= self.applied) {
            let Some(pending) = self.node.pending.pop_front() else { break };
            let Asker { key: asker, session, .. } = pending.asker;
            let bank = &mut self.banks[asker.place()];
            let Some(reply) = pending.reply.filter(|_| bank.session == Some(session)) else { continue };
            let (kind, uetr) = pending.subject;
            let refused = |reason: Reason| {
                let uetr = uetr.map_or([0; 16], |uetr| *uetr.bytes());
                Message::Refused(Refused { kind: kind as u16, uetr, reason, text: "no" })
            };
            let message = match reply {
                Reply::Refused(reason) => refused(reason),
                Reply::Inquire(inquiry) => self.book.answer(asker, &inquiry).unwrap_or_else(|| refused(Reason::AG09)),
            };
            self.trace.say(|| format!("{asker:?} hears {message:?}"));
            self.outcomes.report(&message)?;
            bank.hear(&message);
        }
        Ok(())
    }
}

/// What an operator may ask about a participant; None rolls the day.
pub(crate) fn operation(random: &mut SmallRng) -> Option<Ask> {
    let amount_minor = random.random_range(-5..5_000);
    let currency = if random.random_bool(0.8) { Currency::EUR } else { Currency::USD };
    let direction = [Direction::Send, Direction::Receive, Direction::Both][random.random_range(0..3)];
    let mut draw = || if random.random_bool(0.5) { -1 } else { random.random_range(0..8_000) };
    let limits = Limits { net_debit_cap: draw(), payment_max: draw() };
    match random.random_range(0..100) {
        0..25 => Some(Ask::Fund { currency, amount_minor }),
        25..45 => Some(Ask::Defund { currency, amount_minor }),
        45..60 => Some(Ask::Limit { currency, limits }),
        60..63 => Some(Ask::Suspend(direction)),
        63..83 => Some(Ask::Resume(Direction::Both)),
        _ => None,
    }
}

/// The scheme begins: everyone is registered, funded and signed on.
pub(crate) fn opening(names: &[ParticipantId], at: Timestamp, opening_minor: i64, mut add: impl FnMut(&Fact<'_>)) {
    add(&Fact::DayRolled { at, date: BusinessDate::new(2026, 11, 23).unwrap_or_default() });
    for (place, id) in names.iter().enumerate() {
        add(&Fact::Registered { at, key: Key(place as u32), id: *id, currency: Currency::EUR });
    }
    for place in 0..names.len() {
        let participant = Key(place as u32);
        for (currency, amount_minor) in [(Currency::EUR, opening_minor), (Currency::USD, opening_minor / 10)] {
            let position = Position { funded: amount_minor, ..Position::default() };
            add(&Fact::Funded(PositionMoved { at, participant, currency, amount_minor, position, note: "opening" }));
        }
        add(&Fact::SignedOn(Standing { at, participant, direction: Direction::Both, note: "" }));
    }
}

/// Counts an outcome, where its debtor agent is told.
fn count(tally: &mut Tally, witness: &Witness, message: &Message<'_>, key: Key, id: ParticipantId) {
    let Message::StatusNotice(notice) = message else { return };
    if notice.debtor_agent != id {
        return;
    }
    let known = witness.known(key, notice.uetr);
    let is_return = known.is_some_and(|known| known.payment.original.is_some());
    let settled = u64::from([Status::ACSC, Status::ACWP].contains(&notice.status));
    tally.returned += if is_return { settled } else { 0 };
    tally.settled += if is_return { 0 } else { settled };
    tally.expired += u64::from(notice.reasons.has(Reason::AB05));
}
