//! Between nodes: what a participant asks of one goes to the actors of the one that leads, and what there is to reply
//! comes back. Notices do not go this way: every node reads them from its own book.
//!
//! ```text
//!   origin: where the participant is connected            leader: where the actors are
//!   ----------------------------------------              ----------------------------
//!                       <──────────────── Reign ───────── its actors are ready
//!   opens a route       ───────────────── Route ────────> what came by an older one is void
//!   each connection     ───────── SignOn, Presence ─────> a line of its own; supersedes an older connection anywhere
//!   each socket read    ───────────── Instructions ─────> decoded again, to the participant's actor
//!   what is done goes,  <──────────────── Replies ─────── once per commit and node
//!   replies go out      <──────────────── End ───────────
//! ```
//!
//! Messages of a route are numbered. Whoever misses one, or cannot send one back, begins again with a new route, and
//! everything that is not done goes again. So the transport may lose messages, as long as those that arrive do so in order.
//!
//! Besides, nodes tell each other whether they serve participants, and where.
//!
//! A certificate of the cluster does not make a member: a node that waits to be named has one, a removed one still has. Of
//! those who are no members nothing is taken but what counts once they are.
//!
//! In reading order: `message` (the bytes), `origin`, `stale` (a word of the leader that time has overtaken), `leader`,
//! `doors`, this file (what the transport calls).

mod doors;
mod leader;
mod message;
mod origin;
pub(crate) mod stale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use persistence::{NodeId, Term};
use tokio::sync::mpsc;

use crate::bell::Rung;
use crate::dispatch::Dispatch;
use crate::line::Ending;
use crate::premises::Premises;
pub use doors::Door;
use doors::Doors;
pub(crate) use leader::{Inbound, Owed, WayBack};
pub use message::{MESSAGE_BYTES_MAX, Malformed};
use message::{Message, Outcome, decode};
pub(crate) use origin::Outbound;

/// Takes messages to other nodes. Never blocks, and may be called from any thread and with locks held, so it calls nobody
/// back. False when there is no room or no connection: then the message is dropped.
pub trait Wire: Send + Sync + 'static {
    fn send(&self, to: NodeId, message: Vec<u8>) -> bool;
}

/// For a node alone.
pub struct Nobody;

impl Wire for Nobody {
    fn send(&self, _: NodeId, _: Vec<u8>) -> bool {
        false
    }
}

/// Questions of other nodes' operators that wait for this one.
const ASKED_MAX: usize = 16;
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// Until what could not be sent is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Why the leader gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("no node leads just now")]
    NoLeader,
    #[error("node {0}, the leader, cannot be reached or takes no more questions just now")]
    Unreachable(NodeId),
    #[error("node {0}, the leader, was lost before it answered; look whether it was done, then ask again")]
    Lost(NodeId),
    #[error("node {0}, the leader, did not answer in time; look whether it was done, then ask again")]
    Silent(NodeId),
}

/// A question of another node's operator, for the leader.
pub struct Asked {
    pub from: NodeId,
    pub what: Vec<u8>,
    id: u64,
    wire: Arc<dyn Wire>,
}

impl Asked {
    /// At most [`MESSAGE_BYTES_MAX`] less a few bytes.
    pub fn answer(self, answer: &[u8]) {
        tell(&*self.wire, self.from, self.id, Outcome::Answered, answer);
    }
}

fn tell(wire: &dyn Wire, to: NodeId, id: u64, outcome: Outcome, answer: &[u8]) {
    let message = Message::Told { id, outcome, answer }.encode();
    // An asker that does not hear this hears the clock.
    _ = message.len() <= MESSAGE_BYTES_MAX && wire.send(to, message);
}

/// The members of the cluster, as this node knows them.
#[derive(Default)]
struct Known {
    members: BTreeSet<NodeId>,
    /// Those that were, while this node ran.
    former: BTreeSet<NodeId>,
    /// Reigns of nodes that are no members as far as is known: this node may be behind.
    announced: BTreeMap<NodeId, Term>,
}

/// See the file's head.
pub struct Relay {
    wire: Arc<dyn Wire>,
    premises: Arc<Premises>,
    dispatch: Arc<Dispatch>,
    links: Mutex<BTreeSet<NodeId>>,
    owed: Arc<Owed>,
    doors: Doors,
    members: Mutex<Known>,
    asked: mpsc::Sender<Asked>,
    asks: Mutex<Option<mpsc::Receiver<Asked>>>,
}

impl Relay {
    pub(crate) fn new(wire: Arc<dyn Wire>, premises: Arc<Premises>, dispatch: Arc<Dispatch>) -> Self {
        let owed = Arc::new(Owed::new(dispatch.stalled.clone()));
        let doors = Doors::new(Owed::new(dispatch.stalled.clone()));
        let (asked, asks) = mpsc::channel(ASKED_MAX);
        let (own_wire, own_owed) = (wire.clone(), owed.clone());
        premises.bell.carry(move |lines, index| leader::send_back(&*own_wire, &own_owed, lines, index));
        let (links, members) = Default::default();
        Relay { wire, premises, dispatch, links, owed, doors, members, asked, asks: Mutex::new(Some(asks)) }
    }

    /// These nodes are members now, and were not removed.
    pub fn set_members(&self, members: BTreeSet<NodeId>) {
        let mut known = self.members.lock();
        let (named, announced) =
            std::mem::take(&mut known.announced).into_iter().partition(|(node, _)| members.contains(node));
        let former = known.former.union(&known.members).copied().filter(|node| !members.contains(node)).collect();
        *known = Known { members, former, announced };
        drop(known);
        BTreeMap::into_iter(named).for_each(|(node, term)| self.dispatch.announced(term, node));
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.members.lock().members.contains(&node)
    }

    /// This node's connection to `node` is there, perhaps again: what was sent before may be lost.
    pub fn link_up(&self, node: NodeId) {
        self.links.lock().insert(node);
        self.doors.owed.add([node]);
        self.show_door();
        if let Some(post) = self.dispatch.reign() {
            post.inbound.forget(&post, node);
            self.owed.add([node]);
            self.pay();
        }
        self.dispatch.again(node, None);
    }

    /// This node's connection to `node` is gone.
    pub fn link_down(&self, node: NodeId) {
        self.links.lock().remove(&node);
        self.members.lock().announced.remove(&node);
        self.owed.is_paid(node);
        self.doors.owed.is_paid(node);
    }

    /// A message of `from`, as it sent it: in order, also over several connections.
    pub fn receive(&self, from: NodeId, message: &[u8]) -> Result<(), Malformed> {
        let message = decode(message)?;
        if !self.is_member(from) {
            self.hear_stranger(from, &message);
            return Ok(());
        }
        match message {
            Message::Reign { term, node } if node == from => self.dispatch.announced(term, node),
            Message::Reign { .. } => return Err(Malformed("it announces another node's reign")),
            Message::Replies { mark, index, parts } => {
                let (mut rung, mut words) = (Rung::default(), Vec::new());
                let mut is_next = true;
                self.dispatch.while_relayed(mark.route, |outbound| {
                    is_next = outbound.leader == from && outbound.is_next(mark);
                    if is_next {
                        (rung.lines, words) = outbound.replied(&self.dispatch, index, parts);
                    }
                });
                if !is_next {
                    self.dispatch.again(from, Some(mark.route));
                }
                self.premises.bell.ring(&mut rung);
                words.into_iter().for_each(|word| word.look_up(&self.premises));
            }
            Message::End { mark, connection, retry_after_ms, reason, text } => {
                let mut is_next = true;
                self.dispatch.while_relayed(mark.route, |outbound| {
                    is_next = outbound.leader == from && outbound.is_next(mark);
                    if is_next {
                        Outbound::end(&self.dispatch, connection, Ending::new(reason, retry_after_ms, text));
                    }
                });
                if !is_next {
                    self.dispatch.again(from, Some(mark.route));
                }
            }
            Message::Ask { id, what } => self.asked(from, id, what),
            Message::Told { id, outcome, answer } => {
                if let Some(outbound) = self.dispatch.outbound().filter(|outbound| outbound.leader == from) {
                    outbound.told(id, outcome, answer);
                }
            }
            Message::Serves { door } => self.doors.heard(from, &door),
            Message::Removed => self.doors.removed(from),
            message => self.lead(from, &message),
        }
        Ok(())
    }

    /// What a node says that is no member, as far as is known here.
    fn hear_stranger(&self, from: NodeId, message: &Message<'_>) {
        match *message {
            Message::Reign { term, node } if node == from => {
                self.members.lock().announced.insert(from, term);
            }
            // Nobody is sent to it before it is one.
            Message::Serves { door } => self.doors.heard(from, &door),
            Message::Ask { id, .. } => {
                if self.members.lock().former.contains(&from) {
                    _ = self.wire.send(from, Message::Removed.encode());
                }
                tell(&*self.wire, from, id, Outcome::Busy, &[]);
            }
            _ => {}
        }
    }

    /// What only a leader is sent.
    fn lead(&self, from: NodeId, message: &Message<'_>) {
        let Some(post) = self.dispatch.reign() else { return };
        let inbound = &post.inbound;
        let is_next = match *message {
            Message::Route { term, route } => {
                inbound.open(&post, from, term, route);
                true
            }
            Message::SignOn(announced) => inbound.announced(&post, from, &announced, true),
            Message::Presence(announced) => inbound.announced(&post, from, &announced, false),
            Message::Instructions { mark, connection, count, frames } => {
                inbound.instructions(&post, from, (mark, connection), (count, frames))
            }
            Message::Gone { mark, connection } => inbound.gone(&post, from, mark, connection),
            _ => true,
        };
        if !is_next {
            inbound.forget(&post, from);
            self.owed.add([from]);
        }
    }

    /// This node leads, and its actors are ready: everybody is told.
    pub(crate) fn announce(&self) {
        let links: Vec<_> = self.links.lock().iter().copied().collect();
        self.owed.add(links);
        self.pay();
    }

    /// Tells those of the reign who are to know. False when some could not be told.
    fn pay(&self) -> bool {
        let Some(post) = self.dispatch.reign() else {
            self.owed.clear();
            return true;
        };
        let mut all = true;
        for node in self.owed.nodes() {
            // Taken off first: if something is lost meanwhile, it is owed again; and when its connection comes up again.
            self.owed.is_paid(node);
            if !self.is_linked(node) {
                continue;
            }
            let reign = Message::Reign { term: post.term(), node: self.dispatch.node };
            if !self.wire.send(node, reign.encode()) {
                all = false;
                self.owed.add([node]);
            }
        }
        all
    }

    /// Sends the leader what it could not be sent. With no connection to it, that is done when there is one.
    fn flush(&self) -> bool {
        let leader = self.dispatch.outbound().map(|outbound| outbound.leader);
        leader.is_none_or(|leader| !self.is_linked(leader)) || self.dispatch.flush()
    }

    fn is_linked(&self, node: NodeId) -> bool {
        self.links.lock().contains(&node)
    }

    /// Tries again what could not be sent, for ever.
    pub(crate) async fn try_again_for_ever(self: Arc<Self>) {
        loop {
            self.dispatch.stalled.notified().await;
            loop {
                let all_told = self.pay() & self.show_door();
                let all_sent = self.flush();
                if all_told && all_sent {
                    break;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }

    /// Asks the node that leads.
    pub async fn ask(&self, what: &[u8]) -> Result<Vec<u8>, AskError> {
        let Some(outbound) = self.dispatch.outbound() else { return Err(AskError::NoLeader) };
        let leader = outbound.leader;
        let answer = outbound.ask(what).ok_or(AskError::Unreachable(leader))?;
        // Its end is heard when another leads.
        drop(outbound);
        match tokio::time::timeout(ASK_TIMEOUT, answer).await {
            Ok(Ok((Outcome::Answered, answer))) => Ok(answer),
            Ok(Ok((Outcome::Busy, _))) => Err(AskError::Unreachable(leader)),
            Ok(Ok((Outcome::DoesNotLead, _)) | Err(_)) => Err(AskError::Lost(leader)),
            Err(_) => Err(AskError::Silent(leader)),
        }
    }

    /// The questions of other nodes' operators. Once.
    pub fn take_asks(&self) -> Option<mpsc::Receiver<Asked>> {
        self.asks.lock().take()
    }

    fn asked(&self, from: NodeId, id: u64, what: &[u8]) {
        let outcome = match self.dispatch.reign() {
            None => Outcome::DoesNotLead,
            Some(_) => {
                let asked = Asked { from, what: what.to_vec(), id, wire: self.wire.clone() };
                match self.asked.try_send(asked) {
                    Ok(()) => return,
                    Err(_) => Outcome::Busy,
                }
            }
        };
        tell(&*self.wire, from, id, outcome, &[]);
    }

    /// Whether this node serves participants, and where: told to all others, now and when they connect.
    pub fn set_door(&self, door: Door) {
        if self.doors.set_own(door) {
            self.doors.owed.add(self.links.lock().iter().copied());
            self.show_door();
        }
    }

    /// Tells those who are to know. False when some could not be told.
    fn show_door(&self) -> bool {
        let mut all = true;
        for node in self.doors.owed.nodes() {
            self.doors.owed.is_paid(node);
            if !self.is_linked(node) {
                continue;
            }
            let message = Message::Serves { door: self.doors.own().as_told() }.encode();
            if !self.wire.send(node, message) {
                all = false;
                self.doors.owed.add([node]);
            }
        }
        all
    }

    /// What this node, or a connected one, says of its door.
    pub fn door_of(&self, node: NodeId) -> Option<Door> {
        if node == self.dispatch.node {
            return Some(self.doors.own());
        }
        self.links.lock().contains(&node).then(|| self.doors.of(node)).flatten()
    }

    /// Where other nodes serve participants just now.
    pub fn elsewhere(&self) -> Vec<String> {
        let links: Vec<_> = self.links.lock().iter().copied().collect();
        let members = links.into_iter().filter(|node| self.is_member(*node));
        members.filter_map(|node| self.doors.of(node)?.address()).collect()
    }

    /// Tells a node that it was removed from the cluster: nobody else does.
    pub fn tell_removed(&self, node: NodeId) {
        _ = self.wire.send(node, Message::Removed.encode());
    }

    /// Returns when another node has said that this one was removed.
    pub async fn until_removed(&self) -> NodeId {
        self.doors.until_removed().await
    }

    /// The reign that this node knows of, other than its own.
    pub fn leader(&self) -> Option<(Term, NodeId)> {
        self.dispatch.outbound().map(|outbound| (outbound.term, outbound.leader))
    }
}
