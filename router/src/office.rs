//! The office: the thread on which operators are served. What they ask for may be long to put together and to write, and no
//! payment waits for it.

use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

/// Lower than everything that a payment waits for.
const NICE: i32 = 5;

/// The thread at hand leaves the machine to payments.
pub(crate) fn give_way() {
    // Refused only to those who may not lower a priority, and then it stays as it is.
    _ = rustix::process::setpriority_process(None, NICE);
}

/// Closed when this is dropped.
pub(crate) struct Office {
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Office {
    /// Goes on with `work`, and with what it spawns, until it is closed.
    pub(crate) fn open(work: impl Future<Output = ()> + Send + 'static) -> io::Result<Office> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closed) = oneshot::channel::<()>();
        let run = move || {
            give_way();
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = closed => {}
                }
            });
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("office".into()).spawn(run)?;
        Ok(Office { close: Some(close), thread: Some(thread) })
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.close.take();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
