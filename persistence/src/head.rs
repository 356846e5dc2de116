//! Reads and replaces the `head` file.

use std::io;

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
