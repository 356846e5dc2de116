//! The payments a participant sent, in process and ended, remembered for the duplicate window.
//!
//! Records lie in the order they came, in chunks that a snapshot shares instead of copying; a table finds one by its
//! UETR. A record is packed into 64 bytes, one line of the processor's cache, and its entry in the table costs 9 to 18.
//! The oldest leave when the window is over.
//!
//! ```text
//! chunks   [ r0 r1 … r511 ] [ r512 … r1023 ] [ r1024 … ]      oldest first, each chunk shared until it changes
//! table    32 bits of hash(UETR), 32 bits of sequence number -> chunk, place
//! rare     what few records have: further reasons, what was returned
//! ```

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashTable};
use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, Reason, Reasons, Status, Timestamp, Uetr};

use crate::{Key, digest};

const CHUNK_RECORDS: usize = 512;
const RECENT_PLACES: usize = 1024;

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

impl State {
    /// As a party is told.
    pub fn status(self) -> Status {
        match self {
            State::Reserved => Status::ACSP,
            State::Settled => Status::ACSC,
            State::SettledWithoutPosting => Status::ACWP,
            State::Rejected | State::Expired => Status::RJCT,
        }
    }

    fn number(self) -> u8 {
        match self {
            State::Reserved => 1,
            State::Settled => 2,
            State::SettledWithoutPosting => 3,
            State::Rejected => 4,
            State::Expired => 5,
        }
    }
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

/// A [`Record`] without what few have.
#[derive(Clone, Copy)]
pub(crate) struct Packed {
    uetr: Uetr,
    content: u64,
    amount_minor: i64,
    at: Timestamp,
    /// Time from `at` to the present state, microseconds.
    lasted_us: u32,
    creditor: Key,
    settlement_date: BusinessDate,
    reason: Reason,
    currency: Currency,
    state: State,
    is_return: bool,
    has_rare: bool,
}

const _: () = assert!(size_of::<Packed>() == 64);

/// What few records have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rare {
    reasons: Reasons,
    returned_minor: i64,
}

impl Rare {
    fn summand(&self) -> u64 {
        let mut reasons = [0; 4];
        for (place, reason) in reasons.iter_mut().zip(self.reasons.iter()) {
            *place = u64::from(reason.number());
        }
        let [a, b, c, d] = reasons;
        digest::summand([a << 32 | b, c << 32 | d, self.returned_minor as u64, 0])
    }
}

impl Packed {
    fn of(record: &Record) -> (Packed, Option<Rare>) {
        let few = Rare { reasons: record.reasons, returned_minor: record.returned_minor };
        let has_rare = few.returned_minor != 0 || few.reasons.iter().nth(1).is_some();
        let packed = Packed {
            uetr: record.uetr,
            content: record.content,
            amount_minor: record.amount_minor,
            at: record.at,
            lasted_us: record.ended_at.since(record.at).as_micros().min(u128::from(u32::MAX)) as u32,
            creditor: record.creditor,
            settlement_date: record.settlement_date,
            reason: record.reasons.first(),
            currency: record.currency,
            state: record.state,
            is_return: record.is_return,
            has_rare,
        };
        (packed, has_rare.then_some(few))
    }

    /// What this record adds to the digest.
    fn summand(&self, rare: Option<&Rare>) -> u64 {
        let pair = |one: u32, other: u32| u64::from(one) << 32 | u64::from(other);
        let [a, b, c] = *self.currency.bytes();
        let kind = u64::from_le_bytes([a, b, c, self.state.number(), u8::from(self.is_return), 0, 0, 0]);
        let few = rare.map_or_else(|| u64::from(self.reason.number()), Rare::summand);
        // A UETR is random: half of it is enough, and the content's hash may lie over it.
        let numbers = [
            self.uetr.number() as u64 ^ self.content.rotate_left(32),
            self.at.nanoseconds() ^ (self.amount_minor as u64).rotate_left(40),
            pair(self.lasted_us, self.settlement_date.number()),
            kind ^ u64::from(self.creditor.0) << 40 ^ few.rotate_left(24),
        ];
        digest::summand(numbers)
    }

    fn open(&self, rare: Option<&Rare>) -> Record {
        let reasons = if self.reason.is_none() { Reasons::NONE } else { Reasons::one(self.reason) };
        Record {
            uetr: self.uetr,
            content: self.content,
            amount_minor: self.amount_minor,
            returned_minor: rare.map_or(0, |rare| rare.returned_minor),
            at: self.at,
            ended_at: self.at.plus(Duration::from_micros(u64::from(self.lasted_us))),
            creditor: self.creditor,
            settlement_date: self.settlement_date,
            reasons: rare.map_or(reasons, |rare| rare.reasons),
            currency: self.currency,
            state: self.state,
            is_return: self.is_return,
        }
    }
}

type Hasher = foldhash::fast::RandomState;

/// A record's entry in the table: its place, and enough of its hash that the table can grow without a look at it.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    place: u32,
}

impl Entry {
    fn spread(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

/// See the file's head.
#[derive(Clone, Default)]
pub struct Payments {
    chunks: VecDeque<Arc<Vec<Packed>>>,
    /// Sequence number of the first record of the first chunk.
    first: u64,
    /// Sequence number of the oldest record that is still remembered.
    oldest: u64,
    table: HashTable<Entry>,
    /// By sequence number.
    rare: HashMap<u64, Rare, Hasher>,
    /// Places of records that came lately, by their hash: a payment mostly ends soon after it came, and this small
    /// list stays in the processor's cache where the table does not. Empty until the first record.
    recent: Vec<u32>,
    hasher: Hasher,
    in_flight: u32,
    /// The sum of what the records that have ended add to it.
    digest: u64,
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

    /// A number for all that has ended and is remembered, the same whatever the way it came here.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub fn get(&self, uetr: Uetr) -> Option<Record> {
        let entry = self.entry(uetr, 0);
        self.find_recent(uetr, entry).or_else(|| self.find(uetr, entry)).map(|sequence| self.open(sequence))
    }

    /// Hash of the content of `uetr`'s instruction, if it is remembered.
    pub(crate) fn content(&self, uetr: Uetr) -> Option<u64> {
        self.find(uetr, self.entry(uetr, 0)).map(|sequence| self.packed(sequence).content)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Record> {
        (self.oldest..self.next()).map(|sequence| self.open(sequence))
    }

    /// The table at its fullest plus the records: what a remembered payment costs.
    pub fn bytes_per_record() -> usize {
        size_of::<Packed>() + 2 * (size_of::<Entry>() + 1)
    }

    pub(crate) fn insert(&mut self, record: Record) {
        let sequence = self.next();
        let (packed, rare) = Packed::of(&record);
        self.count(&packed, rare.as_ref());
        self.in_flight += u32::from(packed.state == State::Reserved);
        self.append(packed);
        self.rare.extend(rare.map(|rare| (sequence, rare)));
        let entry = self.entry(record.uetr, sequence as u32);
        self.table.insert_unique(entry.spread(), entry, Entry::spread);
        if self.recent.is_empty() {
            self.recent = vec![u32::MAX; RECENT_PLACES];
        }
        self.recent[entry.hash as usize % RECENT_PLACES] = sequence as u32;
    }

    /// Changes the record of `uetr`, if it is remembered, and says when that payment was decided on.
    pub(crate) fn change(&mut self, uetr: Uetr, change: impl FnOnce(&mut Record)) -> Option<Timestamp> {
        let entry = self.entry(uetr, 0);
        let sequence = self.find_recent(uetr, entry).or_else(|| self.find(uetr, entry))?;
        let mut record = self.open(sequence);
        let was_in_flight = record.state == State::Reserved;
        change(&mut record);
        if was_in_flight && record.state != State::Reserved {
            self.in_flight -= 1;
        }
        let (packed, rare) = Packed::of(&record);
        self.discount(sequence);
        self.count(&packed, rare.as_ref());
        let offset = (sequence - self.first) as usize;
        let place = &mut Arc::make_mut(&mut self.chunks[offset / CHUNK_RECORDS])[offset % CHUNK_RECORDS];
        if place.has_rare {
            self.rare.remove(&sequence);
        }
        self.rare.extend(rare.map(|rare| (sequence, rare)));
        *place = packed;
        Some(record.at)
    }

    /// Forgets the oldest records that were decided before `horizon` and have ended; at most `count_max` of them, so
    /// that no single payment pays for many.
    pub(crate) fn forget(&mut self, horizon: Timestamp, count_max: usize) {
        self.horizon = self.horizon.max(horizon);
        for _ in 0..count_max {
            if self.oldest == self.next() {
                return;
            }
            let Packed { uetr, at, state, has_rare, .. } = *self.packed(self.oldest);
            if at >= horizon || state == State::Reserved {
                return;
            }
            self.discount(self.oldest);
            let entry = self.entry(uetr, self.oldest as u32);
            if let Ok(entry) = self.table.find_entry(entry.spread(), |other| other.place == entry.place) {
                entry.remove();
            }
            if has_rare {
                self.rare.remove(&self.oldest);
            }
            self.oldest += 1;
            if self.oldest - self.first == CHUNK_RECORDS as u64 {
                self.chunks.pop_front();
                self.first = self.oldest;
            }
        }
    }

    /// The records as they are now, to be read by another thread: chunks are copied only if they change while somebody
    /// holds them.
    pub(crate) fn share(&self) -> Shared {
        Shared {
            first: self.first,
            oldest: self.oldest,
            chunks: self.chunks.iter().cloned().collect(),
            rare: self.rare.clone(),
        }
    }

    /// True when the next record makes the table grow.
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        self.table.reserve(additional, Entry::spread);
    }

    fn entry(&self, uetr: Uetr, place: u32) -> Entry {
        Entry { hash: self.hasher.hash_one(uetr.number()) as u32, place }
    }

    fn next(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_RECORDS;
        self.first + (full + self.chunks.back().map_or(0, |chunk| chunk.len())) as u64
    }

    fn append(&mut self, packed: Packed) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_RECORDS) {
            self.chunks.push_back(Arc::new(Vec::with_capacity(CHUNK_RECORDS)));
        }
        if let Some(last) = self.chunks.back_mut() {
            let chunk = Arc::make_mut(last);
            chunk.reserve_exact(CHUNK_RECORDS - chunk.len());
            chunk.push(packed);
        }
    }

    fn find(&self, uetr: Uetr, entry: Entry) -> Option<u64> {
        let is_it =
            |other: &Entry| other.hash == entry.hash && self.packed(widen(self.first, other.place)).uetr == uetr;
        self.table.find(entry.spread(), is_it).map(|found| widen(self.first, found.place))
    }

    fn find_recent(&self, uetr: Uetr, entry: Entry) -> Option<u64> {
        let place = *self.recent.get(entry.hash as usize % RECENT_PLACES)?;
        let sequence = widen(self.first, place);
        let is_here = sequence >= self.oldest && sequence < self.next() && self.packed(sequence).uetr == uetr;
        is_here.then_some(sequence)
    }

    fn packed(&self, sequence: u64) -> &Packed {
        let offset = (sequence - self.first) as usize;
        &self.chunks[offset / CHUNK_RECORDS][offset % CHUNK_RECORDS]
    }

    /// What has ended counts in the digest.
    fn count(&mut self, packed: &Packed, rare: Option<&Rare>) {
        if packed.state != State::Reserved {
            self.digest = self.digest.wrapping_add(packed.summand(rare));
        }
    }

    /// The record there is about to be another one, or none.
    fn discount(&mut self, sequence: u64) {
        let packed = self.packed(sequence);
        if packed.state != State::Reserved {
            let rare = packed.has_rare.then(|| self.rare.get(&sequence)).flatten();
            self.digest = self.digest.wrapping_sub(packed.summand(rare));
        }
    }

    fn open(&self, sequence: u64) -> Record {
        let packed = self.packed(sequence);
        packed.open(packed.has_rare.then(|| self.rare.get(&sequence)).flatten())
    }
}

/// A sequence number from its lower half; less than 2^32 records are remembered at any time.
fn widen(first: u64, place: u32) -> u64 {
    first + u64::from(place.wrapping_sub(first as u32))
}

/// Records that stand still.
pub(crate) struct Shared {
    first: u64,
    oldest: u64,
    chunks: Vec<Arc<Vec<Packed>>>,
    rare: HashMap<u64, Rare, Hasher>,
}

impl Shared {
    pub(crate) fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>() - (self.oldest - self.first)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record> {
        let all = (self.first..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()));
        all.skip((self.oldest - self.first) as usize).map(|(sequence, packed)| packed.open(self.rare.get(&sequence)))
    }
}

/// Equal when they remember the same. A live actor hears of an ending later than the log holds it, so it may forget
/// a little later than the book: what either may forget does not count.
impl PartialEq for Payments {
    fn eq(&self, other: &Self) -> bool {
        let horizon = self.horizon.max(other.horizon);
        let counts = |record: &Record| record.at >= horizon || record.state == State::Reserved;
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
            assert_eq!(payments.get(one.uetr), Some(*one));
            assert_eq!(payments.get(all[oldest].uetr), Some(all[oldest]));
            assert!(oldest == 0 || payments.get(all[oldest - 1].uetr).is_none());
        }
        assert!(payments.iter().eq(all[1_299..].iter().copied()));
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
        let shared = payments.share();
        payments.change(record(1 << 20, State::Reserved).uetr, |record| record.state = State::Settled);
        payments.insert(record(2 << 20, State::Reserved));
        assert!(shared.iter().map(|record| record.state).eq([State::Reserved]));
    }
}
