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

/// Writes `entries`, sorts them before. `span` is the part of the log whose payments they are.
pub(super) fn write(
    directory: &Path,
    identity: u128,
    span: Span,
    entries: &mut [Entry],
    pace: Pace,
) -> Result<Run, Error> {
    // They come as sorted pieces, which a stable sort merges.
    entries.sort_by_key(Entry::order);
    let mut keys = Vec::with_capacity(2 * entries.len());
    for (place, entry) in entries.iter().enumerate() {
        keys.extend(TimeKey::of(entry, place as u32));
    }
    keys.sort_unstable();
    let mut writer = Writer::create(directory, identity, span, pace)?;
    entries.iter().try_for_each(|entry| writer.entry(&entry.encode(), entry.ended_at.nanoseconds()))?;
    keys.iter().try_for_each(|key| writer.key(*key))?;
    writer.finish()
}

/// Guides of a section while it is written.
#[derive(Default)]
struct Guides {
    bytes: Vec<u8>,
    crc: u32,
    records: u64,
}

impl Guides {
    fn add(&mut self, record: &[u8], per_block: usize) {
        if self.records.is_multiple_of(per_block as u64) {
            self.end_block();
            self.bytes.extend_from_slice(&record[..16]);
        }
        self.crc = crc32c::crc32c_append(self.crc, record);
        self.records += 1;
    }

    fn end_block(&mut self) {
        if self.records > 0 {
            self.bytes.extend_from_slice(&self.crc.to_le_bytes());
            self.crc = 0;
        }
    }
}

/// See the file's head.
pub(super) struct Writer<'a> {
    directory: &'a Path,
    temporary: PathBuf,
    file: File,
    pace: Pace<'a>,
    header: Header,
    entries: Guides,
    keys: Guides,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn create(directory: &'a Path, identity: u128, span: Span, pace: Pace<'a>) -> Result<Self, Error> {
        let temporary = directory.join(format!("{}.tmp", file_name(span)));
        let create = || {
            let mut options = File::options();
            options.write(true).read(true).create(true).truncate(true).open(&temporary)
        };
        let file = create().map_err(|error| Error::disk("creating", &temporary, error))?;
        let header = Header { identity, span, ended_first: u64::MAX, ..Header::default() };
        let buffer = Vec::with_capacity(BUFFER_BYTES + ENTRY_BYTES);
        Ok(Writer {
            directory,
            temporary,
            file,
            pace,
            header,
            entries: Guides::default(),
            keys: Guides::default(),
            buffer,
            written: HEADER_BYTES as u64,
            synced: 0,
        })
    }

    /// The next entry; all entries come before the first key.
    pub(super) fn entry(&mut self, bytes: &[u8; ENTRY_BYTES], ended_at: u64) -> Result<(), Error> {
        self.entries.add(bytes, ENTRIES_PER_BLOCK);
        self.header.ended_first = self.header.ended_first.min(ended_at);
        self.header.ended_last = self.header.ended_last.max(ended_at);
        self.put(bytes)
    }

    pub(super) fn key(&mut self, key: TimeKey) -> Result<(), Error> {
        let bytes: [u8; KEY_BYTES] = key.0.to_be_bytes();
        self.keys.add(&bytes, KEYS_PER_BLOCK);
        self.put(&bytes)
    }

    /// Durable when it returns.
    pub(super) fn finish(mut self) -> Result<Run, Error> {
        self.entries.end_block();
        self.keys.end_block();
        let mut guides = std::mem::take(&mut self.entries.bytes);
        guides.append(&mut self.keys.bytes);
        self.put(&guides)?;
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

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
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
