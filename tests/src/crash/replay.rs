//! The log folded from nothing, without a node: positions, outcomes and feeds as they must be.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use settlement::{Book, Fact, Facts, Key, Recipient, Sink};
use wire::{Status, Uetr};

use super::journal::Feeds;

/// What the log says.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) book: Book,
    pub(super) entries: u64,
    /// Of each entry with its number, the first one first: equal logs have the same.
    pub(super) checksums: Vec<u32>,
    /// By payment: its outcome.
    pub(super) outcomes: HashMap<(Key, Uetr), Status>,
    /// Payments that the log ends, or begins, more than once.
    pub(super) doubled: Vec<String>,
    told: Told,
}

/// The feeds, made again.
#[derive(Default)]
struct Told {
    own: HashMap<Key, Vec<u8>>,
    system: Vec<u8>,
}

impl Sink for Told {
    fn notice(&mut self, to: Recipient, _: u64, write: impl FnOnce(&mut Vec<u8>)) {
        write(match to {
            Recipient::Participant(key) => self.own.entry(key).or_default(),
            Recipient::Everyone => &mut self.system,
        });
    }
}

/// Folds every entry up to `last`, which is committed.
pub(super) fn replay(log: &Path, last: u64) -> Result<Replay, String> {
    let mut replay = Replay::default();
    let mut reader = persistence::Reader::open(log, 1).map_err(|error| error.to_string())?;
    let mut reserved: HashSet<(Key, Uetr)> = HashSet::new();
    while let Some(entry) = reader.next(last).map_err(|error| error.to_string())? {
        replay.entries += 1;
        replay.checksums.push(checksum(entry.index, entry.payload));
        for fact in Facts::new(entry.payload) {
            let fact = fact.map_err(|error| format!("entry {}: {error}", entry.index))?;
            if let (Fact::Reserved(_), Some(payment)) = (&fact, fact.payment())
                && !reserved.insert((payment.debtor, payment.uetr))
            {
                replay.doubled.push(format!("entry {}: {} is reserved a second time", entry.index, payment.uetr));
            }
            replay.end(&fact, entry.index);
            replay.book.apply(&fact, &mut replay.told);
        }
    }
    Ok(replay)
}

fn checksum(index: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&index.to_le_bytes()), payload)
}

impl Replay {
    fn end(&mut self, fact: &Fact<'_>, index: u64) {
        let status = match fact {
            Fact::Settled(settled) | Fact::Returned(settled) => settled.status,
            Fact::Rejected(_) | Fact::Expired(_) => Status::RJCT,
            _ => return,
        };
        let Some(payment) = fact.payment() else { return };
        if let Some(before) = self.outcomes.insert((payment.debtor, payment.uetr), status) {
            let what = format!("entry {index}: {} ends a second time, {before} and {status}", payment.uetr);
            self.doubled.push(what);
        }
    }

    /// The feeds that a participant must have been told.
    pub(super) fn feeds(&self, key: Key) -> Feeds {
        Feeds { own: self.told.own.get(&key).cloned().unwrap_or_default(), system: self.told.system.clone() }
    }
}
