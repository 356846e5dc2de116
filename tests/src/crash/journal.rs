//! What a bank keeps for itself: the notices it was told, frame by frame, written before it believes them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wire::{Frames, Kind, ParticipantId};

use crate::peer::Frame;

/// A bank's journal: two files that are only appended to, one for each feed.
pub(super) struct Journal {
    own: File,
    system: File,
}

impl Journal {
    pub(super) fn create(directory: &Path, bank: ParticipantId) -> io::Result<Journal> {
        let create = |name: PathBuf| File::options().create_new(true).append(true).open(name);
        Ok(Journal { own: create(own_file(directory, bank))?, system: create(system_file(directory, bank))? })
    }

    /// Keeps the notices among `frames`.
    pub(super) fn keep(&mut self, frames: &[u8]) -> io::Result<()> {
        let split = Feeds::of(frames);
        self.own.write_all(&split.own)?;
        self.system.write_all(&split.system)
    }
}

/// What a bank has been told.
pub(super) fn read(directory: &Path, bank: ParticipantId) -> io::Result<Feeds> {
    Ok(Feeds { own: std::fs::read(own_file(directory, bank))?, system: std::fs::read(system_file(directory, bank))? })
}

fn own_file(directory: &Path, bank: ParticipantId) -> PathBuf {
    directory.join(format!("{bank}.own"))
}

fn system_file(directory: &Path, bank: ParticipantId) -> PathBuf {
    directory.join(format!("{bank}.system"))
}

/// The frames of the two feeds.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Feeds {
    pub(super) own: Vec<u8>,
    pub(super) system: Vec<u8>,
}

impl Feeds {
    /// The notices among whole frames.
    pub(super) fn of(frames: &[u8]) -> Feeds {
        let mut feeds = Feeds::default();
        for frame in split(frames).filter(|frame| frame.kind() >= 128) {
            let feed = if frame.kind() == Kind::SystemNotice as u16 { &mut feeds.system } else { &mut feeds.own };
            feed.extend_from_slice(&frame.0);
        }
        feeds
    }
}

/// Whole frames, one by one.
pub(super) fn split(frames: &[u8]) -> impl Iterator<Item = Frame> + '_ {
    let mut walk = Frames::new(frames);
    std::iter::from_fn(move || {
        let start = walk.taken();
        walk.next()?.ok()?;
        Some(Frame(frames[start..walk.taken()].to_vec()))
    })
}
