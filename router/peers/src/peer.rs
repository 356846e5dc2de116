//! One other node: what waits for it, whether it is connected, and who hears of that.
//!
//! Two locks, never held together with each other: `outgoing` by everybody who sends, shortly; `incoming` by connections
//! that come and go.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rustls::ClientConfig;

use crate::file::Sending;
use crate::frame::{Kind, Pulse};
use crate::hello::Purpose;
use crate::lane::{Block, Lane};
use crate::meter::Meter;
use crate::{Channel, NodeId, PeerStatistics, Upcalls};

/// Taken from the queue in one turn, so that what is urgent waits for no more than that.
const TURN_BYTES: usize = 256 << 10;

pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) dialling: Arc<ClientConfig>,
    pub(crate) meter: Mutex<Meter>,
    pub(crate) file: Mutex<Option<Sending>>,
    /// Who is about to do something with it.
    pub(crate) holders: AtomicUsize,
    outgoing: Mutex<Outgoing>,
    wake: Condvar,
    incoming: Mutex<Incoming>,
    vacated: Condvar,
    /// What the owner was told last.
    announced: Mutex<bool>,
}

#[derive(Default)]
struct Outgoing {
    /// Where it is dialled: as a member; or, while it is connected to us, as it said itself.
    member: Option<String>,
    guest: Option<String>,
    /// A thread dials it and sends to it.
    has_sender: bool,
    /// The connection stands.
    link: Option<TcpStream>,
    /// Why it has to end.
    end: Option<String>,
    /// There may be news on it, or it should be dialled without delay.
    look: bool,
    /// The sending thread waits.
    is_asleep: bool,
    consensus: Lane,
    relay: Lane,
    dropped: u64,
    last_error: Option<String>,
}

impl Outgoing {
    fn address(&self) -> Option<&String> {
        self.member.as_ref().or(self.guest.as_ref())
    }

    fn lane(&mut self, kind: Kind) -> &mut Lane {
        if kind == Kind::Relay { &mut self.relay } else { &mut self.consensus }
    }

    /// Ends the connection; the sending thread finds out why.
    fn end(&mut self, why: &str) {
        if let Some(link) = &self.link {
            self.end.get_or_insert_with(|| why.to_string());
            let _ = link.shutdown(Shutdown::Both);
        }
    }

    fn take(&mut self, blocks: &mut Vec<Block>) {
        for block in blocks.drain(..) {
            let lane = if self.consensus.lacks_spare() { &mut self.consensus } else { &mut self.relay };
            lane.recycle(block);
        }
        let (mut bytes, turn) = (0, TURN_BYTES);
        while bytes < turn
            && let Some(block) = self.consensus.pop().or_else(|| self.relay.pop())
        {
            bytes += block.bytes();
            blocks.push(block);
        }
    }
}

/// The connections the other node has to us, by what they are for.
#[derive(Default)]
struct Incoming {
    messages: Option<TcpStream>,
    file: Option<TcpStream>,
}

impl Incoming {
    fn slot(&mut self, purpose: Purpose) -> &mut Option<TcpStream> {
        match purpose {
            Purpose::Messages => &mut self.messages,
            Purpose::File => &mut self.file,
        }
    }
}

impl Peer {
    pub(crate) fn new(node: NodeId, dialling: Arc<ClientConfig>) -> Peer {
        Peer {
            node,
            dialling,
            meter: Mutex::default(),
            file: Mutex::default(),
            holders: AtomicUsize::new(0),
            outgoing: Mutex::default(),
            wake: Condvar::new(),
            incoming: Mutex::default(),
            vacated: Condvar::new(),
            announced: Mutex::new(false),
        }
    }

    /// Queues a message for the sending thread; false when it was dropped.
    pub(crate) fn send(&self, channel: Channel, message: Vec<u8>, queue_bytes_max: usize) -> bool {
        assert!(message.len() <= channel.bytes_max(), "{channel:?} takes no {} bytes", message.len());
        let mut out = self.outgoing.lock();
        if out.link.is_none() || !out.lane(channel.kind()).has_room(message.len(), queue_bytes_max) {
            out.dropped += 1;
            return false;
        }
        out.lane(channel.kind()).push(channel.kind(), message);
        self.awaken(out);
        true
    }

    /// Answers a ping, unless so much waits that the answer would say nothing.
    pub(crate) fn echo(&self, pulse: Pulse, queue_bytes_max: usize) {
        let mut out = self.outgoing.lock();
        if out.link.is_some() && out.consensus.has_room(Pulse::BYTES, queue_bytes_max) {
            out.consensus.push(Kind::Echo, pulse.encode().into());
            self.awaken(out);
        }
    }

    fn awaken(&self, mut out: parking_lot::MutexGuard<'_, Outgoing>) {
        let was_asleep = std::mem::take(&mut out.is_asleep);
        drop(out);
        if was_asleep {
            self.wake.notify_one();
        }
    }

    /// Makes the sending thread look at its connection, or dial without delay.
    pub(crate) fn look(&self) {
        let mut out = self.outgoing.lock();
        out.look = true;
        self.awaken(out);
    }

    /// Ends the connection to it, and the thread unless there is an address to dial.
    pub(crate) fn end(&self, why: &str) {
        let mut out = self.outgoing.lock();
        out.end(why);
        out.look = true;
        self.awaken(out);
    }

    /// It is a member there, or none.
    pub(crate) fn set_member(&self, address: Option<&str>) {
        self.readdress(|out| out.member = address.map(str::to_string));
    }

    /// It is connected and said where it is reached, or is no longer.
    pub(crate) fn set_guest(&self, address: Option<&str>) {
        self.readdress(|out| out.guest = address.map(str::to_string));
    }

    fn readdress(&self, change: impl FnOnce(&mut Outgoing)) {
        let mut out = self.outgoing.lock();
        let (address, was_member) = (out.address().cloned(), out.member.is_some());
        change(&mut out);
        // Of two nodes that were members to each other one has to let go first: no guest is kept by a guest.
        let is_dismissed = was_member && out.member.is_none();
        if is_dismissed || out.address() != address.as_ref() {
            out.end(if is_dismissed { "it is no member any more" } else { "its address changed" });
            out.look = true;
            self.awaken(out);
        }
    }

    pub(crate) fn is_member(&self) -> bool {
        self.outgoing.lock().member.is_some()
    }

    /// True once, for the one who then starts the thread.
    pub(crate) fn wants_a_sender(&self) -> bool {
        let mut out = self.outgoing.lock();
        out.address().is_some() && !std::mem::replace(&mut out.has_sender, true)
    }

    pub(crate) fn has_no_sender(&self) {
        self.outgoing.lock().has_sender = false;
    }

    /// Where to dial; without an address the sending thread is done.
    pub(crate) fn address_to_dial(&self) -> Option<String> {
        let mut out = self.outgoing.lock();
        let address = out.address().cloned();
        out.has_sender = address.is_some();
        address
    }

    /// Where it is reached, as far as is known now.
    pub(crate) fn address(&self) -> Option<String> {
        self.outgoing.lock().address().cloned()
    }

    pub(crate) fn is_of_interest(&self) -> bool {
        let is_held = self.holders.load(Ordering::SeqCst) > 0;
        let is_sent_to = {
            let out = self.outgoing.lock();
            out.has_sender || out.address().is_some()
        };
        is_held || is_sent_to || self.is_heard() || self.file.lock().is_some()
    }

    /// The connection to `address` stands, unless that is no longer the address.
    pub(crate) fn link_up(&self, link: TcpStream, address: &str) -> bool {
        let mut out = self.outgoing.lock();
        let is_right = out.address().is_some_and(|wanted| wanted == address);
        if is_right {
            (out.link, out.end) = (Some(link), None);
        }
        is_right
    }

    /// It does not any more; what waited is dropped. Why, if this node ended it.
    pub(crate) fn link_down(&self) -> Option<String> {
        let mut out = self.outgoing.lock();
        out.link = None;
        out.dropped += out.consensus.clear() + out.relay.clear();
        out.end.take()
    }

    /// Waits until there is something to send or to look at, or until then. What was taken before is given back.
    /// Some(true): look at the connection.
    pub(crate) fn turn(&self, until: Instant, blocks: &mut Vec<Block>) -> Option<bool> {
        let mut out = self.outgoing.lock();
        loop {
            if out.end.is_some() {
                return None;
            }
            out.take(blocks);
            let look = std::mem::take(&mut out.look);
            if look || !blocks.is_empty() {
                return Some(look);
            }
            out.is_asleep = true;
            let is_late = self.wake.wait_until(&mut out, until).timed_out();
            out.is_asleep = false;
            if is_late {
                return Some(false);
            }
        }
    }

    /// Waits before it is dialled again, unless somebody says [`Peer::look`].
    pub(crate) fn pause(&self, until: Instant) {
        let mut out = self.outgoing.lock();
        while !std::mem::take(&mut out.look) {
            out.is_asleep = true;
            let is_late = self.wake.wait_until(&mut out, until).timed_out();
            out.is_asleep = false;
            if is_late {
                return;
            }
        }
    }

    /// Remembers why; false when it was just that before.
    pub(crate) fn failed(&self, why: &str) -> bool {
        let mut out = self.outgoing.lock();
        let is_new = out.last_error.as_deref() != Some(why);
        out.last_error = Some(why.to_string());
        is_new
    }

    /// Makes a new connection the one that is read. An older one ends first, so that nothing of it comes later.
    pub(crate) fn claim(&self, purpose: Purpose, handle: TcpStream) -> Claim<'_> {
        let mut incoming = self.incoming.lock();
        while let Some(older) = incoming.slot(purpose) {
            let node = self.node;
            tracing::warn!(
                event = "peer_connects_anew",
                peer = node,
                "if this repeats, two processes run as that node: stop one"
            );
            let _ = older.shutdown(Shutdown::Both);
            self.vacated.wait(&mut incoming);
        }
        *incoming.slot(purpose) = Some(handle);
        Claim { peer: self, purpose }
    }

    pub(crate) fn shut_incoming(&self) {
        let mut incoming = self.incoming.lock();
        for purpose in [Purpose::Messages, Purpose::File] {
            if let Some(handle) = incoming.slot(purpose) {
                let _ = handle.shutdown(Shutdown::Both);
            }
        }
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.incoming.lock().messages.is_some()
    }

    /// Tells the owner when messages can go both ways from now on, or cannot any more. The connection that changed says
    /// so itself, on its thread, before it can change again.
    pub(crate) fn announce(&self, upcalls: &dyn Upcalls, why: &str) {
        let mut announced = self.announced.lock();
        let is_linked = self.outgoing.lock().link.is_some();
        let is_connected = is_linked && self.is_heard();
        if is_connected == *announced {
            return;
        }
        *announced = is_connected;
        if is_connected {
            upcalls.connected(self.node);
        } else {
            self.tell_disconnected(upcalls, why);
        }
    }

    /// The connection from it has ended, even if the next one stands at once.
    pub(crate) fn unheard(&self, upcalls: &dyn Upcalls, why: &str) {
        let mut announced = self.announced.lock();
        if std::mem::take(&mut *announced) {
            self.tell_disconnected(upcalls, why);
        }
    }

    fn tell_disconnected(&self, upcalls: &dyn Upcalls, why: &str) {
        upcalls.disconnected(self.node, why);
    }

    pub(crate) fn statistics(&self) -> PeerStatistics {
        let receives = self.is_heard();
        let (round_trip, clock_offset, health) = {
            let meter = self.meter.lock();
            (meter.round_trip, meter.clock_offset(), meter.health)
        };
        let file = self.file.lock().as_ref().map(|sending| sending.progress);
        let out = self.outgoing.lock();
        PeerStatistics {
            node: self.node,
            address: out.address().cloned(),
            is_member: out.member.is_some(),
            sends: out.link.is_some(),
            receives,
            round_trip,
            clock_offset,
            health,
            queued_bytes: out.consensus.bytes() + out.relay.bytes(),
            dropped: out.dropped,
            last_error: out.last_error.clone(),
            file,
        }
    }
}

/// The right to be read from; given up when the connection has ended.
pub(crate) struct Claim<'a> {
    peer: &'a Peer,
    purpose: Purpose,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.purpose == Purpose::Messages {
            self.peer.meter.lock().unheard();
        }
        *self.peer.incoming.lock().slot(self.purpose) = None;
        self.peer.vacated.notify_all();
    }
}
