//! One record per payment, found by its index.
//!
//! Records lie in chunks. A chunk whose payments are all complete is given back, so that a long run needs memory for
//! what is in flight and not for what is over; a notice about a payment in such a chunk is one too many by definition.

/// 32 bytes, half a cache line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Since the run began.
    pub(crate) due_ns: u64,
    pub(crate) sent_ns: u64,
    pub(crate) amount_minor: i64,
    pub(crate) debtor: u16,
    pub(crate) creditor: u16,
    pub(crate) state: u16,
    pub(crate) step: u8,
    pub(crate) plan: u8,
}

/// Bits of [`Record::state`].
pub(crate) mod state {
    pub(crate) const SENT: u16 = 1;
    /// The creditor agent was asked.
    pub(crate) const ASKED: u16 = 1 << 1;
    pub(crate) const ANSWERED: u16 = 1 << 2;
    /// The debtor agent was told the outcome, the creditor agent was told it.
    pub(crate) const DEBTOR_TOLD: u16 = 1 << 3;
    pub(crate) const CREDITOR_TOLD: u16 = 1 << 4;
    /// As the debtor agent, the creditor agent was told.
    pub(crate) const DEBTOR_SETTLED: u16 = 1 << 5;
    pub(crate) const CREDITOR_SETTLED: u16 = 1 << 6;
    /// Rejected because no answer came in time.
    pub(crate) const EXPIRED: u16 = 1 << 7;
    /// Refused for good: nothing was recorded of it.
    pub(crate) const REFUSED: u16 = 1 << 8;
    /// Refused for now: to be sent again.
    pub(crate) const POSTPONED: u16 = 1 << 9;
    /// An unnumbered report said settled, said rejected.
    pub(crate) const REPORTED_SETTLED: u16 = 1 << 10;
    pub(crate) const REPORTED_REJECTED: u16 = 1 << 11;
    pub(crate) const COMPLETE: u16 = 1 << 12;
}

impl Record {
    pub(crate) fn is(&self, bits: u16) -> bool {
        self.state & bits != 0
    }

    /// Everyone has been told everything there is to tell.
    pub(crate) fn has_all(&self) -> bool {
        if self.is(state::REFUSED) {
            return true;
        }
        if !self.is(state::DEBTOR_TOLD) {
            return false;
        }
        let creditor_is_told = self.is(state::DEBTOR_SETTLED) || self.is(state::EXPIRED);
        !creditor_is_told || (self.is(state::ASKED) && self.is(state::CREDITOR_TOLD))
    }
}

const CHUNK_RECORDS: usize = 1 << 14;

#[derive(Default)]
struct Chunk {
    records: Vec<Record>,
    complete: usize,
}

#[derive(Default)]
pub(crate) struct Ledger {
    /// None once all of its payments are complete.
    chunks: Vec<Option<Chunk>>,
    /// Chunks before this one have been given back.
    first_live: usize,
    count: u64,
    spare: Vec<Vec<Record>>,
}

impl Ledger {
    /// Payments so far; the next one gets this index.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn push(&mut self, record: Record) -> u64 {
        let index = self.count;
        if index.is_multiple_of(CHUNK_RECORDS as u64) {
            let records = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_RECORDS));
            self.chunks.push(Some(Chunk { records, complete: 0 }));
        }
        if let Some(Some(chunk)) = self.chunks.last_mut() {
            chunk.records.push(record);
        }
        self.count += 1;
        index
    }

    /// None: complete and forgotten, or never made.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut Record> {
        let chunk = self.chunks.get_mut(index as usize / CHUNK_RECORDS)?.as_mut()?;
        chunk.records.get_mut(index as usize % CHUNK_RECORDS)
    }

    /// Marks a payment complete if it now is. True: it became so by this call.
    pub(crate) fn complete(&mut self, index: u64) -> bool {
        let place = index as usize / CHUNK_RECORDS;
        let Some(Some(chunk)) = self.chunks.get_mut(place) else { return false };
        let Some(record) = chunk.records.get_mut(index as usize % CHUNK_RECORDS) else { return false };
        if record.is(state::COMPLETE) || !record.has_all() {
            return false;
        }
        record.state |= state::COMPLETE;
        chunk.complete += 1;
        if chunk.complete == CHUNK_RECORDS {
            let mut records = std::mem::take(&mut chunk.records);
            self.chunks[place] = None;
            records.clear();
            self.spare.push(records);
            while matches!(self.chunks.get(self.first_live), Some(None)) {
                self.first_live += 1;
            }
        }
        true
    }

    /// The payments that are not complete, oldest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, &Record)> {
        let chunks = self.chunks.iter().enumerate().skip(self.first_live);
        chunks.filter_map(|(place, chunk)| chunk.as_ref().map(|chunk| (place, chunk))).flat_map(|(place, chunk)| {
            let first = (place * CHUNK_RECORDS) as u64;
            let records = chunk.records.iter().enumerate();
            records
                .filter(|(_, record)| !record.is(state::COMPLETE))
                .map(move |(offset, record)| (first + offset as u64, record))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: u16) -> Record {
        Record { due_ns: 0, sent_ns: 0, amount_minor: 1, debtor: 0, creditor: 1, state, step: 0, plan: 0 }
    }

    #[test]
    fn a_payment_is_complete_when_everyone_was_told() {
        use state::*;
        let settled = DEBTOR_TOLD | DEBTOR_SETTLED;
        let table = [
            (SENT, false),
            (SENT | REFUSED, true),
            (SENT | DEBTOR_TOLD, true),
            (SENT | ASKED | ANSWERED | CREDITOR_TOLD, false),
            (SENT | ASKED | ANSWERED | settled, false),
            (SENT | ASKED | ANSWERED | settled | CREDITOR_TOLD, true),
            (SENT | DEBTOR_TOLD | EXPIRED, false),
            (SENT | DEBTOR_TOLD | EXPIRED | ASKED | CREDITOR_TOLD, true),
        ];
        for (state, complete) in table {
            assert_eq!(record(state).has_all(), complete, "{state:b}");
        }
    }

    #[test]
    fn complete_chunks_are_given_back_and_used_again() {
        let mut ledger = Ledger::default();
        let count = 3 * CHUNK_RECORDS as u64 + 5;
        for index in 0..count {
            assert_eq!(ledger.push(record(state::REFUSED)), index);
        }
        for index in (0..2 * CHUNK_RECORDS as u64).rev() {
            assert!(ledger.complete(index) && !ledger.complete(index));
        }
        assert!(ledger.get_mut(0).is_none() && ledger.get_mut(count).is_none());
        assert_eq!((ledger.first_live, ledger.spare.len()), (2, 2));
        assert_eq!(ledger.open().next().map(|(index, _)| index), Some(2 * CHUNK_RECORDS as u64));
        assert_eq!(ledger.open().count(), CHUNK_RECORDS + 5);
        assert_eq!(std::mem::size_of::<Record>(), 32);
    }
}
