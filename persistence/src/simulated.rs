//! A disk in memory that fails on demand and loses power, for tests: what was not synced is dropped or torn there.
//!
//! Per file it keeps what is durable and which 512-byte sectors were written since the last sync. A power loss decides
//! for each of those sectors by itself; of the directory changes since the last directory sync a prefix survives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::disk::{Disk, File};

const SECTOR_BYTES: usize = 512;

/// Clones are handles of the same disk, in the same life: after a power loss or a kill, what held them can do no more.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
    life: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    contents: Vec<Content>,
    names: Names,
    names_durable: Names,
    changes_unsynced: Vec<Change>,
    /// Counts power losses and kills: handles and files from before the last one are dead.
    life: u64,
    locked: bool,
    capacity_bytes: Option<u64>,
    counts: Counts,
    faults: Vec<Fault>,
    dead: bool,
    syncs_held: bool,
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Change {
    Bind(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// Operations so far, on all files together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: u64,
    pub syncs: u64,
    /// Everything that changes something: writes, syncs, creations, renames, removals, directory syncs.
    pub operations: u64,
}

/// What goes wrong, once, with an operation counted from now: 1 is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Write {
        nth: u64,
    },
    Sync {
        nth: u64,
    },
    /// The machine stops at this operation: it and all after it fail, until [`SimulatedDisk::power_loss`].
    Stop {
        nth: u64,
    },
}

impl SimulatedDisk {
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// Plans a fault, besides those planned before.
    pub fn plan(&self, fault: Fault) {
        let mut state = self.shared.state.lock();
        let counts = state.counts;
        state.faults.push(match fault {
            Fault::Write { nth } => Fault::Write { nth: counts.writes + nth },
            Fault::Sync { nth } => Fault::Sync { nth: counts.syncs + nth },
            Fault::Stop { nth } => Fault::Stop { nth: counts.operations + nth },
        });
    }

    pub fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// How much fits on the disk; `None` is no bound.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.shared.state.lock().capacity_bytes = capacity_bytes;
    }

    pub fn used_bytes(&self) -> u64 {
        self.shared.state.lock().used_bytes()
    }

    /// While held, syncs of files wait. A group commit shows itself that way.
    pub fn hold_syncs(&self, held: bool) {
        self.shared.state.lock().syncs_held = held;
        self.shared.released.notify_all();
    }

    /// Power goes and comes back. Unsynced sectors and directory changes survive or not, as the seed says; open files
    /// and the lock are gone; planned faults are forgotten. Returns the disk as the next process finds it.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> SimulatedDisk {
        let mut state = self.shared.state.lock();
        let mut random = SmallRng::seed_from_u64(seed);
        // All, nothing and everything between must come up.
        let survival = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        for content in &mut state.contents {
            content.lose(survival, &mut random);
        }
        let surviving = random.random_range(0..=state.changes_unsynced.len());
        let changes: Vec<Change> = state.changes_unsynced.drain(..).take(surviving).collect();
        for change in changes {
            apply(&mut state.names_durable, change);
        }
        state.names = state.names_durable.clone();
        state.faults.clear();
        self.next_life(state)
    }

    /// The process is killed: open files and the lock are gone, what was written stays. Returns the disk as the next
    /// process finds it.
    #[must_use]
    pub fn kill(&self) -> SimulatedDisk {
        self.next_life(self.shared.state.lock())
    }

    fn next_life(&self, mut state: MutexGuard<'_, State>) -> SimulatedDisk {
        state.life += 1;
        state.locked = false;
        state.dead = false;
        state.syncs_held = false;
        self.shared.released.notify_all();
        SimulatedDisk { shared: Arc::clone(&self.shared), life: state.life }
    }

    /// For operations of the process that holds this handle.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.shared.state.lock();
        if state.life == self.life {
            Ok(state)
        } else {
            Err(io::Error::other("simulated: held by a process that ended"))
        }
    }

    pub fn files(&self) -> Vec<String> {
        self.shared.state.lock().names.keys().cloned().collect()
    }

    /// What a file holds now, synced or not.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.state.lock();
        state.names.get(name).map(|content| state.contents[*content].current.clone())
    }

    /// Replaces what a file holds, durably: damage at will.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.shared.state.lock();
        let content = state.contents.len();
        state.contents.push(Content { durable: bytes.clone(), current: bytes, dirty: BTreeSet::new() });
        state.names.insert(name.into(), content);
        state.names_durable.insert(name.into(), content);
    }

    /// Another disk with the same content, everything durable.
    pub fn duplicate(&self) -> SimulatedDisk {
        let copy = SimulatedDisk::new();
        for name in self.files() {
            if let Some(bytes) = self.content(&name) {
                copy.set_content(&name, bytes);
            }
        }
        copy
    }
}

impl State {
    /// Counts an operation that changes something; fails it if that was planned.
    fn operation(&mut self, is_due: impl Fn(&Fault, &Counts) -> bool) -> io::Result<()> {
        self.counts.operations += 1;
        let counts = self.counts;
        let stops = |fault: &Fault| matches!(fault, Fault::Stop { nth } if *nth == counts.operations);
        self.dead |= self.faults.iter().any(stops);
        if self.dead {
            return Err(io::Error::other("simulated: the machine has stopped"));
        }
        match self.faults.iter().any(|fault| is_due(fault, &counts)) {
            true => Err(io::Error::other("simulated fault")),
            false => Ok(()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.operation(|_, _| false)?;
        apply(&mut self.names, change.clone());
        self.changes_unsynced.push(change);
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> u64 {
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        named.iter().map(|content| self.contents[*content].current.len() as u64).sum()
    }

    fn grow(&mut self, content: usize, length: usize) -> io::Result<()> {
        let grown = length.saturating_sub(self.contents[content].current.len()) as u64;
        if self.capacity_bytes.is_some_and(|capacity| grown > 0 && self.used_bytes() + grown > capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        if grown > 0 {
            self.contents[content].current.resize(length, 0);
        }
        Ok(())
    }
}

fn apply(names: &mut Names, change: Change) {
    match change {
        Change::Bind(name, content) => drop(names.insert(name, content)),
        Change::Remove(name) => drop(names.remove(&name)),
        Change::Rename(from, to) => {
            if let Some(content) = names.remove(&from) {
                names.insert(to, content);
            }
        }
    }
}

impl Content {
    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.copy(sector);
        }
    }

    fn copy(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.current.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.current[start..end]);
    }

    fn lose(&mut self, survival: f64, random: &mut SmallRng) {
        for sector in std::mem::take(&mut self.dirty) {
            if random.random_bool(survival) {
                self.copy(sector);
            }
        }
        self.current.clone_from(&self.durable);
    }
}

/// An open file of a [`SimulatedDisk`].
pub struct SimulatedFile {
    disk: SimulatedDisk,
    content: usize,
}

impl SimulatedFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        self.disk.alive()
    }
}

/// Holds a [`SimulatedDisk`] for one opener.
pub struct SimulatedLock {
    disk: SimulatedDisk,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.alive() {
            state.locked = false;
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/simulated").join(name)
    }

    fn lock(&self) -> io::Result<Option<SimulatedLock>> {
        let mut state = self.alive()?;
        if std::mem::replace(&mut state.locked, true) {
            return Ok(None);
        }
        Ok(Some(SimulatedLock { disk: self.clone() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.names.keys().filter(|name| !name.contains('/')).cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = self.alive()?;
        Ok(SimulatedFile { disk: self.clone(), content: state.find(name)? })
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.alive()?;
        let content = state.contents.len();
        state.change(Change::Bind(name.into(), content))?;
        state.contents.push(Content::default());
        Ok(SimulatedFile { disk: self.clone(), content })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        state.find(from)?;
        state.change(Change::Rename(from.into(), to.into()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        state.find(name)?;
        state.change(Change::Remove(name.into()))
    }

    fn set_aside(&self, names: &[String], directory: &str) -> io::Result<()> {
        for name in names {
            self.rename(name, &format!("{directory}/{name}"))?;
        }
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        state.counts.syncs += 1;
        state.operation(|fault, counts| *fault == Fault::Sync { nth: counts.syncs })?;
        state.changes_unsynced.clear();
        state.names_durable = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.alive()?;
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    /// The same for every disk, so that a run repeats byte by byte.
    fn fresh_identity(&self) -> io::Result<u128> {
        Ok(0x51A)
    }
}

impl File for SimulatedFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.state()?.contents[self.content].current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        let rest = state.contents[self.content].current.get(offset as usize..).unwrap_or_default();
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if state.dead {
            return Err(io::Error::other("simulated: the machine has stopped"));
        }
        state.counts.writes += 1;
        let outcome = state.operation(|fault, counts| *fault == Fault::Write { nth: counts.writes });
        // A write that fails has got half of the way.
        let written = if outcome.is_ok() { bytes.len() } else { bytes.len() / SECTOR_BYTES / 2 * SECTOR_BYTES };
        let bytes = &bytes[..written];
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        state.grow(self.content, end)?;
        let content = &mut state.contents[self.content];
        content.current[start..end].copy_from_slice(bytes);
        content.dirty.extend(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        outcome
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.operation(|_, _| false)?;
        state.grow(self.content, bytes as usize)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        while state.syncs_held && state.life == self.disk.life {
            self.disk.shared.released.wait(&mut state);
        }
        if state.life != self.disk.life {
            return Err(io::Error::other("simulated: held by a process that ended"));
        }
        state.counts.syncs += 1;
        state.operation(|fault, counts| *fault == Fault::Sync { nth: counts.syncs })?;
        state.contents[self.content].sync();
        Ok(())
    }
}
