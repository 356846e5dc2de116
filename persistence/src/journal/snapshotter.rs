//! The thread that writes snapshots, one at a time, while commits go on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

use super::statistics::Counters;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::Freeze;
use crate::log::{Log, Mark, SnapshotMark};
use crate::snapshot::{self, Pace};

/// What a snapshot is made of: its place and the members, the state.
type Job = (SnapshotMark, Freeze);

/// Dropping it gives up the snapshot in progress and ends the thread.
pub(super) struct Snapshotter {
    jobs: Option<Sender<Job>>,
    written: Receiver<Option<SnapshotMark>>,
    busy: bool,
    abandon: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Snapshotter {
    pub(super) fn start<D: Disk>(
        log: &Log<D>,
        retained_bytes_max: u64,
        counters: Arc<Counters>,
    ) -> io::Result<Snapshotter> {
        let (disk, identity) = (log.disk().clone(), log.identity());
        let (jobs, take_job) = channel::<Job>();
        let (report, written) = channel();
        let abandon = Arc::new(AtomicBool::new(false));
        let abandoned = Arc::clone(&abandon);
        let write_all = move || {
            for (snapshot, freeze) in take_job {
                let pace = Pace::Gentle { abandon: &abandoned };
                let result = snapshot::write(&disk, identity, (snapshot.mark, &snapshot.membership), freeze, pace)
                    .and_then(|()| snapshot::retain(&disk, retained_bytes_max));
                let went_well = result.is_ok();
                if went_well || !abandoned.load(Ordering::Relaxed) {
                    count(&counters, snapshot.mark, result);
                }
                let _ = report.send(went_well.then_some(snapshot));
            }
        };
        let thread = Builder::new().name("snapshot".into()).spawn(write_all)?;
        Ok(Snapshotter { jobs: Some(jobs), written, busy: false, abandon, thread: Some(thread) })
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.busy
    }

    pub(super) fn begin(&mut self, job: Job) {
        assert!(!self.busy, "one snapshot at a time");
        self.busy = true;
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// The snapshot that was finished since the last look, unless it failed.
    pub(super) fn finished(&mut self) -> Option<SnapshotMark> {
        let outcome = self.busy.then(|| self.written.try_recv().ok()).flatten()?;
        self.busy = false;
        outcome
    }
}

/// A snapshot that failed costs nothing but a longer replay; the next comes in its time.
fn count(counters: &Counters, mark: Mark, result: Result<(), Error>) {
    match result {
        Ok(()) => counters.wrote_snapshot(mark.index),
        Err(error) => {
            tracing::error!(event = "snapshot_not_written", %error, index = mark.index, "a snapshot could not be written");
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            counters.failed_snapshot(since_1970.as_millis() as u64);
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
