//! Reads committed entries again, while the journal goes on writing: for feeds that fell behind, the archive, audits.
//!
//! It takes no lock and looks no further than the caller says is committed, so it never meets a write in flight.

use std::io;
use std::path::Path;

use crate::disk::{Disk, File, RealDisk};
use crate::error::Error;
use crate::fold::{Entry, Index};
use crate::format::entry::{self, HEADER_BYTES, Header};
use crate::format::segment::{self as segment_format, file_name, parse_file_name};
use crate::head;
use crate::log::{Kind, Mark, Record};
use crate::map::Milestone;
use crate::segment;

/// Read ahead in steps of this, so that small batches do not cost a system call each.
const STEP_BYTES: usize = 256 << 10;

/// A place in the log, moving forward.
pub struct Reader<D: Disk = RealDisk> {
    disk: D,
    identity: u128,
    file: D::File,
    first_index: Index,
    /// Of the next entry.
    offset: u64,
    next_index: Index,
    previous: u32,
    /// Bytes of the file from `window_offset` on.
    window: Vec<u8>,
    window_offset: u64,
    /// What was committed when the window was read; what it holds beyond may have been cut off since.
    window_up_to: Index,
}

impl Reader<RealDisk> {
    /// The first entry it gives will be `from`, which may not exist yet, but the one before it must.
    pub fn open(directory: impl AsRef<Path>, from: Index) -> Result<Reader, Error> {
        Reader::open_on(RealDisk::new(directory.as_ref()), from)
    }

    /// The number that no other log has, by which files beside it tell that they belong to it.
    pub fn identity(directory: impl AsRef<Path>) -> Result<u128, Error> {
        let disk = RealDisk::new(directory.as_ref());
        let head = head::read(&disk)?.ok_or_else(|| Error::damaged(disk.path(""), 0, "there is no log here"))?;
        Ok(head.identity)
    }

    /// The oldest entry that is kept (or will be the first).
    pub fn oldest(directory: impl AsRef<Path>) -> Result<Index, Error> {
        oldest(&RealDisk::new(directory.as_ref()))
    }

    /// The first entry of each segment that is kept, in order: to read from there on costs nothing before it. The last may
    /// not be there yet.
    pub fn segments(directory: impl AsRef<Path>) -> Result<Vec<Index>, Error> {
        segments(&RealDisk::new(directory.as_ref()))
    }
}

/// The oldest entry on a disk.
pub(crate) fn oldest<D: Disk>(disk: &D) -> Result<Index, Error> {
    Ok(segments(disk)?.first().copied().unwrap_or(1))
}

fn segments<D: Disk>(disk: &D) -> Result<Vec<Index>, Error> {
    let names = disk.list().map_err(|error| Error::disk("listing", disk.path(""), error))?;
    let mut firsts: Vec<Index> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

impl<D: Disk> Reader<D> {
    /// [`Reader::open`] on a disk of the caller's.
    pub fn open_on(disk: D, from: Index) -> Result<Reader<D>, Error> {
        let from = from.max(1);
        let Some(head) = head::read(&disk)? else {
            return Err(Error::damaged(disk.path(""), 0, "there is no log here"));
        };
        let firsts = segments(&disk)?;
        let Some(first_index) = firsts.iter().copied().rfind(|first| *first <= from) else {
            return Err(Error::Gone { wanted: from, oldest: firsts.first().copied().unwrap_or(1) });
        };
        let (file, header) = open_segment(&disk, first_index, head.identity, from)?;
        let mut reader = Reader::at(disk, head.identity, file, Milestone::behind(header.before()));
        reader.skip_to(from)?;
        Ok(reader)
    }

    /// Stands at a milestone.
    pub(crate) fn resume(disk: D, identity: u128, milestone: Milestone) -> Result<Reader<D>, Error> {
        let (file, _) = open_segment(&disk, milestone.segment, identity, milestone.index)?;
        Ok(Reader::at(disk, identity, file, milestone))
    }

    fn at(disk: D, identity: u128, file: D::File, place: Milestone) -> Reader<D> {
        Reader {
            disk,
            identity,
            file,
            first_index: place.segment,
            offset: place.offset,
            next_index: place.index,
            previous: place.previous,
            window: Vec::new(),
            window_offset: 0,
            window_up_to: 0,
        }
    }

    /// Where the next entry stands, if it is one of the same segment.
    pub(crate) fn place(&self) -> Milestone {
        Milestone { index: self.next_index, segment: self.first_index, offset: self.offset, previous: self.previous }
    }

    /// The index of the entry that [`Reader::next`] gives next.
    pub fn position(&self) -> Index {
        self.next_index
    }

    /// The next entry, or `None` if it lies beyond `up_to`, which must be committed: [`Journal::committed_index`](crate::Journal::committed_index).
    /// Empty where the members of the cluster changed.
    pub fn next(&mut self, up_to: Index) -> Result<Option<Entry<'_>>, Error> {
        let record = self.next_record(up_to)?;
        Ok(record.map(|Record { index, term, kind, payload }| {
            let payload = if kind == Kind::Batch { payload } else { &[] };
            Entry { index, term, payload, replay: true }
        }))
    }

    pub(crate) fn next_record(&mut self, up_to: Index) -> Result<Option<Record<'_>>, Error> {
        Ok(self.next_placed(up_to)?.map(|(_, record)| record))
    }

    /// With the place where it stands.
    pub(crate) fn next_placed(&mut self, up_to: Index) -> Result<Option<(Milestone, Record<'_>)>, Error> {
        if self.next_index > up_to {
            return Ok(None);
        }
        if self.next_index > self.window_up_to {
            self.renew(up_to)?;
        }
        let header = match self.header()? {
            Some(header) => header,
            None => {
                self.next_segment()?;
                self.header()?.ok_or_else(|| self.damaged("the segment is empty".into()))?
            }
        };
        let place = self.place();
        let extent_bytes = header.extent_bytes();
        self.fill(extent_bytes)?;
        let start = (place.offset - self.window_offset) as usize;
        let whole = self.window.len() >= start + extent_bytes;
        if !whole || entry::chain(&self.window[start..][..extent_bytes], place.previous) != header.chain {
            return Err(self.damaged(format!("the checksum of entry {} is wrong", header.index)));
        }
        self.pass(&header);
        let payload = &self.window[start + HEADER_BYTES..][..header.payload_bytes as usize];
        Ok(Some((place, Record { index: header.index, term: header.term, kind: header.kind, payload })))
    }

    /// Passes the next entry of the same segment without looking at its payload; `None` where there is none.
    pub(crate) fn skip(&mut self) -> Result<Option<(Milestone, Mark)>, Error> {
        let place = self.place();
        let header = self.header()?;
        Ok(header.map(|header| {
            self.pass(&header);
            (place, Mark { index: header.index, term: header.term, chain: header.chain })
        }))
    }

    /// Goes from header to header.
    fn skip_to(&mut self, from: Index) -> Result<(), Error> {
        while self.next_index < from {
            if self.skip()?.is_none() {
                let what = format!("entry {} is not committed yet, so {from} cannot be next", self.next_index);
                return Err(self.damaged(what));
            }
        }
        Ok(())
    }

    fn pass(&mut self, header: &Header) {
        self.offset += header.extent_bytes() as u64;
        self.previous = header.chain;
        self.next_index += 1;
    }

    /// The header of the next entry; `None` at the end of the segment.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        self.fill(HEADER_BYTES)?;
        let start = (self.offset - self.window_offset) as usize;
        let Some(bytes) = self.window.get(start..start + HEADER_BYTES) else {
            return Ok(None);
        };
        if bytes.iter().all(|byte| *byte == 0) {
            // The journal may have written here since the window was read.
            return if self.reread()? { self.header() } else { Ok(None) };
        }
        match Header::parse(bytes) {
            Ok(header) if header.index == self.next_index && header.previous == self.previous => Ok(Some(header)),
            Ok(header) => Err(self.damaged(format!("entry {} where {} belongs", header.index, self.next_index))),
            Err(entry::Unreadable::Damaged(what)) => Err(self.damaged(what.into())),
            Err(entry::Unreadable::Kind(kind)) => Err(self.damaged(format!("an entry of unknown kind {kind}"))),
        }
    }

    /// Forgets what was read when less was committed. The segment may be gone since, with a snapshot in its place.
    fn renew(&mut self, up_to: Index) -> Result<(), Error> {
        if self.window_up_to > 0 {
            self.file = open_segment(&self.disk, self.first_index, self.identity, self.next_index)?.0;
        }
        self.window.clear();
        self.window_up_to = up_to;
        Ok(())
    }

    /// Makes the window hold `bytes` from the offset on, unless the file ends before.
    fn fill(&mut self, bytes: usize) -> Result<(), Error> {
        let window_end = self.window_offset + self.window.len() as u64;
        if self.offset < self.window_offset || self.offset + bytes as u64 > window_end {
            self.window_offset = self.offset;
            self.window.resize(bytes.max(STEP_BYTES), 0);
            let got = self.file.read_at(&mut self.window, self.offset).map_err(|error| self.failure(error))?;
            self.window.truncate(got);
        }
        Ok(())
    }

    /// Reads the window anew at the offset; true if there is something now.
    fn reread(&mut self) -> Result<bool, Error> {
        self.window.clear();
        self.fill(HEADER_BYTES)?;
        Ok(self.window.iter().take(HEADER_BYTES).any(|byte| *byte != 0))
    }

    fn next_segment(&mut self) -> Result<(), Error> {
        let (file, header) = open_segment(&self.disk, self.next_index, self.identity, self.next_index)?;
        if header.previous != self.previous {
            self.first_index = self.next_index;
            return Err(self.damaged("it does not follow the segment before it".into()));
        }
        self.file = file;
        self.first_index = self.next_index;
        self.offset = segment_format::HEADER_BYTES as u64;
        self.window.clear();
        Ok(())
    }

    fn damaged(&self, what: String) -> Error {
        Error::damaged(self.disk.path(&file_name(self.first_index)), self.offset, what)
    }

    fn failure(&self, source: io::Error) -> Error {
        Error::disk("reading", self.disk.path(&file_name(self.first_index)), source)
    }
}

/// Retention may have taken the file since it was listed, or since the reader was last here.
fn open_segment<D: Disk>(
    disk: &D,
    first_index: Index,
    identity: u128,
    wanted: Index,
) -> Result<(D::File, segment_format::Header), Error> {
    match segment::open(disk, first_index, identity) {
        Err(Error::Disk { source, file, .. }) if source.kind() == io::ErrorKind::NotFound => match oldest(disk)? {
            oldest if oldest > wanted => Err(Error::Gone { wanted, oldest }),
            _ => Err(Error::damaged(file, 0, "the segment is missing")),
        },
        result => result,
    }
}
