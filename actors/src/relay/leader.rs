//! The side of the node that leads: connections of other nodes, and the way back to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use persistence::{Index, NodeId, Term};
use tokio::sync::Notify;
use wire::Reason;

use super::Wire;
use super::message::{Announced, FRAMES_BYTES_MAX, Mark, Message, PART_HEADER_BYTES, add_part, begin_replies};
use crate::instruction::{Batch, Instructions};
use crate::line::{Ending, Line};
use crate::post::PostOffice;

/// Connections of one node at most.
const CONNECTIONS_MAX: usize = 1 << 16;
/// Instructions of one connection that may be outstanding; its own node has a smaller window.
const OUTSTANDING_MAX: u32 = 1 << 17;

/// Nodes that must be told of this node's reign, because it is new or something on the way to them was lost.
pub(crate) struct Owed {
    nodes: Mutex<BTreeSet<NodeId>>,
    wake: Arc<Notify>,
}

impl Owed {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Owed { nodes: Mutex::default(), wake }
    }

    pub(super) fn add(&self, nodes: impl IntoIterator<Item = NodeId>) {
        self.nodes.lock().extend(nodes);
        self.wake.notify_one();
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.nodes.lock().iter().copied().collect()
    }

    pub(super) fn is_paid(&self, node: NodeId) {
        self.nodes.lock().remove(&node);
    }

    pub(super) fn clear(&self) {
        self.nodes.lock().clear();
    }
}

/// The way back to another node, for one route of its.
pub(crate) struct WayBack {
    pub(crate) node: NodeId,
    route: u64,
    sent: Mutex<u64>,
    /// Something was lost, or the node has another route: nothing more goes this way.
    is_void: AtomicBool,
}

impl WayBack {
    pub(crate) fn new(node: NodeId, route: u64) -> Self {
        WayBack { node, route, sent: Mutex::new(0), is_void: AtomicBool::new(false) }
    }

    fn is_void(&self) -> bool {
        self.is_void.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_void.store(true, Ordering::Release);
    }

    fn send(&self, wire: &dyn Wire, owed: &Owed, message: impl FnOnce(Mark) -> Vec<u8>) {
        let mut sent = self.sent.lock();
        if self.is_void() {
            return;
        }
        *sent += 1;
        if !wire.send(self.node, message(Mark { route: self.route, sequence: *sent })) {
            self.close();
            owed.add([self.node]);
        }
    }
}

/// A node as the leader knows it.
struct Peer {
    way_back: Arc<WayBack>,
    received: u64,
    lines: HashMap<u64, Arc<Line>>,
}

/// See the file's head. Lives as long as the reign.
#[derive(Default)]
pub(crate) struct Inbound(Mutex<HashMap<NodeId, Peer>>);

impl Inbound {
    /// The node sends by a new route, if it means this reign.
    pub(super) fn open(&self, post: &PostOffice, from: NodeId, term: Term, route: u64) {
        if term == post.term() {
            self.forget(post, from);
            let peer = Peer { way_back: Arc::new(WayBack::new(from, route)), received: 0, lines: HashMap::new() };
            self.0.lock().insert(from, peer);
        }
    }

    /// Nothing of the node's connections holds any more.
    pub(super) fn forget(&self, post: &PostOffice, node: NodeId) {
        let Some(peer) = self.0.lock().remove(&node) else { return };
        peer.way_back.close();
        peer.lines.values().for_each(|line| post.release(line));
    }

    /// Counts a message of a node's route and lets `act` see what is known of the node. Messages of another route are
    /// dropped; when one was lost everything is, and false is given back: the node must send it all again.
    fn with(&self, from: NodeId, mark: Mark, act: impl FnOnce(&mut Peer)) -> bool {
        let mut peers = self.0.lock();
        let Some(peer) = peers.get_mut(&from).filter(|peer| peer.way_back.route == mark.route) else { return true };
        if mark.sequence != peer.received + 1 {
            return false;
        }
        peer.received += 1;
        act(peer);
        true
    }

    /// A connection of another node's, newly signed on or there from before this reign.
    pub(super) fn announced(
        &self,
        post: &Arc<PostOffice>,
        from: NodeId,
        announced: &Announced,
        signs_on: bool,
    ) -> bool {
        let Announced { mark, connection, age, participant } = *announced;
        let key = post.scheme().key(participant);
        let mut line = None;
        let is_next = self.with(from, mark, |peer| {
            let new = Line::of_another_node(
                key.unwrap_or(settlement::Key::NONE),
                participant,
                age,
                peer.way_back.clone(),
                connection,
            );
            let has_room = peer.lines.len() < CONNECTIONS_MAX;
            let new = line.insert((Arc::new(new), has_room)).0.clone();
            if has_room && key.is_some() {
                peer.lines.insert(connection, new);
            }
        });
        let Some((line, has_room)) = line else { return is_next };
        if !has_room || key.is_none() {
            // Its own node knows the participant: if this one does not, it no longer leads.
            let reason = if has_room { Reason::DRAN } else { Reason::BUSY };
            post.end(&line, Ending::new(reason, 1000, "the leading node does not take this connection"));
            return true;
        }
        post.claim(&line, signs_on);
        if signs_on {
            hand_on(post, &line, Arc::new(Batch::sign_on()));
        }
        true
    }

    pub(super) fn instructions(
        &self,
        post: &Arc<PostOffice>,
        from: NodeId,
        (mark, connection): (Mark, u64),
        (count, frames): (u32, &[u8]),
    ) -> bool {
        let mut line = None;
        let is_next = self.with(from, mark, |peer| line = peer.lines.get(&connection).cloned());
        // What comes from a connection that was told to end is sent again by its client elsewhere.
        let Some(line) = line.filter(|line| !line.is_ended()) else { return is_next };
        let mut batch = line.spare();
        let own = Arc::make_mut(&mut batch);
        own.bytes.extend_from_slice(frames);
        own.decode(line.participant(), |_| {});
        if own.items.len() != count as usize {
            post.end(
                &line,
                Ending::new(Reason::FORM, 1000, "the nodes of the switch read these instructions differently"),
            );
        } else if line.outstanding().saturating_add(count) > OUTSTANDING_MAX {
            post.end(&line, Ending::new(Reason::BUSY, 1000, "too many instructions are outstanding"));
        } else if count > 0 {
            hand_on(post, &line, batch);
        }
        true
    }

    /// A connection of another node's is closed.
    pub(super) fn gone(&self, post: &PostOffice, from: NodeId, mark: Mark, connection: u64) -> bool {
        let mut line = None;
        let is_next = self.with(from, mark, |peer| line = peer.lines.remove(&connection));
        if let Some(line) = line {
            if let Some(remote) = &line.remote {
                remote.is_gone.store(true, Ordering::Release);
            }
            post.release(&line);
        }
        is_next
    }
}

fn hand_on(post: &PostOffice, line: &Arc<Line>, batch: Arc<Batch>) {
    line.take(batch.items.len() as u32);
    // Letters first: no answer may overtake the letter about its payment.
    post.deliver();
    post.instruct(Instructions { line: line.clone(), batch, from: 0 });
}

/// Sends back what is done and replied, one message per node, and which connections are to end.
pub(super) fn send_back(wire: &dyn Wire, owed: &Owed, lines: &mut Vec<Arc<Line>>, index: Index) {
    let mut letters: Vec<(Arc<WayBack>, Vec<u8>)> = Vec::new();
    let mut frames = Vec::new();
    for line in lines.iter() {
        let Some(remote) = line.remote.as_ref().filter(|remote| !remote.is_gone.load(Ordering::Acquire)) else {
            continue;
        };
        frames.clear();
        let done = line.take_done(&mut frames);
        if (done, frames.len()) == (0, 0) || remote.way_back.is_void() {
            continue;
        }
        let own = letters.iter().position(|(way_back, _)| Arc::ptr_eq(way_back, &remote.way_back));
        let own = own.unwrap_or_else(|| {
            letters.push((remote.way_back.clone(), Vec::new()));
            letters.len() - 1
        });
        let (way_back, parts) = &mut letters[own];
        if parts.len() + PART_HEADER_BYTES + frames.len() > FRAMES_BYTES_MAX {
            send_parts(wire, owed, way_back, index, parts);
        }
        add_part(parts, remote.connection, done, &frames);
    }
    letters.iter_mut().for_each(|(way_back, parts)| send_parts(wire, owed, way_back, index, parts));
    for line in lines.drain(..) {
        if let (Some(remote), Some(ending)) = (&line.remote, line.ending())
            && !remote.is_gone.swap(true, Ordering::AcqRel)
        {
            let Ending { reason, retry_after_ms, text, .. } = &ending;
            let (connection, reason, retry_after_ms) = (remote.connection, *reason, *retry_after_ms);
            let message = |mark| Message::End { mark, connection, retry_after_ms, reason, text }.encode();
            remote.way_back.send(wire, owed, message);
        }
    }
}

fn send_parts(wire: &dyn Wire, owed: &Owed, way_back: &WayBack, index: Index, parts: &mut Vec<u8>) {
    if !parts.is_empty() {
        way_back.send(wire, owed, |mark| {
            let mut message = begin_replies(mark, index);
            message.extend_from_slice(parts);
            message
        });
        parts.clear();
    }
}
