//! Where the entries of a log lie and which terms they have, in little memory: a milestone every so many bytes, a line for
//! every term, and the marks of the newest entries.

use std::collections::VecDeque;

use crate::fold::{Index, Term};
use crate::log::Mark;

/// From a milestone to any entry before the next is at most this to read.
const MILESTONE_BYTES: u64 = 256 << 10;
/// Marks kept behind the last entry.
const MARKS_MAX: usize = 4096;

/// A place in a segment, and the entry that begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Milestone {
    pub(crate) index: Index,
    /// First entry of the segment, by which its file is named.
    pub(crate) segment: Index,
    pub(crate) offset: u64,
    /// Chain checksum of the entry before.
    pub(crate) previous: u32,
}

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    /// The entry before the first that is there.
    base: Mark,
    milestones: VecDeque<Milestone>,
    /// First entry of each run of entries with the same term.
    terms: VecDeque<(Index, Term)>,
    marks: VecDeque<Mark>,
}

impl Map {
    /// Empty, behind `base`.
    pub(crate) fn after(base: Mark) -> Map {
        Map { base, ..Map::default() }
    }

    /// The oldest entry that is there, or the next if none is.
    pub(crate) fn first(&self) -> Index {
        self.base.index + 1
    }

    /// The snapshot knows the term of an entry where the segments of a version 1 do not.
    pub(crate) fn meet(&mut self, mark: Mark) {
        if self.base.index == mark.index {
            self.base.term = mark.term;
        }
    }

    /// The next entry stands at `offset` of `segment`.
    pub(crate) fn add(&mut self, mark: Mark, segment: Index, offset: u64, previous: u32) {
        let milestone = Milestone { index: mark.index, segment, offset, previous };
        let is_far = |last: &Milestone| last.segment != segment || offset >= last.offset + MILESTONE_BYTES;
        if self.milestones.back().is_none_or(is_far) {
            self.milestones.push_back(milestone);
        }
        if self.terms.back().is_none_or(|(_, term)| *term != mark.term) {
            self.terms.push_back((mark.index, mark.term));
        }
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// Of entries that are there, and of the one before them.
    pub(crate) fn term(&self, index: Index, last: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > last {
            return None;
        }
        let run = self.terms.partition_point(|(first, _)| *first <= index).checked_sub(1)?;
        Some(self.terms[run].1)
    }

    /// Of the newest entries, and of the one before the first.
    pub(crate) fn mark(&self, index: Index) -> Option<Mark> {
        if index == self.base.index {
            return Some(self.base);
        }
        let first = self.marks.front()?.index;
        self.marks.get(usize::try_from(index.checked_sub(first)?).ok()?).copied()
    }

    /// The last milestone at or before an entry that is there.
    pub(crate) fn milestone(&self, index: Index) -> Option<Milestone> {
        let place = self.milestones.partition_point(|milestone| milestone.index <= index).checked_sub(1)?;
        Some(self.milestones[place])
    }

    /// Forgets everything from `index` on.
    pub(crate) fn cut(&mut self, index: Index) {
        while self.milestones.pop_back_if(|milestone| milestone.index >= index).is_some() {}
        while self.terms.pop_back_if(|(first, _)| *first >= index).is_some() {}
        while self.marks.pop_back_if(|mark| mark.index >= index).is_some() {}
    }

    /// Segments before the one that begins with `first` are gone; `before` is the entry before it.
    pub(crate) fn forget(&mut self, before: Mark) {
        self.base = before;
        while self.milestones.pop_front_if(|milestone| milestone.index <= before.index).is_some() {}
        while self.terms.get(1).is_some_and(|(first, _)| *first <= before.index + 1) {
            self.terms.pop_front();
        }
        while self.marks.pop_front_if(|mark| mark.index <= before.index).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(index: Index, term: Term) -> Mark {
        Mark { index, term, chain: index as u32 * 7 }
    }

    /// Entries 11 to 40 of 100 KiB each, ten to a segment, terms 3 and 5 (from 25 on).
    fn map() -> Map {
        let mut map = Map::after(mark(10, 2));
        for index in 11..=40 {
            let segment = (index - 1) / 10 * 10 + 1;
            let term = if index < 25 { 3 } else { 5 };
            map.add(mark(index, term), segment, 512 + (index - segment) * (100 << 10), (index as u32 - 1) * 7);
        }
        map
    }

    #[test]
    fn terms_and_places_of_what_is_there() {
        let map = map();
        let terms: Vec<_> = [9, 10, 11, 24, 25, 40, 41].map(|index| map.term(index, 40)).to_vec();
        assert_eq!(terms, [None, Some(2), Some(3), Some(3), Some(5), Some(5), None]);
        for index in 11..=40 {
            let milestone = map.milestone(index).unwrap();
            assert!(milestone.index <= index && index < milestone.index + 3, "{index}: {milestone:?}");
            assert_eq!(milestone.segment, (index - 1) / 10 * 10 + 1);
            assert_eq!(map.mark(index).unwrap().index, index);
        }
        assert_eq!((map.milestone(10), map.mark(9), map.mark(41)), (None, None, None));
    }

    #[test]
    fn cut_at_the_end_and_forgotten_at_the_beginning() {
        let mut map = map();
        map.cut(25);
        assert_eq!((map.term(24, 24), map.mark(25), map.term(25, 24)), (Some(3), None, None));
        map.add(mark(25, 7), 21, 900 << 10, 24 * 7);
        assert_eq!(map.term(25, 25), Some(7));
        map.forget(mark(20, 3));
        assert_eq!((map.first(), map.term(20, 25), map.term(21, 25), map.term(19, 25)), (21, Some(3), Some(3), None));
        assert_eq!((map.milestone(20), map.milestone(21).unwrap().index, map.mark(20)), (None, 21, Some(mark(20, 3))));
    }
}
