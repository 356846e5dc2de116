//! What the owner of the connections brings.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::frame::Kind;
use crate::{NodeId, RoundTrip};

/// Messages of one channel keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Small and urgent: goes before what waits on the other channel.
    Consensus,
    Relay,
}

impl Channel {
    /// The longest message it takes.
    pub const fn bytes_max(self) -> usize {
        self.kind().bytes_max()
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Channel::Consensus => Kind::Consensus,
            Channel::Relay => Kind::Relay,
        }
    }
}

/// Called on the connections' threads. Each call returns soon, for its connection waits; it may send, but it must not
/// change the members or stop the peers.
pub trait Upcalls: Send + Sync + 'static {
    /// From any node of the cluster, member or not. May come a moment before [`Upcalls::connected`] and after
    /// [`Upcalls::disconnected`]: those speak of both directions.
    fn message(&self, from: NodeId, channel: Channel, message: &[u8]);

    /// Messages can go both ways.
    fn connected(&self, _node: NodeId) {}

    /// They cannot any more; what was under way may be lost. Alternates with [`Upcalls::connected`].
    fn disconnected(&self, _node: NodeId, _why: &str) {}

    /// A ping came back, with what the other node says of its health.
    fn round_trip(&self, _node: NodeId, _round_trip: RoundTrip, _health: u32) {}

    /// A file of so many bytes comes. What is returned takes it; a refusal is told to the sender.
    fn file(&self, _from: NodeId, _header: &[u8], _bytes: u64) -> Result<Box<dyn FileSink>, String> {
        Err("this node takes no files".into())
    }

    /// How [`crate::Peers::send_file`] ended: the receiver has the whole file and took it, or why not.
    fn file_sent(&self, _to: NodeId, _outcome: Result<(), String>) {}

    /// Told to every peer with each ping; means what its reader makes of it.
    fn own_health(&self) -> u32 {
        0
    }

    /// The wall clock, nanoseconds since 1970. Told to every peer with each ping, which compares it with its own.
    fn clock_ns(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }
}

/// Takes one file. Dropped before its end when the file does not come whole. An error is told to the sender.
pub trait FileSink: Send {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// It is whole. What is returned becomes the sender's outcome.
    fn end(self: Box<Self>) -> Result<(), String>;
}
