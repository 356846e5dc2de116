//! The side of the node that a participant is connected to: the way to another node that leads.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persistence::{Index, NodeId, Term};
use tokio::sync::{Notify, oneshot};
use wire::Timestamp;

use super::Wire;
use super::message::{Announced, FRAMES_BYTES_MAX, MESSAGE_BYTES_MAX, Mark, Message, Outcome, Parts};
use super::stale::{self, Word};
use crate::dispatch::Dispatch;
use crate::instruction::Batch;
use crate::line::{Ending, Line, Parcel};

/// What the leader answered, or why it did not.
type Told = (Outcome, Vec<u8>);

/// Questions to the leader that wait for their answer.
const ASKS_MAX: usize = 64;

/// See the file's head. A new one for every reign, and whenever something on the way may have been lost.
pub(crate) struct Outbound {
    wire: Arc<dyn Wire>,
    pub(crate) term: Term,
    pub(crate) leader: NodeId,
    /// Never the same twice, also not in another life of this node.
    pub(crate) route: u64,
    /// What was sent so far; 0 when not even the route is open.
    sent: Mutex<u64>,
    /// What came back so far.
    received: Mutex<u64>,
    /// Connections with something that could not be sent.
    stalled: Mutex<BTreeSet<u64>>,
    wake: Arc<Notify>,
    heard_index: AtomicU64,
    asks: Mutex<HashMap<u64, oneshot::Sender<Told>>>,
}

/// Random enough to differ between lives, counted on within one.
fn next_route() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = Timestamp::now().nanoseconds();
    let next = |last: u64| Some(now.max(last + 1));
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map_or(now, |last| now.max(last + 1))
}

impl Outbound {
    pub(crate) fn open(wire: Arc<dyn Wire>, wake: Arc<Notify>, term: Term, leader: NodeId) -> Self {
        let outbound = Outbound {
            wire,
            term,
            leader,
            route: next_route(),
            sent: Mutex::new(0),
            received: Mutex::new(0),
            stalled: Mutex::default(),
            wake,
            heard_index: AtomicU64::new(0),
            asks: Mutex::default(),
        };
        if !outbound.open_route() {
            outbound.wake.notify_one();
        }
        outbound
    }

    fn open_route(&self) -> bool {
        let mut sent = self.sent.lock();
        if *sent == 0 && self.wire.send(self.leader, Message::Route { term: self.term, route: self.route }.encode()) {
            *sent = 1;
        }
        *sent > 0
    }

    /// Sends the next message of the route. Its number is taken only if the message is.
    fn send(&self, message: impl FnOnce(Mark) -> Vec<u8>) -> bool {
        let mut sent = self.sent.lock();
        if *sent == 0 || !self.wire.send(self.leader, message(Mark { route: self.route, sequence: *sent })) {
            return false;
        }
        *sent += 1;
        true
    }

    /// Sends a parcel of a connection; gives back how much of it was taken.
    pub(crate) fn carry(&self, line: &Line, parcel: Parcel<'_>) -> usize {
        let (connection, age, participant) = (line.number(), line.since.elapsed(), line.participant());
        match parcel {
            Parcel::Presence => {
                self.send(|mark| Message::Presence(Announced { mark, connection, age, participant }).encode()).into()
            }
            Parcel::Instructions(batch, _) if batch.is_sign_on() => {
                self.send(|mark| Message::SignOn(Announced { mark, connection, age, participant }).encode()).into()
            }
            Parcel::Instructions(batch, from) => self.instructions(line, batch, from),
        }
    }

    fn instructions(&self, line: &Line, batch: &Batch, from: usize) -> usize {
        let mut taken = 0;
        for (piece, count) in batch.pieces(from, line.participant(), FRAMES_BYTES_MAX) {
            let (connection, frames) = (line.number(), &batch.bytes[piece]);
            let message = |mark| Message::Instructions { mark, connection, count: count as u32, frames }.encode();
            if !self.send(message) {
                break;
            }
            taken += count;
        }
        taken
    }

    /// Sends what the leader was not sent of a connection, or tries again later.
    pub(crate) fn send_rest(&self, line: &Arc<Line>) {
        if !line.send_rest(|parcel| self.carry(line, parcel)) {
            self.stall(line);
        }
    }

    pub(crate) fn stall(&self, line: &Line) {
        self.stalled.lock().insert(line.number());
        self.wake.notify_one();
    }

    /// Tells that a connection is closed, unless the leader never knew of it.
    pub(crate) fn leave(&self, line: &Line) {
        if line.is_present() && !self.gone(line.number()) {
            self.stall(line);
        }
    }

    fn gone(&self, connection: u64) -> bool {
        self.send(|mark| Message::Gone { mark, connection }.encode())
    }

    /// Tries again what could not be sent. True when nothing is left.
    pub(crate) fn flush(&self, dispatch: &Dispatch) -> bool {
        if !self.open_route() {
            return false;
        }
        let mut numbers = std::mem::take(&mut *self.stalled.lock());
        while let Some(number) = numbers.pop_first() {
            let sent = match dispatch.by_number(number) {
                Some(line) => line.send_rest(|parcel| self.carry(&line, parcel)),
                None => self.gone(number),
            };
            if !sent {
                numbers.insert(number);
                self.stalled.lock().append(&mut numbers);
                return false;
            }
        }
        true
    }

    /// Counts a message that came back. False when one before it was lost.
    pub(crate) fn is_next(&self, mark: Mark) -> bool {
        let mut received = self.received.lock();
        let is_next = mark.sequence == *received + 1;
        *received += u64::from(is_next);
        is_next
    }

    /// Notes what is done and replied; gives back the connections that have something to write, and the words that this
    /// node's book must be asked about first.
    pub(super) fn replied(&self, dispatch: &Dispatch, index: Index, parts: Parts<'_>) -> (Vec<Arc<Line>>, Vec<Word>) {
        self.heard_index.fetch_max(index, Ordering::AcqRel);
        let (mut lines, mut words) = (Vec::new(), Vec::new());
        for part in parts {
            let Some(line) = dispatch.by_number(part.connection) else { continue };
            if stale::may_be_stale(part.frames) {
                words.push(Word::owed_to(line, part.done, part.frames));
                continue;
            }
            line.finish(part.done, part.frames);
            if !part.frames.is_empty() {
                lines.push(line);
            }
        }
        (lines, words)
    }

    /// The leader has committed so far, as we know from its replies.
    pub(crate) fn heard_index(&self) -> Index {
        self.heard_index.load(Ordering::Acquire)
    }

    pub(crate) fn end(dispatch: &Dispatch, connection: u64, ending: Ending) {
        if let Some(line) = dispatch.by_number(connection) {
            line.end(ending);
        }
    }

    /// Asks the leader. The receiver hears nothing when somebody else leads before it answers.
    pub(crate) fn ask(&self, what: &[u8]) -> Option<oneshot::Receiver<Told>> {
        if what.len() > MESSAGE_BYTES_MAX / 2 {
            return None;
        }
        let id = next_route();
        let (sender, receiver) = oneshot::channel();
        {
            let mut asks = self.asks.lock();
            asks.retain(|_, waiting| !waiting.is_closed());
            if asks.len() >= ASKS_MAX {
                return None;
            }
            asks.insert(id, sender);
        }
        self.wire.send(self.leader, Message::Ask { id, what }.encode()).then_some(receiver)
    }

    pub(crate) fn told(&self, id: u64, outcome: Outcome, answer: &[u8]) {
        if let Some(asker) = self.asks.lock().remove(&id) {
            drop(asker.send((outcome, answer.to_vec())));
        }
    }
}
