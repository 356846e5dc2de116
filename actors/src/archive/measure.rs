//! The archive without a switch around it, for `examples/archive_speed.rs`.

use std::io;
use std::path::Path;

use persistence::{Fold, Freeze, Index};
use wire::Timestamp;

use super::entry::Entry;
use super::error::Error;
use super::{Archive, Config, Gatherer, LogEnd, prepare};

/// Stands for the ledger.
pub struct Measured(Gatherer);

impl Measured {
    /// The payments that ended in log entry `index`.
    pub fn hand_over(&mut self, entries: &[Entry], index: Index) {
        entries.iter().for_each(|entry| self.0.add(*entry));
        self.0.folded(index, entries.last().map_or(Timestamp(0), |entry| entry.ended_at));
    }
}

/// An archive beside an empty log in `directory`, and what stands for the ledger.
pub fn measure(config: Config, directory: &Path) -> Result<(Measured, Archive), Error> {
    let log =
        persistence::Config { segment_bytes: 1 << 20, batch_bytes_max: 1 << 16, ..persistence::Config::new(directory) };
    let (gatherer, prepared) = prepare();
    let (journal, _) = persistence::open(log, Nothing, persistence::Nobody)?;
    journal.stop();
    Ok((Measured(gatherer), prepared.start(config, directory.into(), LogEnd::At(0))?))
}

/// For logs that nobody folds.
pub(crate) struct Nothing;

impl Fold for Nothing {
    type Passenger = ();
    fn restore(&mut self, _: &mut dyn io::Read) -> Result<(), String> {
        Ok(())
    }
    fn committed(&mut self, _: persistence::Entry<'_>, _: &mut Vec<()>) {}
    fn delivered(&mut self, _: &mut Vec<()>) {}
    fn standing(&mut self, _: persistence::Standing) {}
    fn freeze(&mut self) -> Freeze {
        Box::new(|_| Ok(()))
    }
}
