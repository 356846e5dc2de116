//! The keeper: a thread that makes segment files before they are needed, keeps the head file current and watches the space.
//!
//! Room and reserve are two things. When space runs short the node refuses new work (`Room`), while what is in flight is
//! still committed into the current segment and the spare ones (`Reserve`). Only when those are used up the log stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::config::Config;
use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{SECTOR_BYTES, is_zero};
use crate::head::HeadFile;
use crate::recovery::allocation_failure;
use crate::segment::{FILL_STEP_BYTES, Spare, is_spare_name, make_spare, spare_name};

/// One to be used while the next is made, one as the reserve.
const SPARES: usize = 2;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two steps of zero-filling the disk is left alone as long as the step took, at most this.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Whether new work may be taken.
pub(super) struct Room(AtomicBool);

impl Default for Room {
    fn default() -> Room {
        Room(AtomicBool::new(true))
    }
}

impl Room {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, room: bool) {
        if self.0.swap(room, Ordering::Relaxed) != room {
            match room {
                true => tracing::info!(event = "log_has_room", "new work is taken again"),
                false => tracing::error!(event = "log_short_of_space", "no new work until the disk has more"),
            }
        }
    }
}

/// Segment files that lie ready, between the keeper and the log.
pub(crate) struct Reserve<D: Disk> {
    inner: Mutex<Inner<D::File>>,
    changed: Condvar,
    tasks: Sender<Task>,
    take_task: Mutex<Option<Receiver<Task>>>,
    directory: PathBuf,
}

struct Inner<F> {
    ready: Vec<Spare<F>>,
    attempts_failed: u64,
    failure: Option<Error>,
    /// The log stands still until there is a spare.
    waited_for: bool,
    taken: u64,
}

/// How much a spare is needed: the larger the steps it is filled in, the sooner it is there, and the longer a commit
/// that comes in between has to wait.
enum Urgency {
    Ahead,
    /// The last one was taken.
    NoneReady,
    StandsStill,
}

impl Urgency {
    /// Waits if there is time, then says how many bytes to fill next.
    fn pace(&self, took: Duration) -> usize {
        match self {
            Urgency::Ahead => {
                std::thread::sleep(took.min(PAUSE_MAX));
                FILL_STEP_BYTES
            }
            Urgency::NoneReady => 4 * FILL_STEP_BYTES,
            Urgency::StandsStill => usize::MAX,
        }
    }
}

enum Task {
    Refill,
    WriteHead,
    Stop,
}

impl<D: Disk> Reserve<D> {
    pub(super) fn new(directory: PathBuf) -> Arc<Reserve<D>> {
        let (tasks, take_task) = channel();
        let inner = Inner { ready: Vec::new(), attempts_failed: 0, failure: None, waited_for: false, taken: 0 };
        Arc::new(Reserve {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            tasks,
            take_task: Mutex::new(Some(take_task)),
            directory,
        })
    }

    /// A spare file; waits for the keeper if none is ready, and fails only after it tried and could not make one.
    pub(crate) fn take(&self) -> Result<Spare<D::File>, Error> {
        let mut inner = self.inner.lock();
        let failed_before = inner.attempts_failed;
        let _ = self.tasks.send(Task::Refill);
        loop {
            inner.waited_for = false;
            if let Some(spare) = inner.ready.pop() {
                inner.taken += 1;
                return Ok(spare);
            }
            if inner.attempts_failed > failed_before {
                let failure = inner.failure.take();
                return Err(failure.unwrap_or(Error::DiskFull { directory: self.directory.clone() }));
            }
            inner.waited_for = true;
            self.changed.wait(&mut inner);
        }
    }

    /// The head file may follow.
    pub(crate) fn rotated(&self) {
        let _ = self.tasks.send(Task::WriteHead);
    }

    fn urgency(&self) -> Urgency {
        let inner = self.inner.lock();
        match (inner.waited_for, inner.ready.is_empty() && inner.taken > 0) {
            (true, _) => Urgency::StandsStill,
            (false, true) => Urgency::NoneReady,
            (false, false) => Urgency::Ahead,
        }
    }

    fn spares(&self) -> usize {
        self.inner.lock().ready.len()
    }

    fn put(&self, spare: Spare<D::File>) {
        self.inner.lock().ready.push(spare);
        self.changed.notify_all();
    }

    fn put_failure(&self, failure: Error) {
        let mut inner = self.inner.lock();
        inner.attempts_failed += 1;
        inner.failure = Some(failure);
        self.changed.notify_all();
    }
}

/// Dropping it ends the thread.
pub(super) struct Keeper {
    stop: Box<dyn Fn() + Send>,
    /// What it could not do and the log cannot do without.
    failure: Arc<Mutex<Option<Error>>>,
    failed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start<D: Disk>(
        disk: D,
        head: Arc<HeadFile<D>>,
        config: &Config,
        reserve: Arc<Reserve<D>>,
        room: Arc<Room>,
    ) -> Result<Keeper, Error> {
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&reserve);
        let directory = disk.path("");
        let mut work = Work {
            disk,
            head,
            segment_bytes: config.segment_bytes,
            free_bytes_min: config.free_bytes_min,
            reserve,
            room,
            next_number: 0,
            failure: Arc::clone(&failure),
            failed: Arc::clone(&failed),
        };
        work.look_at_space(true);
        let thread = Builder::new()
            .name("log-keeper".into())
            .spawn(move || work.live())
            .map_err(|error| Error::disk("starting the keeper thread of", directory, error))?;
        let stop = Box::new(move || {
            let _ = stopped.tasks.send(Task::Stop);
        });
        Ok(Keeper { stop, failure, failed, thread: Some(thread) })
    }

    /// A failure of the keeper is one of the log.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.failed.load(Ordering::Relaxed) { self.failure.lock().take().map_or(Ok(()), Err) } else { Ok(()) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        (self.stop)();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work<D: Disk> {
    disk: D,
    head: Arc<HeadFile<D>>,
    segment_bytes: u64,
    free_bytes_min: u64,
    reserve: Arc<Reserve<D>>,
    room: Arc<Room>,
    next_number: u64,
    failure: Arc<Mutex<Option<Error>>>,
    failed: Arc<AtomicBool>,
}

impl<D: Disk> Work<D> {
    fn live(mut self) {
        let Some(tasks) = self.reserve.take_task.lock().take() else { return };
        self.adopt();
        loop {
            self.write_head();
            let refilled = self.refill();
            self.look_at_space(refilled);
            match tasks.recv_timeout(LOOK_EVERY) {
                Ok(Task::WriteHead | Task::Refill) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes over the spares of an earlier run, if they are what they should be.
    fn adopt(&mut self) {
        let names = self.disk.list().unwrap_or_default();
        for name in names.into_iter().filter(|name| is_spare_name(name)) {
            let number = name.trim_start_matches("spare-").trim_end_matches(".seg").parse::<u64>();
            self.next_number = self.next_number.max(number.map_or(0, |number| number + 1));
            match self.disk.open(&name) {
                Ok(file) if self.reserve.spares() < SPARES && is_blank(&file, self.segment_bytes) => {
                    self.reserve.put(Spare { name, file });
                }
                _ => drop(self.disk.remove(&name)),
            }
        }
    }

    /// True unless a spare is missing and cannot be made.
    fn refill(&mut self) -> bool {
        while self.reserve.spares() < SPARES {
            let pace = |took| self.reserve.urgency().pace(took);
            match make_spare(&self.disk, self.next_number, self.segment_bytes, pace) {
                Ok(spare) => {
                    assert_eq!(spare.name, spare_name(self.next_number), "spares are numbered");
                    self.next_number += 1;
                    self.reserve.put(spare);
                }
                Err(error) => {
                    tracing::warn!(event = "segment_not_made", %error, "a segment could not be made ahead of need");
                    self.reserve.put_failure(allocation_failure(&self.disk, error));
                    return false;
                }
            }
        }
        true
    }

    fn look_at_space(&mut self, refilled: bool) {
        let free = self.disk.free_bytes().map(|bytes| bytes >= self.free_bytes_min);
        self.room.set(refilled && free.unwrap_or(false) && !self.failed.load(Ordering::Relaxed));
    }

    fn write_head(&mut self) {
        match self.head.write_due() {
            Ok(()) | Err(Error::DiskFull { .. }) => {} // once a second again, until there is space
            Err(error) => {
                *self.failure.lock() = Some(error);
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The full size, and zero wherever an entry may come. (A crash while it became a segment leaves a header.)
fn is_blank<F: File>(file: &F, segment_bytes: u64) -> bool {
    let mut step = vec![0; 1 << 20];
    let mut offset = SECTOR_BYTES as u64;
    if file.length_bytes().ok() != Some(segment_bytes) {
        return false;
    }
    loop {
        match file.read_at(&mut step, offset) {
            Ok(0) => return true,
            Ok(got) if is_zero(&step[..got]) => offset += got as u64,
            _ => return false,
        }
    }
}
