//! The courier: lets every connection write that has something to, once per committed batch.
//!
//! When they are few, the thread that rings (the journal's, a peer's with replies, rarely the archive's) writes at once, which saves waking
//! another; when they are many, it has better to do, and a task on the sessions' thread writes.

use std::sync::Arc;

use actors::{Rung, Switch};
use parking_lot::Mutex;
use settlement::Key;

use crate::ops::Measured;
use crate::outlet::Outlet;

/// The outlets of all connections, by participant.
#[derive(Default)]
pub(crate) struct Outlets(Mutex<Vec<Option<Arc<Outlet>>>>);

impl Outlets {
    pub(crate) fn insert(&self, outlet: Arc<Outlet>) {
        let mut outlets = self.0.lock();
        let place = outlet.line().key().place();
        if outlets.len() <= place {
            outlets.resize_with(place + 1, || None);
        }
        outlets[place] = Some(outlet);
    }

    /// Forgets `outlet`, unless a newer connection has taken its place.
    pub(crate) fn remove(&self, outlet: &Arc<Outlet>) {
        let mut outlets = self.0.lock();
        if let Some(own) = outlets.get_mut(outlet.line().key().place()) {
            own.take_if(|own| Arc::ptr_eq(own, outlet));
        }
    }

    fn of(&self, key: Key) -> Option<Arc<Outlet>> {
        self.0.lock().get(key.place()).cloned().flatten()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Outlet>> {
        self.0.lock().iter().flatten().cloned().collect()
    }
}

/// Connections that the journal's thread writes to itself.
const FEW: usize = 64;

/// Starts the courier. The future runs for ever.
pub(crate) fn employ(
    switch: &Arc<Switch>,
    outlets: Arc<Outlets>,
    measured: Arc<Measured>,
) -> impl Future<Output = ()> + use<> {
    // Weak: the journal's thread holds the bell and may not hold the journal.
    let (weak, at_once, measured_at_once) = (Arc::downgrade(switch), outlets.clone(), measured.clone());
    switch.bell.listen(move |rung| {
        let Some(switch) = weak.upgrade() else { return rung.clear() };
        if rung.feeds.len() + rung.lines.len() <= FEW && !rung.everyone {
            deliver(&switch, &at_once, &measured_at_once, rung);
        } else {
            switch.deliver();
        }
    });
    let switch = switch.clone();
    async move {
        let mut rung = Rung::default();
        loop {
            switch.bell.heard(&mut rung).await;
            deliver(&switch, &outlets, &measured, &mut rung);
        }
    }
}

fn deliver(switch: &Switch, outlets: &Outlets, measured: &Measured, rung: &mut Rung) {
    // Letters first: no answer to what is written now may overtake the letter about its payment.
    switch.deliver();
    if rung.everyone {
        outlets.all().iter().for_each(|outlet| outlet.pump());
    }
    let lines = rung.lines.iter().map(|line| line.key());
    for key in rung.feeds.iter().copied().chain(lines) {
        if let Some(outlet) = outlets.of(key) {
            outlet.pump();
        }
    }
    if let Some(since) = rung.since {
        measured.write.lock().record_many(since.elapsed(), (rung.feeds.len() + rung.lines.len()).max(1));
    }
    rung.clear();
}
