//! The audit trail: what operators changed, or tried to, in the order of the log. It stands in the book in full, so it is
//! the same on every node, goes into every snapshot, and needs no file of its own that could fall behind.
//!
//! | bytes of an entry | field | |
//! |---|---|---|
//! | 0..n | fact | [`Audited`] as the log keeps it, see `fact.rs`: its canonical form |
//! | n.. | hash | SHA-256 over the hash before it, its number (`u64`, little endian) and the bytes of the fact |
//!
//! The first entry has number 1 and follows 32 zeros. The last number and hash are the [`Head`]: part of the book's
//! digest, which nodes compare. Entries are some 300 bytes; a thousand changes on each of 250 days cost 80 MB a year.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wincode::{SchemaRead, SchemaWrite};
use wire::Timestamp;

use crate::fact::{Fact, Facts};

/// Bounds of an entry's texts, bytes; what is longer is cut.
pub const PARAMETERS_BYTES_MAX: usize = 1024;
pub const WHY_BYTES_MAX: usize = 512;
/// An open piece of the trail that is longer is closed; snapshots share the closed ones.
const PIECE_BYTES: usize = 64 << 10;
const HASH_BYTES: usize = 32;

/// From where an operator asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Origin {
    Cli,
    Console,
    /// Nobody asked: the node did it, by its configuration, by the clock, or because the system told it to.
    Node,
}

/// What became of what an operator asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Outcome {
    /// It waits for a second person until then: a task, known by the number of this entry.
    Proposed {
        until: Timestamp,
    },
    Done,
    Refused,
    /// No answer came in time, or the node failed meanwhile: the operator was told to look.
    Unknown,
}

/// The second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Approver<'a> {
    pub operator: &'a str,
    pub uid: u32,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Audited<'a> {
    /// When it was recorded, by the clock of the node that led.
    pub at: Timestamp,
    /// When it was asked, by the clock of the node where it was.
    pub asked_at: Timestamp,
    /// Where it was asked.
    pub node: u64,
    pub origin: Origin,
    pub operator: &'a str,
    /// User id of the operator's process, as the system told it.
    pub uid: u32,
    pub action: &'a str,
    /// JSON, as it was asked.
    pub parameters: &'a str,
    pub reason: &'a str,
    /// The task that this entry ends unless its outcome is unknown, and who approved or refused it.
    pub task: Option<u64>,
    pub approver: Option<Approver<'a>>,
    pub outcome: Outcome,
    /// Why it was refused, or is unknown.
    pub why: &'a str,
}

pub type Hash = [u8; HASH_BYTES];

/// Where the trail ends: number and hash of its last entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub number: u64,
    pub hash: Hash,
}

impl Head {
    /// The head once `fact`, as the log keeps it, is the next entry.
    #[must_use]
    pub fn next(self, fact: &[u8]) -> Head {
        let number = self.number + 1;
        let hash = Sha256::new().chain_update(self.hash).chain_update(number.to_le_bytes()).chain_update(fact);
        Head { number, hash: hash.finalize().into() }
    }
}

/// The trail is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {number}: {what}")]
pub struct Broken {
    /// The first entry that is wrong.
    pub number: u64,
    pub what: String,
}

/// See the file's head. A clone shares all but the last piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trail {
    closed: Vec<Arc<[u8]>>,
    open: Vec<u8>,
    head: Head,
    /// What waits for a second person, by number, as the log keeps it. What has expired goes when the next entry comes.
    tasks: BTreeMap<u64, Vec<u8>>,
}

/// An entry as it stands in the trail, not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub head: Head,
    /// The fact as the log keeps it.
    pub fact: &'a [u8],
    pub audited: Audited<'a>,
}

impl Trail {
    pub(crate) fn append(&mut self, audited: Audited<'_>) {
        let start = self.open.len();
        Fact::Audited(audited).encode(&mut self.open);
        self.head = self.head.next(&self.open[start..]);
        keep_tasks(&mut self.tasks, self.head.number, &self.open[start..], &audited);
        self.open.extend_from_slice(&self.head.hash);
        if self.open.len() >= PIECE_BYTES {
            self.closed.push(std::mem::take(&mut self.open).into());
        }
    }

    pub fn head(&self) -> Head {
        self.head
    }

    /// The entries in order; ends after the first that cannot be read.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'_>, Broken>> {
        let pieces = self.closed.iter().map(AsRef::as_ref).chain([self.open.as_slice()]);
        let mut number = 0;
        let mut is_broken = false;
        pieces.flat_map(Piece).map_while(move |read| {
            number += 1;
            let read = read.map(|(fact, audited, hash)| Entry { head: Head { number, hash }, fact, audited });
            let go_on = !std::mem::replace(&mut is_broken, read.is_err());
            go_on.then(|| read.map_err(|what| Broken { number, what }))
        })
    }

    /// The entries that were recorded at `since` or later, as they stand there, and some before: whole pieces are left out.
    pub fn entries_since(&self, since: Timestamp) -> impl Iterator<Item = Audited<'_>> {
        let pieces: Vec<&[u8]> = self.pieces().collect();
        let is_before = |piece: &[u8]| matches!(Piece(piece).next(), Some(Ok((_, audited, _))) if audited.at < since);
        // They stand in the order of time: what is before one that begins before it is before it as well.
        let skipped = pieces.windows(2).take_while(|pair| is_before(pair[1])).count();
        pieces.into_iter().skip(skipped).flat_map(Piece).map_while(Result::ok).map(|(_, audited, _)| audited)
    }

    /// Computes every hash again; names the first entry that is wrong.
    pub fn check(&self) -> Result<Head, Broken> {
        let mut head = Head::default();
        for entry in self.entries() {
            let entry = entry?;
            head = head.next(entry.fact);
            if head != entry.head {
                return Err(Broken {
                    number: head.number,
                    what: "its hash does not follow from the one before".into(),
                });
            }
        }
        if head != self.head {
            let number = head.number.min(self.head.number) + u64::from(head.number != self.head.number);
            return Err(Broken {
                number,
                what: format!("the book knows {} entries that end otherwise", self.head.number),
            });
        }
        Ok(head)
    }

    /// What waits for a second person at that time, in the order in which it was asked.
    pub fn tasks(&self, now: Timestamp) -> impl Iterator<Item = (u64, Audited<'_>)> {
        let tasks = self.tasks.iter().filter_map(|(number, fact)| Some((*number, audited(fact)?)));
        tasks.filter(move |(_, audited)| is_open(audited, now))
    }

    /// What a snapshot keeps.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.closed.iter().map(AsRef::as_ref).chain([self.open.as_slice()])
    }

    /// Puts together what a snapshot kept, in order, the last piece being the open one; checks all of it.
    pub(crate) fn restored(mut pieces: Vec<Vec<u8>>, head: Head) -> Result<Trail, Broken> {
        let open = pieces.pop().unwrap_or_default();
        let closed = pieces.into_iter().map(Into::into).collect();
        let mut trail = Trail { closed, open, head, tasks: BTreeMap::new() };
        trail.check()?;
        let mut tasks = BTreeMap::new();
        for entry in trail.entries() {
            let Entry { head, fact, audited } = entry?;
            keep_tasks(&mut tasks, head.number, fact, &audited);
        }
        trail.tasks = tasks;
        Ok(trail)
    }
}

fn keep_tasks(tasks: &mut BTreeMap<u64, Vec<u8>>, number: u64, fact: &[u8], new: &Audited<'_>) {
    if let (Some(ended), Outcome::Done | Outcome::Refused) = (new.task, new.outcome) {
        tasks.remove(&ended);
    }
    tasks.retain(|_, fact| audited(fact).is_some_and(|audited| is_open(&audited, new.at)));
    if let Outcome::Proposed { .. } = new.outcome {
        tasks.insert(number, fact.into());
    }
}

fn is_open(audited: &Audited<'_>, now: Timestamp) -> bool {
    matches!(audited.outcome, Outcome::Proposed { until } if now < until)
}

fn audited(fact: &[u8]) -> Option<Audited<'_>> {
    match Facts::new(fact).next() {
        Some(Ok(Fact::Audited(audited))) => Some(audited),
        _ => None,
    }
}

/// Walks the entries of one piece.
struct Piece<'a>(&'a [u8]);

impl<'a> Iterator for Piece<'a> {
    type Item = Result<(&'a [u8], Audited<'a>, Hash), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0); // an error ends the walk
        let cut = || Some(Err("it is cut off".to_string()));
        let Some(header) = bytes.first_chunk::<4>() else { return cut() };
        let length = 4 + usize::from(u16::from_le_bytes([header[2], header[3]]));
        let Some((fact, rest)) = bytes.split_at_checked(length) else { return cut() };
        let Some((hash, rest)) = rest.split_first_chunk::<HASH_BYTES>() else { return cut() };
        match Facts::new(fact).next() {
            Some(Ok(Fact::Audited(audited))) => {
                self.0 = rest;
                Some(Ok((fact, audited, *hash)))
            }
            Some(Err(error)) => Some(Err(error.to_string())),
            _ => Some(Err("this is no entry of an audit trail".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Book;

    fn audited(operator: &str) -> Audited<'_> {
        let (origin, outcome) = (Origin::Console, Outcome::Refused);
        Audited {
            operator,
            origin,
            outcome,
            why: "AM01",
            approver: Some(Approver { operator: "grace", uid: 7 }),
            ..crate::table::audited()
        }
    }

    fn trail(entries: usize) -> Trail {
        let mut book = Book::default();
        for number in 0..entries {
            book.apply(&Fact::Audited(audited(&format!("operator {number}"))), &mut ());
        }
        book.trail().clone()
    }

    #[test]
    fn a_trail_is_read_back_and_holds_together_over_many_pieces() {
        let trail = trail(1000);
        assert!(trail.closed.len() > 1 && trail.check().unwrap() == trail.head());
        let entries: Vec<_> = trail.entries().map(Result::unwrap).collect();
        assert_eq!((entries.len(), entries[999].head), (1000, trail.head()));
        assert_eq!(entries[3].audited, audited("operator 3"));
        assert_eq!(Trail::default().check().unwrap(), Head::default());
    }

    #[test]
    fn late_entries_are_found_without_reading_early_pieces() {
        let mut trail = Trail::default();
        for second in 1..=1000 {
            trail.append(Audited { at: Timestamp(second * 1_000_000_000), ..audited("ada") });
        }
        let found = |second: u64| {
            let entries: Vec<u64> =
                trail.entries_since(Timestamp(second * 1_000_000_000)).map(|own| own.at.0 / 1_000_000_000).collect();
            assert!(entries.iter().filter(|at| **at >= second).count() as u64 == 1001 - second.clamp(1, 1001));
            entries.len()
        };
        assert_eq!((found(0), found(1)), (1000, 1000));
        assert!(trail.closed.len() > 1 && found(999) < 500 && found(1001) < 500, "{} {}", found(999), found(1001));
    }

    /// Byte for byte, as another program would compute it.
    #[test]
    fn the_chain_is_what_the_table_says() {
        let trail = trail(1);
        let entry = trail.entries().next().unwrap().unwrap();
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(entry.fact);
        assert_eq!(entry.head.hash, *Sha256::digest(&bytes));
    }

    /// Whatever byte is changed, the first wrong entry is named.
    #[test]
    fn alterations_are_found_where_they_are() {
        let right = trail(3);
        let ends: Vec<usize> = right
            .entries()
            .map(|entry| entry.unwrap().fact.len() + HASH_BYTES)
            .scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            })
            .collect();
        for place in 0..right.open.len() {
            let mut wrong = right.clone();
            wrong.open[place] ^= 0x20;
            let number = ends.iter().position(|end| place < *end).unwrap() as u64 + 1;
            assert_eq!(wrong.check().unwrap_err().number, number, "byte {place}");
        }
        for (kept, end) in ends.iter().enumerate().take(2) {
            let wrong = Trail { open: right.open[..*end].to_vec(), ..right.clone() };
            assert_eq!(wrong.check().unwrap_err().number, kept as u64 + 2, "cut after {end} bytes");
            let wrong = Trail { open: right.open[*end..].to_vec(), ..right.clone() };
            assert_eq!(wrong.check().unwrap_err().number, 1, "begun after {end} bytes");
        }
    }

    #[test]
    fn a_task_is_open_until_it_is_ended_or_its_time_is_over() {
        let at = |second: u64| Timestamp(second * 1_000_000_000);
        let mut trail = Trail::default();
        let entry = |second, outcome, task| Audited { at: at(second), outcome, task, ..audited("ada") };
        let open = |trail: &Trail, second| trail.tasks(at(second)).map(|(number, _)| number).collect::<Vec<_>>();
        for second in 1..=3 {
            trail.append(entry(second, Outcome::Proposed { until: at(second + 10) }, None));
        }
        assert_eq!(open(&trail, 4), [1, 2, 3]);
        trail.append(entry(5, Outcome::Done, Some(2)));
        assert_eq!((open(&trail, 5), open(&trail, 12), open(&trail, 13)), (vec![1, 3], vec![3], vec![]));
        let restored = |trail: &Trail| Trail::restored(trail.pieces().map(<[u8]>::to_vec).collect(), trail.head());
        assert_eq!(restored(&trail).unwrap(), trail);
        trail.append(entry(12, Outcome::Refused, None));
        assert_eq!(trail.tasks.len(), 1, "what has expired takes no room");
        assert_eq!(restored(&trail).unwrap(), trail);
    }

    /// Who forges an entry and all hashes behind it is found by the head, which the other nodes know.
    #[test]
    fn a_chain_that_is_forged_throughout_ends_elsewhere() {
        let (right, mut forged) = (trail(3), Trail::default());
        for entry in right.entries() {
            let audited = entry.unwrap().audited;
            forged.append(Audited { reason: "forged", ..audited });
        }
        forged.check().unwrap();
        assert_ne!(forged.head(), right.head());
        let wrong = Trail { head: right.head(), ..forged };
        assert_eq!(wrong.check().unwrap_err().number, 3);
    }
}
