//! A disk that is only looked at, so that a log can be recovered without a change to it.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use persistence::disk::{Disk, File, RealDisk};

use crate::exit::{Exit, Failure};

/// A directory that is only read: what recovery would write goes nowhere.
#[derive(Clone)]
pub(super) struct LookOnly {
    real: RealDisk,
    /// With the first entry at hand no snapshot is needed: the whole log is folded.
    without_snapshots: bool,
}

impl LookOnly {
    pub(super) fn new(directory: &Path) -> Result<LookOnly, Failure> {
        let missing = |what: String| {
            Err(Failure::new(Exit::NotFound, what).next("name the directory of a node's log: --data DIR"))
        };
        let real = RealDisk::new(directory);
        match real.list() {
            Err(error) => return missing(format!("{}: {error}", directory.display())),
            Ok(names) if !names.iter().any(|name| name == "head" || name.ends_with(".seg")) => {
                return missing(format!("{}: there is no log here", directory.display()));
            }
            Ok(_) => {}
        }
        let oldest = persistence::Reader::oldest(directory).map_err(|error| Failure::from(&error))?;
        Ok(LookOnly { real, without_snapshots: oldest == 1 })
    }
}

impl Disk for LookOnly {
    type File = LookOnlyFile;
    type Lock = Option<fs::File>;

    fn path(&self, name: &str) -> PathBuf {
        self.real.path(name)
    }

    fn lock(&self) -> io::Result<Option<Option<fs::File>>> {
        // A copy may have no lock file, and a read-only disk takes no lock; then no node can have it open either.
        let Ok(file) = OpenOptions::new().write(true).open(self.path(RealDisk::LOCK_FILE)) else {
            return Ok(Some(None));
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Some(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.real.list()?;
        names.retain(|name| !(self.without_snapshots && name.ends_with(".snap")));
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<LookOnlyFile> {
        fs::File::open(self.path(name)).map(|file| LookOnlyFile(Some(file)))
    }

    fn create(&self, _: &str) -> io::Result<LookOnlyFile> {
        Ok(LookOnlyFile(None))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn set_aside(&self, _: &[String], _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn fresh_identity(&self) -> io::Result<u128> {
        Ok(0)
    }
}

/// A file that is read, or one that takes what is written and keeps nothing.
pub(super) struct LookOnlyFile(Option<fs::File>);

impl File for LookOnlyFile {
    fn length_bytes(&self) -> io::Result<u64> {
        self.0.as_ref().map_or(Ok(0), |file| Ok(file.metadata()?.len()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(file) = &self.0 else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
