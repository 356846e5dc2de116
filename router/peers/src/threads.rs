//! The threads of the connections: counted, told to stop, waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::Error;

#[derive(Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    changed: Condvar,
    stopping: AtomicBool,
}

/// Counts the thread that holds it.
struct Running(Arc<Threads>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.changed.notify_all();
    }
}

impl Threads {
    pub(crate) fn spawn(self: &Arc<Threads>, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        *self.running.lock() += 1;
        let running = Running(Arc::clone(self));
        let named = std::thread::Builder::new().name(name);
        let spawned = named.spawn(move || {
            let _running = running;
            body();
        });
        spawned.map(drop).map_err(Error::Thread)
    }

    pub(crate) fn are_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// True for the first who says so.
    pub(crate) fn stop(&self) -> bool {
        let is_first = !self.stopping.swap(true, Ordering::SeqCst);
        drop(self.running.lock()); // whoever has looked is waiting by now
        self.changed.notify_all();
        is_first
    }

    /// Waits until then; false when the threads are to stop.
    pub(crate) fn pause_until(&self, then: Instant) -> bool {
        let mut running = self.running.lock();
        while !self.are_stopping() {
            if self.changed.wait_until(&mut running, then).timed_out() {
                return !self.are_stopping();
            }
        }
        false
    }

    /// Waits until all have ended, or as long as that.
    pub(crate) fn wait(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut running = self.running.lock();
        while *running > 0 && !self.changed.wait_until(&mut running, deadline).timed_out() {}
    }
}
