//! The newest entries of the log, in memory: what followers get next, and what is folded next.

use std::collections::VecDeque;

use raft::prelude::Entry;

use super::message::payload;
use crate::fold::{Index, Term};

/// Consecutive entries up to the last of the log. Payloads are shared, not copied.
pub(super) struct Cache {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry weighs beside its payload.
const ENTRY_BYTES: usize = std::mem::size_of::<Entry>();

fn weight(entry: &Entry) -> usize {
    ENTRY_BYTES + payload(entry).1.len()
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// From the next [`Cache::shrink`] on.
    pub(super) fn bound(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The oldest that is here.
    pub(super) fn first(&self) -> Option<Index> {
        self.entries.front().map(|entry| entry.index)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if let Some(last) = self.entries.back() {
            assert_eq!(entry.index, last.index + 1, "entries are cached in order");
        }
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// Lets go of the oldest that are too much, but of none after `needed`.
    pub(super) fn shrink(&mut self, needed: Index) {
        while self.bytes > self.bytes_max && self.first().is_some_and(|first| first <= needed) {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| weight(&entry));
        }
    }

    pub(super) fn truncate(&mut self, from: Index) {
        while self.entries.back().is_some_and(|entry| entry.index >= from) {
            self.bytes -= self.entries.pop_back().map_or(0, |entry| weight(&entry));
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(super) fn term(&self, index: Index) -> Option<Term> {
        let position = index.checked_sub(self.first()?)?;
        self.entries.get(position as usize).map(|entry| entry.term)
    }

    /// Entries from `low` up to before `high`, as many as `bytes_max` allows but at least one; `None` if `low` is not here.
    pub(super) fn get(&self, low: Index, high: Index, bytes_max: u64) -> Option<Vec<Entry>> {
        let start = low.checked_sub(self.first()?)? as usize;
        let end = start + (high - low) as usize;
        if end > self.entries.len() {
            return None;
        }
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += weight(entry) as u64;
            is_first || bytes <= bytes_max
        };
        Some(self.entries.range(start..end).take_while(fits).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn filled(bytes_max: usize) -> Cache {
        let mut cache = Cache::new(bytes_max);
        for index in 5..=14 {
            cache.push(Entry { index, term: index / 5, data: Bytes::from(vec![0; 100]), ..Entry::default() });
        }
        cache
    }

    fn indexes(entries: Option<Vec<Entry>>) -> Option<Vec<Index>> {
        entries.map(|entries| entries.iter().map(|entry| entry.index).collect())
    }

    #[test]
    fn gives_what_it_has() {
        let cache = filled(1 << 20);
        let two = 2 * (100 + ENTRY_BYTES) as u64;
        assert_eq!(indexes(cache.get(6, 10, u64::MAX)), Some(vec![6, 7, 8, 9]));
        assert_eq!(indexes(cache.get(6, 10, two)), Some(vec![6, 7]));
        assert_eq!(indexes(cache.get(6, 10, 0)), Some(vec![6]), "at least one");
        assert_eq!(indexes(cache.get(4, 10, 0)), None, "older");
        assert_eq!((cache.term(4), cache.term(9), cache.term(10), cache.term(15)), (None, Some(1), Some(2), None));
    }

    #[test]
    fn is_bounded_and_cut() {
        let mut cache = filled(3 * (100 + ENTRY_BYTES));
        cache.shrink(8);
        assert_eq!(cache.first(), Some(9), "what is still needed stays");
        cache.shrink(u64::MAX);
        assert_eq!(cache.first(), Some(12));
        cache.truncate(14);
        assert_eq!((cache.term(13), cache.term(14)), (Some(2), None));
        cache.truncate(1);
        assert_eq!((cache.first(), cache.bytes), (None, 0));
    }
}
