//! One shard: a log of facts, and the participants that live on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use settlement::{
    Command, Deadlines, Decision, Fact, Facts, Key, Participant, Payment, Reply, Rules, Scheme, Settled, Stage, View,
};
use wire::{Timestamp, Uetr};

/// What a payment is known by everywhere.
pub(super) type Identity = (Key, u128);

pub(super) fn identity(payment: &Payment) -> Identity {
    (payment.debtor, payment.uetr.number())
}

/// A letter to another shard: the fact, encoded.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) to: usize,
    pub(super) bytes: Vec<u8>,
}

struct Hosted {
    participant: Participant,
    deadlines: Deadlines,
}

/// See the file's head. Everything behind `committed` may be lost, from its end; nobody was told of it.
pub(super) struct Shard {
    number: usize,
    shards: usize,
    log: Vec<Vec<u8>>,
    committed: usize,
    /// The same on every shard, as participants come and go seldom: how it is kept so is not looked at here.
    scheme: Arc<Scheme>,
    hosted: BTreeMap<Key, Hosted>,
    /// Reservations of own participants whose creditor lives elsewhere and whose outcome is not known, by place in the log.
    waiting: BTreeMap<Identity, usize>,
    /// Payments offered from elsewhere that have ended here, by place in the log.
    ended: HashMap<Identity, usize>,
    last: Timestamp,
}

pub(super) fn shard_of(key: Key, shards: usize) -> usize {
    key.place() % shards
}

pub(super) fn read(bytes: &[u8]) -> Fact<'_> {
    Facts::new(bytes).next().expect("one fact").expect("a fact that was written here")
}

/// How a payment ended, if the fact ends one.
pub(super) fn end_of<'a>(fact: &'a Fact<'_>) -> Option<(&'a Payment, Option<&'a Settled>)> {
    match fact {
        Fact::Settled(settled) | Fact::Returned(settled) => Some((&settled.payment, Some(settled))),
        Fact::Rejected(rejected) => Some((&rejected.payment, None)),
        Fact::Expired(expired) => Some((&expired.payment, None)),
        _ => None,
    }
}

/// Whose state a fact changes.
fn legs(fact: &Fact<'_>) -> [Option<Key>; 2] {
    match fact {
        Fact::Funded(moved) => [Some(moved.participant), None],
        Fact::SignedOn(standing) => [Some(standing.participant), None],
        Fact::Rejected(rejected) if rejected.stage == Stage::Submit => [Some(rejected.payment.debtor), None],
        _ => [fact.payment().map(|payment| payment.debtor), fact.payment().map(|payment| payment.creditor)],
    }
}

impl Shard {
    /// `scheme` knows everyone; `opening` are facts about own participants.
    pub(super) fn new(number: usize, shards: usize, scheme: Arc<Scheme>, opening: &[Fact<'_>]) -> Shard {
        let mut shard = Shard {
            number,
            shards,
            log: Vec::new(),
            committed: 0,
            hosted: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ended: HashMap::new(),
            last: scheme.last_at(),
            scheme,
        };
        shard.host();
        opening.iter().for_each(|fact| shard.append(fact));
        shard
    }

    fn host(&mut self) {
        for (place, listing) in self.scheme.listings().iter().enumerate() {
            let key = Key(place as u32);
            if shard_of(key, self.shards) == self.number {
                let hosted =
                    Hosted { participant: Participant::new(key, listing.clone()), deadlines: Deadlines::default() };
                self.hosted.insert(key, hosted);
            }
        }
    }

    fn is_own(&self, key: Key) -> bool {
        self.hosted.contains_key(&key)
    }

    pub(super) fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.hosted.values().map(|hosted| &hosted.participant)
    }

    pub(super) fn participant(&self, key: Key) -> &Participant {
        &self.hosted[&key].participant
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// An own participant is asked; what it decides is appended, and so is what follows from it here.
    pub(super) fn ask(&mut self, key: Key, command: Command<'_>, clock: Timestamp, rules: &Rules) -> Option<Reply> {
        self.last = self.last.max(clock);
        let scheme = self.scheme.clone();
        let view = View { now: self.last, rules, scheme: &scheme, refusing: None };
        let Decision { fact, reply } = self.hosted[&key].participant.decide(command, &view);
        if let Some(fact) = fact {
            self.append(&fact);
            self.judge_arrival(&fact, clock, rules);
        }
        reply
    }

    /// The creditor's actor, if it lives here, says whether what has arrived may stay.
    fn judge_arrival(&mut self, fact: &Fact<'_>, clock: Timestamp, rules: &Rules) {
        if let Fact::Reserved(reserved) = fact
            && self.is_own(reserved.payment.creditor)
        {
            let Payment { debtor, creditor, uetr, .. } = reserved.payment;
            self.ask(creditor, Command::Arrive { debtor, uetr }, clock, rules);
        }
    }

    /// Everything due ends.
    pub(super) fn fire(&mut self, clock: Timestamp, rules: &Rules) {
        let keys: Vec<Key> = self.hosted.keys().copied().collect();
        for key in keys {
            while let Some((debtor, uetr)) = self.take_due(key, clock) {
                self.ask(key, Command::Expire { debtor, uetr }, clock, rules);
            }
        }
    }

    fn take_due(&mut self, key: Key, clock: Timestamp) -> Option<(Key, Uetr)> {
        let now = self.last.max(clock);
        self.hosted.get_mut(&key).and_then(|hosted| hosted.deadlines.take_due(now))
    }

    /// Also how a book follows: it appends what its shard has committed.
    pub(super) fn append(&mut self, fact: &Fact<'_>) {
        let mut bytes = Vec::new();
        fact.encode(&mut bytes);
        self.log.push(bytes);
        self.apply(fact, self.log.len() - 1);
    }

    /// The fold: the legs of own participants, and what is known of payments that cross.
    fn apply(&mut self, fact: &Fact<'_>, place: usize) {
        self.last = self.last.max(fact.at());
        for key in legs(fact).into_iter().flatten() {
            let Some(hosted) = self.hosted.get_mut(&key) else { continue };
            if let Some(payment) = fact.payment()
                && let Some(deadline) = hosted.participant.deadline(payment.debtor, payment.uetr)
            {
                hosted.deadlines.disarm(deadline, payment.debtor, payment.uetr);
            }
            hosted.participant.apply(fact);
            if fact.payment().is_some_and(|payment| payment.creditor == key) {
                hosted.deadlines.arm(fact);
            }
        }
        let Some(payment) = fact.payment() else { return };
        let (debtor_is_own, creditor_is_own) = (self.is_own(payment.debtor), self.is_own(payment.creditor));
        match (fact, debtor_is_own, creditor_is_own) {
            (Fact::Reserved(_), true, false) => drop(self.waiting.insert(identity(payment), place)),
            (_, true, false) if end_of(fact).is_some() => drop(self.waiting.remove(&identity(payment))),
            (_, false, true) if end_of(fact).is_some() => drop(self.ended.insert(identity(payment), place)),
            _ => {}
        }
    }

    /// The quorum has the next `count` facts. Gives them back; their letters may leave now.
    pub(super) fn commit(&mut self, count: usize, letters: &mut Vec<Letter>) -> Vec<Vec<u8>> {
        let until = self.log.len().min(self.committed.saturating_add(count));
        let newly = self.committed..until;
        self.committed = until;
        letters.extend(newly.clone().filter_map(|place| self.letter(place)));
        self.log[newly].to_vec()
    }

    /// The letter about a fact, if its other party lives elsewhere and has not told it itself.
    fn letter(&self, place: usize) -> Option<Letter> {
        let fact = read(&self.log[place]);
        let decided_here = match &fact {
            Fact::Reserved(reserved) => self.is_own(reserved.payment.debtor),
            _ => self.is_own(fact.payment()?.creditor),
        };
        let (to, letter) = fact.letter().filter(|(to, _)| decided_here && !self.is_own(*to))?;
        let mut bytes = Vec::new();
        letter.encode(&mut bytes);
        Some(Letter { to: shard_of(to, self.shards), bytes })
    }

    /// Asks again about every reservation whose outcome is not known.
    pub(super) fn remind(&self, letters: &mut Vec<Letter>) {
        let committed = self.waiting.values().filter(|place| **place < self.committed);
        letters.extend(committed.filter_map(|place| self.letter(*place)));
    }

    /// A letter comes, perhaps again, perhaps late.
    pub(super) fn receive(&mut self, bytes: &[u8], clock: Timestamp, rules: &Rules, letters: &mut Vec<Letter>) {
        let fact = read(bytes);
        let Some(payment) = fact.payment() else { return };
        if let Fact::Reserved(_) = fact {
            if let Some(place) = self.ended.get(&identity(payment)) {
                if *place < self.committed {
                    letters.extend(self.letter(*place));
                }
            } else if self.participant(payment.creditor).deadline(payment.debtor, payment.uetr).is_none() {
                self.append(&fact);
                self.judge_arrival(&fact, clock, rules);
            }
        } else if self.waiting.contains_key(&identity(payment)) {
            self.append(&fact);
        }
    }

    /// The leader is lost, and perhaps some of what was not committed. The next one folds the log.
    pub(super) fn crash(&mut self, kept: usize) {
        assert!(kept >= self.committed && kept <= self.log.len(), "what is committed is not lost");
        self.log.truncate(kept);
        self.hosted.clear();
        self.waiting.clear();
        self.ended.clear();
        self.host();
        for place in 0..self.log.len() {
            let bytes = std::mem::take(&mut self.log[place]);
            self.apply(&read(&bytes), place);
            self.log[place] = bytes;
        }
        let offered: Vec<_> = self.hosted.values_mut().collect();
        offered.into_iter().for_each(|hosted| hosted.deadlines = Deadlines::of(&hosted.participant));
    }

    pub(super) fn committed(&self) -> usize {
        self.committed
    }

    pub(super) fn len(&self) -> usize {
        self.log.len()
    }
}
