//! Reads from the log what ended: after a start, and where chunks found no room.

use std::collections::HashMap;
use std::path::Path;

use persistence::{Index, Reader};
use settlement::{Fact, Facts, Key};
use wire::{Timestamp, Uetr};

use super::Span;
use super::entry::Entry;
use super::error::Error;
use super::gather::{CHUNK_ENTRIES, Chunk};

/// So many log entries before the first one that counts are read too, for the times at which payments that ended after
/// it were decided. What was decided before is archived without that time.
const LOOK_BACK: u64 = 16_384;

/// Read at a time, so that a stop does not wait for a log in which nothing ended.
const LOG_ENTRIES_PER_CHUNK: usize = 4096;

/// See the file's head.
pub(super) struct Walk {
    reader: Reader,
    /// The first entry that counts.
    from: Index,
    decided: HashMap<(Key, Uetr), Timestamp>,
}

impl Walk {
    /// Fails with [`persistence::Error::Gone`] when `from` is no longer kept.
    pub(super) fn open(log: &Path, from: Index) -> Result<Walk, Error> {
        let oldest = Reader::oldest(log)?;
        if from < oldest {
            return Err(persistence::Error::Gone { wanted: from, oldest }.into());
        }
        let reader = Reader::open(log, from.saturating_sub(LOOK_BACK).max(oldest))?;
        Ok(Walk { reader, from, decided: HashMap::new() })
    }

    /// What ended in the next entries up to `to`, in one chunk of about the usual size. It covers nothing while it still
    /// looks back. `to` is committed.
    pub(super) fn chunk(&mut self, to: Index) -> Result<Chunk, Error> {
        let Walk { reader, from, decided } = self;
        let mut entries = Vec::with_capacity(CHUNK_ENTRIES);
        let first = reader.position().max(*from);
        for _ in 0..LOG_ENTRIES_PER_CHUNK {
            if entries.len() >= CHUNK_ENTRIES {
                break;
            }
            let Some(entry) = reader.next(to)? else { break };
            for fact in Facts::new(entry.payload) {
                let fact = fact?;
                if let Fact::Reserved(reserved) = &fact {
                    decided.insert((reserved.payment.debtor, reserved.payment.uetr), reserved.at);
                }
                let Some(mut ended) = Entry::of(&fact, entry.index) else { continue };
                let decided_at = decided.remove(&(ended.debtor, ended.uetr));
                ended.decided_at = decided_at.unwrap_or(ended.decided_at);
                if entry.index >= *from {
                    entries.push(ended);
                }
            }
        }
        Ok(Chunk { span: Span { first, last: reader.position() - 1 }, entries })
    }
}
