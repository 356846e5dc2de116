//! A run on disk: opened by its header and guides, read block by block, every block checked before it is believed.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use wire::Timestamp;

use super::Span;
use super::entry::{ENTRY_BYTES, Entry};
use super::error::Error;
use super::format::{ENTRIES_PER_BLOCK, GUIDE_BYTES, HEADER_BYTES, Header, KEY_BYTES, KEYS_PER_BLOCK, Unreadable};
use super::key::TimeKey;

/// First keys and checksums of the blocks of one section.
pub(super) struct Guides {
    firsts: Vec<u128>,
    crcs: Vec<u32>,
    offset: u64,
    record_bytes: usize,
    per_block: usize,
    records: u64,
}

impl Guides {
    fn read(bytes: &[u8], offset: u64, record_bytes: usize, per_block: usize, records: u64) -> Guides {
        let guides = bytes.chunks_exact(GUIDE_BYTES);
        let (mut firsts, mut crcs) = (Vec::with_capacity(guides.len()), Vec::with_capacity(guides.len()));
        for guide in guides {
            firsts.push(u128::from_be_bytes(std::array::from_fn(|byte| guide[byte])));
            crcs.push(u32::from_le_bytes(std::array::from_fn(|byte| guide[16 + byte])));
        }
        Guides { firsts, crcs, offset, record_bytes, per_block, records }
    }

    pub(super) fn blocks(&self) -> usize {
        self.firsts.len()
    }

    /// The first block that may hold `key`.
    fn block_of(&self, key: u128) -> usize {
        self.firsts.partition_point(|first| *first < key).saturating_sub(1)
    }
}

/// See the file's head.
pub(super) struct Run {
    path: PathBuf,
    file: File,
    pub(super) header: Header,
    pub(super) entries: Guides,
    pub(super) keys: Guides,
}

impl Run {
    pub(super) fn open(path: &Path) -> Result<Run, Error> {
        let failed = |error| Error::disk("reading", path, error);
        let damaged = |offset, what: String| Err(Error::damaged(path, offset, what));
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut head = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return damaged(length, format!("it ends after {length} bytes, inside its header"));
        }
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        let header = match Header::decode(&head) {
            Ok(header) => header,
            Err(Unreadable::Bad(what)) => return damaged(0, what),
            Err(Unreadable::Version(version)) => return Err(Error::Unsupported { file: path.into(), version }),
        };
        if header.file_bytes() != length {
            return damaged(length, format!("it has {length} bytes instead of {}", header.file_bytes()));
        }
        let mut guides = vec![0; header.guides_bytes() as usize];
        file.read_exact_at(&mut guides, header.guides_offset()).map_err(failed)?;
        if crc32c::crc32c(&guides) != header.guides_crc {
            return damaged(header.guides_offset(), "the checksum of the guides is wrong".into());
        }
        let entry_blocks = (header.entries as usize).div_ceil(ENTRIES_PER_BLOCK);
        let (of_entries, of_keys) = guides.split_at(entry_blocks * GUIDE_BYTES);
        let entries = Guides::read(of_entries, header.entries_offset(), ENTRY_BYTES, ENTRIES_PER_BLOCK, header.entries);
        let keys = Guides::read(of_keys, header.keys_offset(), KEY_BYTES, KEYS_PER_BLOCK, header.keys);
        Ok(Run { path: path.into(), file, header, entries, keys })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn span(&self) -> Span {
        self.header.span
    }

    /// Reads every block; for a check of the whole file.
    pub(super) fn verify(&self) -> Result<(), Error> {
        for guides in [&self.entries, &self.keys] {
            (0..guides.blocks()).try_for_each(|block| self.block(guides, block).map(drop))?;
        }
        Ok(())
    }

    /// The records of one block.
    pub(super) fn block(&self, guides: &Guides, block: usize) -> Result<Vec<u8>, Error> {
        let first = (block * guides.per_block) as u64;
        let records = (guides.records - first).min(guides.per_block as u64) as usize;
        let offset = guides.offset + first * guides.record_bytes as u64;
        let mut bytes = vec![0; records * guides.record_bytes];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map_err(|error| Error::disk("reading", &self.path, error))?;
        if crc32c::crc32c(&bytes) != guides.crcs[block] {
            return Err(Error::damaged(&self.path, offset, "the checksum of a block is wrong"));
        }
        Ok(bytes)
    }

    pub(super) fn decode(&self, bytes: &[u8; ENTRY_BYTES]) -> Result<Entry, Error> {
        Entry::decode(bytes).ok_or_else(|| Error::damaged(&self.path, 0, "an entry that no archive has written"))
    }

    /// Adds the payments whose UETR lies in `range`, until `found` has so many.
    pub(super) fn by_uetrs(
        &self,
        range: &RangeInclusive<u128>,
        count_max: usize,
        found: &mut Vec<Entry>,
    ) -> Result<(), Error> {
        let number = |entry: &[u8; ENTRY_BYTES]| u128::from_be_bytes(std::array::from_fn(|byte| entry[byte]));
        for block in self.entries.block_of(*range.start())..self.entries.blocks() {
            if self.entries.firsts[block] > *range.end() {
                break;
            }
            let bytes = self.block(&self.entries, block)?;
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            let start = entries.partition_point(|entry| number(entry) < *range.start());
            for entry in entries[start..].iter().take_while(|entry| number(entry) <= *range.end()) {
                if found.len() >= count_max {
                    return Ok(());
                }
                found.push(self.decode(entry)?);
            }
        }
        Ok(())
    }

    /// How many blocks of time keys may hold one below `end`.
    pub(super) fn key_blocks(&self, end: TimeKey) -> usize {
        self.keys.firsts.partition_point(|first| *first < end.0)
    }

    /// The time keys of one block, in order.
    pub(super) fn time_keys(&self, block: usize) -> Result<impl Iterator<Item = TimeKey>, Error> {
        let bytes = self.block(&self.keys, block)?;
        let keys = bytes.as_chunks::<KEY_BYTES>().0.to_vec();
        Ok(keys.into_iter().map(|key| TimeKey(u128::from_be_bytes(key))))
    }

    /// The entry at a place.
    pub(super) fn entry(&self, place: u32) -> Result<Entry, Error> {
        let (block, within) = (place as usize / ENTRIES_PER_BLOCK, place as usize % ENTRIES_PER_BLOCK);
        if block >= self.entries.blocks() {
            return Err(Error::damaged(&self.path, 0, "a key of a payment that is not there"));
        }
        let bytes = self.block(&self.entries, block)?;
        let entry = bytes.as_chunks::<ENTRY_BYTES>().0.get(within);
        let entry = entry.ok_or_else(|| Error::damaged(&self.path, 0, "a key of a payment that is not there"))?;
        self.decode(entry)
    }

    /// True when one of its payments may have ended in `from..until`.
    pub(super) fn overlaps(&self, from: Timestamp, until: Timestamp) -> bool {
        self.header.ended_first < until.nanoseconds() && from.nanoseconds() <= self.header.ended_last
    }
}
