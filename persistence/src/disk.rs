//! The few file operations the log needs, so that a test can put a disk underneath that fails. One disk is one directory.
//!
//! Segments are written past the page cache (O_DIRECT) and synchronously (O_DSYNC): a segment is written twice, once with
//! zeros and once with entries, and read hardly ever, so the cache would cost a copy, memory and its write-back for
//! nothing. Where a file system does not take that, and for all other files, writes go through the cache and
//! `sync_data` is fdatasync.

use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::format::SECTOR_BYTES;

/// Creates a directory that its user alone may enter, if it is not there, durably.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Creates files that their user alone may read and write; what is there already stays as it is.
pub fn creating() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Files in a directory that other users of the machine may read: one of them, and how many there are. None when nobody
/// else may enter it.
pub fn read_by_others(directory: &Path) -> io::Result<Option<(PathBuf, usize)>> {
    // Of the group and of the rest: who may enter may read what its own bit lets it.
    let may_read = (fs::metadata(directory)?.mode() & 0o011) << 2;
    if may_read == 0 {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && metadata.mode() & may_read != 0 {
            found.push(entry.path());
        }
    }
    let count = found.len();
    Ok(found.into_iter().min().map(|first| (first, count)))
}

/// A directory of files. Names are plain, without separators.
pub trait Disk: Clone + Send + std::marker::Sync + 'static {
    type File: File;
    /// Holds the directory as long as it lives.
    type Lock: Send + 'static;

    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
    /// Takes the directory for this process alone; `None` when somebody has it.
    fn lock(&self) -> io::Result<Option<Self::Lock>>;
    /// Regular files only.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Creates, or empties what is there.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Moves files into a directory beneath this one, which is made if need be. Durable when it returns; a crash leaves
    /// some of them there.
    fn set_aside(&self, names: &[String], directory: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
    fn free_bytes(&self) -> io::Result<u64>;
    /// A number no other log has.
    fn fresh_identity(&self) -> io::Result<u128>;
}

/// An open file, read and written at offsets.
pub trait File: Send + std::marker::Sync + 'static {
    fn length_bytes(&self) -> io::Result<u64>;
    /// Reads until the buffer is full or the file ends; returns how much.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Sets space aside, or fails with `StorageFull`.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Data, and of the metadata what is needed to read it back.
    fn sync_data(&self) -> io::Result<()>;
}

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: PathBuf,
    direct: bool,
}

impl RealDisk {
    pub const LOCK_FILE: &str = "lock";

    /// Nothing is touched before the first operation.
    pub fn new(directory: impl Into<PathBuf>) -> RealDisk {
        RealDisk { directory: directory.into(), direct: true }
    }

    /// Writes through the cache only, so that without `sync_data` nothing waits for the disk.
    pub(crate) fn cached(directory: impl Into<PathBuf>) -> RealDisk {
        RealDisk { directory: directory.into(), direct: false }
    }

    /// Creates the directory if need be.
    pub fn create_directory(&self) -> io::Result<()> {
        create_directory(&self.directory)
    }
}

/// A file of the operating system.
pub struct RealFile {
    cached: fs::File,
    /// The same file, for writes in whole sectors from memory that is aligned to [`BLOCK_BYTES`].
    direct: Option<fs::File>,
    /// Where unaligned memory is copied to first.
    bounce: Mutex<Aligned>,
    /// Written through the cache and not synced yet.
    dirty: AtomicBool,
}

/// What direct writes have to be aligned to, in memory.
const BLOCK_BYTES: usize = 4096;

/// Zeroed memory that begins at a multiple of [`BLOCK_BYTES`].
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    pub(crate) fn new(length_bytes: usize) -> Aligned {
        let bytes = vec![0; length_bytes + BLOCK_BYTES];
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Aligned { bytes, start }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..][..self.bytes.len() - BLOCK_BYTES]
    }

    /// `length_bytes` of it for writing, aligned, whatever it holds; the first `kept_bytes` are as they were.
    pub(crate) fn room(&mut self, length_bytes: usize, kept_bytes: usize) -> &mut [u8] {
        if self.bytes().len() < length_bytes {
            let mut larger = Aligned::new(length_bytes.next_power_of_two());
            let start = larger.start;
            larger.bytes[start..][..kept_bytes].copy_from_slice(&self.bytes()[..kept_bytes]);
            *self = larger;
        }
        &mut self.bytes[self.start..][..length_bytes]
    }

    /// A copy of `from`, aligned.
    fn hold(&mut self, from: &[u8]) -> &[u8] {
        if self.bytes().len() < from.len() {
            *self = Aligned::new(from.len().next_power_of_two());
        }
        let place = &mut self.bytes[self.start..][..from.len()];
        place.copy_from_slice(from);
        place
    }
}

impl RealFile {
    fn new(cached: fs::File, path: &Path, may_be_direct: bool) -> RealFile {
        let is_segment = path.file_name().is_some_and(|name| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"log-") || name.starts_with(b"spare-")
        });
        let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::DSYNC;
        let open = || OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path);
        // Not every file system has it; then the cache will do.
        let direct = (is_segment && may_be_direct).then(open).and_then(Result::ok);
        // What an earlier process wrote through the cache may not be on the disk yet.
        RealFile { cached, direct, bounce: Mutex::new(Aligned::new(0)), dirty: AtomicBool::new(true) }
    }

    /// False when it has to go through the cache.
    fn write_direct(&self, bytes: &[u8], offset: u64) -> io::Result<bool> {
        let whole_sectors = bytes.len().is_multiple_of(SECTOR_BYTES) && offset.is_multiple_of(SECTOR_BYTES as u64);
        let Some(direct) = self.direct.as_ref().filter(|_| whole_sectors && !bytes.is_empty()) else {
            return Ok(false);
        };
        let written = if bytes.as_ptr().align_offset(BLOCK_BYTES) == 0 {
            direct.write_all_at(bytes, offset)
        } else {
            direct.write_all_at(self.bounce.lock().hold(bytes), offset)
        };
        match written {
            // Larger sectors than ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
            written => written.map(|()| true),
        }
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = fs::File;

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn lock(&self) -> io::Result<Option<fs::File>> {
        let path = self.path(RealDisk::LOCK_FILE);
        let file = creating().truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        let path = self.path(name);
        Ok(RealFile::new(OpenOptions::new().read(true).write(true).open(&path)?, &path, self.direct))
    }

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let path = self.path(name);
        let cached = creating().read(true).truncate(true).open(&path)?;
        Ok(RealFile::new(cached, &path, self.direct))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn set_aside(&self, names: &[String], directory: &str) -> io::Result<()> {
        let beneath = self.path(directory);
        create_directory(&beneath)?;
        names.iter().try_for_each(|name| fs::rename(self.path(name), beneath.join(name)))?;
        fs::File::open(beneath)?.sync_all()?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let file_system = rustix::fs::statvfs(&self.directory)?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }

    fn fresh_identity(&self) -> io::Result<u128> {
        let mut bytes = [0; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(u128::from_le_bytes(bytes))
    }
}

impl File for RealFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(&self.cached, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.write_direct(bytes, offset)? {
            return Ok(());
        }
        self.dirty.store(true, Ordering::Release);
        self.cached.write_all_at(bytes, offset)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.cached, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()), // zero-filling finds out then
            result => Ok(result?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        // What was written directly is on the disk already. A file that is not a segment may have been renamed or
        // resized since, so it is always synced.
        if self.direct.is_some() && !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.cached.sync_data()
    }
}
