//! Takes what connections ask to whoever leads: to this node's actors, to another node's, or to nobody until there is a
//! leader again. Whenever that changes, every connection's undone instructions go again, in order, before newer ones.
//!
//! Going twice does no harm: what was committed already meets the rules for repeats, and what a participant was told of
//! never goes again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use persistence::{NodeId, Term};
use settlement::Key;
use tokio::sync::Notify;

use crate::instruction::{Batch, Instructions};
use crate::line::{Ending, Line, Parcel};
use crate::post::PostOffice;
use crate::relay::{Outbound, Wire};

/// The connections of this node, by participant and by number. One that was superseded is found by its number until
/// it is closed.
#[derive(Default)]
struct Registry {
    by_place: Vec<Option<Arc<Line>>>,
    by_number: HashMap<u64, Arc<Line>>,
}

/// Where instructions go.
enum Route {
    Nowhere,
    Own(Arc<PostOffice>),
    Relay(Arc<Outbound>),
}

struct Current {
    route: Route,
    /// The latest reign that was announced, or that was this node's.
    announced: Option<(Term, NodeId)>,
}

/// See the file's head.
pub(crate) struct Dispatch {
    pub(crate) node: NodeId,
    wire: Arc<dyn Wire>,
    registry: Mutex<Registry>,
    current: RwLock<Current>,
    /// Something could not be sent and has to be tried again.
    pub(crate) stalled: Arc<Notify>,
}

impl Dispatch {
    pub(crate) fn new(node: NodeId, wire: Arc<dyn Wire>) -> Self {
        let current = RwLock::new(Current { route: Route::Nowhere, announced: None });
        Dispatch { node, wire, registry: Mutex::default(), current, stalled: Arc::default() }
    }

    /// Hands over the instructions of one socket read; gives back memory for the next.
    pub(crate) fn instruct(&self, line: &Arc<Line>, batch: Arc<Batch>) -> Option<Arc<Batch>> {
        match &self.current.read().route {
            Route::Nowhere => line.hand_over(batch, |_| 0).1,
            Route::Own(post) => line.hand_over(batch, |parcel| to_actors(post, line, parcel)).1,
            Route::Relay(outbound) => {
                let (sent, spare) = line.hand_over(batch, |parcel| outbound.carry(line, parcel));
                if !sent {
                    outbound.stall(line);
                }
                spare
            }
        }
    }

    /// Makes `line` the connection of its participant; an older one ends.
    pub(crate) fn connect(&self, line: &Arc<Line>) {
        let mut registry = self.registry.lock();
        let place = line.key().place();
        if registry.by_place.len() <= place {
            registry.by_place.resize_with(place + 1, || None);
        }
        registry.by_number.insert(line.number(), line.clone());
        if let Some(older) = registry.by_place[place].replace(line.clone()) {
            older.end(Ending::superseded());
        }
    }

    /// Forgets `line`. What it asked and what is not done is asked again by its client.
    pub(crate) fn disconnect(&self, line: &Arc<Line>) {
        {
            let mut registry = self.registry.lock();
            registry.by_number.remove(&line.number());
            if let Some(own) = registry.by_place.get_mut(line.key().place()) {
                own.take_if(|own| Arc::ptr_eq(own, line));
            }
        }
        match &self.current.read().route {
            Route::Nowhere => {}
            Route::Own(post) => post.release(line),
            Route::Relay(outbound) => outbound.leave(line),
        }
    }

    pub(crate) fn line(&self, key: Key) -> Option<Arc<Line>> {
        self.registry.lock().by_place.get(key.place()).cloned().flatten()
    }

    pub(crate) fn by_number(&self, number: u64) -> Option<Arc<Line>> {
        self.registry.lock().by_number.get(&number).cloned()
    }

    pub(crate) fn connected(&self) -> Vec<Arc<Line>> {
        self.registry.lock().by_place.iter().flatten().cloned().collect()
    }

    /// This node's reign, if its actors are ready.
    pub(crate) fn reign(&self) -> Option<Arc<PostOffice>> {
        match &self.current.read().route {
            Route::Own(post) => Some(post.clone()),
            _ => None,
        }
    }

    /// The way to another node that leads.
    pub(crate) fn outbound(&self) -> Option<Arc<Outbound>> {
        match &self.current.read().route {
            Route::Relay(outbound) => Some(outbound.clone()),
            _ => None,
        }
    }

    /// Lets `act` work on the way to another node that leads, while it is that. False if it is not `route`.
    pub(crate) fn while_relayed(&self, route: u64, act: impl FnOnce(&Outbound)) -> bool {
        match &self.current.read().route {
            Route::Relay(outbound) if outbound.route == route => {
                act(outbound);
                true
            }
            _ => false,
        }
    }

    /// Tries again what could not be sent. True when nothing is left.
    pub(crate) fn flush(&self) -> bool {
        match &self.current.read().route {
            Route::Relay(outbound) => outbound.flush(self),
            _ => true,
        }
    }

    /// This node's actors are ready. False when the reign is over already.
    pub(crate) fn open(&self, post: &Arc<PostOffice>) -> bool {
        let mut current = self.current.write();
        let is_late = current.announced.is_some_and(|(term, _)| term > post.term());
        if post.is_over() || is_late {
            return false;
        }
        current.announced = Some((post.term(), self.node));
        current.route = Route::Own(post.clone());
        for line in self.begin_again() {
            line.send_rest(|parcel| to_actors(post, &line, parcel));
        }
        true
    }

    /// What is read from now on waits, if it was this node's actors that are over.
    pub(crate) fn close_what_is_over(&self) {
        let mut current = self.current.write();
        if matches!(&current.route, Route::Own(post) if post.is_over()) {
            current.route = Route::Nowhere;
        }
    }

    /// `node` leads in `term`, and its actors are ready.
    pub(crate) fn announced(&self, term: Term, node: NodeId) {
        let mut current = self.current.write();
        if current.announced.is_some_and(|(latest, leader)| term < latest || (term == latest && node != leader)) {
            return;
        }
        current.announced = Some((term, node));
        // A reign of this node that goes on as far as its journal knows is over soon, and then `take_up` is called.
        if !matches!(&current.route, Route::Own(_)) {
            self.relay(&mut current, term, node);
        }
    }

    /// Turns to the leader that was announced while this node's reign was still ending, if there is one.
    pub(crate) fn take_up(&self) {
        let mut current = self.current.write();
        if let (Route::Nowhere, Some((term, node))) = (&current.route, current.announced)
            && node != self.node
        {
            self.relay(&mut current, term, node);
        }
    }

    /// What was sent to `node` may be lost: if it leads, everything goes again. `route` names the way that is meant, all
    /// if it is `None`.
    pub(crate) fn again(&self, node: NodeId, route: Option<u64>) {
        let mut current = self.current.write();
        if let Route::Relay(outbound) = &current.route
            && outbound.leader == node
            && route.is_none_or(|route| outbound.route == route)
        {
            let term = outbound.term;
            self.relay(&mut current, term, node);
        }
    }

    /// As if all reigns to come had later terms: in tests every node has a log of its own, and its terms.
    #[cfg(test)]
    pub(crate) fn forget_terms(&self) {
        self.current.write().announced = None;
    }

    fn relay(&self, current: &mut Current, term: Term, node: NodeId) {
        let outbound = Arc::new(Outbound::open(self.wire.clone(), self.stalled.clone(), term, node));
        current.route = Route::Relay(outbound.clone());
        for line in self.begin_again() {
            outbound.send_rest(&line);
        }
    }

    fn begin_again(&self) -> Vec<Arc<Line>> {
        let lines: Vec<_> = self.registry.lock().by_number.values().cloned().collect();
        lines.iter().for_each(|line| line.begin_again());
        lines
    }
}

fn to_actors(post: &Arc<PostOffice>, line: &Arc<Line>, parcel: Parcel<'_>) -> usize {
    match parcel {
        Parcel::Presence => {
            post.claim(line, false);
            1
        }
        Parcel::Instructions(batch, from) => {
            if batch.is_sign_on() {
                post.claim(line, true);
            }
            post.instruct(Instructions { line: line.clone(), batch: batch.clone(), from });
            batch.items.len() - from
        }
    }
}
