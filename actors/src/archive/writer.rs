//! Writes a run: entries in order, then the keys in order, then the guides, at last the header. A run gets its name when
//! it is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Span;
use super::entry::{ENTRY_BYTES, Entry};
use super::error::Error;
use super::format::{ENTRIES_PER_BLOCK, HEADER_BYTES, Header, KEY_BYTES, KEYS_PER_BLOCK, file_name};
use super::key::TimeKey;
use super::run::Run;

const BUFFER_BYTES: usize = 256 << 10;
const SYNC_BYTES: u64 = 1 << 20;
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How hard a run leans on the disk.
#[derive(Clone, Copy)]
pub(super) enum Pace<'a> {
    Full,
    /// Leaves the disk idle as long as each of its own syncs took; gives up when told to.
    Gentle {
        abandon: &'a AtomicBool,
    },
}

/// Entries are dealt to so many heaps before they are sorted: a heap fits into the processor's cache.
const HEAPS: usize = 256;

/// Writes the entries of all `pieces`, in whatever order they come. `span` is the part of the log whose payments they are.
pub(super) fn write(
    directory: &Path,
    identity: u128,
    span: Span,
    pieces: &[&[Entry]],
    pace: Pace,
) -> Result<Run, Error> {
    let count: usize = pieces.iter().map(|piece| piece.len()).sum();
    let room = count / HEAPS * 5 / 4 + 16;
    let mut heaps: Vec<Vec<Entry>> = (0..HEAPS).map(|_| Vec::with_capacity(room)).collect();
    let mut last = 0;
    for entry in pieces.iter().copied().flatten() {
        heaps[usize::from(entry.uetr.bytes()[0])].push(*entry);
        last = last.max(TimeKey::of(entry, 0).map(TimeKey::participant).max().unwrap_or(0));
    }
    let heap_of = |key: TimeKey| (u64::from(key.participant()) * HEAPS as u64 / (u64::from(last) + 1)) as usize;
    let mut keys: Vec<Vec<TimeKey>> = (0..HEAPS).map(|_| Vec::with_capacity(2 * room)).collect();

    let mut writer = Writer::create(directory, identity, span, pace)?;
    let mut place = 0;
    for heap in heaps {
        for entry in Entry::in_order(&heap).into_iter().map(|entry| &heap[entry as usize]) {
            TimeKey::of(entry, place).for_each(|key| keys[heap_of(key)].push(key));
            place += 1;
            writer.entry(&entry.encode(), entry.ended_at.nanoseconds())?;
        }
    }
    for mut heap in keys {
        heap.sort_unstable();
        heap.iter().try_for_each(|key| writer.key(*key))?;
    }
    writer.finish()
}

/// A section while it is written: where its last block begins in the buffer, and the guides of those before.
#[derive(Default)]
struct Section {
    block: usize,
    guides: Vec<u8>,
    records: u64,
}

impl Section {
    /// Adds a record; true at the end of a block.
    fn add(&mut self, record: &[u8], per_block: usize, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(record);
        self.records += 1;
        let is_full = self.records.is_multiple_of(per_block as u64);
        if is_full {
            self.end_block(out);
        }
        is_full
    }

    fn end_block(&mut self, out: &[u8]) {
        let block = &out[self.block..];
        if let Some(first) = block.first_chunk::<16>() {
            self.guides.extend_from_slice(first);
            self.guides.extend_from_slice(&crc32c::crc32c(block).to_le_bytes());
        }
        self.block = out.len();
    }
}

/// See the file's head.
pub(super) struct Writer<'a> {
    directory: &'a Path,
    temporary: PathBuf,
    file: File,
    pace: Pace<'a>,
    header: Header,
    entries: Section,
    keys: Section,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn create(directory: &'a Path, identity: u128, span: Span, pace: Pace<'a>) -> Result<Self, Error> {
        let temporary = directory.join(format!("{}.tmp", file_name(span)));
        let file = persistence::disk::creating().read(true).truncate(true).open(&temporary);
        let file = file.map_err(|error| Error::disk("creating", &temporary, error))?;
        let header = Header { identity, span, ended_first: u64::MAX, ..Header::default() };
        let buffer = Vec::with_capacity(BUFFER_BYTES + ENTRIES_PER_BLOCK * ENTRY_BYTES);
        Ok(Writer {
            directory,
            temporary,
            file,
            pace,
            header,
            entries: Section::default(),
            keys: Section::default(),
            buffer,
            written: HEADER_BYTES as u64,
            synced: 0,
        })
    }

    /// The next entry; all entries come before the first key.
    pub(super) fn entry(&mut self, bytes: &[u8; ENTRY_BYTES], ended_at: u64) -> Result<(), Error> {
        self.header.ended_first = self.header.ended_first.min(ended_at);
        self.header.ended_last = self.header.ended_last.max(ended_at);
        if self.entries.add(bytes, ENTRIES_PER_BLOCK, &mut self.buffer) {
            self.step_if_full()?;
            self.entries.block = self.buffer.len();
        }
        Ok(())
    }

    pub(super) fn key(&mut self, key: TimeKey) -> Result<(), Error> {
        let bytes: [u8; KEY_BYTES] = key.0.to_be_bytes();
        if self.keys.records == 0 {
            self.begin_keys();
        }
        if self.keys.add(&bytes, KEYS_PER_BLOCK, &mut self.buffer) {
            self.step_if_full()?;
            self.keys.block = self.buffer.len();
        }
        Ok(())
    }

    fn begin_keys(&mut self) {
        self.entries.end_block(&self.buffer);
        self.keys.block = self.buffer.len();
    }

    /// Durable when it returns.
    pub(super) fn finish(mut self) -> Result<Run, Error> {
        if self.keys.records == 0 {
            self.begin_keys();
        }
        self.keys.end_block(&self.buffer);
        let mut guides = std::mem::take(&mut self.entries.guides);
        guides.append(&mut self.keys.guides);
        self.buffer.extend_from_slice(&guides);
        self.header.entries = self.entries.records;
        self.header.keys = self.keys.records;
        self.header.guides_crc = crc32c::crc32c(&guides);
        let path = self.directory.join(file_name(self.header.span));
        let finish = |writer: &mut Self| {
            writer.step()?;
            writer.file.write_all_at(&writer.header.encode(), 0)?;
            writer.file.sync_all()?;
            std::fs::rename(&writer.temporary, &path)?;
            File::open(writer.directory)?.sync_all()
        };
        finish(&mut self).map_err(|error| self.failure(error))?;
        Run::open(&path)
    }

    fn step_if_full(&mut self) -> Result<(), Error> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.step().map_err(|error| self.failure(error))?;
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if let Pace::Gentle { abandon } = self.pace {
            if abandon.load(Ordering::Relaxed) {
                return Err(io::Error::other("the archive is being stopped"));
            }
            if self.written - self.synced >= SYNC_BYTES {
                let started = Instant::now();
                self.file.sync_data()?;
                std::thread::sleep(started.elapsed().min(PAUSE_MAX));
                self.synced = self.written;
            }
        }
        Ok(())
    }

    fn failure(&self, error: io::Error) -> Error {
        // What is left of it counts for nothing, and the next start removes it.
        _ = std::fs::remove_file(&self.temporary);
        match self.pace {
            Pace::Gentle { abandon } if abandon.load(Ordering::Relaxed) => Error::Stopped,
            _ => Error::disk("writing", &self.temporary, error),
        }
    }
}
