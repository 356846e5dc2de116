//! The payments a participant sent, in process and ended, remembered for the duplicate window.
//!
//! Records lie in the order they came, in chunks that a snapshot shares instead of copying; a table of 32-bit places
//! finds one by its UETR. A record costs 80 bytes and about 7 for its place. The oldest leave when the window is over.
//!
//! ```text
//! chunks   [ r0 r1 … r511 ] [ r512 … r1023 ] [ r1024 … ]      oldest first, each chunk shared until it changes
//! table    hash(UETR) -> sequence number -> chunk, place
//! ```

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, Reasons, Timestamp, Uetr};

use crate::Key;

const CHUNK_RECORDS: usize = 512;

/// Where a payment stands, from its debtor agent's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum State {
    Reserved,
    Settled,
    /// Settled, accepted without posting.
    SettledWithoutPosting,
    Rejected,
    Expired,
}

/// What is remembered of one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Record {
    pub uetr: Uetr,
    /// Hash of its content: tells a repeat from a conflict.
    pub content: u64,
    pub amount_minor: i64,
    /// Of that, claimed by returns: settled or in process.
    pub returned_minor: i64,
    /// When it was decided first.
    pub at: Timestamp,
    /// When it got its present state.
    pub ended_at: Timestamp,
    pub creditor: Key,
    pub settlement_date: BusinessDate,
    pub reasons: Reasons,
    pub currency: Currency,
    pub state: State,
    pub is_return: bool,
}

type Hasher = foldhash::fast::RandomState;

/// See the file's head.
#[derive(Clone, Default)]
pub struct Payments {
    chunks: VecDeque<Arc<Vec<Record>>>,
    /// Sequence number of the first record of the first chunk.
    first: u64,
    /// Sequence number of the oldest record that is still remembered.
    oldest: u64,
    table: HashTable<u32>,
    /// Places of records that came lately, by their hash: a payment mostly ends soon after it came, and this small
    /// list stays in the processor's cache where the table does not. Empty until the first record.
    recent: Vec<u32>,
    hasher: Hasher,
    in_flight: u32,
    /// The latest horizon that was asked for: what ended and is older may leave at any time.
    horizon: Timestamp,
}

impl Payments {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Payments in process.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub fn get(&self, uetr: Uetr) -> Option<&Record> {
        self.find(uetr).map(|sequence| self.record(sequence))
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        let skipped = (self.oldest - self.first) as usize;
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(skipped)
    }

    /// The table at its fullest plus the records: what a remembered payment costs.
    pub fn bytes_per_record() -> usize {
        size_of::<Record>() + 2 * (size_of::<u32>() + 1)
    }

    pub(crate) fn insert(&mut self, record: Record) {
        let sequence = self.next();
        self.in_flight += u32::from(record.state == State::Reserved);
        self.append(record);
        let Payments { table, hasher, chunks, first, .. } = self;
        let hash_of = |place: &u32| hasher.hash_one(locate(chunks, *first, *place).uetr.number());
        let hash = hasher.hash_one(record.uetr.number());
        table.insert_unique(hash, sequence as u32, hash_of);
        if self.recent.is_empty() {
            self.recent = vec![u32::MAX; RECENT_PLACES];
        }
        self.recent[hash as usize % RECENT_PLACES] = sequence as u32;
    }

    /// Changes the record of `uetr`, if it is remembered.
    pub(crate) fn change(&mut self, uetr: Uetr, change: impl FnOnce(&mut Record)) {
        let Some(sequence) = self.find_recent(uetr).or_else(|| self.find(uetr)) else { return };
        let offset = (sequence - self.first) as usize;
        let record = &mut Arc::make_mut(&mut self.chunks[offset / CHUNK_RECORDS])[offset % CHUNK_RECORDS];
        let was_in_flight = record.state == State::Reserved;
        change(record);
        if was_in_flight && record.state != State::Reserved {
            self.in_flight -= 1;
        }
    }

    /// Forgets the oldest records that were decided before `horizon` and have ended; at most `count_max` of them, so
    /// that no single payment pays for many.
    pub(crate) fn forget(&mut self, horizon: Timestamp, count_max: usize) {
        self.horizon = self.horizon.max(horizon);
        for _ in 0..count_max {
            if self.oldest == self.next() {
                return;
            }
            let record = self.record(self.oldest);
            if record.at >= horizon || record.state == State::Reserved {
                return;
            }
            let (hash, place) = (self.hasher.hash_one(record.uetr.number()), self.oldest as u32);
            if let Ok(entry) = self.table.find_entry(hash, |other| *other == place) {
                entry.remove();
            }
            self.oldest += 1;
            if self.oldest - self.first == CHUNK_RECORDS as u64 {
                self.chunks.pop_front();
                self.first = self.oldest;
            }
        }
    }

    /// The chunks as they are now; they are copied only if they change while somebody holds them.
    pub(crate) fn share(&self) -> (u64, Vec<Arc<Vec<Record>>>) {
        (self.oldest - self.first, self.chunks.iter().cloned().collect())
    }

    /// True when the next record makes the table grow.
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        let Payments { table, hasher, chunks, first, .. } = self;
        table.reserve(additional, |place| hasher.hash_one(locate(chunks, *first, *place).uetr.number()));
    }

    fn next(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_RECORDS;
        self.first + (full + self.chunks.back().map_or(0, |chunk| chunk.len())) as u64
    }

    fn append(&mut self, record: Record) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_RECORDS) {
            self.chunks.push_back(Arc::new(Vec::with_capacity(CHUNK_RECORDS)));
        }
        if let Some(last) = self.chunks.back_mut() {
            let chunk = Arc::make_mut(last);
            chunk.reserve_exact(CHUNK_RECORDS - chunk.len());
            chunk.push(record);
        }
    }

    fn find(&self, uetr: Uetr) -> Option<u64> {
        let hash = self.hasher.hash_one(uetr.number());
        let place = self.table.find(hash, |place| locate(&self.chunks, self.first, *place).uetr == uetr)?;
        Some(widen(self.first, *place))
    }

    fn find_recent(&self, uetr: Uetr) -> Option<u64> {
        let place = *self.recent.get(self.hasher.hash_one(uetr.number()) as usize % RECENT_PLACES)?;
        let sequence = widen(self.first, place);
        let is_here = sequence >= self.oldest && sequence < self.next() && self.record(sequence).uetr == uetr;
        is_here.then_some(sequence)
    }

    fn record(&self, sequence: u64) -> &Record {
        let offset = (sequence - self.first) as usize;
        &self.chunks[offset / CHUNK_RECORDS][offset % CHUNK_RECORDS]
    }
}

/// A sequence number from its lower half; less than 2^32 records are remembered at any time.
fn widen(first: u64, place: u32) -> u64 {
    first + u64::from(place.wrapping_sub(first as u32))
}

fn locate(chunks: &VecDeque<Arc<Vec<Record>>>, first: u64, place: u32) -> &Record {
    let offset = (widen(first, place) - first) as usize;
    &chunks[offset / CHUNK_RECORDS][offset % CHUNK_RECORDS]
}

/// Equal when they remember the same. A live actor hears of an ending later than the log holds it, so it may forget
/// a little later than the book: what either may forget does not count.
impl PartialEq for Payments {
    fn eq(&self, other: &Self) -> bool {
        let horizon = self.horizon.max(other.horizon);
        let counts = |record: &&Record| record.at >= horizon || record.state == State::Reserved;
        self.in_flight == other.in_flight && self.iter().filter(counts).eq(other.iter().filter(counts))
    }
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, state: State) -> Record {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Record {
            uetr: Uetr::from_random(bytes),
            content: number,
            amount_minor: 1,
            returned_minor: 0,
            at: Timestamp(number),
            ended_at: Timestamp(number),
            creditor: Key(0),
            settlement_date: BusinessDate::NONE,
            reasons: Reasons::NONE,
            currency: Currency::EUR,
            state,
            is_return: false,
        }
    }

    #[test]
    fn remembers_until_forgotten_oldest_first() {
        let mut payments = Payments::default();
        let all: Vec<Record> = (0..2_000).map(|number| record(number << 20, State::Settled)).collect();
        for (place, one) in all.iter().enumerate() {
            payments.insert(*one);
            payments.forget(Timestamp((place.saturating_sub(700) as u64) << 20), 2);
            let oldest = place.saturating_sub(700);
            assert_eq!(payments.len(), place + 1 - oldest, "at {place}");
            assert_eq!(payments.get(one.uetr), Some(one));
            assert_eq!(payments.get(all[oldest].uetr), Some(&all[oldest]));
            assert!(oldest == 0 || payments.get(all[oldest - 1].uetr).is_none());
        }
        assert!(payments.iter().eq(&all[1_299..]));
    }

    #[test]
    fn what_is_in_process_is_never_forgotten() {
        let mut payments = Payments::default();
        payments.insert(record(1 << 20, State::Reserved));
        payments.insert(record(2 << 20, State::Settled));
        payments.forget(Timestamp(u64::MAX), 10);
        assert_eq!((payments.len(), payments.in_flight()), (2, 1));
        payments.change(record(1 << 20, State::Reserved).uetr, |record| record.state = State::Expired);
        payments.forget(Timestamp(u64::MAX), 10);
        assert_eq!((payments.len(), payments.in_flight()), (0, 0));
    }

    #[test]
    fn a_shared_chunk_keeps_what_it_held() {
        let mut payments = Payments::default();
        payments.insert(record(1 << 20, State::Reserved));
        let (_, shared) = payments.share();
        payments.change(record(1 << 20, State::Reserved).uetr, |record| record.state = State::Settled);
        payments.insert(record(2 << 20, State::Reserved));
        assert_eq!((shared[0].len(), shared[0][0].state), (1, State::Reserved));
    }
}

const RECENT_PLACES: usize = 1024;
