//! How a world begins, and how it ends: everything works again, every payment ends, every node comes to the same book.
//! Then the whole is looked at.

use bytes::Bytes;
use wire::{ParticipantId, Timestamp};

use super::machine::{Machine, START_NS};
use super::network::Time;
use super::reign::Reign;
use super::world::{SECOND_US, World};
use crate::promises::{Kept, actors, durable, money, replay, reservations, returns};
use crate::simulation::node::Node;
use crate::simulation::world::opening;

impl World {
    /// Waits until somebody leads, and writes what a scheme begins with.
    pub(super) fn open(&mut self, names: &[ParticipantId], opening_minor: i64) -> Kept {
        self.wait("somebody leads", 20 * SECOND_US, |world| world.leader().is_some())?;
        let leader = self.leader().ok_or("nobody leads")?;
        let mut bytes = Vec::new();
        opening(names, Timestamp(START_NS), opening_minor, |fact| fact.encode(&mut bytes));
        let replica = self.machines[leader].replica.as_mut().ok_or("the leader is down")?;
        replica.propose(Bytes::from(bytes), Vec::new());
        self.turn(leader);
        self.wait("the scheme has begun", 20 * SECOND_US, |world| {
            world.machines.iter_mut().all(|own| own.book().is_some_and(|book| !book.participants().is_empty()))
        })?;
        // Participants join a reign that goes on: its actors are built once more.
        let hosted_together = self.hosted_together;
        let own = &mut self.machines[leader];
        let (Some(replica), Some(reign)) = (&mut own.replica, &mut own.reign) else {
            return Err("the leader changed although nothing went wrong".into());
        };
        let (term, facts) = (reign.term, replica.fold().facts);
        own.reign = Some(Reign::begin(term, Node::new(&replica.fold().book, facts, hosted_together), facts));
        Ok(())
    }

    /// Runs until it is so, at most so long.
    pub(super) fn wait(&mut self, what: &str, for_us: Time, is_so: impl Fn(&mut World) -> bool) -> Kept {
        let until = self.now() + for_us;
        while !is_so(self) {
            if self.now() >= until {
                return Err(format!("it did not come to that in {} s: {what}", for_us / SECOND_US));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Everybody is up, somebody reigns, and every payment has ended.
    pub(super) fn settle_down(&mut self) -> Kept {
        self.wait("every node is up and one reigns", 30 * SECOND_US, |world| {
            let is_up = world.machines.iter().all(|own| own.replica.is_some() && own.paused_until <= world.now());
            is_up && world.leader().is_some_and(|leader| world.machines[leader].reign.is_some())
        })?;
        self.wait("every reservation ends", 60 * SECOND_US, |world| world.court.lock().open == 0)
    }

    /// All nodes have folded everything, and nothing is under way.
    pub(super) fn come_to_rest(&mut self) -> Kept {
        self.settle_down()?;
        self.wait("all nodes come to the same place, and nobody waits for anything", 60 * SECOND_US, |world| {
            let (committed, open) = {
                let court = world.court.lock();
                (court.committed(), court.open)
            };
            let has_all = |own: &Machine| {
                own.outstanding.is_empty() && own.replica.as_ref().is_some_and(|own| own.folded_index() == committed)
            };
            let idle = |leader: usize| {
                let Machine { reign, replica, .. } = &world.machines[leader];
                let is_settled = replica.as_ref().is_some_and(|own| own.is_settled());
                is_settled && reign.as_ref().is_some_and(Reign::is_idle)
            };
            open == 0 && world.machines.iter().all(has_all) && world.leader().is_some_and(idle)
        })
    }

    pub(super) fn check_at_rest(&mut self) -> Kept {
        let leader = self.leader().ok_or("nobody leads")?;
        let court = self.court.lock();
        let own = &mut self.machines[leader];
        let (Some(replica), Some(reign)) = (&mut own.replica, &own.reign) else { return Err("nobody reigns".into()) };
        let book = &replica.fold().book;
        let live = || reign.actors.live();
        money::check(book, &court.witness)?;
        money::check_reserved(book, &court.witness)?;
        returns::check_claims(book, &court.witness)?;
        reservations::check(book, &court.witness, live().map(|own| (&own.participant, &own.deadlines)))?;
        actors::check(book, live().map(|own| &own.participant))?;
        replay::check(book, &court.facts, None)?;
        let book = book.clone();
        for own in &mut self.machines {
            let id = own.id;
            let other = own.book().ok_or("a node is down")?;
            durable::check_all(&court.feeds, other)?;
            if *other != book {
                return Err(format!("nodes agree: node {id} has another book than the leader at the end"));
            }
        }
        Ok(())
    }
}
