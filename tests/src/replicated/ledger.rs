//! The fold of a simulated node: the real book, with its feeds, and what the actors of a reign begin with. What the
//! switch's own ledger does, without its threads.

use std::io::{Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use persistence::{Entry, Fold, Freeze, Index, NodeId, Standing};
use settlement::{Book, Reply};
use wire::message::Refused;
use wire::{Kind, Message, Reason, Uetr};

use super::court::{Court, digest};
use crate::simulation::node::{Asker, Node};

/// An instruction that is done, in the company of what was decided before.
pub(super) struct Passenger {
    pub(super) asker: Asker,
    pub(super) subject: (Kind, Option<Uetr>),
    pub(super) reply: Option<Reply>,
}

/// What is said to whoever asked.
pub(super) type Done = (Asker, Option<Message<'static>>);

/// See the file's head.
pub(super) struct Ledger {
    node: NodeId,
    hosted_together: usize,
    pub(super) book: Book,
    index: Index,
    /// Facts folded so far.
    pub(super) facts: usize,
    /// Numbers of the last notices, everyone's first.
    lasts: Vec<u64>,
    court: Arc<Mutex<Court>>,
    /// Where the node came to stand, with the actors of a reign that begins.
    pub(super) changes: Vec<(Standing, Option<Node>)>,
    pub(super) done: Vec<Done>,
}

impl Ledger {
    pub(super) fn new(node: NodeId, hosted_together: usize, court: Arc<Mutex<Court>>) -> Ledger {
        let (book, changes, done) = (Book::default(), Vec::new(), Vec::new());
        Ledger { node, hosted_together, book, index: 0, facts: 0, lasts: Vec::new(), court, changes, done }
    }

    fn attend(&mut self, passengers: &mut Vec<Passenger>) {
        for passenger in passengers.drain(..) {
            let (asker, (kind, uetr)) = (passenger.asker, passenger.subject);
            let refused = |reason: Reason| {
                let uetr = uetr.map_or([0; 16], |uetr| *uetr.bytes());
                Message::Refused(Refused { kind: kind as u16, uetr, reason, text: "no" })
            };
            let message = passenger.reply.map(|reply| match reply {
                Reply::Refused(reason) => refused(reason),
                Reply::Inquire(inquiry) => {
                    self.book.answer(asker.key, &inquiry).unwrap_or_else(|| refused(Reason::AG09))
                }
            });
            let mut court = self.court.lock();
            let kept = court.done(&self.book, &passenger, message.as_ref());
            court.hold(kept);
            self.done.push((asker, message));
        }
    }

    fn digest(&self) -> u64 {
        digest(&self.book, self.facts as u64)
    }
}

impl Fold for Ledger {
    type Passenger = Passenger;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.book = settlement::restore(snapshot)?;
        let mut numbers = [0; 16];
        snapshot.read_exact(&mut numbers).map_err(|error| error.to_string())?;
        let number = |place: usize| numbers[8 * place..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (self.facts, self.index) = (number(0) as usize, number(1));
        self.lasts = std::iter::once(self.book.last_system_notice())
            .chain(self.book.participants().iter().map(|own| self.book.last_notice(own.key())))
            .collect();
        let mut court = self.court.lock();
        let kept = court.restored(self.node, number(1), self.digest());
        court.hold(kept);
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<Passenger>) {
        let shared = Arc::clone(&self.court);
        let mut court = shared.lock();
        let Ledger { node, book, lasts, .. } = self;
        let kept = court.fold(*node, &entry, book, lasts);
        court.hold(kept);
        self.facts += settlement::Facts::new(entry.payload).count();
        let kept = court.compare(self.node, &entry, self.digest());
        court.hold(kept);
        self.index = entry.index;
        drop(court);
        self.attend(passengers);
    }

    fn delivered(&mut self, passengers: &mut Vec<Passenger>) {
        self.attend(passengers);
    }

    fn standing(&mut self, standing: Standing) {
        let mut court = self.court.lock();
        let kept = court.stands(self.node, standing);
        court.hold(kept);
        let actors = standing.leads.then(|| Node::new(&self.book, self.facts, self.hosted_together));
        self.changes.push((standing, actors));
    }

    fn checkpoint(&mut self, _: Index) -> Option<u64> {
        Some(self.digest())
    }

    fn freeze(&mut self) -> Freeze {
        let (book, facts, index) = (self.book.freeze(), self.facts as u64, self.index);
        Box::new(move |out: &mut dyn Write| {
            book.write(out)?;
            out.write_all(&facts.to_le_bytes())?;
            out.write_all(&index.to_le_bytes())
        })
    }
}
