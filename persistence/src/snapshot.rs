//! Snapshot files: written beside the log on a thread of their own, verified before use, two kept.
//!
//! A snapshot is written under a temporary name, synced, then renamed, so a `snapshot-` file was whole once. At open the
//! newest one that still is gets used. Segments go only when the older kept snapshot does without them.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::fold::{Fold, Freeze, Index};
use crate::format::segment;
use crate::format::snapshot::{HEADER_BYTES, Header, MEMBERSHIP_BYTES_MAX, file_name, parse_file_name};
use crate::format::{self, SECTOR_BYTES};
use crate::log::Mark;

const KEPT: usize = 2;
const TEMPORARY: &str = "snapshot.tmp";
const BUFFER_BYTES: usize = 512 << 10;
/// Dirty data never piles up beyond this, so that no sync of the log waits behind a flood.
const SYNC_BYTES: u64 = 512 << 10;
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How hard a snapshot leans on the disk.
pub(crate) enum Pace<'a> {
    Full,
    /// Leaves the disk idle as long as each of its own syncs took; gives up when told to.
    Gentle {
        abandon: &'a AtomicBool,
    },
}

/// Durable when it returns. A failure leaves nothing behind that counts.
pub(crate) fn write<D: Disk>(
    disk: &D,
    identity: u128,
    (mark, membership): (Mark, &[u8]),
    freeze: Freeze,
    pace: Pace,
) -> Result<(), Error> {
    assert!(membership.len() <= MEMBERSHIP_BYTES_MAX, "the members of a cluster are few");
    let name = file_name(mark.index);
    let write = || {
        let file = disk.create(TEMPORARY)?;
        let mut padded = membership.to_vec();
        padded.resize(format::round_up_to_sector(membership.len()), 0);
        let (membership_bytes, membership_crc) = (membership.len() as u32, crc32c::crc32c(&padded));
        let mut header = Header { identity, mark, body_bytes: 0, body_crc: 0, membership_bytes, membership_crc };
        file.write_all_at(&padded, HEADER_BYTES as u64)?;
        let (at, buffer) = (header.body_at(), Vec::with_capacity(BUFFER_BYTES));
        let mut body = Body { file: &file, at, pace, buffer, bytes: 0, synced: 0, crc: 0 };
        freeze(&mut body)?;
        body.step()?;
        (header.body_bytes, header.body_crc) = (body.bytes, body.crc);
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        disk.rename(TEMPORARY, &name)?;
        disk.sync_directory()
    };
    write().map_err(|error| {
        let _ = disk.remove(TEMPORARY);
        Error::disk("writing", disk.path(&name), error)
    })
}

/// Where the frozen state is written to: buffered, checksummed, paced.
struct Body<'a, F: File> {
    file: &'a F,
    at: u64,
    pace: Pace<'a>,
    buffer: Vec<u8>,
    bytes: u64,
    synced: u64,
    crc: u32,
}

impl<F: File> Body<'_, F> {
    fn step(&mut self) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.file.write_all_at(&self.buffer, self.at + self.bytes)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        if let Pace::Gentle { abandon } = self.pace {
            if abandon.load(Ordering::Relaxed) {
                return Err(io::Error::other("the log is being stopped"));
            }
            if self.bytes - self.synced >= SYNC_BYTES {
                let started = Instant::now();
                self.file.sync_data()?;
                std::thread::sleep(started.elapsed().min(PAUSE_MAX));
                self.synced = self.bytes;
            }
        }
        Ok(())
    }
}

impl<F: File> Write for Body<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BUFFER_BYTES {
            self.step()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a snapshot holds besides its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The last entry it contains.
    pub mark: Mark,
    /// The members of the cluster then, as they were given.
    pub membership: Vec<u8>,
}

/// Restores the newest snapshot that is whole; the default when there is none. Names the damaged ones it met.
pub(crate) fn restore_newest<D: Disk, F: Fold>(
    disk: &D,
    identity: u128,
    names: &[String],
    fold: &mut F,
    damaged: &mut Vec<String>,
) -> Result<SnapshotMark, Error> {
    for index in newest_first(names) {
        let name = file_name(index);
        let path = disk.path(&name);
        let file = disk.open(&name).map_err(|error| Error::disk("opening", &path, error))?;
        match verify(&file, Some((identity, index))).map_err(|error| Error::disk("reading", &path, error))? {
            Verdict::Whole(header, membership) => {
                restore(&file, &header, fold).map_err(|what| Error::Restore { file: path, what })?;
                return Ok(SnapshotMark { mark: header.mark, membership });
            }
            Verdict::Unsupported(version) => return Err(Error::Unsupported { file: path, version }),
            Verdict::Damaged(what) => {
                tracing::error!(event = "snapshot_damaged", file = %path.display(), what, "an older state is used instead");
                damaged.push(name);
            }
        }
    }
    Ok(SnapshotMark::default())
}

/// Which snapshot is the newest that is whole, without looking at its state; the default when there is none.
pub(crate) fn newest_whole<D: Disk>(disk: &D, identity: u128, names: &[String]) -> io::Result<SnapshotMark> {
    for index in newest_first(names) {
        let file = disk.open(&file_name(index))?;
        if let Verdict::Whole(header, membership) = verify(&file, Some((identity, index)))? {
            return Ok(SnapshotMark { mark: header.mark, membership });
        }
    }
    Ok(SnapshotMark::default())
}

fn restore<F: File>(file: &F, header: &Header, fold: &mut impl Fold) -> Result<(), String> {
    let mut content = Content { file, offset: header.body_at(), rest: header.body_bytes };
    fold.restore(&mut io::BufReader::with_capacity(BUFFER_BYTES, &mut content))
}

/// Reads a file that came from another node once, from beginning to end.
pub(crate) fn check<D: Disk>(disk: &D, name: &str) -> Result<SnapshotMark, Error> {
    let (_, header, membership) = open_whole(disk, name)?;
    Ok(SnapshotMark { mark: header.mark, membership })
}

/// Makes a file that came from another node one of this log: whole, checked, synced. It still has to get its name.
pub(crate) fn adopt<D: Disk>(disk: &D, name: &str, identity: u128) -> Result<SnapshotMark, Error> {
    let (file, header, membership) = open_whole(disk, name)?;
    let header = Header { identity, ..header };
    let written = file.write_all_at(&header.encode(), 0).and_then(|()| file.sync_data());
    written.map_err(|error| Error::disk("adopting", disk.path(name), error))?;
    Ok(SnapshotMark { mark: header.mark, membership })
}

fn open_whole<D: Disk>(disk: &D, name: &str) -> Result<(D::File, Header, Vec<u8>), Error> {
    let path = disk.path(name);
    let failed = |error| Error::disk("reading", &path, error);
    let file = disk.open(name).map_err(failed)?;
    match verify(&file, None).map_err(failed)? {
        Verdict::Whole(header, membership) => Ok((file, header, membership)),
        Verdict::Unsupported(version) => Err(Error::Unsupported { file: path, version }),
        Verdict::Damaged(what) => Err(Error::damaged(path, 0, what)),
    }
}

/// Keeps a damaged snapshot for inspection, under a name that counts for nothing.
pub(crate) fn set_aside<D: Disk>(disk: &D, name: &str) -> Result<PathBuf, Error> {
    let aside = format!("{name}.damaged");
    let renamed = disk.rename(name, &aside).and_then(|()| disk.sync_directory());
    renamed.map_err(|error| Error::disk("setting aside", disk.path(name), error))?;
    Ok(disk.path(&aside))
}

enum Verdict {
    Whole(Header, Vec<u8>),
    Unsupported(u32),
    Damaged(&'static str),
}

/// Reads the whole file once, so that `restore` never sees a byte that was not written by `freeze`. `own` says of which log
/// and which entry it has to be.
fn verify<F: File>(file: &F, own: Option<(u128, Index)>) -> io::Result<Verdict> {
    let mut sector = [0; SECTOR_BYTES];
    if file.read_at(&mut sector, 0)? < SECTOR_BYTES {
        return Ok(Verdict::Damaged("the file ends inside its header"));
    }
    let header = match Header::decode(&sector) {
        Ok(header) => header,
        Err(format::Unreadable::Version(version)) => return Ok(Verdict::Unsupported(version)),
        Err(format::Unreadable::Bad(what)) => return Ok(Verdict::Damaged(what)),
    };
    if own.is_some_and(|own| own != (header.identity, header.mark.index)) {
        return Ok(Verdict::Damaged("it belongs to another log or another place"));
    }
    let membership_bytes = header.membership_bytes as usize;
    let length = header.body_at().checked_add(header.body_bytes);
    if membership_bytes > MEMBERSHIP_BYTES_MAX || length != Some(file.length_bytes()?) {
        return Ok(Verdict::Damaged("the file has the wrong length"));
    }
    let mut membership = vec![0; format::round_up_to_sector(membership_bytes)];
    file.read_at(&mut membership, HEADER_BYTES as u64)?;
    if crc32c::crc32c(&membership) != header.membership_crc {
        return Ok(Verdict::Damaged("the checksum of the members is wrong"));
    }
    membership.truncate(membership_bytes);
    let mut content = Content { file, offset: header.body_at(), rest: header.body_bytes };
    let mut buffer = vec![0; BUFFER_BYTES.min(header.body_bytes as usize + 1)];
    let mut crc = 0;
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            got => crc = crc32c::crc32c_append(crc, &buffer[..got]),
        }
    }
    if crc == header.body_crc {
        Ok(Verdict::Whole(header, membership))
    } else {
        Ok(Verdict::Damaged("the checksum is wrong"))
    }
}

/// The body of a snapshot file, as a stream.
struct Content<'a, F: File> {
    file: &'a F,
    offset: u64,
    rest: u64,
}

impl<F: File> Read for Content<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
        let got = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if got < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += got as u64;
        self.rest -= got as u64;
        Ok(got)
    }
}

/// Lets go of all snapshots but one.
pub(crate) fn keep_only<D: Disk>(disk: &D, index: Index) -> Result<(), Error> {
    let remove = || {
        let others = newest_first(&disk.list()?).into_iter().filter(|other| *other != index);
        others.map(file_name).try_for_each(|name| disk.remove(&name))?;
        disk.sync_directory()
    };
    remove().map_err(|error| Error::disk("removing old snapshots from", disk.path(""), error))
}

fn newest_first(names: &[String]) -> Vec<Index> {
    let mut indexes: Vec<Index> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    indexes.sort_unstable_by(|a, b| b.cmp(a));
    indexes
}

/// Lets go of snapshots beyond the two newest, and of the oldest segments that neither of those two needs and that
/// exceed the bytes to retain.
pub(crate) fn retain<D: Disk>(disk: &D, retained_bytes_max: u64) -> Result<(), Error> {
    let names = disk.list().map_err(|error| Error::disk("listing", disk.path(""), error))?;
    let snapshots = newest_first(&names);
    let mut unneeded: Vec<String> = snapshots.iter().skip(KEPT).map(|index| file_name(*index)).collect();
    if let (Some(newest), Some(older)) = (snapshots.first(), snapshots.get(KEPT - 1)) {
        unneeded.extend(unneeded_segments(disk, &names, *newest, *older, retained_bytes_max)?);
    }
    if unneeded.is_empty() {
        return Ok(());
    }
    let remove = || {
        unneeded.iter().try_for_each(|name| disk.remove(name))?;
        disk.sync_directory()
    };
    remove().map_err(|error| Error::disk("removing old files from", disk.path(""), error))
}

fn unneeded_segments<D: Disk>(
    disk: &D,
    names: &[String],
    newest_snapshot: Index,
    older_snapshot: Index,
    retained_bytes_max: u64,
) -> Result<Vec<String>, Error> {
    let mut firsts: Vec<Index> = names.iter().filter_map(|name| segment::parse_file_name(name)).collect();
    firsts.sort_unstable();
    // A segment ends where the next one begins, so the newest is never among these.
    let last_index = |pair: &[Index]| pair[1] - 1;
    let mut retained = Vec::new();
    for pair in firsts.windows(2).filter(|pair| last_index(pair) <= newest_snapshot) {
        let name = segment::file_name(pair[0]);
        let length = disk.open(&name).and_then(|file| file.length_bytes());
        let bytes = length.map_err(|error| Error::disk("reading", disk.path(&name), error))?;
        retained.push((name, last_index(pair), bytes));
    }
    let mut retained_bytes: u64 = retained.iter().map(|(_, _, bytes)| bytes).sum();
    let mut unneeded = Vec::new();
    for (name, last_index, bytes) in retained {
        if last_index > older_snapshot || retained_bytes <= retained_bytes_max {
            break;
        }
        retained_bytes -= bytes;
        unneeded.push(name);
    }
    Ok(unneeded)
}
