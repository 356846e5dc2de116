//! What other nodes say, and what of it raft gets to hear: nothing of those who were removed, nothing that cannot be, nothing
//! that a node that is being brought back has no say in.

use ::bytes::Bytes;
use raft::SnapshotStatus;
use raft::eraftpb::{Message, MessageType};

use super::Replica;
use super::message::{self, Arrived, Malformed, Received};
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, NodeId};
use crate::journal::IncomingError;
use crate::snapshot;

impl<D: Disk, F: Fold> Replica<D, F> {
    /// Takes a message that came over a connection of `from`.
    pub fn receive(&mut self, from: NodeId, message: &Bytes) -> Result<(), Malformed> {
        self.step(message::decode(self.node, from, message)?);
        Ok(())
    }

    /// Nothing came through to this node lately: what was sent is probably lost.
    pub fn unreachable(&mut self, node: NodeId) {
        self.raw.report_unreachable(node);
        self.after_step();
    }

    /// How sending a snapshot ended, as [`super::peers::Peers::send_snapshot`] was asked to.
    pub fn snapshot_sent(&mut self, to: NodeId, went_well: bool) {
        self.raw.report_snapshot(to, if went_well { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
        self.after_step();
    }

    /// A snapshot has come over a connection of `from`: its header, and `file` in the directory of the log.
    pub fn snapshot_arrived(&mut self, from: NodeId, header: &[u8], file: &str) -> Result<(), IncomingError> {
        let mut arrived = Arrived::from_header(self.node, from, header)?;
        arrived.is_in(file, &snapshot::check(self.log().disk(), file)?)?;
        self.take_snapshot(arrived);
        Ok(())
    }

    /// It was checked that the file is what was announced. Raft says whether it is needed.
    pub(crate) fn take_snapshot(&mut self, arrived: Arrived) {
        let metadata = arrived.message.get_snapshot().get_metadata();
        let (index, term) = (metadata.index, metadata.term);
        let waiting = self.arrived.replace((index, arrived.file));
        self.step_raft(arrived.message);
        let taken = self.raw.raft.snap().map(raft::eraftpb::Snapshot::get_metadata);
        let is_wanted = taken.is_some_and(|taken| (taken.index, taken.term) == (index, term));
        // One that came before may still wait to be installed: it stays unless this one takes its place.
        let other = if is_wanted { waiting } else { std::mem::replace(&mut self.arrived, waiting) };
        if let Some((_, file)) = other {
            self.discard(&file);
        }
    }

    pub(crate) fn step(&mut self, received: Received) {
        match received {
            // Snapshots come with their files, by `take_snapshot`.
            Received::Raft(message) if message.get_msg_type() == MessageType::MsgSnapshot => {
                self.counters.refuse_message();
            }
            Received::Raft(message) => self.step_raft(message),
            Received::Report(report) => self.heard(report),
            Received::OtherReport { from, version } => self.heard_of_another_build(from, version),
        }
    }

    /// Messages of nodes that are no members are taken as well: a node that was away does not know yet who joined. What
    /// was removed is not listened to.
    fn step_raft(&mut self, message: Message) {
        if self.members.is_retired(message.from) || !self.is_possible(&message) {
            self.counters.refuse_message();
            return;
        }
        if self.has_no_say_in(&message) || self.hands_over_because_of(&message) {
            return;
        }
        let _ = self.raw.step(message);
        self.after_step();
    }

    /// What would make raft stop, or believe what cannot be.
    fn is_possible(&mut self, message: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        let last = log.last_index();
        let term = self.raw.raft.term;
        match message.get_msg_type() {
            MessageType::MsgHeartbeat if message.term >= term && message.commit > last => {
                self.lose(message.commit, last);
                false
            }
            MessageType::MsgAppendResponse if message.term == term && self.leads_now() => message.index <= last,
            MessageType::MsgAppend => !self.contradicts(message) && self.fits(message),
            _ => true,
        }
    }

    /// Whoever leads in this term or a later one has what is committed here, so its terms do not go back behind that.
    fn contradicts(&self, message: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        message.term >= self.raw.raft.term
            && message.index >= log.committed
            && message.log_term < log.term(log.committed).unwrap_or_default()
    }

    /// Nodes with segments of different sizes do not go together.
    fn fits(&mut self, message: &Message) -> bool {
        let largest = message.entries.iter().map(|entry| message::payload(entry).1.len()).max().unwrap_or(0);
        if largest > self.entry_bytes_max {
            let what =
                format!("segment_bytes is too small for the {largest} bytes of an entry of node {}", message.from);
            self.failure.get_or_insert(Error::Configuration(what));
            return false;
        }
        true
    }

    fn discard(&self, file: &str) {
        if let Err(error) = self.raw.store().log.disk().remove(file) {
            tracing::warn!(event = "snapshot_not_removed", %error, file, "it is not needed and takes room");
        }
    }
}
