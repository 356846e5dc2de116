//! The node's clock: what time it is, never earlier than what was said before.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::Timestamp;

/// Wall-clock time that does not run backwards, neither within the process nor past the last stamp in the log.
pub struct Clock(AtomicU64);

impl Clock {
    pub fn starting_at(last: Timestamp) -> Self {
        Clock(AtomicU64::new(last.nanoseconds()))
    }

    pub fn now(&self) -> Timestamp {
        let wall = Timestamp::now().nanoseconds();
        Timestamp(self.0.fetch_max(wall, Ordering::Relaxed).max(wall))
    }
}
