//! Makes one run of many neighbours, so that a search looks into few files.
//!
//! Sixteen neighbours become one when none of them holds more than all others together, up to about eight million
//! payments: each payment is then written twice or three times in all, however long the archive is.

use std::path::Path;
use std::sync::Arc;

use super::Span;
use super::entry::ENTRY_BYTES;
use super::error::Error;
use super::format::KEY_BYTES;
use super::key::TimeKey;
use super::run::{Guides, Run};
use super::writer::{Pace, Writer};

const FAN_IN: usize = 16;
pub(super) const MERGED_ENTRIES_MAX: u64 = 8 << 20;

/// The neighbours to merge next, as places in `runs`.
pub(super) fn choose(runs: &[Arc<Run>]) -> Option<std::ops::Range<usize>> {
    let entries = |run: &Arc<Run>| run.header.entries.max(1);
    let place = runs.windows(FAN_IN).position(|neighbours| {
        let total: u64 = neighbours.iter().map(entries).sum();
        let largest = neighbours.iter().map(entries).max().unwrap_or(0);
        total <= MERGED_ENTRIES_MAX && largest <= total / 2
    })?;
    Some(place..place + FAN_IN)
}

/// Reads both sections of all `runs` in step and writes them in order.
pub(super) fn merge(directory: &Path, runs: &[Arc<Run>], pace: Pace) -> Result<Run, Error> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { unreachable!("there are runs to merge") };
    let span = Span { first: first.span().first, last: last.span().last };
    let mut writer = Writer::create(directory, first.header.identity, span, pace)?;

    // Where the entries of each run went, by their old place.
    let mut places: Vec<Vec<u32>> = runs.iter().map(|run| Vec::with_capacity(run.header.entries as usize)).collect();
    let mut heads = Heads::<ENTRY_BYTES>::new(runs, |run| &run.entries)?;
    let mut place = 0;
    while let Some(lowest) = heads.lowest(|bytes| {
        let debtor = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let uetr = u128::from_be_bytes(std::array::from_fn(|byte| bytes[byte]));
        (uetr, debtor)
    }) {
        let bytes = heads.take(lowest)?;
        let ended_at = u64::from_le_bytes(std::array::from_fn(|byte| bytes[40 + byte]));
        writer.entry(&bytes, ended_at)?;
        places[lowest].push(place);
        place += 1;
    }

    let mut heads = Heads::<KEY_BYTES>::new(runs, |run| &run.keys)?;
    let moved = |run: usize, bytes: &[u8; KEY_BYTES]| {
        let key = TimeKey(u128::from_be_bytes(*bytes));
        let place = places[run].get(key.place() as usize).copied();
        place.map(|place| TimeKey::at(place, key))
    };
    while let Some(lowest) = heads.lowest_of(|run, bytes| moved(run, bytes)) {
        let bytes = heads.take(lowest)?;
        let missing = || Error::damaged(runs[lowest].path(), 0, "a key of a payment that is not there");
        writer.key(moved(lowest, &bytes).ok_or_else(missing)?)?;
    }
    writer.finish()
}

/// The next record of each run, in one of the sections.
struct Heads<'a, const BYTES: usize> {
    runs: &'a [Arc<Run>],
    section: fn(&Run) -> &Guides,
    open: Vec<Head>,
}

struct Head {
    block: usize,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a, const BYTES: usize> Heads<'a, BYTES> {
    fn new(runs: &'a [Arc<Run>], section: fn(&Run) -> &Guides) -> Result<Self, Error> {
        let open = runs.iter().map(|_| Head { block: 0, bytes: Vec::new(), at: 0 }).collect();
        let mut heads = Heads { runs, section, open };
        (0..runs.len()).try_for_each(|run| heads.refill(run))?;
        Ok(heads)
    }

    fn refill(&mut self, run: usize) -> Result<(), Error> {
        let guides = (self.section)(&self.runs[run]);
        let head = &mut self.open[run];
        if head.at == head.bytes.len() && head.block < guides.blocks() {
            head.bytes = self.runs[run].block(guides, head.block)?;
            head.block += 1;
            head.at = 0;
        }
        Ok(())
    }

    fn lowest<K: Ord>(&self, key: impl Fn(&[u8; BYTES]) -> K) -> Option<usize> {
        self.lowest_of(|_, bytes| key(bytes))
    }

    /// Which run has the record that comes next; of equals the earliest run.
    fn lowest_of<K: Ord>(&self, key: impl Fn(usize, &[u8; BYTES]) -> K) -> Option<usize> {
        let heads = self.open.iter().enumerate();
        heads
            .filter_map(|(run, head)| Some((key(run, head.bytes[head.at..].first_chunk::<BYTES>()?), run)))
            .min()
            .map(|(_, run)| run)
    }

    fn take(&mut self, run: usize) -> Result<[u8; BYTES], Error> {
        let head = &mut self.open[run];
        let Some(bytes) = head.bytes[head.at..].first_chunk::<BYTES>().copied() else {
            unreachable!("the run was chosen for its next record")
        };
        head.at += BYTES;
        self.refill(run)?;
        Ok(bytes)
    }
}
