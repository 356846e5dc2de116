//! Entries that were written before, read back: for nodes that follow, for the members at a start, for what is cut off.
//!
//! The log begins with the oldest segment that is there. Of those from before the newest snapshot a start reads the headers
//! alone, so they may be damaged without anybody knowing. Nothing of them is given out before it was checked: each entry by
//! its own checksums, and by its term, which the headers of the segments tell (see `map`).

use super::{Kind, Log, Mark, OwnedRecord, Record, State};
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Entry, Fold, Index, Term};
use crate::format::segment::file_name;
use crate::map::{Map, Milestone};
use crate::reader::Reader;
use crate::recovery::Recovery;
use crate::segment;

/// Lets `map` begin with the oldest of the segments `older`, which stand before what it knows. One that is damaged, and
/// those before it, are left out: the log is whole without them.
pub(crate) fn reach_back<D: Disk>(disk: &D, identity: u128, older: &[Index], map: &mut Map) {
    for first in older.iter().rev() {
        let reached =
            segment::open(disk, *first, identity).and_then(|(_, header)| match map.precede(header.before()) {
                true => Ok(()),
                false => {
                    Err(Error::damaged(disk.path(&file_name(*first)), 0, "it does not precede the segment behind it"))
                }
            });
        if let Err(error) = reached {
            return tell_damage(&error, map.first());
        }
    }
}

/// ERROR: somebody should look, though the node lacks nothing.
fn tell_damage(error: &Error, first: Index) {
    let what = match error {
        Error::Damaged { file, offset, what } => format!("{} at byte {offset}: {what}", file.display()),
        other => other.to_string(),
    };
    tracing::error!(
        event = "old_segment_damaged",
        what,
        first,
        "an old segment of the log is damaged. The newest snapshot has what it held, so this node goes on, and gives others \
         entries from `first` on; who needs older ones gets a snapshot. Keep the file, and repair the node when it suits"
    );
}

impl<D: Disk> Log<D> {
    /// The term of an entry from the one before [`Log::first`] to the last; `None` while it is not known, because the term
    /// changes in an old segment that was not read yet.
    pub fn term(&self, index: Index) -> Option<Term> {
        self.map.borrow().term(index, self.last.index)
    }

    /// The mark of an entry from the one before [`Log::first`] to the last. Old ones are looked up on the disk.
    pub fn mark(&self, index: Index) -> Result<Mark, Error> {
        if let Some(mark) = self.map.borrow().mark(index) {
            return Ok(mark);
        }
        let chain = self.place(index + 1)?.previous;
        let term = self.term(index).ok_or_else(|| self.gone(index))?;
        Ok(Mark { index, term, chain })
    }

    /// Where an entry stands, or the next one would.
    pub(super) fn place(&self, index: Index) -> Result<Milestone, Error> {
        loop {
            if let Some(reader) = self.seek(index)? {
                return Ok(reader.place());
            }
        }
    }

    /// Entries from `from` up to and without `until`, as many as fit `bytes_max`, at least one. Reads the disk. What
    /// cannot be read is an error when it is the first.
    pub fn entries(&self, from: Index, until: Index, bytes_max: usize) -> Result<Vec<OwnedRecord>, Error> {
        loop {
            if let Some(records) = self.entries_near(from, until, bytes_max)? {
                return Ok(records);
            }
        }
    }

    /// The same, or `None` when the way to them is long: then the next call begins nearer to them.
    pub(crate) fn entries_near(
        &self,
        from: Index,
        until: Index,
        bytes_max: usize,
    ) -> Result<Option<Vec<OwnedRecord>>, Error> {
        assert_eq!(self.state, State::Synced, "entries are read back when they are on the disk");
        let Some(mut reader) = self.seek(from)? else { return Ok(None) };
        let up_to = until.saturating_sub(1).min(self.last.index);
        let (mut records, mut bytes) = (Vec::new(), 0);
        loop {
            match self.next(&mut reader, up_to) {
                Ok(Some(record)) => {
                    bytes += record.payload.len();
                    if bytes > bytes_max && !records.is_empty() {
                        break;
                    }
                    records.push(record);
                }
                Err(error) if records.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Some(records))
    }

    /// The next entry, unless it is beyond `up_to` or in a segment that has to be looked through first.
    fn next(&self, reader: &mut Reader<D>, up_to: Index) -> Result<Option<OwnedRecord>, Error> {
        if self.map.borrow().is_in_gap(reader.place().index) {
            return Ok(None);
        }
        let Some((place, record)) = reader.next_placed(up_to)? else { return Ok(None) };
        let Record { index, term, kind, payload } = record;
        let record = OwnedRecord { index, term, kind, payload: payload.to_vec() };
        self.learn(place, Mark { index, term, chain: reader.place().previous })?;
        Ok(Some(record))
    }

    /// A reader that stands before an entry; `None` when it is not there yet: another call goes on where this one ended. Each
    /// reads little, so that a leader does not stand still for it.
    fn seek(&self, index: Index) -> Result<Option<Reader<D>>, Error> {
        let (start, step_bytes) = (self.map.borrow().approach(index), self.map.borrow().step_bytes());
        let start = start.ok_or_else(|| self.gone(index))?;
        let mut reader = Reader::resume(self.disk.clone(), self.identity(), start)?;
        let mut passed = start;
        while reader.place().index < index || self.map.borrow().is_in_gap(index) {
            if passed.offset >= start.offset + step_bytes {
                return Ok(None);
            }
            let Some((place, entry)) = reader.skip()? else {
                return Err(self.damaged(reader.place(), "the entries that belong here are missing".into()));
            };
            self.learn(place, entry)?;
            passed = place;
        }
        // On its way through a gap it may have come too far.
        if reader.place().index == index { Ok(Some(reader)) } else { self.seek(index) }
    }

    fn learn(&self, place: Milestone, entry: Mark) -> Result<(), Error> {
        let Mark { index, term, .. } = entry;
        match self.map.borrow_mut().learn(place, entry) {
            true => Ok(()),
            false => Err(self.damaged(place, format!("entry {index} of term {term} does not belong here"))),
        }
    }

    fn damaged(&self, place: Milestone, what: String) -> Error {
        Error::damaged(self.disk.path(&file_name(place.segment)), place.offset, what)
    }

    fn gone(&self, index: Index) -> Error {
        Error::Gone { wanted: index, oldest: self.first() }
    }

    /// Whether the log does without the segment of an entry, which turned out to be damaged: the newest snapshot has what
    /// it held. Then the log begins behind it from now on.
    pub(crate) fn does_without(&self, index: Index, damage: &Error) -> bool {
        let end = self.map.borrow().segment_end(index);
        let Some(end) = end.filter(|end| end.index <= self.newest_snapshot.mark.index) else { return false };
        self.map.borrow_mut().forget(end);
        tell_damage(damage, self.first());
        true
    }

    /// Gives `fold` what `open` could not know to be committed, as a node alone may.
    pub fn fold_rest<F: Fold>(&mut self, fold: &mut F, recovery: &mut Recovery) -> Result<(), Error> {
        const STEP_BYTES: usize = 4 << 20;
        while self.folded < self.last.index {
            for record in self.entries(self.folded + 1, self.last.index + 1, STEP_BYTES)? {
                let payload: &[u8] = if record.kind == Kind::Batch { &record.payload } else { &[] };
                let entry = Entry { index: record.index, term: record.term, payload, replay: true };
                fold.committed(entry, &mut Vec::new());
                recovery.entries_replayed += 1;
                recovery.bytes_replayed += payload.len() as u64;
                self.folded = record.index;
            }
        }
        self.committed = self.folded;
        Ok(())
    }
}
