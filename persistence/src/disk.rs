//! The few file operations the log needs, so that a test can put a disk underneath that fails. One disk is one directory.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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
}

impl RealDisk {
    pub const LOCK_FILE: &str = "lock";

    /// Nothing is touched before the first operation.
    pub fn new(directory: impl Into<PathBuf>) -> RealDisk {
        RealDisk { directory: directory.into() }
    }

    /// Creates the directory if need be, durably.
    pub fn create_directory(&self) -> io::Result<()> {
        if self.directory.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        match self.directory.parent() {
            Some(parent) if parent != Path::new("") => fs::File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }
}

impl Disk for RealDisk {
    type File = fs::File;
    type Lock = fs::File;

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn lock(&self) -> io::Result<Option<fs::File>> {
        let path = self.path(RealDisk::LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
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

    fn open(&self, name: &str) -> io::Result<fs::File> {
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }

    fn create(&self, name: &str) -> io::Result<fs::File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
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

impl File for fs::File {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()), // zero-filling finds out then
            result => Ok(result?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }
}
