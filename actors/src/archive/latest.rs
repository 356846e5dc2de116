//! The latest payments of some participants in a run: their time keys are read from their ends backwards, all in step.

use std::collections::{BinaryHeap, HashSet};

use settlement::Key;
use wire::Timestamp;

use super::entry::Entry;
use super::error::Error;
use super::key::TimeKey;
use super::run::Run;
use super::{Latest, Search};

/// See the file's head.
pub(super) struct Walk<'a> {
    pub(super) run: &'a Run,
    pub(super) concerned: &'a HashSet<Key>,
    pub(super) search: &'a Search,
    pub(super) wanted: &'a dyn Fn(&Entry) -> bool,
}

impl Walk<'_> {
    /// Adds `search.limit` payments at most. How many it looked at; where it stopped is told when those were too many.
    pub(super) fn walk(&self, found: &mut Latest) -> Result<usize, Error> {
        let (search, run) = (self.search, self.run);
        let mut latest = BinaryHeap::with_capacity(self.concerned.len());
        for participant in self.concerned {
            let mut keys = Backwards::new(run, *participant, search);
            if let Some(key) = keys.next()? {
                latest.push(Head { key, keys });
            }
        }
        let (mut examined, mut added) = (0, 0);
        while let Some(mut head) = latest.peek_mut() {
            if added == search.limit {
                break;
            }
            if examined == search.examined_max {
                found.reached = Some(head.key.ended_at().plus(std::time::Duration::from_nanos(1)));
                break;
            }
            examined += 1;
            let key = head.key;
            match head.keys.next()? {
                Some(next) => head.key = next,
                None => _ = std::collections::binary_heap::PeekMut::pop(head),
            }
            if search.state.is_some_and(|state| !key.is(state)) {
                continue;
            }
            let entry = run.entry(key.place())?;
            // It has a key of each party, and is taken once.
            let is_first = key.participant() == entry.debtor.0 || !self.concerned.contains(&entry.debtor);
            if is_first && (self.wanted)(&entry) {
                found.entries.push(entry);
                added += 1;
            }
        }
        Ok(examined)
    }
}

/// The latest key of a participant that has not been looked at, and those before it.
struct Head<'a> {
    key: TimeKey,
    keys: Backwards<'a>,
}

impl Head<'_> {
    fn order(&self) -> (Timestamp, u32) {
        (self.key.ended_at(), self.key.place())
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Head<'_> {}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// One participant's keys, the latest first, a block at a time.
struct Backwards<'a> {
    run: &'a Run,
    lowest: TimeKey,
    end: TimeKey,
    /// Blocks that have not been read.
    blocks: usize,
    /// Of the block read last, in order.
    keys: Vec<TimeKey>,
}

impl<'a> Backwards<'a> {
    fn new(run: &'a Run, participant: Key, search: &Search) -> Self {
        let end = TimeKey::lowest(participant, search.until);
        let lowest = TimeKey::lowest(participant, search.from);
        Backwards { run, lowest, end, blocks: run.key_blocks(end), keys: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<TimeKey>, Error> {
        while self.keys.is_empty() && self.blocks > 0 {
            self.blocks -= 1;
            let mut is_last = false;
            for key in self.run.time_keys(self.blocks)? {
                match key < self.lowest {
                    true => is_last = true,
                    false if key < self.end => self.keys.push(key),
                    false => {}
                }
            }
            if is_last {
                self.blocks = 0;
            }
        }
        Ok(self.keys.pop())
    }
}
