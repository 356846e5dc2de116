//! The way out of a replica: whoever carries its messages to the other nodes.

use std::path::PathBuf;

use super::membership::Members;
use crate::fold::NodeId;

/// Carries messages. Never blocks; what finds no room is dropped, raft says it again. Between two nodes the order is kept.
pub trait Peers: Send + 'static {
    fn send(&self, to: NodeId, message: Vec<u8>);

    /// Streams a file, at a rate that leaves room for everything else; `header` comes before it. The outcome is reported
    /// with [`Journal::snapshot_sent`](crate::Journal::snapshot_sent); at the other end both go to
    /// [`Journal::snapshot_begin`](crate::Journal::snapshot_begin).
    fn send_snapshot(&self, to: NodeId, header: Vec<u8>, file: PathBuf);

    /// Those to be connected with, at the start and after every change.
    fn members(&self, members: &Members);
}

/// For a node alone.
pub struct Nobody;

impl Peers for Nobody {
    fn send(&self, _: NodeId, _: Vec<u8>) {}
    fn send_snapshot(&self, _: NodeId, _: Vec<u8>, _: PathBuf) {}
    fn members(&self, _: &Members) {}
}
