//! How the members change: asked for, proposed, committed. A change is an entry that states all members after it.

use ::bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, EntryType};
use raft::prelude::Entry as RaftEntry;
use raft::{Changer, ProgressState};

use super::Replica;
use super::membership::{self, ChangeRefused, MemberChange, Members, Statement};
use super::message::Stance;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Index, Term};

/// A learner may lag this far behind when it gets its vote.
const PROMOTION_LAG_MAX: u64 = 1024;

/// Told how a change of members ended.
pub type Changed = Box<dyn FnOnce(Result<(), ChangeRefused>) + Send>;

pub(super) struct ChangeUnderWay {
    index: Index,
    term: Term,
    pub(super) done: Changed,
}

impl<D: Disk, F: Fold> Replica<D, F> {
    /// Changes the members; `done` is called when that is committed, or with the reason why it is not.
    pub fn change(&mut self, change: &MemberChange, done: Changed) {
        match self.begin_change(change) {
            Ok((index, term)) => self.change = Some(ChangeUnderWay { index, term, done }),
            Err(refused) => done(Err(refused)),
        }
    }

    fn begin_change(&mut self, change: &MemberChange) -> Result<(Index, Term), ChangeRefused> {
        if !self.standing.leads || !self.leads_now() {
            return Err(ChangeRefused::NotLeading);
        }
        let raft = &self.raw.raft;
        let is_joint = !self.members.conf_state().get_voters_outgoing().is_empty();
        if self.change.is_some() || raft.has_pending_conf() || is_joint || raft.lead_transferee.is_some() {
            return Err(ChangeRefused::Busy);
        }
        if let MemberChange::Promote { node, .. } = change
            && let Some(progress) = raft.prs().get(*node)
        {
            if self.health.stance(*node) == Stance::Repairing {
                return Err(ChangeRefused::Repairing(*node));
            }
            let lag = raft.raft_log.committed.saturating_sub(progress.matched);
            // Who got all there is by a snapshot is sent nothing more until there is something new.
            let follows = progress.state == ProgressState::Replicate || lag == 0;
            if lag > PROMOTION_LAG_MAX || !follows {
                return Err(ChangeRefused::Behind(*node, lag));
            }
        }
        let loses_vote = match change {
            MemberChange::Remove(node) => Some(*node),
            MemberChange::Promote { instead_of, .. } => *instead_of,
            MemberChange::Add(_) | MemberChange::Describe(_) => None,
        };
        if loses_vote == Some(self.node) {
            return Err(ChangeRefused::Unsuitable("this node leads; hand leadership over first".into()));
        }
        let (change, after) = self.members.plan(change)?;
        self.state_members(&change, after).map_err(|error| ChangeRefused::Unsuitable(error.to_string()))
    }

    /// Proposes an entry that states the members after a change, or the same members once more.
    fn state_members(&mut self, change: &ConfChangeV2, after: Members) -> raft::Result<(Index, Term)> {
        let mut changer = Changer::new(self.raw.raft.prs());
        let after = match change.enter_joint() {
            _ if change.get_changes().is_empty() => after,
            Some(auto_leave) => {
                let (configuration, _) = changer.enter_joint(auto_leave, change.get_changes())?;
                after.voting(&configuration.to_conf_state())
            }
            None => {
                let (configuration, _) = changer.simple(change.get_changes())?;
                after.voting(&configuration.to_conf_state())
            }
        };
        let statement = Statement::encode(change, &after);
        if change.get_changes().is_empty() {
            self.propose_entry(membership::raft_entry(Bytes::from(statement)));
        } else {
            self.raw.propose_conf_change(statement, change.clone())?;
        }
        Ok((self.raw.raft.raft_log.last_index(), self.raw.raft.term))
    }

    /// A statement of the members was committed.
    pub(super) fn members_changed(&mut self, entry: &RaftEntry) -> Result<(), Error> {
        let wrong = |what: String| Error::Consensus(format!("members stated by entry {}: {what}", entry.index));
        let statement = Statement::decode(&entry.context).map_err(|cut| wrong(cut.to_string()))?;
        let change = match &statement {
            Statement::LeaveJoint => Default::default(),
            Statement::Change { change, .. } => change.clone(),
        };
        let after = statement.apply(&self.members);
        if self.members.is_empty() {
            // This node joins and hears of the members for the first time.
            for change in after.conf_changes() {
                self.raw.apply_conf_change(&change).map_err(|error| wrong(error.to_string()))?;
            }
        } else if entry.get_entry_type() == EntryType::EntryConfChangeV2 {
            let state = self.raw.apply_conf_change(&change).map_err(|error| wrong(error.to_string()))?;
            if after.clone().voting(&state) != after {
                return Err(wrong(format!("this node finds {state:?} instead of {after:?}")));
            }
        } else if self.members_since == 0 && self.members.conf_state() != after.conf_state() {
            let what = "cluster.members of this node are not those the cluster began with";
            return Err(Error::Configuration(what.into()));
        }
        self.set_members(after, entry.index);
        self.step_down_if_removed();
        if let Some(under_way) = self.change.take_if(|change| change.index <= entry.index) {
            let is_it = (under_way.index, under_way.term) == (entry.index, entry.term);
            (under_way.done)(if is_it { Ok(()) } else { Err(ChangeRefused::Unknown) });
        }
        Ok(())
    }

    pub(super) fn set_members(&mut self, members: Members, since: Index) {
        self.members_since = since;
        if self.members != members {
            self.members = members;
            self.greet_members();
        }
    }

    /// A node alone serves nobody from memory.
    pub(super) fn greet_members(&mut self) {
        let cache_bytes_max = if self.is_alone() { 0 } else { self.cache_bytes_max };
        self.raw.mut_store().bound_cache(cache_bytes_max);
        self.surroundings.peers.members(&self.members);
    }

    /// The members a cluster began with stand in the log from its first reign on, so that who joins finds them there.
    pub(super) fn state_first_members(&mut self) {
        let term = self.raw.raft.term;
        if self.members_since == 0 && self.stated_in != term && self.has_place(0) {
            let stated = self.state_members(&Default::default(), self.members.clone());
            assert!(stated.is_ok(), "nothing changes, yet {stated:?}");
            self.stated_in = term;
        }
    }

    /// It can be that a node commits its own removal: whoever proposed that led before it. Raft is told at once, before it
    /// looks for its own progress among the members.
    fn step_down_if_removed(&mut self) {
        if self.leads_now() && !self.members.votes(self.node) {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, raft::INVALID_ID);
            // What it was about to say as a leader; raft does not expect that of a follower.
            self.raw.raft.msgs.clear();
            self.after_step();
        }
    }
}
