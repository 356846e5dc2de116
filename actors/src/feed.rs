//! The recent end of one participant's feed, as the frames that go out.
//!
//! The ledger appends, sessions read from their own place. Memory holds a bounded tail in chunks; of chunks that left
//! it remains a mark: the number of their first notice and the log entry that made it, from where the feed can be read
//! again.
//!
//! ```text
//!  marks   (1, entry 7) (812, entry 90) …          on disk, read again by `replay_feed`
//!  chunks  [ 1640 … 2210 ] [ 2211 … 2499 ]         in memory
//!                                 ^ cursor of a session
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use persistence::Index;
use wire::frame;

const CHUNK_BYTES: usize = 32 << 10;
const MARKS_MAX: usize = 1 << 16;

struct Chunk {
    serial: u64,
    /// Number of its first notice, and the log entry that made it.
    first: u64,
    index: Index,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tail {
    chunks: VecDeque<Chunk>,
    /// Shared with a snapshot until the next chunk leaves.
    marks: Arc<VecDeque<(u64, Index)>>,
    next_serial: u64,
    /// Number of the last notice.
    last: u64,
    bytes: usize,
}

impl Tail {
    /// Makes room for so many bytes, leaving a mark for every chunk that goes; gives back the memory of the last.
    fn evict(&mut self, bytes: usize, bytes_max: usize) -> Option<Vec<u8>> {
        let mut recycled = None;
        while self.bytes + bytes > bytes_max && self.chunks.len() > 1 {
            let Some(mut left) = self.chunks.pop_front() else { break };
            self.bytes -= left.bytes.len();
            let marks = Arc::make_mut(&mut self.marks);
            marks.push_back((left.first, left.index));
            if marks.len() > MARKS_MAX {
                marks.pop_front();
            }
            left.bytes.clear();
            recycled = Some(left.bytes);
        }
        recycled
    }
}

/// A session's place in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    serial: u64,
    offset: usize,
    /// Number of the next notice, where the place has not been looked up yet.
    wanted: u64,
}

impl Cursor {
    const UNPLACED: u64 = u64::MAX;

    /// The place behind notice number `last`.
    pub fn after(last: u64) -> Self {
        Cursor { serial: Self::UNPLACED, offset: 0, wanted: last + 1 }
    }

    /// Number of the last notice before this place.
    pub fn last(&self) -> u64 {
        self.wanted - 1
    }
}

/// What a session got from a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything there is.
    AtEnd,
    /// There is more.
    More,
    /// The next notice is no longer in memory: read the log from this entry on, where notice `first` was made.
    /// Memory has it from number `until` on.
    Behind { wanted: u64, first: u64, until: u64, index: Index },
    /// The next notice is no longer kept at all; the oldest that is has this number.
    Gone { wanted: u64, oldest: u64 },
}

/// The part of a feed in which the notices of a log entry are, if it made any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Number of its first notice, and the log entry that made it.
    pub(crate) first: (u64, Index),
    /// The same of the part after it.
    pub(crate) next: Option<(u64, Index)>,
    pub(crate) in_memory: bool,
}

/// Where each part of a feed began at a moment. A feed may have a megabyte of what left memory: it is not copied, for payments
/// wait while a snapshot is taken.
pub(crate) struct Marks {
    left: Arc<VecDeque<(u64, Index)>>,
    in_memory: Vec<(u64, Index)>,
}

impl Marks {
    pub(crate) fn len(&self) -> usize {
        self.left.len() + self.in_memory.len()
    }

    /// The number of the first notice of each, and the log entry that made it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u64, Index)> {
        self.left.iter().chain(&self.in_memory)
    }
}

/// See the file's head.
pub struct Feed {
    tail: Mutex<Tail>,
    tail_bytes_max: usize,
}

impl Feed {
    /// A feed whose notices up to number `last` were made before; `marks` tell where.
    pub fn new(last: u64, marks: Vec<(u64, Index)>, tail_bytes_max: usize) -> Self {
        Feed { tail: Mutex::new(Tail { last, marks: Arc::new(marks.into()), ..Tail::default() }), tail_bytes_max }
    }

    /// Takes up a feed where a snapshot left it. Readers find their place again by number.
    pub(crate) fn resume(&self, last: u64, marks: Vec<(u64, Index)>) {
        let mut tail = self.tail.lock();
        let next_serial = tail.next_serial + 1;
        *tail = Tail { last, marks: Arc::new(marks.into()), next_serial, ..Tail::default() };
    }

    /// Number of the last notice.
    pub fn last(&self) -> u64 {
        self.tail.lock().last
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.tail.lock().bytes
    }

    /// Appends frames, the first of which has number `first` and the last `last`, made by log entry `index`.
    pub(crate) fn append(&self, first: u64, last: u64, index: Index, frames: &[u8]) {
        let mut tail = self.tail.lock();
        assert_eq!(first, tail.last + 1, "a feed has no gap");
        let fits = tail.chunks.back().is_some_and(|chunk| chunk.bytes.len() + frames.len() <= CHUNK_BYTES);
        if !fits {
            // The oldest chunk leaves before the new one comes, and its memory serves again. A feed's first chunk grows
            // as it is needed: most participants of many are quiet.
            let recycled = tail.evict(frames.len(), self.tail_bytes_max);
            let fresh = if tail.chunks.is_empty() { 0 } else { CHUNK_BYTES };
            let bytes = recycled.unwrap_or_else(|| Vec::with_capacity(fresh));
            let serial = tail.next_serial;
            tail.next_serial += 1;
            tail.chunks.push_back(Chunk { serial, first, index, bytes });
        }
        if let Some(chunk) = tail.chunks.back_mut() {
            chunk.bytes.extend_from_slice(frames);
        }
        tail.bytes += frames.len();
        tail.last = last;
    }

    /// Where each part of the feed begins, for a snapshot.
    pub(crate) fn marks(&self) -> Marks {
        let tail = self.tail.lock();
        let in_memory = tail.chunks.iter().map(|chunk| (chunk.first, chunk.index)).collect();
        Marks { left: tail.marks.clone(), in_memory }
    }

    /// Where the notices of log entry `index` are, as far as the feed goes back.
    pub(crate) fn part_of(&self, index: Index) -> Option<Part> {
        let tail = self.tail.lock();
        let marked = tail.marks.partition_point(|(_, begin)| *begin <= index);
        let after = match marked < tail.marks.len() {
            true => marked,
            false => marked + tail.chunks.partition_point(|chunk| chunk.index <= index),
        };
        let begin = |place: usize| match tail.marks.get(place) {
            Some(mark) => Some(*mark),
            None => tail.chunks.get(place - tail.marks.len()).map(|chunk| (chunk.first, chunk.index)),
        };
        let place = after.checked_sub(1)?;
        Some(Part { first: begin(place)?, next: begin(after), in_memory: place >= tail.marks.len() })
    }

    /// Appends frames from the cursor on to `out` and moves the cursor: at least one chunk, as long as it stays within
    /// `bytes_max`.
    pub fn read(&self, cursor: &mut Cursor, bytes_max: usize, out: &mut Vec<u8>) -> Progress {
        self.read_behind(|_| {}, cursor, bytes_max, out)
    }

    /// [`Feed::read`] behind what `before` appends, and no notice is made between the two.
    pub fn read_behind(
        &self,
        before: impl FnOnce(&mut Vec<u8>),
        cursor: &mut Cursor,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Progress {
        let tail = self.tail.lock();
        before(out);
        let oldest = tail.chunks.front().map_or(tail.next_serial, |chunk| chunk.serial);
        if cursor.serial == Cursor::UNPLACED || cursor.serial < oldest {
            *cursor = Cursor::after(cursor.wanted - 1);
            if !place(&tail, cursor) {
                return if cursor.wanted > tail.last { Progress::AtEnd } else { behind(&tail, cursor.wanted) };
            }
        }
        let start = out.len();
        let mut place = (cursor.serial - oldest) as usize;
        while let Some(chunk) = tail.chunks.get(place) {
            let rest = &chunk.bytes[cursor.offset..];
            if out.len() > start && out.len() + rest.len() > start + bytes_max {
                break;
            }
            out.extend_from_slice(rest);
            cursor.offset = chunk.bytes.len();
            cursor.serial = chunk.serial;
            let next = tail.chunks.get(place + 1);
            cursor.wanted = next.map_or(tail.last + 1, |next| next.first);
            let Some(next) = next else { return Progress::AtEnd };
            (cursor.serial, cursor.offset) = (next.serial, 0);
            place += 1;
        }
        Progress::More
    }
}

/// Finds the chunk and the offset of the wanted notice; false when it is not in memory (or not made yet).
fn place(tail: &Tail, cursor: &mut Cursor) -> bool {
    let after = tail.chunks.partition_point(|chunk| chunk.first <= cursor.wanted);
    let Some(chunk) = after.checked_sub(1).and_then(|place| tail.chunks.get(place)) else { return false };
    let (mut number, mut offset) = (chunk.first, 0);
    while number < cursor.wanted && offset < chunk.bytes.len() {
        match frame::frame_length(&chunk.bytes[offset..]) {
            Ok(Some(length)) => offset += length,
            _ => return false,
        }
        number += 1;
    }
    if number < cursor.wanted {
        return false;
    }
    (cursor.serial, cursor.offset) = (chunk.serial, offset);
    true
}

fn behind(tail: &Tail, wanted: u64) -> Progress {
    let after = tail.marks.partition_point(|(first, _)| *first <= wanted);
    match after.checked_sub(1).and_then(|place| tail.marks.get(place)) {
        Some((first, index)) => {
            let until = tail.chunks.front().map_or(tail.last + 1, |chunk| chunk.first);
            Progress::Behind { wanted, first: *first, until, index: *index }
        }
        None => {
            let oldest = tail.marks.front().map(|(first, _)| *first);
            let oldest = oldest.or(tail.chunks.front().map(|chunk| chunk.first)).unwrap_or(tail.last + 1);
            Progress::Gone { wanted, oldest }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Kind;

    fn notice(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let start = frame::begin(Kind::SystemNotice, &mut out);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&vec![7; (number % 90) as usize]);
        frame::finish(start, &mut out);
        out
    }

    fn numbers(bytes: &[u8]) -> Vec<u64> {
        wire::Frames::new(bytes).map(|frame| u64::from_le_bytes(*frame.unwrap().body.first_chunk().unwrap())).collect()
    }

    fn filled(count: u64, tail_bytes_max: usize) -> Feed {
        let feed = Feed::new(0, Vec::new(), tail_bytes_max);
        let mut number = 1;
        while number <= count {
            let last = (number + number % 5).min(count);
            let frames: Vec<u8> = (number..=last).flat_map(notice).collect();
            feed.append(number, last, 1000 + number, &frames);
            number = last + 1;
        }
        feed
    }

    #[test]
    fn marks_stand_still_and_are_not_copied() {
        let feed = filled(6_000, 3 * CHUNK_BYTES);
        let marks = feed.marks();
        let before: Vec<_> = marks.iter().copied().collect();
        assert!(marks.left.len() > 1 && marks.in_memory.len() > 1 && marks.len() == before.len());
        assert!(before.is_sorted() && before[0] == (1, 1001), "{before:?}");
        assert!(Arc::ptr_eq(&marks.left, &feed.marks().left));
        let frames: Vec<u8> = (6_001..=8_000).flat_map(notice).collect();
        feed.append(6_001, 8_000, 9_000, &frames);
        assert!(feed.marks().left.len() > marks.left.len(), "a chunk has left since");
        assert!(marks.iter().eq(&before), "{before:?}");
    }

    #[test]
    fn a_reader_gets_everything_after_its_number_once() {
        let feed = filled(5_000, usize::MAX);
        for last in [0, 1, 2, 17, 2_499, 4_998, 4_999] {
            let mut cursor = Cursor::after(last);
            let mut seen = Vec::new();
            loop {
                let mut out = Vec::new();
                let progress = feed.read(&mut cursor, 40_000, &mut out);
                seen.extend(numbers(&out));
                if progress == Progress::AtEnd {
                    break;
                }
                assert_eq!(progress, Progress::More);
            }
            assert!(seen.into_iter().eq(last + 1..=5_000), "after {last}");
        }
        let (mut cursor, mut out) = (Cursor::after(5_000), Vec::new());
        assert_eq!((feed.read(&mut cursor, 1 << 20, &mut out), out.len()), (Progress::AtEnd, 0));
        feed.append(5_001, 5_001, 9, &notice(5_001));
        assert_eq!(feed.read(&mut cursor, 1 << 20, &mut out), Progress::AtEnd);
        assert_eq!(numbers(&out), [5_001]);
    }

    #[test]
    fn a_reader_that_falls_behind_is_sent_to_the_log() {
        let feed = filled(5_000, 64 << 10);
        assert!(feed.bytes() <= 96 << 10);
        let Progress::Behind { wanted, first, until, index } = feed.read(&mut Cursor::after(99), 1000, &mut Vec::new())
        else {
            panic!("expected to be behind")
        };
        assert!(
            wanted == 100 && first <= 100 && until > 3_000 && index == 1000 + first,
            "{wanted} {first} {until} {index}"
        );
        let feed = Feed::new(500, Vec::new(), 1 << 20);
        assert_eq!(feed.read(&mut Cursor::after(3), 1, &mut Vec::new()), Progress::Gone { wanted: 4, oldest: 501 });
        assert_eq!(feed.read(&mut Cursor::after(500), 1, &mut Vec::new()), Progress::AtEnd);
    }

    #[test]
    fn the_part_of_an_entry_holds_its_notices() {
        let feed = filled(5_000, 64 << 10);
        // Of a feed that is filled like this, entry 1000 + n made notice n and some after it.
        for number in [1, 2, 99, 2_500, 4_000, 4_999] {
            let part = feed.part_of(1000 + number).unwrap();
            let (first, index) = part.first;
            assert_eq!(index, 1000 + first);
            assert!(first <= number && part.next.is_none_or(|(next, _)| number < next), "{number} {part:?}");
        }
        assert_eq!(feed.part_of(1000), None);
        assert!(!feed.part_of(1001).unwrap().in_memory && feed.part_of(7000).unwrap().in_memory);
        assert_eq!(feed.part_of(7000).unwrap().next, None);
        assert_eq!(Feed::new(500, Vec::new(), 1 << 20).part_of(7), None);
        let resumed = Feed::new(500, vec![(1, 7), (300, 90)], 1 << 20);
        let part = Part { first: (1, 7), next: Some((300, 90)), in_memory: false };
        assert_eq!(resumed.part_of(89), Some(part));
    }

    /// What is said before a notice is made goes out before it: nothing is made between the saying and the notices.
    #[test]
    fn no_notice_is_made_between_what_goes_before_and_the_read() {
        let feed = filled(7, usize::MAX);
        let mut out = Vec::new();
        let before = |out: &mut Vec<u8>| {
            assert!(feed.tail.is_locked());
            out.extend_from_slice(&notice(99));
        };
        assert_eq!(feed.read_behind(before, &mut Cursor::after(5), 1 << 20, &mut out), Progress::AtEnd);
        assert_eq!(numbers(&out), [99, 6, 7]);
    }

    /// A node that fell far behind takes up its feeds from another's snapshot, while sessions read them.
    #[test]
    fn readers_find_their_place_behind_a_snapshot() {
        let feed = filled(100, usize::MAX);
        let read = |cursor: &mut Cursor| {
            let mut out = Vec::new();
            (feed.read(cursor, usize::MAX, &mut out), numbers(&out))
        };
        let (mut at_end, mut in_between) = (Cursor::after(100), Cursor::after(99));
        assert_eq!(read(&mut at_end), (Progress::AtEnd, vec![]));
        feed.resume(100, vec![(1, 1001)]);
        assert_eq!(read(&mut at_end), (Progress::AtEnd, vec![]));
        assert_eq!(read(&mut in_between).0, Progress::Behind { wanted: 100, first: 1, until: 101, index: 1001 });
        feed.append(101, 101, 9, &notice(101));
        assert_eq!(read(&mut at_end), (Progress::AtEnd, vec![101]));
        feed.resume(200, vec![(150, 7)]);
        feed.append(201, 201, 9, &notice(201));
        assert_eq!(read(&mut at_end).0, Progress::Gone { wanted: 102, oldest: 150 });
        assert_eq!(read(&mut Cursor::after(200)), (Progress::AtEnd, vec![201]));
    }
}
