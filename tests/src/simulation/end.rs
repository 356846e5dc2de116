//! At rest: nobody asks any more, every mailbox empties, every deadline passes. Then the whole is looked at.

use super::bank::Street;
use super::log::Append;
use super::world::World;
use crate::promises::{Kept, actors, durable, money, replay, reservations, returns};

impl World {
    /// Lets everything finish and checks it; then all banks come back, send again what has no outcome, and once more.
    pub(super) fn rest(&mut self) -> Kept {
        self.node.refusing = None;
        self.settle_down()?;
        self.check_at_rest()?;
        for _ in 0..2 {
            for place in 0..self.banks.len() {
                self.banks[place].session = None;
                self.with_bank(place, |bank, street: &mut Street<'_>| bank.connect(street))?;
            }
            self.settle_down()?;
            for bank in &mut self.banks {
                bank.read_some(u64::MAX, &self.book, &self.feeds)?;
            }
        }
        self.banks.iter().try_for_each(|bank| bank.knows_everything())?;
        self.check_at_rest()
    }

    fn settle_down(&mut self) -> Kept {
        loop {
            let timeout = self.options.rules.payment_timeout + self.options.rules.skew_max;
            self.clock = self.node.last().nanoseconds().max(self.clock) + timeout.as_nanos() as u64 + 1;
            while !self.node.is_idle() {
                for actor in 0..self.node.actors.len() {
                    while self.node.deliver(actor) {}
                    while !self.node.actors[actor].mailbox.is_empty() && self.node.actors[actor].is_alive() {
                        self.node.turn(actor, self.clock, &self.options.rules);
                    }
                }
                while self.node.append(&mut self.log) {}
                self.log.commit(self.log.len());
                self.apply(usize::MAX)?;
                self.rebuild_actors();
            }
            // What is due now may have letters of its own.
            self.clock += timeout.as_nanos() as u64 + 1;
            for actor in 0..self.node.actors.len() {
                self.node.fire(actor, self.clock, &self.options.rules);
            }
            if self.node.is_idle() {
                self.log.commit(self.log.len());
                return self.apply(usize::MAX);
            }
        }
    }

    fn check_at_rest(&mut self) -> Kept {
        money::check(&self.book, &self.witness)?;
        money::check_reserved(&self.book, &self.witness)?;
        returns::check_claims(&self.book, &self.witness)?;
        durable::check_all(&self.feeds, &self.book)?;
        let live = || self.node.live();
        reservations::check(&self.book, &self.witness, live().map(|own| (&own.participant, &own.deadlines)))?;
        actors::check(&self.book, live().map(|own| &own.participant))?;
        let all = self.log.read(0, self.log.len());
        let tail = |position: usize| self.log.read(position, self.log.len());
        let early = self.snapshot.as_ref().map(|(bytes, position)| (bytes.as_slice(), tail(*position)));
        replay::check(&self.book, all, early)
    }
}
