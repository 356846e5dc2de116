//! What all threads of the connections share.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::accept::HalfOpen;
use crate::peer::Peer;
use crate::refusals::Refusals;
use crate::threads::Threads;
use crate::tls::Trust;
use crate::{Config, Error, NodeId, Upcalls, dial};

pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) accepting: Arc<ServerConfig>,
    pub(crate) upcalls: Arc<dyn Upcalls>,
    pub(crate) half_open: HalfOpen,
    pub(crate) refusals: Refusals,
    pub(crate) threads: Arc<Threads>,
    trust: Trust,
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
}

impl Hub {
    pub(crate) fn new(config: Config, upcalls: Arc<dyn Upcalls>) -> Result<Hub, Error> {
        if config.node == 0 {
            return Err(Error::NodeId(0));
        }
        let trust = Trust::new(&config)?;
        Ok(Hub {
            accepting: trust.accepting()?,
            half_open: HalfOpen::new(config.limits.half_open_max),
            refusals: Refusals::default(),
            threads: Arc::default(),
            peers: Mutex::default(),
            config,
            upcalls,
            trust,
        })
    }

    pub(crate) fn known(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.peers.lock().get(&node).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().values().cloned().collect()
    }

    /// The peer, known or new; not forgotten while it is held.
    pub(crate) fn hold(&self, node: NodeId) -> Result<Held<'_>, Error> {
        let mut peers = self.peers.lock();
        let peer = match peers.get(&node) {
            Some(peer) => Arc::clone(peer),
            None => {
                let peer = Arc::new(Peer::new(node, self.trust.dialling(node)?));
                peers.insert(node, Arc::clone(&peer));
                peer
            }
        };
        peer.holders.fetch_add(1, Ordering::SeqCst);
        Ok(Held { hub: self, peer })
    }

    /// Forgets those that are no members, not connected, and not held.
    pub(crate) fn tidy(&self) {
        self.peers.lock().retain(|_, peer| peer.is_of_interest());
    }

    /// Sees that somebody dials the peer as long as there is an address to dial.
    pub(crate) fn see_to(self: &Arc<Hub>, peer: &Arc<Peer>) -> Result<(), Error> {
        if self.threads.are_stopping() || !peer.wants_a_sender() {
            return Ok(());
        }
        let (hub, other) = (Arc::clone(self), Arc::clone(peer));
        let spawned = self.threads.spawn(format!("peers-to-{}", peer.node), move || {
            dial::run(&hub, &other);
            hub.tidy();
        });
        if spawned.is_err() {
            peer.has_no_sender();
        }
        spawned
    }
}

/// A peer in somebody's hands.
pub(crate) struct Held<'a> {
    hub: &'a Hub,
    peer: Arc<Peer>,
}

impl Deref for Held<'_> {
    type Target = Arc<Peer>;

    fn deref(&self) -> &Arc<Peer> {
        &self.peer
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.peer.holders.fetch_sub(1, Ordering::SeqCst);
        self.hub.tidy();
    }
}
