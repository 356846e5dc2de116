//! A log checked without a node: every entry is read, every fact folded, and the money added up. Nothing on the disk is
//! changed.

mod disk;
pub mod export;

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use persistence::{Entry, Fold, Freeze};
use serde::Serialize;
use settlement::{Book, Facts, Participant, State};
use wire::Currency;

use self::disk::LookOnly;
use crate::admin::asked::AuditHead;
use crate::admin::protocol::Position;
use crate::exit::{Exit, Failure};
use crate::story::state_name;

/// What the log adds up to.
#[derive(Debug, Serialize)]
pub struct Report {
    pub directory: PathBuf,
    /// 0 when everything was folded from the first entry on; else the snapshot's place, older entries being gone.
    pub snapshot_index: u64,
    pub last_index: u64,
    pub entries: u64,
    pub bytes: u64,
    /// An incomplete write at the end, of which nobody was told.
    pub torn_bytes: u64,
    pub business_date: String,
    pub facts: BTreeMap<&'static str, u64>,
    pub payments: BTreeMap<&'static str, u64>,
    pub participants: Vec<Holding>,
    /// Sum of all net positions, by currency: zero, or money was made or lost.
    pub imbalance: BTreeMap<String, String>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// What a participant has.
#[derive(Debug, Serialize)]
pub struct Holding {
    pub id: String,
    pub positions: Vec<Position>,
}

/// Reads the log in `directory` from its beginning, or from its oldest usable snapshot if the beginning is gone.
pub fn verify(directory: &Path) -> Result<Report, Failure> {
    let (recovery, fold) = replay(directory)?;
    let book = &fold.book;
    let mut violations = fold.unreadable.clone();
    violations.extend(book.trail().check().err().map(|broken| broken.to_string()));
    violations.extend(reservations(book));
    let mut imbalance = BTreeMap::new();
    for (currency, sum) in book.imbalances() {
        violations.extend(imbalance_fault(currency, sum));
        imbalance.insert(currency.to_string(), sum.to_string());
    }
    Ok(Report {
        directory: directory.into(),
        snapshot_index: recovery.snapshot_index,
        last_index: recovery.last_index,
        entries: recovery.entries_replayed,
        bytes: recovery.bytes_replayed,
        torn_bytes: recovery.torn_tail.map_or(0, |torn| torn.bytes),
        business_date: book.scheme().business_date().to_string(),
        payments: payments(book),
        participants: book.participants().iter().map(holding).collect(),
        imbalance,
        violations,
        facts: fold.facts,
    })
}

/// Money only moves: in words, if the positions in a currency do not add up to nothing.
pub(crate) fn imbalance_fault(currency: Currency, sum_minor: i128) -> Option<String> {
    let fault = || format!("the positions in {currency} add up to {sum_minor} minor units instead of 0");
    (sum_minor != 0).then(fault)
}

/// Where the audit trail in `directory` ends, if it holds together; with the hash of entry `number`.
pub fn audit(directory: &Path, number: Option<u64>) -> Result<AuditHead, Failure> {
    let (_, fold) = replay(directory)?;
    let integrity =
        |what: String| Failure::new(Exit::Integrity, what).next("keep the directory as it is; crosstie log verify");
    if let Some(what) = fold.unreadable.into_iter().next() {
        return Err(integrity(what));
    }
    AuditHead::of(fold.book.trail(), number).map_err(|broken| integrity(broken.to_string()))
}

/// Folds the log from its beginning, or from its oldest usable snapshot if the beginning is gone.
fn replay(directory: &Path) -> Result<(persistence::Recovery, Replay), Failure> {
    let disk = LookOnly::new(directory)?;
    let mut config = persistence::Config::new(directory);
    config.sync = persistence::Sync::None;
    let mut fold = Replay::default();
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let (mut log, mut recovery) = persistence::Log::open(disk, &config, &mut fold)?;
        log.fold_rest(&mut fold, &mut recovery)?;
        Ok(recovery)
    }));
    match opened {
        Ok(Ok(recovery)) => Ok((recovery, fold)),
        Ok(Err(error @ persistence::Error::Locked { .. })) => Err(Failure::new(Exit::Refused, error.to_string())
            .next("crosstie stop, then verify; or copy the directory and verify the copy")),
        Ok(Err(error)) => Err(Failure::from(&error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let message = format!("entry {} cannot be applied: {text}", fold.index);
            Err(Failure::new(Exit::Integrity, message).next("keep the directory as it is and report this"))
        }
    }
}

fn holding(participant: &Participant) -> Holding {
    let positions = participant.positions().iter();
    Holding {
        id: participant.listing().id.to_string(),
        positions: positions.map(|(currency, position)| Position::new(*currency, position)).collect(),
    }
}

fn payments(book: &Book) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for record in book.participants().iter().flat_map(|participant| participant.payments().iter()) {
        *counts.entry(state_name(record.state)).or_default() += 1;
    }
    counts
}

/// What is reserved is what payments in process hold, and each of them waits at its creditor agent.
fn reservations(book: &Book) -> Vec<String> {
    let mut violations = Vec::new();
    for participant in book.participants() {
        let id = participant.listing().id;
        let in_process = || participant.payments().iter().filter(|record| record.state == State::Reserved);
        for (currency, position) in participant.positions() {
            let held = in_process().filter(|record| record.currency == *currency).map(|record| record.amount_minor);
            let held: i64 = held.sum();
            if held != position.reserved {
                let reserved = position.reserved;
                violations
                    .push(format!("{id} has {reserved} {currency} minor units reserved, its payments hold {held}"));
            }
        }
        for record in in_process() {
            let creditor = book.participant(record.creditor);
            if creditor.and_then(|creditor| creditor.deadline(participant.key(), record.uetr)).is_none() {
                violations
                    .push(format!("payment {} of {id} is in process, but nobody is asked to answer", record.uetr));
            }
        }
    }
    violations
}

/// Folds facts and counts them.
#[derive(Default)]
struct Replay {
    book: Book,
    index: u64,
    facts: BTreeMap<&'static str, u64>,
    unreadable: Vec<String>,
}

impl Fold for Replay {
    type Passenger = ();

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.book = settlement::restore(snapshot)?;
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, _: &mut Vec<()>) {
        self.index = entry.index;
        for fact in Facts::new(entry.payload) {
            // What cannot be read is not applied, and nothing after it means anything.
            match fact {
                _ if !self.unreadable.is_empty() => return,
                Err(error) => self.unreadable.push(format!("entry {}: {error}", entry.index)),
                Ok(fact) => {
                    *self.facts.entry(fact.name()).or_default() += 1;
                    self.book.apply(&fact, &mut ());
                }
            }
        }
    }

    fn delivered(&mut self, _: &mut Vec<()>) {}

    fn standing(&mut self, _: persistence::Standing) {}

    fn freeze(&mut self) -> Freeze {
        Box::new(|_| Ok(()))
    }
}
