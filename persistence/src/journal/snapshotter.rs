//! The thread that writes snapshots, one at a time, while commits go on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::statistics::Counters;
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::error::Error;
use crate::fold::Freeze;
use crate::log::{Log, Mark, SnapshotMark};
use crate::snapshot::{self, Pace};

/// Dropping it gives up the snapshot in progress and ends the thread.
pub(super) struct Snapshotter {
    jobs: Option<Sender<(SnapshotMark, Freeze)>>,
    busy: Arc<AtomicBool>,
    abandon: Arc<AtomicBool>,
    /// Written since somebody looked.
    written: Arc<Mutex<Option<SnapshotMark>>>,
    thread: Option<JoinHandle<()>>,
}

impl Snapshotter {
    pub(super) fn start<D: Disk>(
        log: &Log<D>,
        retained_bytes_max: u64,
        counters: Arc<Counters>,
    ) -> io::Result<Snapshotter> {
        let (disk, identity) = (log.disk().clone(), log.identity());
        let (jobs, take_job) = channel::<(SnapshotMark, Freeze)>();
        let busy = Arc::new(AtomicBool::new(false));
        let abandon = Arc::new(AtomicBool::new(false));
        let written = Arc::new(Mutex::new(None));
        let newest = Arc::clone(&written);
        let (done, abandoned) = (Arc::clone(&busy), Arc::clone(&abandon));
        let write_all = move || {
            for (snapshot, freeze) in take_job {
                let mark = snapshot.mark;
                let pace = Pace::Gentle { abandon: &abandoned };
                let result = snapshot::write(&disk, identity, (mark, &snapshot.membership), freeze, pace)
                    .and_then(|()| snapshot::retain(&disk, retained_bytes_max));
                if result.is_ok() {
                    *newest.lock() = Some(snapshot);
                }
                if result.is_ok() || !abandoned.load(Ordering::Relaxed) {
                    count(&counters, mark, result);
                }
                done.store(false, Ordering::Release);
            }
        };
        let thread = Builder::new().name("snapshot".into()).spawn(write_all)?;
        Ok(Snapshotter { jobs: Some(jobs), busy, abandon, written, thread: Some(thread) })
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    /// The snapshot that was written last, once.
    pub(super) fn take_written(&mut self) -> Option<SnapshotMark> {
        self.written.lock().take()
    }

    pub(super) fn begin(&mut self, snapshot: SnapshotMark, freeze: Freeze) {
        let was_busy = self.busy.swap(true, Ordering::AcqRel);
        assert!(!was_busy, "one snapshot at a time");
        let _ = self.jobs.as_ref().map(|jobs| jobs.send((snapshot, freeze)));
    }
}

/// A snapshot that failed costs nothing but a longer replay; the next comes in its time.
fn count(counters: &Counters, mark: Mark, result: Result<(), Error>) {
    match result {
        Ok(()) => {
            counters.snapshot_index.store(mark.index, Ordering::Relaxed);
            counters.snapshots.fetch_add(1, Ordering::Release);
        }
        Err(error) => {
            tracing::error!(%error, index = mark.index, "a snapshot could not be written");
            counters.snapshots_failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Snapshotter {
    fn drop(&mut self) {
        self.abandon.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
