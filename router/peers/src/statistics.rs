//! Numbers about the connections, for a person's table and for metrics.

use crate::{ClockOffset, NodeId, RoundTrip};

#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Every node that is a member or connected, in order.
    pub peers: Vec<PeerStatistics>,
    /// Connections that have not said who they are.
    pub half_open: usize,
    /// Connections that were refused, and why the last was.
    pub refused: u64,
    pub last_refusal: Option<String>,
}

#[derive(Clone, Debug)]
pub struct PeerStatistics {
    pub node: NodeId,
    /// Where it is dialled; nothing when it is no member and did not say.
    pub address: Option<String>,
    pub is_member: bool,
    /// This node can send to it.
    pub sends: bool,
    /// This node hears it.
    pub receives: bool,
    pub round_trip: Option<RoundTrip>,
    /// Of its clock; none while it is not heard.
    pub clock_offset: Option<ClockOffset>,
    /// As it says itself.
    pub health: Option<u32>,
    pub queued_bytes: usize,
    /// Messages that were not taken, or waited when the connection ended.
    pub dropped: u64,
    /// Why it was not reached or not heard any more, last time.
    pub last_error: Option<String>,
    /// The file that is being sent to it.
    pub file: Option<FileProgress>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileProgress {
    pub sent_bytes: u64,
    pub bytes: u64,
}
