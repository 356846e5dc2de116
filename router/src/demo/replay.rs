//! The log of a node, read from its first entry without a switch and folded into a fresh book.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use persistence::Reader;
use settlement::{Book, Fact, Facts, Position};

use crate::exit::{Exit, Failure};

/// What the log adds up to.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) book: Book,
    pub(super) entries: u64,
    pub(super) facts: u64,
    /// Facts that end a payment.
    pub(super) endings: u64,
    pub(super) took: Duration,
    /// Of all entries: index, term, bytes.
    pub(super) fingerprint: u64,
}

/// What a participant has by a log.
type Holding = (wire::ParticipantId, Vec<(wire::Currency, Position)>, u64);

impl Replay {
    pub(super) fn apply(&mut self, fact: &Fact<'_>) {
        self.facts += 1;
        self.endings +=
            u64::from(matches!(fact, Fact::Settled(_) | Fact::Returned(_) | Fact::Rejected(_) | Fact::Expired(_)));
        self.book.apply(fact, &mut ());
    }

    /// Positions and last notices.
    pub(super) fn holdings(&self) -> Vec<Holding> {
        let holding = |participant: &settlement::Participant| {
            let positions = participant.positions().to_vec();
            (participant.listing().id, positions, self.book.last_notice(participant.key()))
        };
        self.book.participants().iter().map(holding).collect()
    }
}

/// Reads entries 1 to `last_index`.
pub(super) fn replay(directory: &Path, last_index: u64) -> Result<Replay, Failure> {
    let started = Instant::now();
    let (mut replay, mut hasher) = (Replay::default(), DefaultHasher::new());
    let mut reader = Reader::open(directory, 1).map_err(|error| Failure::from(&error))?;
    while let Some(entry) = reader.next(last_index).map_err(|error| Failure::from(&error))? {
        replay.entries += 1;
        (entry.index, entry.term, entry.payload).hash(&mut hasher);
        for fact in Facts::new(entry.payload) {
            let unreadable = |error: settlement::Unreadable| Failure::new(Exit::Integrity, error.to_string());
            replay.apply(&fact.map_err(unreadable)?);
        }
    }
    (replay.took, replay.fingerprint) = (started.elapsed(), hasher.finish());
    Ok(replay)
}
