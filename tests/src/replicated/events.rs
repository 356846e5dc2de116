//! What can happen in the world, and in which order.

use std::cmp::Ordering;

use bytes::Bytes;
use persistence::NodeId;
use wire::Message;

use super::machine::Instruction;
use super::network::Time;
use crate::simulation::node::Asker;

pub(super) enum Event {
    Tick {
        node: usize,
        life: u64,
    },
    /// The actors of a node work.
    Work {
        node: usize,
        life: u64,
    },
    Arrive {
        from: NodeId,
        to: NodeId,
        sent: Arriving,
    },
    SnapshotSent {
        from: NodeId,
        to: NodeId,
        went_well: bool,
    },
    /// A bank says something to the node it is connected to.
    Say {
        node: usize,
        instruction: Instruction,
    },
    Restart {
        node: usize,
    },
}

pub(super) enum Arriving {
    Message(Bytes),
    Snapshot { header: Bytes, content: Option<Vec<u8>> },
    Instruction(Instruction),
    Done(Asker, Option<Message<'static>>),
}

/// An event in the order of time; those of one moment as they were planned.
pub(super) struct Planned {
    pub(super) at: Time,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
