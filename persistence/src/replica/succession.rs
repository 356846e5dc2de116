//! Who leads next: leadership is handed over when an operator asks, and when it is in bad hands.

use std::time::Duration;

use super::Replica;
use super::message::Stance;
use crate::disk::Disk;
use crate::fold::{Fold, Index, NodeId};

/// A node that lacks no more entries than this could lead at once.
const SUCCESSOR_LAG_MAX: u64 = 256;

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefused {
    #[error("this node does not lead, so it has nothing to hand over")]
    NotLeading,
    #[error("no other node could lead at once: each is silent, being brought back, a witness, or too far behind")]
    Nobody,
    #[error("node {0} is no other node with a vote")]
    NoVoter(NodeId),
    #[error("node {0} has not been heard lately, so it cannot take over")]
    Silent(NodeId),
    #[error("node {0} is being brought back, so it cannot take over before it is whole again")]
    Repairing(NodeId),
    #[error("node {0} lacks {1} entries, so payments would wait for it; wait until it has caught up")]
    Behind(NodeId, u64),
}

/// Told who is to take over, or why nobody is asked.
pub type Transferred = Box<dyn FnOnce(Result<NodeId, TransferRefused>) + Send>;

impl<D: Disk, F: Fold> Replica<D, F> {
    /// Hands leadership over, to the best of those who could lead when nobody is named. Proposals wait meanwhile, so nobody is
    /// asked who could not take over at once.
    pub fn transfer(&mut self, to: Option<NodeId>) -> Result<NodeId, TransferRefused> {
        if !self.leads_now() {
            return Err(TransferRefused::NotLeading);
        }
        let to = match to {
            Some(to) => self.could_lead(to).map(|()| to)?,
            None => self.best_successor(self.node).ok_or(TransferRefused::Nobody)?,
        };
        tracing::info!(event = "leadership_offered", peer = to);
        self.raw.transfer_leader(to);
        self.after_step();
        Ok(to)
    }

    /// A node that is not willing to lead stands for election late, and hands leadership over when it has it.
    pub fn set_willing(&mut self, is_willing: bool) {
        self.is_unwilling = !is_willing;
        self.tell_others();
    }

    pub(super) fn leads_reluctantly(&self) -> bool {
        self.is_unwilling || self.members.is_witness(self.node)
    }

    /// Whether another node could lead at once: it votes, was heard lately, is not being brought back, lacks little.
    fn could_lead(&self, id: NodeId) -> Result<(), TransferRefused> {
        let raft = &self.raw.raft;
        let progress = raft.prs().get(id).filter(|_| id != self.node && self.members.votes(id));
        let Some(progress) = progress else { return Err(TransferRefused::NoVoter(id)) };
        let lag = raft.raft_log.last_index().saturating_sub(progress.matched);
        match () {
            () if !self.health.is_heard(id) => Err(TransferRefused::Silent(id)),
            () if self.health.stance(id) == Stance::Repairing => Err(TransferRefused::Repairing(id)),
            () if lag > SUCCESSOR_LAG_MAX => Err(TransferRefused::Behind(id, lag)),
            () => Ok(()),
        }
    }

    /// Whoever could lead at once and is no witness, and the last entry it is known to have.
    fn successors(&self) -> impl Iterator<Item = (NodeId, Index)> {
        let others = self.raw.raft.prs().iter().map(|(id, progress)| (*id, progress.matched));
        others.filter(|(id, _)| !self.members.is_witness(*id) && self.could_lead(*id).is_ok())
    }

    /// Whoever stands best to lead after this node: it is willing if anybody is, and lacks least.
    pub(super) fn best_successor(&self, except: NodeId) -> Option<NodeId> {
        let others = self.successors().filter(|(id, _)| *id != except);
        let best = others.max_by_key(|(id, matched)| (!self.health.is_unwilling(*id), *matched, *id));
        best.map(|(id, _)| id)
    }

    fn willing_successor(&self) -> Option<NodeId> {
        self.best_successor(self.node).filter(|id| !self.health.is_unwilling(*id))
    }

    /// A witness does not keep leadership, nor does a drained node or one that is much slower than another.
    pub(super) fn hand_over_if_unfit(&mut self, passed: Duration) {
        if self.raw.raft.lead_transferee.is_some() {
            return;
        }
        let suited: Vec<NodeId> = self.successors().map(|(id, _)| id).collect();
        let better = self.health.better(passed, |id| suited.contains(&id));
        let successor = if let Some(better) = better {
            tracing::warn!(event = "leader_is_slow", peer = better, "another one takes over");
            Some(better)
        } else if self.standing.leads && self.leads_reluctantly() {
            let is_witness = self.members.is_witness(self.node);
            self.willing_successor().or_else(|| self.best_successor(self.node).filter(|_| is_witness))
        } else {
            None
        };
        if let Some(successor) = successor {
            let _ = self.transfer(Some(successor)); // who was chosen could lead
        }
    }
}
