//! The virtual network: between two nodes messages keep their order, everything else may happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use persistence::{Members, NodeId, Peers};
use rand::Rng;
use rand::rngs::SmallRng;

/// What a node gave away.
pub(crate) enum Sent {
    Message(Vec<u8>),
    Snapshot { header: Vec<u8>, file: PathBuf },
}

pub(crate) type Outbox = Arc<Mutex<Vec<(NodeId, Sent)>>>;

/// The way out of one node.
pub(crate) struct Way(pub(crate) Outbox);

impl Peers for Way {
    fn send(&self, to: NodeId, message: Vec<u8>) {
        self.0.lock().push((to, Sent::Message(message)));
    }

    fn send_snapshot(&self, to: NodeId, header: Vec<u8>, file: PathBuf) {
        self.0.lock().push((to, Sent::Snapshot { header, file }));
    }

    fn members(&self, _: &Members) {}
}

/// Microseconds of virtual time.
pub(crate) type Time = u64;

#[derive(Default)]
pub(crate) struct Network {
    /// From, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    arrives_last: BTreeMap<(NodeId, NodeId), Time>,
    pub(crate) drop_rate: f64,
    pub(crate) delay_max_us: Time,
}

impl Network {
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// When a message arrives, if it does.
    pub(crate) fn arrival(&mut self, now: Time, from: NodeId, to: NodeId, random: &mut SmallRng) -> Option<Time> {
        let delay = 100 + random.random_range(0..=self.delay_max_us);
        let is_lost = self.cut.contains(&(from, to)) || random.random_bool(self.drop_rate);
        let last = self.arrives_last.entry((from, to)).or_default();
        *last = (*last + 1).max(now + delay);
        (!is_lost).then_some(*last)
    }
}
