//! This node among others: what its log and its relay say to other nodes travels over `peers`, what those say is handed
//! to them.
//!
//! ```text
//!   journal ── consensus ──┐              ┌── Upcalls ──> journal, relay
//!   relay   ── relay ──────┴──> peers <───┘
//!   journal ── snapshot file ──> peers ──> the other node's journal
//! ```

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use actors::{Passenger, Switch};
use parking_lot::Mutex;
use peers::{Channel, ClockOffset, FileSink, Peers, RoundTrip, Tls, Upcalls};
use persistence::{IncomingSnapshot, Member, Members, NodeId};

use crate::door::Door;

/// Bytes of a snapshot that leave in a second at most, so that payments have the rest of the line and of the disk.
const SNAPSHOT_BYTES_PER_S: u64 = 64 << 20;

/// What a node of a cluster is started with besides.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: u128,
    pub node: NodeId,
    /// Where other nodes connect.
    pub listen: SocketAddr,
    pub tls: Tls,
    /// The members the cluster begins with; none on a node that joins one.
    pub members: Vec<Member>,
    /// Nodes that are reached from here at another address than the one that all members know.
    pub routes: BTreeMap<NodeId, String>,
}

/// The way out, for the journal and the relay. Until the connections are there nothing leaves: both say again what matters.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Inner>);

struct Inner {
    node: NodeId,
    door: Arc<Door>,
    peers: OnceLock<Peers>,
    /// Members that the journal told of, perhaps before there were connections.
    members: Mutex<Members>,
    routes: OnceLock<BTreeMap<NodeId, String>>,
    switch: OnceLock<Weak<Switch>>,
}

impl actors::relay::Wire for Lines {
    fn send(&self, to: NodeId, message: Vec<u8>) -> bool {
        self.0.peers.get().is_some_and(|peers| peers.send(to, Channel::Relay, message))
    }
}

impl persistence::Peers for Lines {
    fn send(&self, to: NodeId, message: Vec<u8>) {
        if let Some(peers) = self.0.peers.get() {
            peers.send(to, Channel::Consensus, message);
        }
    }

    fn send_snapshot(&self, to: NodeId, header: Vec<u8>, file: PathBuf) {
        let sent = |peers: &Peers| peers.send_file(to, header, file, SNAPSHOT_BYTES_PER_S);
        if !self.0.peers.get().is_some_and(sent)
            && let Some(switch) = self.0.switch()
        {
            switch.journal().snapshot_sent(to, false);
        }
    }

    fn members(&self, members: &Members) {
        self.0.door.members(self.0.node, members);
        let mut own = self.0.members.lock();
        *own = members.clone();
        self.0.tell_members(&own);
    }
}

impl Inner {
    fn switch(&self) -> Option<Arc<Switch>> {
        self.switch.get().and_then(Weak::upgrade)
    }

    fn tell_members(&self, members: &Members) {
        if let Some(switch) = self.switch() {
            let ids = members.iter().map(|member| member.id).filter(|node| !members.is_retired(*node));
            switch.relay.set_members(ids.collect());
        }
        let Some(peers) = self.peers.get() else { return };
        let route = |node| self.routes.get().and_then(|routes| routes.get(&node)).cloned();
        let members = members.iter().map(|own| (own.id, route(own.id).unwrap_or_else(|| own.address.clone())));
        let members: Vec<_> = members.collect();
        if let Err(error) = peers.set_members(&members) {
            tracing::error!(event = "members_not_reached", error = %error);
        }
    }
}

impl Lines {
    pub(crate) fn new(node: NodeId, door: Arc<Door>) -> Lines {
        let (peers, members, routes, switch) = Default::default();
        Lines(Arc::new(Inner { node, door, peers, members, routes, switch }))
    }

    /// Takes and makes connections from now on.
    pub(crate) fn connect(
        &self,
        config: Config,
        listener: TcpListener,
        switch: &Arc<Switch>,
    ) -> Result<(), peers::Error> {
        let address = config.members.iter().find(|member| member.id == config.node);
        let address = address.map_or_else(|| config.listen.to_string(), |member| member.address.clone());
        let Config { cluster, node, tls, routes, .. } = config;
        drop(self.0.routes.set(routes));
        drop(self.0.switch.set(Arc::downgrade(switch)));
        self.0.tell_members(&self.0.members.lock());
        let upcalls = Arc::new(Incoming { switch: Arc::downgrade(switch) });
        let own = peers::Config { cluster, node, address, tls, limits: peers::Limits::default() };
        drop(self.0.peers.set(Peers::start(own, listener, upcalls)?));
        self.0.tell_members(&self.0.members.lock());
        Ok(())
    }

    /// The clocks of connected nodes.
    pub(crate) fn clock_offsets(&self) -> Vec<(NodeId, ClockOffset)> {
        let seen = self.0.peers.get().map(Peers::statistics).unwrap_or_default();
        seen.peers.iter().filter_map(|peer| Some((peer.node, peer.clock_offset?))).collect()
    }

    /// Ends all connections.
    pub(crate) fn end(&self) {
        if let Some(peers) = self.0.peers.get() {
            peers.stop();
        }
    }
}

/// What other nodes say.
struct Incoming {
    switch: Weak<Switch>,
}

impl Incoming {
    fn tell(&self, tell: impl FnOnce(&Switch)) {
        if let Some(switch) = self.switch.upgrade() {
            tell(&switch);
        }
    }
}

impl Upcalls for Incoming {
    fn message(&self, from: NodeId, channel: Channel, message: &[u8]) {
        self.tell(|switch| {
            let heard = match channel {
                Channel::Consensus => switch.journal().receive(from, message).map_err(|error| error.to_string()),
                Channel::Relay => switch.relay.receive(from, message).map_err(|error| error.to_string()),
            };
            if let Err(what) = heard {
                tracing::warn!(event = "peer_not_understood", peer = from, what, "do both nodes run the same version?");
            }
        });
    }

    fn connected(&self, node: NodeId) {
        tracing::info!(event = "peer_connected", peer = node);
        self.tell(|switch| {
            switch.relay.link_up(node);
            // It was away when it was removed, or else it would know.
            if switch.journal().cluster().members.is_retired(node) {
                tracing::warn!(
                    event = "removed_node_connected",
                    peer = node,
                    "it was removed from the cluster and is told so"
                );
                switch.relay.tell_removed(node);
            }
        });
    }

    fn disconnected(&self, node: NodeId, why: &str) {
        tracing::warn!(event = "peer_disconnected", peer = node, why);
        self.tell(|switch| {
            switch.journal().unreachable(node);
            switch.relay.link_down(node);
        });
    }

    fn round_trip(&self, node: NodeId, round_trip: RoundTrip, _: u32) {
        self.tell(|switch| switch.journal().round_trip(node, round_trip.last));
    }

    fn file(&self, from: NodeId, header: &[u8], bytes: u64) -> Result<Box<dyn FileSink>, String> {
        let switch = self.switch.upgrade().ok_or("the node is stopping")?;
        let snapshot = switch.journal().snapshot_begin(from, header, bytes).map_err(|error| error.to_string())?;
        tracing::info!(
            event = "snapshot_coming",
            peer = from,
            bytes,
            "this node is far behind and takes over the leader's state"
        );
        Ok(Box::new(Landing(snapshot)))
    }

    fn file_sent(&self, to: NodeId, outcome: Result<(), String>) {
        match &outcome {
            Ok(()) => tracing::info!(event = "snapshot_sent", peer = to),
            Err(why) => tracing::warn!(event = "snapshot_not_sent", peer = to, why),
        }
        self.tell(|switch| switch.journal().snapshot_sent(to, outcome.is_ok()));
    }
}

/// A snapshot of another node, coming in.
struct Landing(IncomingSnapshot<Passenger>);

impl FileSink for Landing {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.chunk(bytes).map_err(|error| error.to_string())
    }

    fn end(self: Box<Self>) -> Result<(), String> {
        self.0.end().map_err(|error| error.to_string())
    }
}
