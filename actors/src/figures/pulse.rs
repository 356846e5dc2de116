//! Whether this node stood still: a beat on the thread that reads answers and decides on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use wire::Timestamp;

use crate::clock::Clock;

/// A node that did nothing for longer stood still: stopped, starved of the processor, or its clock was set ahead.
pub(super) const STANDSTILL: Duration = Duration::from_secs(1);
const BEAT_EVERY: Duration = Duration::from_millis(250);

/// See the file's head. Times are of the clock that stamps this node's facts, as are those that are compared with them.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beaten_ns: AtomicU64,
    stood_until_ns: AtomicU64,
}

impl Pulse {
    /// As long as the runtime, on the thread of the sessions and actors.
    pub(crate) async fn beat_for_ever(self: Arc<Self>, clock: Arc<Clock>) {
        loop {
            self.beat(clock.now());
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }

    pub(super) fn beat(&self, now: Timestamp) {
        let stood_until = self.stood_until(now);
        self.stood_until_ns.store(stood_until.nanoseconds(), Relaxed);
        self.beaten_ns.store(now.nanoseconds(), Relaxed);
    }

    /// Until when the node stood still last, as far as is known at `now`: what is decided after a standstill may be decided
    /// before the next beat.
    pub(super) fn stood_until(&self, now: Timestamp) -> Timestamp {
        match Timestamp(self.beaten_ns.load(Relaxed)) {
            beaten if beaten > Timestamp(0) && now.since(beaten) > STANDSTILL => now,
            _ => Timestamp(self.stood_until_ns.load(Relaxed)),
        }
    }
}
