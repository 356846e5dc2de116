//! Makes one run of many neighbours, so that a search looks into few files.
//!
//! Sixteen neighbours become one when none of them holds more than all others together, up to about eight million
//! payments: each payment is then written twice or three times in all, however long the archive is. A run never covers
//! what is missing, so neighbours with a gap between them stay two.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
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
        let joins = neighbours.windows(2).all(|pair| pair[1].span().first == pair[0].span().last + 1);
        joins && total <= MERGED_ENTRIES_MAX && largest <= total / 2
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
    let order = |_: usize, bytes: &[u8; ENTRY_BYTES]| {
        let debtor = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let uetr = u128::from_be_bytes(std::array::from_fn(|byte| bytes[byte]));
        Ok((uetr, debtor))
    };
    let mut place = 0;
    walk(
        runs,
        |run| &run.entries,
        order,
        |run, _, bytes| {
            let ended_at = u64::from_le_bytes(std::array::from_fn(|byte| bytes[40 + byte]));
            places[run].push(place);
            place += 1;
            writer.entry(bytes, ended_at)
        },
    )?;

    let moved = |run: usize, bytes: &[u8; KEY_BYTES]| {
        let key = TimeKey(u128::from_be_bytes(*bytes));
        let place = places[run].get(key.place() as usize);
        let missing = || Error::damaged(runs[run].path(), 0, "a key of a payment that is not there");
        place.map(|place| TimeKey::at(*place, key)).ok_or_else(missing)
    };
    walk(runs, |run| &run.keys, moved, |_, key, _| writer.key(key))?;
    writer.finish()
}

/// Takes the records of one section of all runs in order; of equals that of the earliest run comes first.
fn walk<const BYTES: usize, K: Ord + Copy>(
    runs: &[Arc<Run>],
    section: fn(&Run) -> &Guides,
    key: impl Fn(usize, &[u8; BYTES]) -> Result<K, Error>,
    mut take: impl FnMut(usize, K, &[u8; BYTES]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut heads: Vec<Head<BYTES>> = runs.iter().map(|run| Head::new(run, section(run))).collect();
    let mut lowest = BinaryHeap::with_capacity(runs.len());
    for (run, head) in heads.iter_mut().enumerate() {
        if let Some(record) = head.record()? {
            lowest.push(Reverse((key(run, record)?, run)));
        }
    }
    while let Some(mut next) = lowest.peek_mut() {
        let Reverse((of, run)) = *next;
        let head = &mut heads[run];
        if let Some(record) = head.record()? {
            take(run, of, record)?;
        }
        head.at += 1;
        match head.record()? {
            Some(record) => next.0.0 = key(run, record)?,
            None => _ = PeekMut::pop(next),
        }
    }
    Ok(())
}

/// The next record of a section of a run.
struct Head<'a, const BYTES: usize> {
    run: &'a Run,
    guides: &'a Guides,
    block: usize,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a, const BYTES: usize> Head<'a, BYTES> {
    fn new(run: &'a Run, guides: &'a Guides) -> Self {
        Head { run, guides, block: 0, bytes: Vec::new(), at: 0 }
    }

    fn record(&mut self) -> Result<Option<&[u8; BYTES]>, Error> {
        if self.at * BYTES == self.bytes.len() && self.block < self.guides.blocks() {
            self.bytes = self.run.block(self.guides, self.block)?;
            self.block += 1;
            self.at = 0;
        }
        Ok(self.bytes.as_chunks::<BYTES>().0.get(self.at))
    }
}
