//! Sees what every node folds and tells, and holds it to the promises: the first node that folds an entry speaks for the
//! log, all others must fold the same and come to the same book.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use persistence::{Index, NodeId, Standing, Term};
use settlement::{Book, Fact, Facts, Key, Payment, Recipient, Stage};
use wire::{Message, Uetr};

use super::ledger::Passenger;
use crate::promises::outcome::Outcomes;
use crate::promises::stamps::Stamps;
use crate::promises::{Feeds, Kept, Witness, money, replies};
use crate::simulation::bank::read_frame;

/// How a payment that was set aside ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum End {
    Settled,
    Rejected,
    Expired,
}

/// Which payment a fact ends, and how.
pub(super) fn end_of(fact: &Fact<'_>) -> Option<(Payment, End)> {
    match fact {
        Fact::Settled(settled) | Fact::Returned(settled) => Some((settled.payment, End::Settled)),
        Fact::Expired(expired) => Some((expired.payment, End::Expired)),
        Fact::Rejected(rejected) if rejected.stage != Stage::Submit => Some((rejected.payment, End::Rejected)),
        _ => None,
    }
}

/// The same for equal books at equal places of the log; cheap, so that it can be asked after every entry.
pub(super) fn digest(book: &Book, facts: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    book.last_system_notice().hash(&mut hasher);
    book.scheme().last_at().nanoseconds().hash(&mut hasher);
    for own in book.participants() {
        book.last_notice(own.key()).hash(&mut hasher);
        (own.incoming_count(), own.payments().in_flight()).hash(&mut hasher);
        for (currency, position) in own.positions() {
            (currency.as_str(), position.funded, position.reserved, position.net).hash(&mut hasher);
        }
    }
    hasher.finish()
}

struct Folded {
    term: Term,
    payload: u64,
    digest: u64,
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Court {
    entries: Vec<Folded>,
    /// All facts, one after the other.
    pub(super) facts: Vec<u8>,
    pub(super) witness: Witness,
    pub(super) outcomes: Outcomes,
    pub(super) feeds: Feeds,
    stamps: Stamps,
    leaders: BTreeMap<Term, NodeId>,
    /// Payments that ended since the last look.
    pub(super) ended: Vec<(Key, Uetr, End)>,
    /// Payments in process.
    pub(super) open: usize,
    broken: Option<String>,
}

impl Court {
    pub(super) fn look(&mut self) -> Kept {
        self.feeds.look()?;
        self.broken.take().map_or(Ok(()), Err)
    }

    pub(super) fn hold(&mut self, kept: Kept) {
        if let Err(what) = kept {
            self.broken.get_or_insert(what);
        }
    }

    pub(super) fn committed(&self) -> Index {
        self.entries.len() as Index
    }

    /// The latest stamp in the log.
    pub(super) fn latest(&self) -> wire::Timestamp {
        self.stamps.latest()
    }

    pub(super) fn reigns(&self) -> usize {
        self.leaders.len()
    }

    /// A node folds an entry into its book, whose feeds ended with `lasts`.
    pub(super) fn fold(
        &mut self,
        node: NodeId,
        entry: &persistence::Entry<'_>,
        book: &mut Book,
        lasts: &mut Vec<u64>,
    ) -> Kept {
        let mut hasher = DefaultHasher::new();
        entry.payload.hash(&mut hasher);
        let payload = hasher.finish();
        let is_first = entry.index == self.committed() + 1;
        if !is_first {
            let same = |known: &Folded| (known.term, known.payload) == (entry.term, payload);
            if !self.entries.get(entry.index as usize - 1).is_some_and(same) {
                return Err(format!("nodes agree: node {node} folds another entry {} than those before", entry.index));
            }
        }
        self.feeds.exchange(lasts);
        let applied = Facts::new(entry.payload).try_for_each(|fact| {
            let fact = fact.map_err(|error| error.to_string())?;
            if is_first {
                self.read(entry.term, &fact)?;
            }
            book.apply(&fact, &mut self.feeds);
            Ok::<(), String>(())
        });
        self.feeds.exchange(lasts);
        applied?;
        self.feeds.look()?;
        if is_first {
            self.facts.extend_from_slice(entry.payload);
            money::check(book, &self.witness)?;
        }
        self.hear(node, book, is_first)
    }

    fn read(&mut self, term: Term, fact: &Fact<'_>) -> Kept {
        self.witness.read(fact)?;
        self.stamps.check(term, fact)?;
        self.open += usize::from(matches!(fact, Fact::Reserved(_)));
        self.open -= usize::from(end_of(fact).is_some());
        self.ended.extend(end_of(fact).map(|(payment, end)| (payment.debtor, payment.uetr, end)));
        Ok(())
    }

    /// What the entry told anyone for the first time.
    fn hear(&mut self, node: NodeId, book: &Book, is_first: bool) -> Kept {
        for (to, number) in std::mem::take(&mut self.feeds.fresh) {
            if !is_first {
                return Err(format!("nodes agree: node {node} tells {to:?} notice {number}, which no other node told"));
            }
            let Recipient::Participant(key) = to else { continue };
            let frame = self.feeds.of(key).frame(number).ok_or("a notice was told and has no frame")?;
            self.outcomes.notice(book.scheme().id(key), &read_frame(frame)?)?;
        }
        Ok(())
    }

    /// The book of a node after an entry.
    pub(super) fn compare(&mut self, node: NodeId, entry: &persistence::Entry<'_>, digest: u64) -> Kept {
        match self.entries.get(entry.index as usize - 1) {
            None => {
                let mut hasher = DefaultHasher::new();
                entry.payload.hash(&mut hasher);
                self.entries.push(Folded { term: entry.term, payload: hasher.finish(), digest });
                Ok(())
            }
            Some(_) => self.restored(node, entry.index, digest),
        }
    }

    /// The book of a node as it stands after so many entries.
    pub(super) fn restored(&mut self, node: NodeId, index: Index, digest: u64) -> Kept {
        match self.entries.get(index as usize - 1) {
            Some(known) if known.digest == digest => Ok(()),
            _ => Err(format!("nodes agree: node {node} has another book than others after entry {index}")),
        }
    }

    /// An instruction is done at the node that leads.
    pub(super) fn done(&mut self, book: &Book, done: &Passenger, message: Option<&Message<'_>>) -> Kept {
        replies::check(book, done.subject, done.reply.as_ref())?;
        message.map_or(Ok(()), |message| self.outcomes.report(message))
    }

    pub(super) fn stands(&mut self, node: NodeId, standing: Standing) -> Kept {
        let Some(leader) = standing.leader else { return Ok(()) };
        let known = *self.leaders.entry(standing.term).or_insert(leader);
        if known == leader {
            return Ok(());
        }
        Err(format!("one leader a term: term {} has {known}, and {leader} says node {node}", standing.term))
    }
}
