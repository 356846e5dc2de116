//! The fold of these tests: it keeps what it was given, so that a test can compare.

use std::io::{self, Read, Write};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use persistence::simulated::SimulatedDisk;
use persistence::{Config, Entry, Error, Fold, Freeze, Index, Journal, Log, Nobody, Recovery, Refused, Sync};

/// Small segments, so that a test sees many; no spinning.
pub(crate) fn config() -> Config {
    Config {
        segment_bytes: 8 << 10,
        batch_bytes_max: 2 << 10,
        retained_bytes_max: 0,
        snapshot_every_bytes: u64::MAX,
        free_bytes_min: 0,
        spin_us: 0,
        sync: Sync::Real,
        ..Config::new("unused")
    }
}

/// Clones see the same book.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    book: Arc<(Mutex<Book>, Condvar)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) entries: Vec<(Index, Vec<u8>)>,
    pub(crate) passengers: Vec<u64>,
    /// For each passenger: how many entries were committed when it was handed over.
    pub(crate) handed_over_at: Vec<usize>,
    pub(crate) batches: u64,
}

impl Book {
    /// Entries with something in them: a node also writes empty ones, when it begins to lead and to state the members.
    pub(crate) fn filled(&self) -> usize {
        self.entries.iter().filter(|(_, payload)| !payload.is_empty()).count()
    }
}

impl Ledger {
    pub(crate) fn book(&self) -> Book {
        self.book.0.lock().clone()
    }

    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.book.0.lock().entries.iter().map(|(_, payload)| payload.clone()).collect()
    }

    /// What was proposed, entry by entry.
    pub(crate) fn proposed(&self) -> Vec<Vec<u8>> {
        self.payloads().into_iter().filter(|payload| !payload.is_empty()).collect()
    }

    /// Waits until the book is as the test wants it.
    pub(crate) fn wait_for(&self, is_there: impl Fn(&Book) -> bool) {
        let mut book = self.book.0.lock();
        while !is_there(&book) {
            self.book.1.wait(&mut book);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.book.0.lock());
        self.book.1.notify_all();
    }
}

impl Fold for Ledger {
    type Passenger = u64;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (payload, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            entries.push((entries.len() as Index + 1, payload.to_vec()));
            rest = after;
        }
        self.change(|book| book.entries = entries);
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<u64>) {
        self.change(|book| {
            assert_eq!(entry.index, book.entries.len() as Index + 1, "entries come in order, each once");
            assert!(!entry.replay || passengers.is_empty(), "nobody travels with a replay");
            book.entries.push((entry.index, entry.payload.to_vec()));
            book.handed_over_at.extend(passengers.iter().map(|_| book.entries.len()));
            book.passengers.append(passengers);
            book.batches += 1;
        });
    }

    fn delivered(&mut self, passengers: &mut Vec<u64>) {
        self.change(|book| {
            book.handed_over_at.extend(passengers.iter().map(|_| book.entries.len()));
            book.passengers.append(passengers);
        });
    }

    fn freeze(&mut self) -> Freeze {
        let entries = self.book().entries;
        Box::new(move |output: &mut dyn Write| -> io::Result<()> {
            for (_, payload) in &entries {
                output.write_all(&(payload.len() as u32).to_le_bytes())?;
                output.write_all(payload)?;
            }
            Ok(())
        })
    }
}

/// A log without threads, and what it replayed.
pub(crate) struct Opened {
    pub(crate) log: Log<SimulatedDisk>,
    pub(crate) recovery: Recovery,
    pub(crate) ledger: Ledger,
}

pub(crate) fn open_log(disk: &SimulatedDisk, config: &Config) -> Result<Opened, Error> {
    let mut ledger = Ledger::default();
    let (mut log, mut recovery) = Log::open(disk.clone(), config, &mut ledger)?;
    log.fold_rest(&mut ledger, &mut recovery)?;
    Ok(Opened { log, recovery, ledger })
}

impl Opened {
    /// Appends and syncs one entry, then folds it.
    pub(crate) fn commit(&mut self, payload: &[u8]) -> Result<(), Error> {
        let index = self.log.append_payload(1, payload)?;
        self.log.sync()?;
        self.ledger.committed(Entry { index, term: 1, payload, replay: false }, &mut Vec::new());
        Ok(())
    }

    pub(crate) fn snapshot(&mut self) -> Result<(), Error> {
        self.log.snapshot(self.log.last().index, b"members", self.ledger.freeze())
    }
}

pub(crate) fn open_journal(disk: &SimulatedDisk, config: Config) -> (Journal<u64>, Recovery, Ledger) {
    let ledger = Ledger::default();
    let opened = persistence::open_on(disk.clone(), config, ledger.clone(), Nobody);
    let (journal, recovery) = opened.expect("the log opens");
    (journal, recovery, ledger)
}

/// Proposes in the reign of the node, which is alone.
pub(crate) fn propose<P: Send, R>(
    journal: &Journal<P>,
    write: impl FnOnce(&mut Vec<u8>, &mut Vec<P>) -> R,
) -> Result<R, Refused> {
    journal.propose(journal.statistics().term, write)
}
