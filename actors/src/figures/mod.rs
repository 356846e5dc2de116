//! What is measured while payments go through: counted and timed where the work is done, taken away whole once a second by
//! whoever wants to know.
//!
//! | who fills it | what | cost |
//! |---|---|---|
//! | the ledger, on the journal's thread | [`Tally`]: what the book folded | one lock per entry, two notes per payment |
//! | the actors, on the sessions' thread | [`Work`]: mailboxes and handlers | one lock, two looks at the clock and a note per message |
//! | the same | [`Gauge`]: one actor | a few atomics in one line of the cache per message |
//! | the same | [`Pulse`]: whether that thread stood still | four beats a second |
//!
//! Notes are counted two thousand at once, or by whoever takes them away. Counting touches some dozen places in memory for each
//! payment: done for many together they stay in the processor's cache, done for one between other work each is fetched anew.
//!
//! Memory: some 350 KiB, and some 4 KiB per participant, here and as much again at the collector, however many payments there are.

mod ends;
mod gauge;
mod known;
mod notes;
mod pulse;
mod tally;
mod work;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use ends::{Ended, Ends, Outcome, Outcomes};
pub use gauge::{Deed, Gauge};
pub(crate) use gauge::{Deeds, now_us};
pub(crate) use known::Known;
pub(crate) use pulse::Pulse;
pub use tally::{OBJECTIVE, Own, Rejects, Tally};
pub use work::{MessageKind, Told, Work};

/// As long as the process, whoever leads.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) tally: Mutex<Tally>,
    pub(crate) work: Mutex<Work>,
    pub(crate) pulse: Arc<Pulse>,
    /// By place of the actor.
    pub(crate) gauges: RwLock<Vec<Arc<Gauge>>>,
}

impl Figures {
    /// The gauge of the actor in this place; a new one if the place is new.
    pub(crate) fn gauge(&self, place: usize) -> Arc<Gauge> {
        let mut gauges = self.gauges.write();
        while gauges.len() <= place {
            gauges.push(Arc::default());
        }
        gauges[place].clone()
    }
}
