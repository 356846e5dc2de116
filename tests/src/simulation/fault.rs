//! What breaks: an actor alone, or the whole node. A node that crashes finds its log again up to what was synced, and
//! perhaps some more; a new leader is the same with another clock.

use rand::Rng;
use settlement::{Book, Facts, restore};

use super::log::Append;
use super::node::{Life, Node};
use super::world::World;
use crate::promises::{Kept, durable, replay};

impl World {
    pub(super) fn crash_actor(&mut self) {
        let actor = self.random.random_range(0..self.node.actors.len());
        if self.node.actors[actor].life != Life::Alive {
            return;
        }
        self.trace.say(|| format!("actor {actor} crashes"));
        self.node.crash_actor(actor);
        for place in 0..self.banks.len() {
            if self.node.actor_of(self.banks[place].key) == actor {
                self.banks[place].session = None;
            }
        }
        self.tally.actor_crashes += 1;
    }

    pub(super) fn rebuild_actors(&mut self) {
        for actor in 0..self.node.actors.len() {
            if self.node.rebuild(actor, &self.book, self.applied) {
                self.trace.say(|| format!("actor {actor} is rebuilt from the book at {}", self.applied));
            }
        }
    }

    pub(super) fn crash_node(&mut self) -> Kept {
        let (committed, end) = (self.log.committed(), self.log.len());
        let kept = match self.random.random_range(0..4) {
            0 => committed,
            1 => end,
            _ => self.random.random_range(committed..=end),
        };
        self.log.cut(kept);
        let from_snapshot = self.snapshot.is_some() && self.random.random_bool(0.5);
        self.trace.say(|| {
            let from = if from_snapshot { "a snapshot" } else { "nothing" };
            format!("the node crashes: of {end} facts {kept} are left, {committed} were synced; replay from {from}")
        });
        let snapshot = self.snapshot.as_ref().filter(|_| from_snapshot);
        let (book, position) = match snapshot {
            Some((bytes, position)) => (restore(&mut bytes.as_slice())?, *position),
            None => (Book::default(), 0),
        };
        self.book = book;
        self.applied = position;
        self.feeds.begin(&self.book);
        self.apply(usize::MAX)?;
        durable::check_all(&self.feeds, &self.book)?;
        self.node = Node::new(&self.book, self.applied, self.options.hosted_together);
        self.banks.iter_mut().for_each(|bank| bank.session = None);
        self.jump(self.options.jump_ns_max);
        self.tally.node_crashes += 1;
        Ok(())
    }

    pub(super) fn take_snapshot(&mut self) {
        self.trace.say(|| format!("a snapshot at {}", self.applied));
        self.snapshot = Some((replay::snapshot(&self.book), self.applied));
    }

    /// The book applies up to `count` committed facts; their notices go out, and the replies that waited for them.
    pub(super) fn apply(&mut self, count: usize) -> Kept {
        let end = self.log.committed().min(self.applied.saturating_add(count));
        for fact in Facts::new(self.log.read(self.applied, end)) {
            let fact = fact.map_err(|error| error.to_string())?;
            if self.witness.position == self.applied {
                self.trace.say(|| format!("committed {}: {fact:?}", self.applied));
                self.witness.read(&fact)?;
            }
            self.book.apply(&fact, &mut self.feeds);
            self.applied += 1;
        }
        self.tell()
    }
}
