//! What can be searched at a moment: the runs on disk, and the payments that are in none yet.
//!
//! Whoever searches takes a copy of the two lists and then holds nothing that another waits for.

use std::sync::Arc;

use persistence::Index;
use settlement::Key;
use wire::{Timestamp, Uetr};

use super::Search;
use super::entry::Entry;
use super::error::Error;
use super::run::Run;

/// See the file's head.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    /// In the order of the log.
    pub(super) runs: Vec<Arc<Run>>,
    /// In the order of the log.
    pub(super) recent: Vec<Arc<Recent>>,
    /// The recent ones are what ended from this log entry on.
    pub(super) recent_first: Index,
}

/// Payments that are in no run yet, as they came: sorting them twice would cost more than the few searches among them.
pub(super) struct Recent {
    pub(super) entries: Vec<Entry>,
    /// The upper halves of their UETRs, close together so that looking at all of them is quick.
    uppers: Vec<u64>,
}

impl Recent {
    pub(super) fn new(entries: Vec<Entry>) -> Recent {
        let uppers = entries.iter().map(|entry| upper(entry.uetr)).collect();
        Recent { entries, uppers }
    }

    fn by_uetr(&self, uetr: Uetr) -> impl Iterator<Item = &Entry> {
        let (wanted, all) = (upper(uetr), self.uppers.iter().zip(&self.entries));
        all.filter(move |(upper, entry)| **upper == wanted && entry.uetr == uetr).map(|(_, entry)| entry)
    }
}

fn upper(uetr: Uetr) -> u64 {
    (uetr.number() >> 64) as u64
}

impl Shelf {
    /// Latest first.
    pub(super) fn by_uetr(&self, uetr: Uetr, debtor: Option<Key>) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        for recent in &self.recent {
            found.extend(recent.by_uetr(uetr).filter(|entry| debtor.is_none_or(|debtor| debtor == entry.debtor)));
        }
        self.runs.iter().try_for_each(|run| run.by_uetr(uetr, debtor, &mut found))?;
        found.sort_by_key(|entry| std::cmp::Reverse(entry.index));
        Ok(found)
    }

    /// Latest first.
    pub(super) fn by_participant(&self, participant: Key, search: &Search) -> Result<Vec<Entry>, Error> {
        let mut found: Vec<Entry> = Vec::new();
        for recent in &self.recent {
            let asked = |entry: &&Entry| {
                let in_time = entry.ended_at >= search.from && entry.ended_at < search.until;
                in_time && entry.concerns(participant) && search.state.is_none_or(|state| state == entry.state)
            };
            found.extend(recent.entries.iter().filter(asked));
        }
        cut(&mut found, search.limit);
        for run in self.runs.iter().rev() {
            let enough = found.len() == search.limit;
            let oldest = found.last().map_or(search.from, |entry| entry.ended_at);
            let from = if enough { oldest } else { search.from };
            if run.overlaps(from, search.until) {
                run.by_participant(participant, search, &mut found)?;
                cut(&mut found, search.limit);
            }
        }
        Ok(found)
    }

    /// True when nothing is missing since the first log entry: it was neither let go nor lost.
    pub(super) fn is_whole(&self) -> bool {
        let mut next = 1;
        for span in self.runs.iter().map(|run| run.span()) {
            if span.first > next {
                return false;
            }
            next = span.last + 1;
        }
        self.recent_first <= next
    }
}

/// Puts the latest first and drops what is beyond `limit`.
fn cut(found: &mut Vec<Entry>, limit: usize) {
    found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.time_order()));
    found.truncate(limit);
}

impl Search {
    /// All of them, the latest `limit`.
    pub fn latest(limit: usize) -> Search {
        Search { from: Timestamp(0), until: Timestamp(u64::MAX), state: None, limit }
    }
}
