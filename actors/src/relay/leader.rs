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

    /// What came this way comes again by another, if it is not done.
    pub(crate) fn is_void(&self) -> bool {
        self.is_void.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_void.store(true, Ordering::Release);
    }

    fn send(&self, wire: &dyn Wire, owed: &Owed, message: impl FnOnce(Mark) -> Vec<u8>) {
        self.send_next(&mut self.sent.lock(), wire, owed, message);
    }

    fn send_next(&self, sent: &mut u64, wire: &dyn Wire, owed: &Owed, message: impl FnOnce(Mark) -> Vec<u8>) {
        if self.is_void() {
            return;
        }
        *sent += 1;
        if !wire.send(self.node, message(Mark { route: self.route, sequence: *sent })) {
            self.close();
            owed.add([self.node]);
        }
    }

    /// Sends what is done and replied on these connections. Under one lock with its taking: what is done is counted, so of
    /// two threads that ring for a connection the one that takes first must send first.
    fn send_done<'a>(
        &self,
        wire: &dyn Wire,
        owed: &Owed,
        lines: impl Iterator<Item = (u64, &'a Arc<Line>)>,
        index: Index,
    ) {
        let mut sent = self.sent.lock();
        let (mut parts, mut frames) = (Vec::new(), Vec::new());
        let mut send = |parts: &mut Vec<u8>| {
            if !parts.is_empty() {
                self.send_next(&mut sent, wire, owed, |mark| [begin_replies(mark, index).as_slice(), parts].concat());
                parts.clear();
            }
        };
        for (connection, line) in lines {
            frames.clear();
            let done = line.take_done(&mut frames);
            if (done, frames.len()) == (0, 0) {
                continue;
            }
            if parts.len() + PART_HEADER_BYTES + frames.len() > FRAMES_BYTES_MAX {
                send(&mut parts);
            }
            add_part(&mut parts, connection, done, &frames);
        }
        send(&mut parts);
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
    let is_there =
        |line: &&Arc<Line>| line.remote.as_ref().is_some_and(|remote| !remote.is_gone.load(Ordering::Acquire));
    let mut ways: Vec<Arc<WayBack>> = Vec::new();
    for remote in lines.iter().filter(is_there).filter_map(|line| line.remote.as_ref()) {
        if !ways.iter().any(|way_back| Arc::ptr_eq(way_back, &remote.way_back)) {
            ways.push(remote.way_back.clone());
        }
    }
    for way_back in ways {
        let of_way = lines.iter().filter(is_there).filter_map(|line| {
            let remote = line.remote.as_ref().filter(|remote| Arc::ptr_eq(&remote.way_back, &way_back))?;
            Some((remote.connection, line))
        });
        way_back.send_done(wire, owed, of_way, index);
    }
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

#[cfg(test)]
mod tests {
    use wire::frame::Frame;
    use wire::message::Refused;
    use wire::{Frames, Kind};

    use super::*;
    use crate::relay::message::decode;

    /// What arrives at the other node: how many instructions are done, and the numbers of the replies.
    #[derive(Default)]
    struct Arrived(Mutex<(u32, Vec<u32>)>);

    impl Wire for Arrived {
        fn send(&self, _: NodeId, message: Vec<u8>) -> bool {
            let Ok(Message::Replies { parts, .. }) = decode(&message) else { panic!("only replies are sent") };
            let mut arrived = self.0.lock();
            for part in parts {
                arrived.0 += part.done;
                arrived.1.extend(Frames::new(part.frames).map(|frame| number_of(&frame.unwrap())));
            }
            true
        }
    }

    fn reply(number: u32) -> Vec<u8> {
        let mut uetr = [0; 16];
        uetr[..4].copy_from_slice(&number.to_le_bytes());
        let mut reply = Vec::new();
        let refused = Refused { kind: Kind::StatusRequest as u16, uetr, reason: Reason::FULL, text: "later" };
        wire::Message::Refused(refused).encode(&mut reply);
        reply
    }

    fn number_of(frame: &Frame<'_>) -> u32 {
        match wire::frame::decode(frame.kind, frame.body) {
            Ok(wire::Message::Refused(Refused { uetr: [a, b, c, d, ..], .. })) => u32::from_le_bytes([a, b, c, d]),
            other => panic!("{other:?}"),
        }
    }

    /// The journal's thread and another one (an archive that answers, an ending) ring for the same connection. The other
    /// node counts what is done, from the first on: so the replies to the first must come first.
    #[test]
    fn what_is_done_arrives_in_its_order_whoever_rings() {
        const INSTRUCTIONS: u32 = 50_000;
        let (wire, owed) = (Arrived::default(), Owed::new(Arc::default()));
        let participant = "BANK-0".parse().unwrap();
        let way_back = Arc::new(WayBack::new(2, 7));
        let line =
            Arc::new(Line::of_another_node(settlement::Key(0), participant, std::time::Duration::ZERO, way_back, 5));
        line.take(INSTRUCTIONS);
        let ring = || send_back(&wire, &owed, &mut vec![line.clone()], 1);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    ring();
                }
            });
            for number in 0..INSTRUCTIONS {
                line.finish(1, &reply(number));
                ring();
            }
            is_done.store(true, Ordering::Release);
        });
        let arrived = wire.0.lock();
        assert_eq!(arrived.0, INSTRUCTIONS);
        assert!(arrived.1.iter().copied().eq(0..INSTRUCTIONS), "replies overtook each other");
    }
}
