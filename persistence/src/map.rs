//! Where the entries of a log lie and which terms they have, in little memory: a milestone every so many bytes, a line for
//! every term, and the marks of the newest entries.
//!
//! Of a segment from before a restart only the header is known at first, that is its first milestone and the term before it.
//! The rest is learned as it is read. Where the term is the same at both its ends, it is so all through; where it is not,
//! there is a gap until an entry with the term of its end is met: one entry alone has that index and that term, so what
//! stands before it is what belongs there.

use std::collections::VecDeque;

use crate::fold::{Index, Term};
use crate::format::segment::HEADER_BYTES;
use crate::log::Mark;

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

impl Milestone {
    /// Where the segment begins that follows an entry.
    pub(crate) fn behind(before: Mark) -> Milestone {
        let first = before.index + 1;
        Milestone { index: first, segment: first, offset: HEADER_BYTES as u64, previous: before.chain }
    }

    fn is_far_from(&self, before: &Milestone, spacing_bytes: u64) -> bool {
        before.segment != self.segment || self.offset >= before.offset + spacing_bytes
    }
}

/// See the file's head.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    /// From a milestone to any entry before the next is at most this to read.
    spacing_bytes: u64,
    /// The entry before the first that is there.
    base: Mark,
    milestones: VecDeque<Milestone>,
    /// First entry of each run of entries with the same term.
    terms: VecDeque<(Index, Term)>,
    /// Segments in which it is not known yet where the term changes; the oldest first.
    gaps: VecDeque<Gap>,
    marks: VecDeque<Mark>,
}

/// A segment whose entries have different terms, and which was not read far enough.
#[derive(Clone, Debug)]
struct Gap {
    first: Index,
    /// Its last entry is the first of a run in the map.
    last: Index,
    /// Of the newest entry that was read, or of the one before the first.
    from_term: Term,
    last_term: Term,
    /// First entry of each run that was read so far.
    found: Vec<(Index, Term)>,
}

impl Map {
    /// Empty, behind `base`.
    pub(crate) fn after(base: Mark, spacing_bytes: u64) -> Map {
        let (milestones, terms, gaps, marks) = Default::default();
        Map { spacing_bytes, base, milestones, terms, gaps, marks }
    }

    /// The same spacing, and nothing else.
    pub(crate) fn anew(&self, base: Mark) -> Map {
        Map::after(base, self.spacing_bytes)
    }

    /// What is read at most in one step on the way to an entry: more than lies between two milestones, so that each step comes
    /// nearer.
    pub(crate) fn step_bytes(&self) -> u64 {
        4 * self.spacing_bytes
    }

    /// The oldest entry that is there, or the next if none is.
    pub(crate) fn first(&self) -> Index {
        self.base.index + 1
    }

    /// The segment that begins behind `before` and ends where the map began belongs to it too. False when it cannot be: terms
    /// never go back.
    pub(crate) fn precede(&mut self, before: Mark) -> bool {
        let (first, last) = (before.index + 1, self.base);
        if first > last.index || before.term > last.term {
            return false;
        }
        self.milestones.push_front(Milestone::behind(before));
        let run_first = if before.term == last.term { first } else { last.index };
        match self.terms.front_mut().filter(|(_, term)| *term == last.term) {
            Some((known_first, _)) => *known_first = run_first,
            None => self.terms.push_front((run_first, last.term)),
        }
        if run_first > first {
            let (from_term, last_term, last) = (before.term, last.term, last.index);
            self.gaps.push_front(Gap { first, last, from_term, last_term, found: Vec::new() });
        }
        if self.marks.front().is_none_or(|mark| mark.index == last.index + 1) && self.marks.len() < MARKS_MAX {
            self.marks.push_front(last);
        }
        self.base = before;
        true
    }

    /// This entry was read there. False when it cannot be one of this log.
    pub(crate) fn learn(&mut self, place: Milestone, entry: Mark) -> bool {
        let Mark { index, term, .. } = entry;
        if self.segment_end(place.segment).is_some_and(|end| end.index == index && end != entry) {
            return false;
        }
        let Some(gap) = self.gap(index) else {
            return self.term(index, Index::MAX) == Some(term) && self.set_milestone(place);
        };
        let found = &mut self.gaps[gap];
        if found.found.last().is_some_and(|(first, _)| *first >= index) {
            return true; // read a second time
        }
        if term < found.from_term || term > found.last_term {
            return false;
        }
        if term != found.from_term || found.found.is_empty() {
            found.found.push((index, term));
        }
        found.from_term = term;
        if term == found.last_term {
            self.close(gap);
        }
        self.set_milestone(place)
    }

    fn set_milestone(&mut self, place: Milestone) -> bool {
        let at = self.milestones.partition_point(|milestone| milestone.index <= place.index);
        if at.checked_sub(1).is_none_or(|before| place.is_far_from(&self.milestones[before], self.spacing_bytes)) {
            self.milestones.insert(at, place);
        }
        true
    }

    /// All terms of a gap are known now.
    fn close(&mut self, gap: usize) {
        let Some(Gap { last, found, .. }) = self.gaps.remove(gap) else { return };
        let mut at = self.terms.partition_point(|(first, _)| *first < last);
        self.terms.remove(at); // it begins where the last one that was found does
        for run in found {
            if at == 0 || self.terms[at - 1].1 != run.1 {
                self.terms.insert(at, run);
                at += 1;
            }
        }
    }

    fn gap(&self, index: Index) -> Option<usize> {
        self.gaps.iter().position(|gap| (gap.first..=gap.last).contains(&index))
    }

    /// Whether its segment has to be read before anybody can rely on the entry.
    pub(crate) fn is_in_gap(&self, index: Index) -> bool {
        self.gap(index).is_some()
    }

    /// The next entry stands at `offset` of `segment`.
    pub(crate) fn add(&mut self, mark: Mark, segment: Index, offset: u64, previous: u32) {
        let milestone = Milestone { index: mark.index, segment, offset, previous };
        if self.milestones.back().is_none_or(|last| milestone.is_far_from(last, self.spacing_bytes)) {
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

    /// Of entries that are there and in no gap, of the last of a segment, and of the one before them all.
    pub(crate) fn term(&self, index: Index, last: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let is_unknown = self.gap(index).is_some_and(|gap| index < self.gaps[gap].last);
        if index < self.base.index || index > last || is_unknown {
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

    /// Where to begin reading on the way to an entry: in a gap, where reading it ended.
    pub(crate) fn approach(&self, index: Index) -> Option<Milestone> {
        self.milestone(self.gap(index).map_or(index, |gap| self.gaps[gap].last))
    }

    /// The last entry of the segment that holds an entry; `None` for the newest segment.
    pub(crate) fn segment_end(&self, index: Index) -> Option<Mark> {
        let segment = self.milestone(index)?.segment;
        let following = self.milestones.partition_point(|milestone| milestone.segment <= segment);
        let Milestone { index, previous, .. } = *self.milestones.get(following)?;
        Some(Mark { index: index - 1, term: self.term(index - 1, Index::MAX)?, chain: previous })
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
        while self.gaps.pop_front_if(|gap| gap.last <= before.index).is_some() {}
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
        let mut map = Map::after(mark(10, 2), 256 << 10);
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

    /// The map of `map()` as a restart knows it that replays from entry 31 on: terms 2 before 11, 3 from 11, 5 from 25.
    fn restarted() -> Map {
        let whole = map();
        let mut map = Map::after(mark(30, 5), 256 << 10);
        for index in 31..=40 {
            let Milestone { segment, offset, previous, .. } = place(&whole, index);
            map.add(mark(index, 5), segment, offset, previous);
        }
        assert!(map.precede(mark(20, 3)) && map.precede(mark(10, 2)));
        map
    }

    fn place(map: &Map, index: Index) -> Milestone {
        let segment = map.milestone(index).unwrap().segment;
        let offset = 512 + (index - segment) * (100 << 10);
        Milestone { index, segment, offset, previous: (index as u32 - 1) * 7 }
    }

    #[test]
    fn headers_tell_what_they_can() {
        let map = restarted();
        assert_eq!(map.first(), 11);
        let terms: Vec<_> = [9, 10, 11, 19, 20, 21, 29, 30, 31, 40].map(|index| map.term(index, 40)).to_vec();
        assert_eq!(terms, [None, Some(2), None, None, Some(3), None, None, Some(5), Some(5), Some(5)]);
        assert_eq!(
            (map.is_in_gap(10), map.is_in_gap(20), map.is_in_gap(30), map.is_in_gap(31)),
            (false, true, true, false)
        );
        assert_eq!((map.mark(30), map.mark(10)), (Some(mark(30, 5)), Some(mark(10, 2))));
        assert_eq!(
            (map.segment_end(15), map.segment_end(21), map.segment_end(31)),
            (Some(mark(20, 3)), Some(mark(30, 5)), None)
        );
        assert!(!restarted().precede(mark(5, 4)), "terms go back");
        assert!(!restarted().precede(mark(10, 2)), "there is no entry between");
    }

    #[test]
    fn what_is_read_is_learned() {
        let (whole, mut map) = (map(), restarted());
        for index in [21, 22, 23, 21, 22, 23, 24] {
            assert!(map.learn(place(&whole, index), mark(index, 3)));
            assert!(map.is_in_gap(21) && map.term(22, 40).is_none(), "nothing is certain yet");
        }
        assert_eq!(map.approach(22).unwrap().index, 24, "where reading ended");
        assert!(map.learn(place(&whole, 25), mark(25, 5)));
        assert!(!map.is_in_gap(21) && map.is_in_gap(20));
        assert!((21..=40).all(|index| map.term(index, 40) == whole.term(index, 40)));
        assert!(map.learn(place(&whole, 11), mark(11, 3)), "the term changes with the segment");
        for index in 11..=40 {
            assert_eq!(map.term(index, 40), whole.term(index, 40), "{index}");
            assert!(map.learn(place(&whole, index), mark(index, if index < 25 { 3 } else { 5 })));
            assert_eq!(map.milestone(index), whole.milestone(index), "{index}");
        }
        assert_eq!(map.terms, whole.terms);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let whole = map();
        let (mut forgotten, mut map) = (restarted(), restarted());
        for (index, term) in [(21, 2), (21, 6), (30, 4), (31, 4), (40, 6)] {
            assert!(!map.learn(place(&whole, index), mark(index, term)), "{index} of term {term}");
        }
        assert!(
            !map.learn(place(&whole, 30), Mark { chain: 1, ..mark(30, 5) }),
            "the next segment follows another one"
        );
        forgotten.forget(mark(20, 3));
        assert_eq!((forgotten.first(), forgotten.is_in_gap(15), forgotten.is_in_gap(25)), (21, false, true));
        assert!(forgotten.learn(place(&whole, 21), mark(21, 3)) && forgotten.learn(place(&whole, 22), mark(22, 5)));
        assert_eq!([20, 21, 22, 30].map(|index| forgotten.term(index, 40)), [Some(3), Some(3), Some(5), Some(5)]);
    }
}
