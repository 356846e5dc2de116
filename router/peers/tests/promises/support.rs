//! A cluster in one process, and somebody who remembers everything it says.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peers::{
    Channel, ClusterId, Config, FileSink, Limits, NodeId, PeerStatistics, Peers, RoundTrip, Tls, Upcalls, pki,
};
use tempfile::TempDir;

/// For everything that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Patient, so that a busy machine is no silent peer.
pub(crate) fn limits() -> Limits {
    Limits {
        silence_max: Duration::from_secs(20),
        ping_every: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        ..Limits::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Connected(NodeId),
    Disconnected(NodeId, String),
}

type Heard = Vec<(Channel, Vec<u8>)>;
/// Header, and the bytes when it came whole.
type Received = (Vec<u8>, Option<Vec<u8>>);

/// What one node was told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) messages: Mutex<BTreeMap<NodeId, Heard>>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) round_trips: Mutex<BTreeMap<NodeId, (RoundTrip, u32)>>,
    pub(crate) files: Mutex<Vec<Received>>,
    pub(crate) outcomes: Mutex<Vec<(NodeId, Result<(), String>)>>,
    /// While it is set, messages are not taken.
    pub(crate) is_stuck: AtomicBool,
}

impl Seen {
    pub(crate) fn count(&self, from: NodeId) -> usize {
        self.messages.lock().unwrap().get(&from).map_or(0, Vec::len)
    }

    pub(crate) fn of(&self, from: NodeId, channel: Channel) -> Vec<Vec<u8>> {
        let messages = self.messages.lock().unwrap();
        let all = messages.get(&from).into_iter().flatten();
        all.filter(|(on, _)| *on == channel).map(|(_, message)| message.clone()).collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

pub(crate) struct Owner(pub(crate) Arc<Seen>, u32);

impl Upcalls for Owner {
    fn message(&self, from: NodeId, channel: Channel, message: &[u8]) {
        while self.0.is_stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.messages.lock().unwrap().entry(from).or_default().push((channel, message.to_vec()));
    }

    fn connected(&self, node: NodeId) {
        self.0.events.lock().unwrap().push(Event::Connected(node));
    }

    fn disconnected(&self, node: NodeId, why: &str) {
        self.0.events.lock().unwrap().push(Event::Disconnected(node, why.into()));
    }

    fn round_trip(&self, node: NodeId, round_trip: RoundTrip, health: u32) {
        self.0.round_trips.lock().unwrap().insert(node, (round_trip, health));
    }

    fn file(&self, _: NodeId, header: &[u8], bytes: u64) -> Result<Box<dyn FileSink>, String> {
        if header == b"unwanted" {
            return Err(format!("no room for {bytes} bytes"));
        }
        let number = {
            let mut files = self.0.files.lock().unwrap();
            files.push((header.to_vec(), None));
            files.len() - 1
        };
        Ok(Box::new(Sink { seen: Arc::clone(&self.0), number, bytes: Vec::new() }))
    }

    fn file_sent(&self, to: NodeId, outcome: Result<(), String>) {
        self.0.outcomes.lock().unwrap().push((to, outcome));
    }

    fn own_health(&self) -> u32 {
        self.1
    }

    /// Each node is 100 ms ahead of the one with the number before.
    fn clock_ns(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (now + Duration::from_millis(100) * self.1).as_nanos() as u64
    }
}

struct Sink {
    seen: Arc<Seen>,
    number: usize,
    bytes: Vec<u8>,
}

impl FileSink for Sink {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.starts_with(b"poison") {
            return Err("the disk says no".into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn end(self: Box<Self>) -> Result<(), String> {
        self.seen.files.lock().unwrap()[self.number].1 = Some(self.bytes);
        Ok(())
    }
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) peers: Peers,
    pub(crate) seen: Arc<Seen>,
}

impl Node {
    pub(crate) fn address(&self) -> SocketAddr {
        self.peers.address()
    }

    pub(crate) fn knows(&self, others: &[(NodeId, SocketAddr)]) {
        let members: Vec<_> = others.iter().map(|(node, address)| (*node, address.to_string())).collect();
        self.peers.set_members(&members).unwrap();
    }

    pub(crate) fn about(&self, other: NodeId) -> Option<PeerStatistics> {
        self.peers.statistics().peers.into_iter().find(|peer| peer.node == other)
    }

    pub(crate) fn is_connected(&self, other: NodeId) -> bool {
        self.about(other).is_some_and(|peer| peer.sends && peer.receives)
    }
}

/// Certificates of one cluster.
pub(crate) struct House {
    pub(crate) cluster: ClusterId,
    pub(crate) directory: TempDir,
}

impl House {
    pub(crate) fn new() -> House {
        let directory = tempfile::tempdir().unwrap();
        let (cluster, _) = pki::init(directory.path(), None).unwrap();
        House { cluster, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn tls(&self, node: NodeId) -> Tls {
        let request = pki::Request { node, names: Vec::new(), days: 1, renews: true };
        pki::issue(self.path(), &request).unwrap();
        pki::read(self.path(), node).unwrap()
    }

    pub(crate) fn config(&self, node: NodeId) -> Config {
        Config { cluster: self.cluster, node, address: String::new(), tls: self.tls(node), limits: limits() }
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        start(self.config(id), any_port())
    }

    /// Nodes 1 to `count`, all connected.
    pub(crate) fn mesh(&self, count: NodeId, limits: &Limits) -> Vec<Node> {
        let start = |id| start(Config { limits: limits.clone(), ..self.config(id) }, any_port());
        let nodes: Vec<Node> = (1..=count).map(start).collect();
        introduce(&nodes.iter().collect::<Vec<_>>());
        nodes
    }
}

pub(crate) fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

pub(crate) fn start(config: Config, listener: TcpListener) -> Node {
    let (id, seen) = (config.node, Arc::<Seen>::default());
    let owner = Arc::new(Owner(Arc::clone(&seen), 100 + id as u32));
    Node { id, peers: Peers::start(config, listener, owner).unwrap(), seen }
}

/// Every node is told of all, and they are waited for.
pub(crate) fn introduce(nodes: &[&Node]) {
    let members: Vec<_> = nodes.iter().map(|node| (node.id, node.address())).collect();
    nodes.iter().for_each(|node| node.knows(&members));
    let pairs = || nodes.iter().flat_map(|one| nodes.iter().map(move |other| (one, other)));
    until("all nodes are connected", || pairs().all(|(one, other)| one.id == other.id || one.is_connected(other.id)));
    until("all nodes were told", || {
        pairs().all(|(one, other)| one.id == other.id || one.seen.events().contains(&Event::Connected(other.id)))
    });
}

/// Nodes 1 and 2 talk to each other, and were never disconnected.
#[track_caller]
pub(crate) fn go_on(one: &Node, other: &Node) {
    let before = (one.seen.count(other.id), other.seen.count(one.id));
    assert!(one.peers.send(other.id, Channel::Relay, b"still there?".into()));
    assert!(other.peers.send(one.id, Channel::Relay, b"still here".into()));
    until("they go on talking", || one.seen.count(other.id) > before.0 && other.seen.count(one.id) > before.1);
    assert_eq!(one.seen.events().len(), 1, "{:?}", one.seen.events());
}
