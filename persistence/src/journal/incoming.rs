//! A snapshot that another node sends: written to a file beside the log as it comes, then handed to the journal thread.

use std::io;
use std::sync::Arc;

use super::Shared;
use super::inbox::Event;
use crate::disk::{Disk, File};
use crate::error::{Error, Refused};
use crate::fold::NodeId;
use crate::log::SnapshotMark;
use crate::replica::message::{Arrived, Malformed};
use crate::snapshot;

/// One is taken at a time; where it is written.
pub(super) trait Landing: Send + Sync {
    fn create(&self, name: &str) -> io::Result<Box<dyn Strip>>;
    /// Reads all of it.
    fn check(&self, name: &str) -> Result<SnapshotMark, Error>;
    fn remove(&self, name: &str);
}

pub(super) trait Strip: Send {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl<D: Disk> Landing for D {
    fn create(&self, name: &str) -> io::Result<Box<dyn Strip>> {
        Ok(Box::new(OnDisk(Disk::create(self, name)?)))
    }

    fn check(&self, name: &str) -> Result<SnapshotMark, Error> {
        snapshot::check(self, name)
    }

    fn remove(&self, name: &str) {
        let _ = Disk::remove(self, name); // what stays behind goes at the next open
    }
}

struct OnDisk<F>(F);

impl<F: File> Strip for OnDisk<F> {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Why a snapshot that comes was given up; the sender tries again later.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    #[error("another snapshot is coming")]
    Busy,
    #[error("{got} bytes came instead of {announced}")]
    Length { announced: u64, got: u64 },
    #[error("it could not be written: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Unusable(#[from] Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A snapshot on its way in. Dropping it before [`IncomingSnapshot::end`] gives it up.
pub struct IncomingSnapshot<P> {
    shared: Arc<Shared<P>>,
    strip: Box<dyn Strip>,
    name: String,
    arrived: Arrived,
    announced: u64,
    got: u64,
    handed_over: bool,
}

impl<P> IncomingSnapshot<P> {
    pub(super) fn begin(
        shared: &Arc<Shared<P>>,
        from: NodeId,
        header: &[u8],
        announced: u64,
    ) -> Result<IncomingSnapshot<P>, IncomingError> {
        let arrived = Arrived::from_header(shared.node, from, header)?;
        let name = shared.landing_name().ok_or(IncomingError::Busy)?;
        let strip = match shared.landing.create(&name) {
            Ok(strip) => strip,
            Err(error) => {
                shared.landed();
                return Err(error.into());
            }
        };
        let shared = Arc::clone(shared);
        Ok(IncomingSnapshot { shared, strip, name, arrived, announced, got: 0, handed_over: false })
    }

    /// The next bytes of the file.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        let got = self.got + bytes.len() as u64;
        if got > self.announced {
            return Err(IncomingError::Length { announced: self.announced, got });
        }
        self.strip.write(bytes, self.got)?;
        self.got = got;
        Ok(())
    }

    /// That was all of it.
    pub fn end(mut self) -> Result<(), IncomingError> {
        if self.got != self.announced {
            return Err(IncomingError::Length { announced: self.announced, got: self.got });
        }
        self.strip.sync()?;
        self.arrived.is_in(&self.name, &self.shared.landing.check(&self.name)?)?;
        self.shared.put(Event::SnapshotArrived(self.arrived.clone()))?;
        self.handed_over = true;
        Ok(())
    }
}

impl<P> Drop for IncomingSnapshot<P> {
    fn drop(&mut self) {
        if !self.handed_over {
            self.shared.landing.remove(&self.name);
        }
        self.shared.landed();
    }
}
