//! Segment files: made ahead of need, zero-filled, and read back entry by entry.
//!
//! ```text
//!  spare-N.tmp --zero-filled, synced, renamed--> spare-N.seg --header, synced, renamed--> log-<first index>.seg
//! ```
//!
//! So a `log-` file always has its full size and a valid header, whatever the moment of a crash.

use std::io;
use std::time::{Duration, Instant};

use crate::disk::{Aligned, Disk, File};
use crate::error::Error;
use crate::fold::Index;
use crate::format::entry::{self, Unreadable};
use crate::format::segment::{HEADER_BYTES, Header, file_name};
use crate::format::{self, SECTOR_BYTES, length_without_trailing_zeros};

/// Zeros are written and synced in steps, so that a commit never queues behind a whole segment.
pub(crate) const FILL_STEP_BYTES: usize = 256 << 10;
const FILL_STEP_BYTES_MAX: usize = 4 << 20;

/// A zero-filled file that waits to become a segment.
pub(crate) struct Spare<F> {
    pub(crate) name: String,
    pub(crate) file: F,
}

pub(crate) fn spare_name(number: u64) -> String {
    format!("spare-{number}.seg")
}

pub(crate) fn is_spare_name(name: &str) -> bool {
    name.starts_with("spare-") && name.ends_with(".seg")
}

/// Takes as long as the disk needs for `segment_bytes`. A failure leaves nothing behind. `pace` is called after every
/// step with the time it took; it may let others at the disk, and says how many bytes the next step has.
pub(crate) fn make_spare<D: Disk>(
    disk: &D,
    number: u64,
    segment_bytes: u64,
    pace: impl Fn(Duration) -> usize,
) -> io::Result<Spare<D::File>> {
    let temporary = format!("spare-{number}.tmp");
    let name = spare_name(number);
    let fill = || {
        let file = disk.create(&temporary)?;
        file.reserve(segment_bytes)?;
        let zeros = Aligned::new(FILL_STEP_BYTES_MAX.min(segment_bytes as usize));
        let zeros = zeros.bytes();
        let (mut offset, mut step_bytes) = (0, FILL_STEP_BYTES);
        while offset < segment_bytes {
            let started = Instant::now();
            let step = step_bytes.min(zeros.len()).min((segment_bytes - offset) as usize);
            file.write_all_at(&zeros[..step], offset)?;
            file.sync_data()?;
            offset += step as u64;
            step_bytes = pace(started.elapsed());
        }
        disk.rename(&temporary, &name)?;
        disk.sync_directory()?;
        Ok(file)
    };
    match fill() {
        Ok(file) => Ok(Spare { name, file }),
        Err(error) => {
            let _ = disk.remove(&temporary);
            Err(error)
        }
    }
}

/// Turns a spare into the segment that begins with `header.first_index`. Durable when it returns.
pub(crate) fn begin<D: Disk>(disk: &D, spare: Spare<D::File>, header: &Header) -> io::Result<D::File> {
    spare.file.write_all_at(&header.encode(), 0)?;
    spare.file.sync_data()?;
    disk.rename(&spare.name, &file_name(header.first_index))?;
    disk.sync_directory()?;
    Ok(spare.file)
}

/// Checks the header against the file: the right log, the right place, the full size.
pub(crate) fn open<D: Disk>(disk: &D, first_index: Index, identity: u128) -> Result<(D::File, Header), Error> {
    let name = file_name(first_index);
    let file = disk.open(&name).map_err(|error| Error::disk("opening", disk.path(&name), error))?;
    let damaged = |offset, what: String| Err(Error::damaged(disk.path(&name), offset, what));
    let mut sector = [0; HEADER_BYTES];
    let mut read = || Ok((file.length_bytes()?, file.read_at(&mut sector, 0)?));
    let (length, got) = read().map_err(|error| Error::disk("reading", disk.path(&name), error))?;
    if got < HEADER_BYTES {
        return damaged(length, format!("the file ends after {length} bytes, inside its header"));
    }
    let header = match Header::decode(&sector) {
        Ok(header) => header,
        Err(format::Unreadable::Version(version)) => {
            return Err(Error::Unsupported { file: disk.path(&name), version });
        }
        Err(format::Unreadable::Bad(what)) => return damaged(0, what.into()),
    };
    if header.identity != identity {
        return damaged(0, format!("it belongs to another log, {:032x} and not {identity:032x}", header.identity));
    }
    if header.first_index != first_index {
        return damaged(0, format!("its header says it begins with entry {}, not {first_index}", header.first_index));
    }
    if header.segment_bytes != length {
        let what = format!("the file has {length} bytes instead of {}", header.segment_bytes);
        return damaged(length.min(header.segment_bytes), what);
    }
    Ok((file, header))
}

/// What stands at an offset of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Entry(entry::Header),
    /// Only zeros from here to the end of the file.
    End,
    /// One write that a power loss kept from being whole. Nobody was told that it was committed.
    Torn {
        bytes: u64,
    },
    Damage(String),
}

/// Looks at `offset` of a whole segment for the entry `index` that follows an entry with chain checksum `previous`.
///
/// Torn or damaged? Power loss leaves each sector of the one write in flight either old, which is zero, or new. So a torn
/// entry misses whole sectors and has nothing behind it but what the same write brought; whatever else does not check out
/// has been changed later.
pub(crate) fn find(image: &[u8], offset: usize, index: Index, previous: u32) -> Found {
    let rest = &image[offset..];
    let Some(first_sector) = rest.first_chunk::<SECTOR_BYTES>() else {
        return Found::End;
    };
    if format::is_zero(first_sector) {
        let used = length_without_trailing_zeros(rest);
        return match later_write(&rest[..used], SECTOR_BYTES) {
            _ if used == 0 => Found::End,
            Some(at) => Found::Damage(format!(
                "entry {index} is missing, but one that was written after it stands at byte {}",
                offset + at
            )),
            None => Found::Torn { bytes: used as u64 },
        };
    }
    let header = match entry::Header::parse(first_sector) {
        Ok(header) => header,
        Err(Unreadable::Damaged(what)) => return Found::Damage(what.into()),
        Err(Unreadable::Kind(kind)) => {
            return Found::Damage(format!("an entry of unknown kind {kind}; a newer build?"));
        }
    };
    if header.index != index {
        return Found::Damage(format!("entry {} where {index} belongs", header.index));
    }
    if header.previous != previous {
        return Found::Damage(format!("entry {index} does not follow the entry before it"));
    }
    let Some(extent) = rest.get(..header.extent_bytes()) else {
        return Found::Damage(format!("entry {index} is longer than its file"));
    };
    if entry::chain(extent, previous) == header.chain {
        return Found::Entry(header);
    }
    let sectors_missing = header.sparse.misses_sectors(entry::Sparse::count(extent));
    let used = length_without_trailing_zeros(rest);
    if sectors_missing && later_write(&rest[..used], extent.len()).is_none() {
        Found::Torn { bytes: used as u64 }
    } else {
        Found::Damage(format!("the checksum of entry {index} is wrong"))
    }
}

/// Where, from `from` on, an entry stands that another write put here than the one that `tail` begins in the middle of,
/// or with. Several entries may go out in one write.
fn later_write(tail: &[u8], from: usize) -> Option<usize> {
    let starts = (from..tail.len()).step_by(SECTOR_BYTES);
    starts.into_iter().find(|at| {
        let header = tail[*at..].first_chunk::<{ entry::HEADER_BYTES }>().map(|bytes| entry::Header::parse(bytes));
        header.is_some_and(|header| header.is_ok_and(|header| (header.write_bytes as usize) < *at))
    })
}
