//! Reads and replaces the `head` file.

use std::io;

use parking_lot::Mutex;

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::head::{FILE_NAME, Head};
use crate::format::{SECTOR_BYTES, Unreadable};

const TEMPORARY: &str = "head.tmp";

pub(crate) fn read<D: Disk>(disk: &D) -> Result<Option<Head>, Error> {
    let path = disk.path(FILE_NAME);
    let file = match disk.open(FILE_NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::disk("opening", path, error)),
    };
    let length = file.length_bytes().map_err(|error| Error::disk("reading", &path, error))?;
    if length != SECTOR_BYTES as u64 {
        let what = format!("the file has {length} bytes instead of {SECTOR_BYTES}");
        return Err(Error::damaged(path, length.min(SECTOR_BYTES as u64), what));
    }
    let mut sector = [0; SECTOR_BYTES];
    file.read_at(&mut sector, 0).map_err(|error| Error::disk("reading", &path, error))?;
    match Head::decode(&sector) {
        Ok(head) => Ok(Some(head)),
        Err(Unreadable::Version(version)) => Err(Error::Unsupported { file: path, version }),
        Err(Unreadable::Bad(what)) => Err(Error::damaged(path, 0, what)),
    }
}

/// The contents of the head file, with one owner: whoever changes something writes all of it.
pub(crate) struct HeadFile<D: Disk> {
    disk: D,
    inner: Mutex<Inner>,
}

struct Inner {
    head: Head,
    /// Changed and not yet written.
    is_due: bool,
}

impl<D: Disk> HeadFile<D> {
    pub(crate) fn new(disk: D, head: Head) -> HeadFile<D> {
        HeadFile { disk, inner: Mutex::new(Inner { head, is_due: false }) }
    }

    pub(crate) fn get(&self) -> Head {
        self.inner.lock().head
    }

    /// Durable when it returns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Head)) -> Result<(), Error> {
        self.note(change);
        self.write_due()
    }

    /// Changes what may lag behind on the disk.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Head)) {
        let mut inner = self.inner.lock();
        change(&mut inner.head);
        inner.is_due = true;
    }

    pub(crate) fn write_due(&self) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        if inner.is_due {
            write(&self.disk, &inner.head)?;
            inner.is_due = false;
        }
        Ok(())
    }
}

/// Durable when it returns; a crash leaves the old one or the new one.
pub(crate) fn write<D: Disk>(disk: &D, head: &Head) -> Result<(), Error> {
    let replace = || {
        let file = disk.create(TEMPORARY)?;
        file.write_all_at(&head.encode(), 0)?;
        file.sync_data()?;
        disk.rename(TEMPORARY, FILE_NAME)?;
        disk.sync_directory()
    };
    replace().map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull { directory: disk.path("") },
        _ => Error::disk("writing", disk.path(FILE_NAME), error),
    })
}
