//! The courier: hears the bell once per committed batch and lets every connection write that has something to.

use std::sync::Arc;

use actors::{Rung, Switch};
use parking_lot::Mutex;
use settlement::Key;

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

    fn all(&self) -> Vec<Arc<Outlet>> {
        self.0.lock().iter().flatten().cloned().collect()
    }
}

/// Runs for ever.
pub(crate) async fn deliver(switch: Switch, outlets: Arc<Outlets>) {
    let mut rung = Rung::default();
    loop {
        switch.bell.heard(&mut rung).await;
        // Letters first: no answer to what is written now may overtake the letter about its payment.
        switch.post.deliver();
        if rung.everyone {
            outlets.all().iter().for_each(|outlet| outlet.pump());
        }
        for key in &rung.feeds {
            if let Some(outlet) = outlets.of(*key) {
                outlet.pump();
            }
        }
        for line in &rung.lines {
            if let Some(outlet) = outlets.of(line.key()) {
                outlet.pump();
            }
        }
        rung.clear();
    }
}
