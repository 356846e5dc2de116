//! Shards, a network that loses, repeats and reorders, banks that pay and answer, leaders that die; and after every step
//! the promises.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use settlement::{Answer, Command, Fact, Key, Payment, PositionMoved, Rules, Scheme, Standing, State, Submit};
use wire::{BusinessDate, Currency, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::shard::{Identity, Letter, Shard, end_of, identity, read, shard_of};
use crate::promises::Kept;

const START: Timestamp = Timestamp(1_795_000_000_000_000_000);
const OPENING_MINOR: i64 = 10_000;

/// What happened, in sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub worlds: u64,
    pub crossed: u64,
    pub settled: u64,
    pub rejected: u64,
    pub expired: u64,
    pub crashes: u64,
    pub lost: u64,
    pub repeated: u64,
    /// Most money that was between two shards at once.
    pub in_transit_max: i64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.crossed += other.crossed;
        self.settled += other.settled;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.in_transit_max = self.in_transit_max.max(other.in_transit_max);
    }
}

/// How a payment ended, as its parties were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Settled,
    Rejected,
    Expired,
}

/// What the two shards of a payment have committed about it.
#[derive(Default)]
struct Known {
    deadline: Option<Timestamp>,
    asked: bool,
    told_creditor: Option<Outcome>,
    told_debtor: Option<Outcome>,
}

/// See the file's head.
pub struct World {
    random: SmallRng,
    clock: u64,
    rules: Rules,
    shards: Vec<Shard>,
    /// What the shards have committed, folded by somebody who sees nothing else.
    books: Vec<Shard>,
    network: Vec<Letter>,
    submitted: Vec<(Key, Submit)>,
    offers: Vec<Payment>,
    known: BTreeMap<Identity, Known>,
    /// Settled in the creditor's log, not yet in the debtor's.
    in_transit: BTreeMap<Identity, Payment>,
    lossless: bool,
    pub tally: Tally,
}

fn name(place: usize) -> ParticipantId {
    format!("BANK-{place:04}").parse().expect("a name")
}

fn scheme(participants: usize) -> Scheme {
    let mut scheme = Scheme::default();
    for place in 0..participants {
        let key = Key(place as u32);
        scheme.apply(&Fact::Registered { at: START, key, id: name(place), currency: Currency::EUR });
        scheme.apply(&signed_on(key));
    }
    scheme.apply(&Fact::DayRolled { at: START, date: BusinessDate::new(2026, 11, 23).expect("a date") });
    scheme
}

fn signed_on(key: Key) -> Fact<'static> {
    Fact::SignedOn(Standing { at: START, participant: key, direction: settlement::Direction::Both, note: "" })
}

fn funded(key: Key) -> Fact<'static> {
    Fact::Funded(PositionMoved {
        at: START,
        participant: key,
        currency: Currency::EUR,
        amount_minor: OPENING_MINOR,
        position: settlement::Position::default(),
        note: "",
    })
}

impl World {
    pub fn new(seed: u64, lossless: bool) -> World {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x7368_6172_6473_2121);
        let (shards, participants) = if lossless { (2, 4) } else { (random.random_range(2..=3), 5) };
        let scheme = Arc::new(scheme(participants));
        let make = |number| {
            let own = |key: &Key| shard_of(*key, shards) == number;
            let keys: Vec<Key> = (0..participants as u32).map(Key).filter(own).collect();
            let opening: Vec<Fact<'_>> = keys.iter().flat_map(|key| [signed_on(*key), funded(*key)]).collect();
            let mut shard = Shard::new(number, shards, scheme.clone(), &opening);
            shard.commit(usize::MAX, &mut Vec::new());
            shard
        };
        World {
            clock: START.nanoseconds(),
            rules: Rules { in_flight_max: 100, ..Rules::default() },
            shards: (0..shards).map(make).collect(),
            books: (0..shards).map(make).collect(),
            network: Vec::new(),
            submitted: Vec::new(),
            offers: Vec::new(),
            known: BTreeMap::new(),
            in_transit: BTreeMap::new(),
            lossless,
            random,
            tally: Tally { worlds: 1, ..Tally::default() },
        }
    }

    fn now(&mut self, shard: usize) -> Timestamp {
        // Leaders' clocks differ by up to half a second.
        let skew = if self.lossless { 0 } else { shard as u64 * 250_000_000 };
        Timestamp(self.clock + skew)
    }

    fn home(&self, key: Key) -> usize {
        shard_of(key, self.shards.len())
    }

    pub fn run(&mut self) -> Kept {
        for _ in 0..self.random.random_range(100..600) {
            self.step()?;
            self.check()?;
        }
        self.rest()
    }

    fn step(&mut self) -> Kept {
        let shard = self.random.random_range(0..self.shards.len());
        match self.random.random_range(0..100) {
            0..20 => self.pay(),
            20..40 => self.answer(),
            40..65 => return self.commit(shard),
            65..87 => self.deliver(),
            87..90 => {
                let now = self.now(shard);
                self.shards[shard].fire(now, &self.rules);
            }
            90..93 => self.shards[shard].remind(&mut self.network),
            93..97 => self.clock += self.random.random_range(0..1_500_000_000),
            97..98 => self.clock += self.random.random_range(0..30_000_000_000),
            _ => self.crash(shard),
        }
        Ok(())
    }

    fn pay(&mut self) {
        if !self.submitted.is_empty() && self.random.random_bool(0.2) {
            let (debtor, submit) = self.submitted[self.random.random_range(0..self.submitted.len())];
            return self.submit(debtor, submit);
        }
        let everyone: usize = self.shards[0].scheme().listings().len();
        let (debtor, creditor) = (self.random.random_range(0..everyone), self.random.random_range(0..everyone));
        let amount_minor = self.random.random_range(1..4_000);
        self.pay_between(Key(debtor as u32), Key(creditor as u32), amount_minor);
    }

    /// A new payment, submitted at the debtor's shard.
    fn pay_between(&mut self, debtor: Key, creditor: Key, amount_minor: i64) {
        let home = self.home(debtor);
        let serial = self.submitted.len() as u64 + 1;
        let submit = Submit {
            message_id: MessageId::compose(self.shards[0].scheme().business_date(), name(debtor.place()), serial),
            created_at: self.now(home),
            uetr: Uetr::from_random(self.random.random()),
            creditor_agent: name(creditor.place()),
            amount_minor,
            currency: Currency::EUR,
            content: serial,
            original: None,
        };
        self.submitted.push((debtor, submit));
        self.submit(debtor, submit);
    }

    fn submit(&mut self, debtor: Key, submit: Submit) {
        let home = self.home(debtor);
        let now = self.now(home);
        let command = Command::Submit { submit: &submit, body: &[] };
        self.shards[home].ask(debtor, command, now, &self.rules);
    }

    /// A creditor agent answers something it was asked: yes or no, in time or not, perhaps again and otherwise.
    fn answer(&mut self) {
        if self.offers.is_empty() {
            return;
        }
        let payment = self.offers[self.random.random_range(0..self.offers.len())];
        let yes = self.random.random_bool(0.8);
        let (status, reason) = if yes { (Status::ACTC, Reason::NONE) } else { (Status::RJCT, Reason::AC04) };
        let answer = Answer {
            debtor_agent: name(payment.debtor.place()),
            uetr: payment.uetr,
            status,
            reason,
            additional_information: None,
        };
        let home = self.home(payment.creditor);
        let now = self.now(home);
        self.shards[home].ask(payment.creditor, Command::Answer(answer), now, &self.rules);
    }

    fn commit(&mut self, shard: usize) -> Kept {
        let count = if self.lossless { usize::MAX } else { self.random.random_range(1..20) };
        let committed = self.shards[shard].commit(count, &mut self.network);
        for bytes in committed {
            let fact = read(&bytes);
            self.witness(shard, &fact)?;
            self.books[shard].append(&fact);
        }
        Ok(())
    }

    /// Reads what a shard has committed as its participants are told it.
    fn witness(&mut self, shard: usize, fact: &Fact<'_>) -> Kept {
        let Some(payment) = fact.payment().copied() else { return Ok(()) };
        let (debtor_here, creditor_here) =
            (self.home(payment.debtor) == shard, payment.creditor != Key::NONE && self.home(payment.creditor) == shard);
        let crosses = debtor_here != creditor_here && payment.creditor != Key::NONE;
        let known = self.known.entry(identity(&payment)).or_default();
        if let Fact::Reserved(reserved) = fact {
            known.deadline = Some(reserved.deadline);
            if creditor_here {
                if std::mem::replace(&mut known.asked, true) {
                    return Err(format!("the creditor agent is asked once: {fact:?}"));
                }
                self.offers.push(payment);
                self.tally.crossed += u64::from(crosses);
            }
            return Ok(());
        }
        let Some((_, settled)) = end_of(fact) else { return Ok(()) };
        let outcome = match fact {
            Fact::Expired(_) => Outcome::Expired,
            Fact::Rejected(_) => Outcome::Rejected,
            _ => Outcome::Settled,
        };
        if settled.is_some_and(|settled| known.deadline.is_none_or(|deadline| settled.at >= deadline)) {
            return Err(format!("late answers never settle: {fact:?}"));
        }
        let is_refusal = matches!(fact, Fact::Rejected(rejected) if rejected.stage == settlement::Stage::Submit);
        for (here, told) in
            [(creditor_here && !is_refusal, &mut known.told_creditor), (debtor_here, &mut known.told_debtor)]
        {
            if here && told.replace(outcome).is_some() {
                return Err(format!("an outcome is told once: {fact:?}"));
            }
        }
        if let (Some(creditor), Some(debtor)) = (known.told_creditor, known.told_debtor)
            && creditor != debtor
        {
            return Err(format!("both parties hear the same: {creditor:?} and {debtor:?} of {payment:?}"));
        }
        if debtor_here && !creditor_here && !is_refusal && known.told_creditor.is_none() {
            return Err(format!("the creditor's log is the decision, and it does not hold {fact:?}"));
        }
        if outcome == Outcome::Settled && crosses {
            if creditor_here {
                self.in_transit.insert(identity(&payment), payment);
            } else if self.in_transit.remove(&identity(&payment)).is_none() {
                return Err(format!("debited, but never credited: {payment:?}"));
            }
            self.tally.in_transit_max = self.tally.in_transit_max.max(self.in_transit_minor());
        }
        if creditor_here || is_refusal {
            match outcome {
                Outcome::Settled => self.tally.settled += 1,
                Outcome::Rejected => self.tally.rejected += 1,
                Outcome::Expired => self.tally.expired += 1,
            }
        }
        Ok(())
    }

    /// A letter arrives, in any order; perhaps never, perhaps twice.
    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.network.len());
        let letter = if !self.lossless && self.random.random_bool(0.15) {
            self.tally.repeated += 1;
            self.network[place].clone()
        } else {
            self.network.swap_remove(place)
        };
        if !self.lossless && self.random.random_bool(0.15) {
            self.tally.lost += 1;
            return;
        }
        let now = self.now(letter.to);
        self.shards[letter.to].receive(&letter.bytes, now, &self.rules, &mut self.network);
    }

    fn crash(&mut self, shard: usize) {
        let (committed, end) = (self.shards[shard].committed(), self.shards[shard].len());
        let kept = self.random.random_range(committed..=end);
        self.shards[shard].crash(kept);
        self.tally.crashes += 1;
    }

    /// Money is conserved, as far as it is committed: what is in no balance is in transit and still set aside.
    fn check(&self) -> Kept {
        let mut balances = 0;
        let mut brought_in = 0;
        for own in self.books.iter().flat_map(Shard::participants) {
            for (_, position) in own.positions() {
                if position.reserved < 0 || position.available() < 0 || position.balance() < 0 {
                    return Err(format!("nothing is negative that must not be: {:?} {position:?}", own.key()));
                }
                balances += position.balance();
                brought_in += position.funded;
            }
        }
        let in_transit = self.in_transit_minor();
        if balances != brought_in + in_transit {
            return Err(format!(
                "money is conserved: {balances} in balances, {brought_in} brought in, {in_transit} in transit"
            ));
        }
        for Payment { debtor, uetr, .. } in self.in_transit.values() {
            let record = self.books[self.home(*debtor)].participant(*debtor).payment(*uetr);
            if record.is_none_or(|record| record.state != State::Reserved) {
                return Err(format!("what is in transit is set aside: {debtor:?} {record:?}"));
            }
        }
        Ok(())
    }

    fn in_transit_minor(&self) -> i64 {
        self.in_transit.values().map(|payment| payment.amount_minor).sum()
    }

    /// The network heals, nothing crashes any more: everything ends, and everybody agrees.
    fn rest(&mut self) -> Kept {
        self.lossless = true;
        for _ in 0..6 {
            self.clock += Duration::from_secs(11).as_nanos() as u64;
            for shard in 0..self.shards.len() {
                let now = self.now(shard);
                self.shards[shard].fire(now, &self.rules);
                self.commit(shard)?;
                self.shards[shard].remind(&mut self.network);
            }
            while !self.network.is_empty() {
                self.deliver();
            }
            self.check()?;
        }
        (0..self.shards.len()).try_for_each(|shard| self.commit(shard))?;
        self.check()?;
        if !self.in_transit.is_empty() || self.shards.iter().any(|shard| shard.waiting_count() > 0) {
            return Err(format!("every reservation ends: {:?} are in transit", self.in_transit));
        }
        for own in self.shards.iter().flat_map(Shard::participants) {
            let open = own.positions().iter().any(|(_, position)| position.reserved != 0);
            if open || own.incoming_count() > 0 {
                return Err(format!("every reservation ends: {:?} {:?}", own.key(), own.positions()));
            }
        }
        let unequal =
            self.known.values().find(|known| known.deadline.is_some() && known.told_creditor != known.told_debtor);
        unequal.map_or(Ok(()), |known| {
            Err(format!("both parties are told: {:?} {:?}", known.told_creditor, known.told_debtor))
        })
    }

    /// One payment on a quiet day. Commits and letters that the creditor agent's question and the debtor agent's
    /// outcome waited for, one after the other.
    pub fn cost(crosses: bool) -> Result<[(u32, u32); 2], String> {
        let mut world = World::new(0, true);
        let (debtor, creditor) = (Key(0), if crosses { Key(1) } else { Key(2) });
        let (mut commits, mut letters, mut asked) = (0, 0, None);
        world.pay_between(debtor, creditor, 100);
        loop {
            for shard in 0..world.shards.len() {
                let (open, offers) = (world.shards[shard].len() > world.shards[shard].committed(), world.offers.len());
                commits += u32::from(open);
                world.commit(shard)?;
                if world.offers.len() > offers && asked.is_none() {
                    asked = Some((commits, letters));
                    while world.shards.iter().all(|shard| shard.len() == shard.committed()) {
                        world.answer();
                    }
                    break;
                }
            }
            world.check()?;
            if let Some(known) = world.known.values().next()
                && known.told_debtor.is_some()
            {
                return asked
                    .map(|asked| [asked, (commits, letters)])
                    .ok_or("the creditor agent was never asked".into());
            }
            letters += world.network.len() as u32;
            world.deliver();
        }
    }
}

/// Runs worlds `0..count`; names the first that breaks a promise.
pub fn run(count: u64) -> Result<Tally, String> {
    let mut sum = Tally::default();
    for seed in 0..count {
        let mut world = World::new(seed, false);
        world.run().map_err(|what| format!("seed {seed}: {what}"))?;
        sum += world.tally;
    }
    Ok(sum)
}
