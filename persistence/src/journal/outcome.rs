//! How the journal ended, for those who wait for it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::Error;

type Callback = Box<dyn FnOnce(Arc<Error>) + Send>;

#[derive(Default)]
pub(super) struct Outcome {
    inner: Mutex<Inner>,
    ended: Condvar,
}

#[derive(Default)]
struct Inner {
    /// The first failure counts.
    result: Option<Result<(), Arc<Error>>>,
    callbacks: Vec<Callback>,
}

impl Outcome {
    pub(super) fn publish(&self, result: Result<(), Error>) {
        let mut inner = self.inner.lock();
        if inner.result.is_some() {
            return;
        }
        let result = result.map_err(Arc::new);
        inner.result = Some(result.clone());
        let callbacks = std::mem::take(&mut inner.callbacks);
        drop(inner);
        self.ended.notify_all();
        if let Err(error) = result {
            for callback in callbacks {
                callback(Arc::clone(&error));
            }
        }
    }

    pub(super) fn on_failure(&self, callback: Callback) {
        let mut inner = self.inner.lock();
        match inner.result.clone() {
            None => inner.callbacks.push(callback),
            Some(result) => {
                drop(inner);
                if let Err(error) = result {
                    callback(error);
                }
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.inner.lock().result.is_some()
    }

    pub(super) fn failure(&self) -> Option<Arc<Error>> {
        self.inner.lock().result.clone()?.err()
    }

    pub(super) fn wait(&self) -> Result<(), Arc<Error>> {
        let mut inner = self.inner.lock();
        loop {
            if let Some(result) = inner.result.clone() {
                return result;
            }
            self.ended.wait(&mut inner);
        }
    }
}
