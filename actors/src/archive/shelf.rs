//! What can be searched at a moment: the runs on disk, and the payments that are in none yet.
//!
//! Whoever searches takes a copy of the two lists and then holds nothing that another waits for.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use persistence::Index;
use settlement::Key;
use wire::{Timestamp, Uetr};

use super::entry::Entry;
use super::error::Error;
use super::run::Run;
use super::{Latest, Search, latest};

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

    fn by_uetrs<'a>(&'a self, range: &'a RangeInclusive<u128>) -> impl Iterator<Item = &'a Entry> {
        let upper = |number: &u128| (number >> 64) as u64;
        let uppers = upper(range.start())..=upper(range.end());
        let all = self.uppers.iter().zip(&self.entries);
        all.filter(move |(upper, entry)| uppers.contains(upper) && range.contains(&entry.uetr.number()))
            .map(|(_, entry)| entry)
    }
}

fn upper(uetr: Uetr) -> u64 {
    (uetr.number() >> 64) as u64
}

impl Shelf {
    /// Latest first.
    pub(super) fn by_uetr(&self, uetr: Uetr, debtor: Option<Key>) -> Result<Vec<Entry>, Error> {
        let mut found = self.by_uetrs(&(uetr.number()..=uetr.number()), usize::MAX)?;
        found.retain(|entry| debtor.is_none_or(|debtor| debtor == entry.debtor));
        Ok(found)
    }

    /// Latest first.
    pub(super) fn by_uetrs(&self, range: &RangeInclusive<u128>, count_max: usize) -> Result<Vec<Entry>, Error> {
        let recent = self.recent.iter().rev().flat_map(|recent| recent.by_uetrs(range));
        let mut found: Vec<Entry> = recent.copied().take(count_max).collect();
        for run in self.runs.iter().rev() {
            run.by_uetrs(range, count_max, &mut found)?;
        }
        found.sort_by_key(|entry| std::cmp::Reverse(entry.index));
        Ok(found)
    }

    /// Latest first.
    pub(super) fn latest(
        &self,
        participants: &[Key],
        search: &Search,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<Latest, Error> {
        let mut found = Latest::default();
        let concerned: HashSet<Key> = participants.iter().copied().collect();
        for recent in &self.recent {
            let asked = |entry: &&Entry| {
                let in_time = entry.ended_at >= search.from && entry.ended_at < search.until;
                let is_state = search.state.is_none_or(|state| state == entry.state);
                let parties = [entry.debtor, entry.creditor];
                in_time && is_state && parties.iter().any(|party| concerned.contains(party)) && wanted(entry)
            };
            found.entries.extend(recent.entries.iter().filter(asked));
        }
        cut(&mut found.entries, search.limit);
        let mut left = search.examined_max;
        for run in self.runs.iter().rev() {
            let enough = found.entries.len() == search.limit;
            let oldest = found.entries.last().map_or(search.from, |entry| entry.ended_at);
            let from = if enough { oldest } else { search.from };
            if run.overlaps(from, search.until) {
                let search = Search { from, examined_max: left, ..*search };
                let walk = latest::Walk { run, concerned: &concerned, search: &search, wanted };
                let examined = walk.walk(&mut found)?;
                left -= examined;
                cut(&mut found.entries, search.limit);
                if found.reached.is_some() {
                    break;
                }
            }
        }
        Ok(found)
    }

    pub(super) fn begins_at(&self) -> Option<Timestamp> {
        let of_runs = self.runs.iter().find(|run| run.header.entries > 0).map(|run| Timestamp(run.header.ended_first));
        of_runs.or_else(|| self.recent.first()?.entries.iter().map(|entry| entry.ended_at).min())
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
        Search { from: Timestamp(0), until: Timestamp(u64::MAX), state: None, limit, examined_max: usize::MAX }
    }
}
