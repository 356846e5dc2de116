//! What is measured while payments go through: counted and timed where the work is done, taken away whole once a second by
//! whoever wants to know.
//!
//! | who fills it | what | cost |
//! |---|---|---|
//! | the ledger, on the journal's thread | [`Tally`]: what the book folded | one lock per entry; a note per payment, counted 128 at a time |
//! | the actors, on the sessions' thread | [`Work`]: mailboxes and handlers | one lock and two looks at the clock per message |
//! | the same | [`Gauge`]: one actor | a few atomics per message |
//!
//! Memory: some 6 KiB per participant here and as much again at the collector, however many payments there are.

mod ends;
mod gauge;
mod known;
mod notes;
mod tally;
mod work;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use ends::{Ended, Ends, Outcome, Outcomes};
pub use gauge::{Deed, Gauge};
pub(crate) use gauge::{Deeds, now_us};
pub(crate) use known::Known;
pub use tally::{OBJECTIVE, Own, Rejects, Tally};
pub use work::{MessageKind, Told, Work};

/// As long as the process, whoever leads.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) tally: Mutex<Tally>,
    pub(crate) work: Mutex<Work>,
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
