//! The actors of one reign, and what they decided that is not proposed yet. Ends with the reign, and with it everything
//! that was not committed.

use std::collections::HashMap;

use bytes::Bytes;
use persistence::simulated::SimulatedDisk;
use persistence::{Replica, Term};
use settlement::{Facts, Key, Rules};
use wire::Uetr;

use super::court::{End, end_of};
use super::ledger::{Ledger, Passenger};
use crate::simulation::log::Append;
use crate::simulation::node::{Actor, Ask, Asker, Node, Pending};

/// Bytes of facts after which no more are added to an entry.
const BATCH_BYTES: usize = 2 << 10;

/// The open batch.
struct Batch {
    bytes: Vec<u8>,
    /// The position of the next fact.
    next: usize,
}

impl Append for Batch {
    fn append(&mut self, fact: &[u8]) -> usize {
        self.bytes.extend_from_slice(fact);
        self.next += 1;
        self.next - 1
    }

    fn len(&self) -> usize {
        self.next
    }
}

/// See the file's head.
pub(super) struct Reign {
    pub(super) term: Term,
    pub(super) actors: Node,
    batch: Batch,
    /// How payments were decided to end, whether that is committed by now or not.
    pub(super) decided: HashMap<(Key, Uetr), End>,
    /// When a timer fires that is set.
    pub(super) timer_at: Option<u64>,
}

impl Reign {
    /// `facts`: how many the book had that the actors were built from.
    pub(super) fn begin(term: Term, actors: Node, facts: usize) -> Reign {
        let batch = Batch { bytes: Vec::new(), next: facts };
        Reign { term, actors, batch, decided: HashMap::new(), timer_at: None }
    }

    /// Letters first: no answer may overtake the letter about its payment.
    pub(super) fn ask(&mut self, to: Key, asker: Option<Asker>, ask: Ask) {
        self.deliver();
        self.actors.ask(to, asker, ask);
    }

    /// Nothing is under way here any more.
    pub(super) fn is_idle(&self) -> bool {
        self.actors.is_idle() && self.batch.bytes.is_empty()
    }

    fn deliver(&mut self) {
        for actor in 0..self.actors.actors.len() {
            while self.actors.deliver(actor) {}
        }
    }

    /// The actors work off up to `few` messages each, and what is due; all they decide is proposed, as far as there is a
    /// place for it. True when something is left.
    pub(super) fn work(
        &mut self,
        replica: &mut Replica<SimulatedDisk, Ledger>,
        clock: u64,
        rules: &Rules,
        (few, timers_first): (usize, bool),
    ) -> bool {
        for actor in 0..self.actors.actors.len() {
            if timers_first {
                self.actors.fire(actor, clock, rules);
            }
            for _ in 0..few.min(self.actors.actors[actor].mailbox.len()) {
                self.actors.turn(actor, clock, rules);
            }
            if !timers_first {
                self.actors.fire(actor, clock, rules);
            }
        }
        self.propose(replica);
        self.deliver();
        let waits = |actor: &Actor| actor.is_alive() && !actor.mailbox.is_empty();
        self.actors.actors.iter().any(waits) || !self.batch.bytes.is_empty()
    }

    /// False when there is no place for more.
    fn propose(&mut self, replica: &mut Replica<SimulatedDisk, Ledger>) -> bool {
        loop {
            let mut any = false;
            while self.batch.bytes.len() < BATCH_BYTES && self.actors.append(&mut self.batch) {
                any = true;
            }
            let standing = replica.standing();
            if !standing.leads || standing.term != self.term || !replica.has_place(self.batch.bytes.len()) {
                return false;
            }
            let company =
                |pending: Pending| Passenger { asker: pending.asker, subject: pending.subject, reply: pending.reply };
            let passengers: Vec<Passenger> = self.actors.pending.drain(..).map(company).collect();
            if self.batch.bytes.is_empty() {
                if !passengers.is_empty() {
                    replica.accompany(passengers);
                }
            } else {
                let bytes = std::mem::take(&mut self.batch.bytes);
                for fact in Facts::new(&bytes).flatten() {
                    self.decided.extend(end_of(&fact).map(|(payment, end)| ((payment.debtor, payment.uetr), end)));
                }
                replica.propose(Bytes::from(bytes), passengers);
            }
            if !any {
                return true;
            }
        }
    }
}
