//! From what the disk holds back to a state: newest whole snapshot, then every entry after it, up to a clean or torn end.
//!
//! It tells three ends apart (`segment::find` decides): zeros, the clean end; one incomplete write and nothing after it,
//! which nobody was told of, so it is cut; anything else, which is damage and is named. Never a guess.

use std::collections::VecDeque;
use std::time::Duration;
use std::{io, path::PathBuf};

use crate::config::Config;
use crate::disk::{Disk, File};
use crate::error::Error;
use crate::fold::{Entry, Fold, Index};
use crate::format::head::{self as head_format, Head};
use crate::format::segment::{HEADER_BYTES, Header, file_name, parse_file_name};
use crate::format::{entry, length_without_trailing_zeros, snapshot as snapshot_format};
use crate::log::{self, Kind, Mark, OwnedRecord, Record, Segment, SnapshotMark};
use crate::map::Map;
use crate::segment::{self, Found, begin, is_spare_name, make_spare};
use crate::{disk::RealDisk, head, snapshot};

/// What opening the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// 0 when there was no snapshot.
    pub snapshot_index: Index,
    /// Newer snapshots that were damaged; they are kept, renamed to `*.damaged`, and an older state plus more log was used.
    pub snapshots_damaged: Vec<PathBuf>,
    /// The last entry that the fold had when the log was open. Of what follows, the other nodes decide.
    pub last_index: Index,
    pub entries_replayed: u64,
    pub bytes_replayed: u64,
    pub torn_tail: Option<TornTail>,
    /// Payloads of the entries that changed the members, among those replayed.
    pub memberships: Vec<(Index, Vec<u8>)>,
    pub took: Duration,
}

/// An incomplete write at the end of the log, as a power loss leaves it. Nobody had been told it was committed; it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: PathBuf,
    pub offset: u64,
    pub bytes: u64,
}

pub(crate) struct Recovered<F> {
    pub(crate) head: Head,
    pub(crate) segment: Segment<F>,
    pub(crate) map: Map,
    pub(crate) last: Mark,
    /// The last entry that the fold has, itself or within the snapshot.
    pub(crate) folded: Index,
    pub(crate) snapshot: SnapshotMark,
    pub(crate) recovery: Recovery,
}

/// The disk belongs to this process alone.
pub(crate) fn recover<D: Disk, F: Fold>(disk: &D, config: &Config, fold: &mut F) -> Result<Recovered<D::File>, Error> {
    let names = disk.list().map_err(|error| Error::disk("listing", disk.path(""), error))?;
    let head = match head::read(disk)? {
        Some(head) => head,
        None => create(disk, &names)?,
    };
    if head.is_setting_aside {
        let what = "a repair was begun here and has not ended: crosstie node repair has to be run once more";
        return Err(Error::damaged(disk.path(head_format::FILE_NAME), head_format::SETTING_ASIDE_AT, what));
    }
    let head = complete(disk, head, &names)?;
    let names = disk.list().map_err(|error| Error::disk("listing", disk.path(""), error))?;
    for name in names.iter().filter(|name| name.ends_with(".tmp")) {
        disk.remove(name).map_err(|error| Error::disk("removing", disk.path(name), error))?;
    }
    let mut segments: Vec<Index> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    segments.sort_unstable();
    check_newest(disk, &head, &segments, &names)?;
    if segments.is_empty() && head.installing == 0 {
        return begin_first_segment(disk, config, head);
    }

    let mut damaged = Vec::new();
    let snapshot = snapshot::restore_newest(disk, head.identity, &names, fold, &mut damaged)?;
    if head.installing != 0 {
        return finish_install(disk, config, head, snapshot);
    }
    let restored = snapshot.mark;
    let recovery = Recovery { snapshot_index: restored.index, ..Recovery::default() };
    let mut replay = Replay {
        disk,
        head,
        snapshot,
        restored,
        last: Mark::default(),
        map: Map::after(Mark::default(), config.milestone_bytes()),
        committed: 0,
        held: VecDeque::new(),
        folded: restored.index,
        recovery,
        fold,
        ended: Default::default(),
    };
    let first = first_segment(disk, &segments, restored)?;
    let newest = replay.segments(&segments[first..])?;
    let mut recovered = replay.finish(newest)?;
    log::history::reach_back(disk, head.identity, &segments[..first], &mut recovered.map);
    for name in damaged {
        recovered.recovery.snapshots_damaged.push(snapshot::set_aside(disk, &name)?);
    }
    Ok(recovered)
}

/// A new log in an empty directory.
fn create<D: Disk>(disk: &D, names: &[String]) -> Result<Head, Error> {
    let is_ours = |name: &&String| parse_file_name(name).is_some() || snapshot_format::parse_file_name(name).is_some();
    if names.iter().any(|name| is_ours(&name)) {
        let what = "the file is missing, yet there are segments or snapshots";
        return Err(Error::damaged(disk.path(head_format::FILE_NAME), 0, what));
    }
    let is_stray = |name: &&String| *name != RealDisk::LOCK_FILE && !name.ends_with(".tmp") && !is_spare_name(name);
    if let Some(stray) = names.iter().find(is_stray) {
        return Err(Error::NotALog { directory: disk.path(""), stray: stray.clone() });
    }
    let identity = disk.fresh_identity().map_err(|error| Error::disk("naming the log in", disk.path(""), error))?;
    let head = Head { identity, ..Head::default() };
    head::write(disk, &head)?;
    Ok(head)
}

/// Ends what a crash left half done, as far as that is removing files.
fn complete<D: Disk>(disk: &D, mut head: Head, names: &[String]) -> Result<Head, Error> {
    if head.truncating_from != 0 {
        remove_segments(disk, |first| first > head.newest_segment)?;
    }
    if head.installing != 0 {
        let is_there = names.iter().any(|name| snapshot_format::parse_file_name(name) == Some(head.installing));
        match is_there {
            true => remove_segments(disk, |first| first <= head.installing)?,
            // It never got its name: nothing has happened yet.
            false => {
                head.installing = 0;
                head::write(disk, &head)?;
            }
        }
    }
    Ok(head)
}

/// Removes the segments that `unwanted` picks by their first entries.
pub(crate) fn remove_segments<D: Disk>(disk: &D, unwanted: impl Fn(Index) -> bool) -> Result<(), Error> {
    let remove = || {
        for name in disk.list()? {
            if parse_file_name(&name).is_some_and(&unwanted) {
                disk.remove(&name)?;
            }
        }
        disk.sync_directory()
    };
    remove().map_err(|error| Error::disk("removing segments from", disk.path(""), error))
}

/// The snapshot of another node has its name, and nothing older is left: it is the log from here on.
fn finish_install<D: Disk>(
    disk: &D,
    config: &Config,
    head: Head,
    snapshot: SnapshotMark,
) -> Result<Recovered<D::File>, Error> {
    let mark = snapshot.mark;
    if mark.index != head.installing {
        let file = disk.path(&snapshot_format::file_name(head.installing));
        return Err(Error::damaged(file, 0, "the snapshot was about to replace the log, and is not whole"));
    }
    remove_segments(disk, |_| true)?;
    let segment = begin_segment(disk, config, head.identity, mark)?;
    let head = Head { newest_segment: mark.index + 1, installing: 0, ..head };
    head::write(disk, &head)?;
    snapshot::keep_only(disk, mark.index)?;
    let recovery = Recovery { snapshot_index: mark.index, last_index: mark.index, ..Recovery::default() };
    let (map, folded) = (Map::after(mark, config.milestone_bytes()), mark.index);
    Ok(Recovered { head, segment, map, last: mark, folded, snapshot, recovery })
}

/// The head knows the newest segment, so that it cannot vanish unnoticed.
fn check_newest<D: Disk>(disk: &D, head: &Head, segments: &[Index], names: &[String]) -> Result<(), Error> {
    if head.installing != 0 {
        return Ok(()); // there need not be any
    }
    if head.newest_segment != 0 && !segments.contains(&head.newest_segment) {
        return Err(Error::damaged(disk.path(&file_name(head.newest_segment)), 0, "the newest segment is missing"));
    }
    let snapshots = names.iter().any(|name| snapshot_format::parse_file_name(name).is_some());
    if segments.is_empty() && snapshots {
        return Err(Error::damaged(disk.path(&file_name(1)), 0, "there is a snapshot, but no segment"));
    }
    Ok(())
}

fn begin_first_segment<D: Disk>(disk: &D, config: &Config, head: Head) -> Result<Recovered<D::File>, Error> {
    let segment = begin_segment(disk, config, head.identity, Mark::default())?;
    let head = Head { newest_segment: 1, closed_at: None, ..head };
    head::write(disk, &head)?;
    Ok(Recovered {
        head,
        segment,
        map: Map::after(Mark::default(), config.milestone_bytes()),
        last: Mark::default(),
        folded: 0,
        snapshot: SnapshotMark::default(),
        recovery: Recovery::default(),
    })
}

/// The segment behind `previous`.
fn begin_segment<D: Disk>(
    disk: &D,
    config: &Config,
    identity: u128,
    previous: Mark,
) -> Result<Segment<D::File>, Error> {
    let (first_index, segment_bytes) = (previous.index + 1, config.segment_bytes);
    let header =
        Header { identity, first_index, segment_bytes, previous: previous.chain, previous_term: previous.term };
    let spare = make_spare(disk, 0, segment_bytes, |_| usize::MAX).map_err(|error| allocation_failure(disk, error))?;
    let path = disk.path(&file_name(first_index));
    let file = begin(disk, spare, &header).map_err(|error| Error::disk("beginning", path, error))?;
    Ok(Segment { file, header, end: HEADER_BYTES as u64 })
}

/// Position of the segment that replay begins with: the one that holds the entry after the snapshot.
fn first_segment<D: Disk>(disk: &D, segments: &[Index], restored: Mark) -> Result<usize, Error> {
    let reachable = segments.iter().rposition(|first| *first <= restored.index + 1);
    reachable.ok_or_else(|| {
        let what = match restored.index {
            0 => "the log begins later, and there is no whole snapshot of what came before".to_string(),
            index => format!("the log begins with entry {}, the newest whole snapshot ends with {index}", segments[0]),
        };
        Error::damaged(disk.path(&file_name(restored.index + 1)), 0, format!("the segment is missing: {what}"))
    })
}

pub(crate) fn allocation_failure<D: Disk>(disk: &D, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { directory: disk.path("") },
        _ => Error::disk("preparing a segment in", disk.path(""), error),
    }
}

/// Walks segments, checking every entry and folding those after the snapshot.
struct Replay<'a, D: Disk, F: Fold> {
    disk: &'a D,
    head: Head,
    snapshot: SnapshotMark,
    restored: Mark,
    last: Mark,
    map: Map,
    /// The highest entry that any entry so far says is committed.
    committed: Index,
    /// Entries that may be committed, but none so far says so.
    held: VecDeque<OwnedRecord>,
    folded: Index,
    recovery: Recovery,
    fold: &'a mut F,
    /// The segment walked before, and where its entries end.
    ended: (String, u64),
}

/// A segment as it was read.
struct Loaded<F> {
    file: F,
    header: Header,
    image: Vec<u8>,
}

/// `image` is memory to use again.
fn load<D: Disk>(disk: &D, first_index: Index, identity: u128, mut image: Vec<u8>) -> Result<Loaded<D::File>, Error> {
    let path = disk.path(&file_name(first_index));
    let (file, header) = segment::open(disk, first_index, identity)?;
    image.resize(header.segment_bytes as usize, 0);
    let got = file.read_at(&mut image, 0).map_err(|error| Error::disk("reading", &path, error))?;
    if got != image.len() {
        return Err(Error::damaged(path, got as u64, "the file became shorter while it was read"));
    }
    Ok(Loaded { file, header, image })
}

/// The newest segment and where its entries end.
struct Walked<F> {
    segment: Segment<F>,
    torn_bytes: u64,
}

impl<D: Disk, F: Fold> Replay<'_, D, F> {
    /// Walks all segments; while one is folded, the next is read.
    fn segments(&mut self, firsts: &[Index]) -> Result<Walked<D::File>, Error> {
        let (disk, identity) = (self.disk, self.head.identity);
        let mut loaded = load(disk, firsts[0], identity, Vec::new())?;
        let mut spare = Vec::new();
        for (position, following) in firsts.iter().enumerate().skip(1) {
            let image = std::mem::take(&mut spare);
            let (walked, next) = std::thread::scope(|scope| {
                let next = scope.spawn(move || load(disk, *following, identity, image));
                let walked = self.segment(&loaded.header, &loaded.image, position == 1, false);
                (walked, next.join())
            });
            walked?;
            let next = next.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            spare = std::mem::replace(&mut loaded, next).image;
        }
        let (end, torn_bytes) = self.segment(&loaded.header, &loaded.image, firsts.len() == 1, true)?;
        let Loaded { file, header, .. } = loaded;
        Ok(Walked { segment: Segment { file, header, end }, torn_bytes })
    }

    /// Gives where its entries end, and how many bytes of an incomplete write follow.
    fn segment(&mut self, header: &Header, image: &[u8], is_first: bool, is_newest: bool) -> Result<(u64, u64), Error> {
        let first_index = header.first_index;
        let path = self.disk.path(&file_name(first_index));
        if is_first {
            self.last = header.before();
            self.map = self.map.anew(self.last);
            self.meet_snapshot()?;
        }
        if first_index != self.last.index + 1 {
            return Err(self.gap(first_index));
        }
        if header.previous != self.last.chain {
            return Err(Error::damaged(path, 0, "it does not follow the segment before it"));
        }
        let (mut offset, mut found) = (HEADER_BYTES, Vec::new());
        let ended = loop {
            if self.head.truncating_from == self.last.index + 1 {
                // Whatever stands here was being cut off.
                let used = length_without_trailing_zeros(&image[offset..]);
                break Ok((offset as u64, used as u64));
            }
            match segment::find(image, offset, self.last.index + 1, self.last.chain) {
                Found::Entry(header) => {
                    self.meet(&header, first_index, offset as u64)?;
                    found.push((header, offset));
                    offset += header.extent_bytes();
                }
                Found::End => break Ok((offset as u64, 0)),
                Found::Torn { bytes } if is_newest => break Ok((offset as u64, bytes)),
                Found::Torn { .. } => {
                    let what = format!("entry {} is incomplete, but segments follow", self.last.index + 1);
                    break Err(Error::damaged(path, offset as u64, what));
                }
                Found::Damage(what) => break Err(Error::damaged(path, offset as u64, what)),
            }
        };
        self.ended = (file_name(first_index), offset as u64);
        self.fold_committed(&found, image);
        ended
    }

    fn gap(&self, first_index: Index) -> Error {
        let (ended, offset) = &self.ended;
        let what = format!(
            "it ends with entry {}, the next segment begins with {first_index}: its end, or {}, is missing",
            self.last.index,
            file_name(self.last.index + 1)
        );
        Error::damaged(self.disk.path(ended), *offset, what)
    }

    /// An entry checks out.
    fn meet(&mut self, header: &entry::Header, segment: Index, offset: u64) -> Result<(), Error> {
        self.last = Mark { index: header.index, term: header.term, chain: header.chain };
        self.committed = self.committed.max(header.committed);
        self.map.add(self.last, segment, offset, header.previous);
        self.meet_snapshot()
    }

    /// Folds what is known to be committed of the entries held and of those of a segment; holds the rest.
    fn fold_committed(&mut self, found: &[(entry::Header, usize)], image: &[u8]) {
        while let Some(record) = self.held.pop_front_if(|record| record.index <= self.committed) {
            self.fold_one(Record {
                index: record.index,
                term: record.term,
                kind: record.kind,
                payload: &record.payload,
            });
        }
        let restored = self.restored.index;
        for (header, offset) in found.iter().filter(|(header, _)| header.index > restored) {
            let payload = &image[offset + entry::HEADER_BYTES..][..header.payload_bytes as usize];
            let (index, term, kind) = (header.index, header.term, header.kind);
            if index <= self.committed {
                self.fold_one(Record { index, term, kind, payload });
            } else {
                self.held.push_back(OwnedRecord { index, term, kind, payload: payload.to_vec() });
            }
        }
    }

    fn fold_one(&mut self, record: Record<'_>) {
        let Record { index, term, kind, payload } = record;
        self.recovery.entries_replayed += 1;
        self.recovery.bytes_replayed += payload.len() as u64;
        if kind == Kind::Membership {
            self.recovery.memberships.push((index, payload.to_vec()));
        }
        let payload = if kind == Kind::Batch { payload } else { &[] };
        self.fold.committed(Entry { index, term, payload, replay: true }, &mut Vec::new());
        self.folded = index;
    }

    /// The snapshot must be one of this log: both have seen the same entries.
    fn meet_snapshot(&self) -> Result<(), Error> {
        let is_there = self.restored.index > 0 && self.last.index == self.restored.index;
        if is_there && self.last.chain != self.restored.chain {
            let file = self.disk.path(&snapshot_format::file_name(self.restored.index));
            return Err(Error::damaged(file, 0, "the snapshot and the log do not belong together"));
        }
        Ok(())
    }

    /// Cuts what was torn, makes what is there durable, and marks the log as open.
    fn finish(mut self, newest: Walked<D::File>) -> Result<Recovered<D::File>, Error> {
        let Walked { segment, torn_bytes } = newest;
        let path = self.disk.path(&file_name(segment.header.first_index));
        if self.last.index < self.restored.index {
            let what = format!("the log ends with entry {}, a snapshot with {}", self.last.index, self.restored.index);
            return Err(Error::damaged(path, segment.end, what));
        }
        if let Some(closed_at) = self.head.closed_at
            && (closed_at != self.last || torn_bytes > 0)
        {
            let what = format!("the log was closed with entry {}, but ends with {}", closed_at.index, self.last.index);
            return Err(Error::damaged(path, segment.end, what));
        }
        // What only the page cache held counts from here on.
        let settle = || log::blank(&segment.file, segment.end, segment.end + torn_bytes);
        settle().map_err(|error| Error::disk("cutting the torn tail of", &path, error))?;
        let is_cut = self.head.truncating_from != 0;
        let newest_segment = segment.header.first_index;
        let head = Head { newest_segment, closed_at: None, truncating_from: 0, ..self.head };
        head::write(self.disk, &head)?;
        self.recovery.last_index = self.last.index;
        self.recovery.torn_tail =
            (torn_bytes > 0 && !is_cut).then_some(TornTail { file: path, offset: segment.end, bytes: torn_bytes });
        let Replay { map, last, folded, snapshot, recovery, .. } = self;
        Ok(Recovered { head, segment, map, last, folded, snapshot, recovery })
    }
}
