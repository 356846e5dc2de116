//! A node whose log was given up, and those that bring it back.
//!
//! It holds nothing of what it once promised. So it has no say in elections, and listens to no leader of a term in which it
//! may have promised something: its own term is one later, which makes the leader of that term give way. Once its log has an
//! entry of a later term, it holds everything: whoever leads in that term was elected by nodes that had forgotten nothing.
//! `FORMAT.md` has the argument in full.

use raft::eraftpb::{Message, MessageType};

use super::Replica;
use super::message::Stance;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Index};
use crate::log::Log;

/// A log that is known to have lost what it acknowledged is not started again: before a leader says so once more, it could
/// have voted.
pub(super) fn check_not_lost<D: Disk>(log: &Log<D>) -> Result<(), Error> {
    match log.lost() {
        Some(known) => Err(Error::Lost { known, last: log.last().index }),
        None => Ok(()),
    }
}

impl<D: Disk, F: Fold> Replica<D, F> {
    /// The leader knows that this node has had everything up to `known`.
    pub(super) fn lose(&mut self, known: Index, last: Index) {
        let noted = self.raw.mut_store().log.lose(known);
        self.failure.get_or_insert(noted.err().unwrap_or(Error::Lost { known, last }));
    }

    /// A node that is being brought back has no say in elections.
    pub(super) fn has_no_say_in(&mut self, message: &Message) -> bool {
        let is_request = matches!(message.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote);
        let is_told_to_stand = message.get_msg_type() == MessageType::MsgTimeoutNow;
        (self.is_repairing && (is_request || is_told_to_stand)) || (is_request && self.may_have_forgotten(message))
    }

    /// A log that was made just now belongs to a cluster that begins, or its node may have been among those who acknowledged
    /// what others have, and its directory is not what it was. The first candidate it hears tells which. While so many are
    /// being brought back that all others must agree, its vote does no harm: those who remember agree too.
    fn may_have_forgotten(&mut self, message: &Message) -> bool {
        self.is_new &= message.commit > 0 && self.raw.raft.raft_log.last_index() == 0;
        let voters = self.members.iter().filter(|member| self.members.votes(member.id));
        let (count, repairing) = voters.fold((0, 0), |(count, repairing), member| {
            (count + 1, repairing + usize::from(self.health.stance(member.id) == Stance::Repairing))
        });
        let all_must_agree = count > 0 && repairing >= count - (count / 2 + 1);
        if self.is_new && !all_must_agree {
            self.refuse_as_empty(message);
        }
        self.is_new && !all_must_agree
    }

    fn refuse_as_empty(&mut self, message: &Message) {
        if !std::mem::replace(&mut self.is_known_empty, true) {
            tracing::error!(
                event = "log_is_empty",
                peer = message.from,
                committed = message.commit,
                directory = %self.log().disk().path("").display(),
                "the log of this node is empty, that of the cluster is not: it does not vote until a leader has sent it entries. \
                 If this node had a log before, its volume is probably not mounted: stop it and mount that first"
            );
        }
    }

    pub(super) fn end_repair(&mut self) -> Result<(), Error> {
        let last = self.log().last();
        if self.is_repairing && self.log().repairing().is_none_or(|term| last.term > term) {
            self.raw.mut_store().log.finish_repair()?;
            self.is_repairing = false;
            let (index, term) = (last.index, last.term);
            tracing::warn!(
                event = "votes_again",
                index,
                term,
                "this node holds again what it had promised: it votes from now on"
            );
        }
        Ok(())
    }

    /// A node that is one term ahead of its leader follows nobody until there is a new term. Raft would drop leadership at
    /// once; handing it over loses nothing that is in flight. Tried once in a term, then raft has its way.
    pub(super) fn hands_over_because_of(&mut self, message: &Message) -> bool {
        let term = self.raw.raft.term;
        let answers = message.get_msg_type() == MessageType::MsgAppendResponse;
        if !answers || !self.leads_now() || message.term != term + 1 {
            return false;
        }
        if self.handed_over_in == term {
            return self.raw.raft.lead_transferee.is_some();
        }
        self.handed_over_in = term;
        let successor = self.best_successor(message.from);
        successor.is_some_and(|successor| self.transfer(Some(successor)).is_ok())
    }
}
