//! Who belongs to the cluster, as every node knows it from the log: what a membership entry holds, and what stands in
//! the header of a snapshot.
//!
//! Every entry states the whole membership that it leads to, so a node needs only the last one. The bytes are in
//! `PEERS.md`.

use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};
use raft::prelude::Entry as RaftEntry;

use super::bytes::{Cut, Reader, put_text};
use crate::fold::NodeId;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    Voter,
    /// Gets the log, has no vote.
    Learner,
    /// Votes and keeps the log, but serves nobody: it hands leadership over as soon as it has it.
    Witness,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Never 0, never given to another node, also not after this one was removed.
    pub id: NodeId,
    /// At most 255 bytes, as the region and the address.
    pub name: String,
    pub region: String,
    /// Where the other nodes reach it.
    pub address: String,
    pub kind: MemberKind,
}

impl Member {
    /// The only member of a cluster of one.
    pub fn alone(id: NodeId) -> Member {
        let text = |text: &str| text.to_string();
        Member { id, name: text("alone"), region: text("here"), address: String::new(), kind: MemberKind::Voter }
    }

    fn is_sound(&self) -> bool {
        let texts = [&self.name, &self.region, &self.address];
        self.id != 0 && texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX)
    }
}

/// A change of the members, one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// A new node, which gets the log from here on; its kind is what it will be, it begins as a learner.
    Add(Member),
    /// A learner that has caught up gets its vote; in the same step another may lose its own, which is how a dead node is
    /// replaced without a moment in which one more is needed.
    Promote { node: NodeId, instead_of: Option<NodeId> },
    /// For good: its number is not used again.
    Remove(NodeId),
    /// Another name, region or address.
    Describe(Member),
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    #[error("this node does not lead; ask the leader")]
    NotLeading,
    #[error("a change is under way; wait until it is done")]
    Busy,
    #[error("node {0} lags {1} entries behind; wait until it has caught up")]
    Behind(NodeId, u64),
    #[error("node {0} is being brought back; wait until it is whole again")]
    Repairing(NodeId),
    #[error("{0}")]
    Unsuitable(String),
    /// Leadership ended on the way; the change may or may not have been made.
    #[error("leadership was lost before the change was committed; look at the members and ask again")]
    Unknown,
}

const TEXT_BYTES_MAX: usize = 255;
const MEMBERS_MAX: usize = 64;
/// Removed nodes are remembered, so that their numbers stay theirs.
const RETIRED_MAX: usize = 4096;
const VERSION: u8 = 1;

/// The members and how they vote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    pub(crate) all: Vec<Member>,
    voters: Vec<NodeId>,
    learners: Vec<NodeId>,
    /// While two majorities are needed: those who voted before.
    outgoing: Vec<NodeId>,
    learners_next: Vec<NodeId>,
    auto_leave: bool,
    retired: Vec<NodeId>,
}

impl Members {
    /// Those a cluster begins with; none on a node that joins.
    pub(crate) fn first(all: &[Member]) -> Result<Members, String> {
        let members = Members {
            all: all.to_vec(),
            voters: ids(all.iter().filter(|member| member.kind != MemberKind::Learner)),
            learners: ids(all.iter().filter(|member| member.kind == MemberKind::Learner)),
            ..Members::default()
        };
        match members.is_sound() {
            true => Ok(members),
            false => {
                Err("members need different numbers above 0, texts of at most 255 bytes, and somebody to vote".into())
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter()
    }

    pub fn get(&self, id: NodeId) -> Option<&Member> {
        self.all.iter().find(|member| member.id == id)
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether its vote counts now.
    pub fn votes(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// How many more voters may be lost when these are there; below 0, nothing is committed. While two majorities are
    /// needed, the scarcer one counts.
    pub fn margin(&self, is_there: impl Fn(NodeId) -> bool) -> i64 {
        let of = |voters: &[NodeId]| {
            let there = voters.iter().filter(|voter| is_there(**voter)).count();
            there as i64 - (voters.len() / 2 + 1) as i64
        };
        let majorities = [&self.voters, &self.outgoing].into_iter().filter(|voters| !voters.is_empty());
        majorities.map(|voters| of(voters)).min().unwrap_or(-1)
    }

    /// Whether it was removed, and counts no more.
    pub fn is_retired(&self, id: NodeId) -> bool {
        self.retired.contains(&id) && !self.votes(id)
    }

    pub(crate) fn is_witness(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|member| member.kind == MemberKind::Witness)
    }

    pub(crate) fn conf_state(&self) -> ConfState {
        let mut state = ConfState::default();
        state.set_voters(self.voters.clone());
        state.set_learners(self.learners.clone());
        state.set_voters_outgoing(self.outgoing.clone());
        state.set_learners_next(self.learners_next.clone());
        state.auto_leave = self.auto_leave;
        state
    }

    /// Single steps that lead from no members at all to these, as raft takes them.
    pub(crate) fn conf_changes(&self) -> Vec<ConfChangeV2> {
        let single = |kind: ConfChangeType| move |id: &NodeId| raft_single(*id, kind);
        let alone = |change: ConfChangeSingle| raft_change(vec![change], ConfChangeTransition::Auto);
        let add = |ids: &[NodeId], kind| ids.iter().map(single(kind)).collect::<Vec<_>>();
        let voters = add(&self.voters, ConfChangeType::AddNode);
        let learners = add(&self.learners, ConfChangeType::AddLearnerNode);
        if self.outgoing.is_empty() {
            return voters.into_iter().chain(learners).map(alone).collect();
        }
        let mut changes: Vec<_> = add(&self.outgoing, ConfChangeType::AddNode).into_iter().map(alone).collect();
        let mut entering = add(&self.outgoing, ConfChangeType::RemoveNode);
        entering.extend(voters);
        entering.extend(learners);
        entering.extend(add(&self.learners_next, ConfChangeType::AddLearnerNode));
        let transition = if self.auto_leave { ConfChangeTransition::Implicit } else { ConfChangeTransition::Explicit };
        changes.push(raft_change(entering, transition));
        changes
    }

    /// What this change asks of raft, and the members it leads to (whose votes raft then works out).
    pub(crate) fn plan(&self, change: &MemberChange) -> Result<(ConfChangeV2, Members), ChangeRefused> {
        let refuse = |what: String| Err(ChangeRefused::Unsuitable(what));
        let mut after = self.clone();
        let mut changes = Vec::new();
        match change {
            MemberChange::Add(member) => {
                if !member.is_sound() || self.all.len() >= MEMBERS_MAX {
                    return refuse(format!(
                        "at most {MEMBERS_MAX} members, with texts of at most {TEXT_BYTES_MAX} bytes"
                    ));
                }
                if self.get(member.id).is_some() || self.retired.contains(&member.id) {
                    return refuse(format!("number {} was given before; take a new one", member.id));
                }
                after.all.push(member.clone());
                changes.push(raft_single(member.id, ConfChangeType::AddLearnerNode));
            }
            MemberChange::Promote { node, instead_of } => {
                let is_learner = self.learners.contains(node);
                let Some(member) = after.all.iter_mut().find(|member| member.id == *node && is_learner) else {
                    return refuse(format!("{node} is no learner"));
                };
                if member.kind == MemberKind::Learner {
                    member.kind = MemberKind::Voter;
                }
                changes.push(raft_single(*node, ConfChangeType::AddNode));
                if let Some(old) = instead_of {
                    after.retire(*old)?;
                    changes.push(raft_single(*old, ConfChangeType::RemoveNode));
                }
            }
            MemberChange::Remove(node) => {
                if self.voters == [*node] {
                    return refuse(format!("{node} is the only voter"));
                }
                after.retire(*node)?;
                changes.push(raft_single(*node, ConfChangeType::RemoveNode));
            }
            MemberChange::Describe(member) => {
                let Some(old) = after.all.iter_mut().find(|old| old.id == member.id) else {
                    return refuse(format!("{} is no member", member.id));
                };
                if !member.is_sound() {
                    return refuse(format!("texts of at most {TEXT_BYTES_MAX} bytes"));
                }
                *old = Member { kind: old.kind, ..member.clone() };
            }
        }
        Ok((raft_change(changes, ConfChangeTransition::Auto), after))
    }

    fn retire(&mut self, id: NodeId) -> Result<(), ChangeRefused> {
        if self.get(id).is_none() {
            return Err(ChangeRefused::Unsuitable(format!("{id} is no member")));
        }
        self.all.retain(|member| member.id != id);
        self.retired.push(id);
        let excess = self.retired.len().saturating_sub(RETIRED_MAX);
        self.retired.drain(..excess);
        Ok(())
    }

    /// The same members, voting as raft says.
    pub(crate) fn voting(mut self, state: &ConfState) -> Members {
        let sorted = |ids: &[NodeId]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        self.voters = sorted(state.get_voters());
        self.learners = sorted(state.get_learners());
        self.outgoing = sorted(state.get_voters_outgoing());
        self.learners_next = sorted(state.get_learners_next());
        self.auto_leave = state.auto_leave;
        self
    }

    /// After the entry by which raft ends a joint configuration.
    fn left_joint(mut self) -> Members {
        self.outgoing.clear();
        self.learners.append(&mut self.learners_next);
        self.learners.sort_unstable();
        self.auto_leave = false;
        self
    }

    fn is_sound(&self) -> bool {
        let distinct = |ids: &[NodeId]| ids.is_sorted_by(|one, next| one < next);
        self.all.len() <= MEMBERS_MAX
            && self.all.iter().all(Member::is_sound)
            && distinct(&ids(self.all.iter()))
            && [&self.voters, &self.learners, &self.outgoing, &self.learners_next].iter().all(|ids| distinct(ids))
            && self.votes_are_sound()
    }

    /// What raft asks of a configuration.
    fn votes_are_sound(&self) -> bool {
        let Members { all, voters, learners, outgoing, learners_next, auto_leave, .. } = self;
        let is_joint = !outgoing.is_empty();
        let any = voters.iter().chain(learners).chain(outgoing).all(|id| *id != 0);
        any && (all.is_empty() || !voters.is_empty())
            && learners.iter().all(|id| !self.votes(*id))
            && learners_next.iter().all(|id| outgoing.contains(id) && !voters.contains(id))
            && (is_joint || !auto_leave)
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(VERSION);
        bytes.push(u8::from(self.auto_leave));
        for ids in [&self.voters, &self.learners, &self.outgoing, &self.learners_next, &self.retired] {
            bytes.extend_from_slice(&(ids.len() as u16).to_le_bytes());
            ids.iter().for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
        }
        bytes.extend_from_slice(&(self.all.len() as u16).to_le_bytes());
        for member in &self.all {
            bytes.extend_from_slice(&member.id.to_le_bytes());
            bytes.push(member.kind as u8);
            for text in [&member.name, &member.region, &member.address] {
                put_text(bytes, text);
            }
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Members, Cut> {
        let mut reader = Reader::new(bytes);
        let members = Members::decode(&mut reader)?;
        reader.end()?;
        Ok(members)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Members, Cut> {
        if reader.u8()? != VERSION {
            return Err(Cut("the membership is of an unknown version"));
        }
        let auto_leave = reader.flag()?;
        let voters = ids_from(reader, MEMBERS_MAX)?;
        let learners = ids_from(reader, MEMBERS_MAX)?;
        let outgoing = ids_from(reader, MEMBERS_MAX)?;
        let learners_next = ids_from(reader, MEMBERS_MAX)?;
        let retired = ids_from(reader, RETIRED_MAX)?;
        let count = reader.count(MEMBERS_MAX)?;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            let id = reader.u64()?;
            let kind = match reader.u8()? {
                0 => MemberKind::Voter,
                1 => MemberKind::Learner,
                2 => MemberKind::Witness,
                _ => return Err(Cut("a member of unknown kind")),
            };
            all.push(Member { id, name: reader.text()?, region: reader.text()?, address: reader.text()?, kind });
        }
        let members = Members { all, voters, learners, outgoing, learners_next, auto_leave, retired };
        if members.is_sound() { Ok(members) } else { Err(Cut("members that contradict each other")) }
    }
}

fn ids<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = members.map(|member| member.id).collect();
    ids.sort_unstable();
    ids
}

fn ids_from(reader: &mut Reader<'_>, max: usize) -> Result<Vec<NodeId>, Cut> {
    let count = reader.count(max)?;
    (0..count).map(|_| reader.u64()).collect()
}

fn raft_single(id: NodeId, kind: ConfChangeType) -> ConfChangeSingle {
    let mut single = ConfChangeSingle { node_id: id, ..ConfChangeSingle::default() };
    single.set_change_type(kind);
    single
}

fn raft_change(changes: Vec<ConfChangeSingle>, transition: ConfChangeTransition) -> ConfChangeV2 {
    let mut change = ConfChangeV2::default();
    change.set_changes(changes.into());
    change.set_transition(transition);
    change
}

/// What a membership entry holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// Raft ends a joint configuration by itself; an entry without payload.
    LeaveJoint,
    Change {
        change: ConfChangeV2,
        after: Members,
    },
}

const CHANGES_MAX: usize = 2;

impl Statement {
    pub(crate) fn encode(change: &ConfChangeV2, after: &Members) -> Vec<u8> {
        let mut bytes = vec![VERSION, change.get_changes().len() as u8];
        for single in change.get_changes() {
            bytes.push(single.get_change_type() as u8);
            bytes.extend_from_slice(&single.node_id.to_le_bytes());
        }
        after.encode(&mut bytes);
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Statement, Cut> {
        if payload.is_empty() {
            return Ok(Statement::LeaveJoint);
        }
        let mut reader = Reader::new(payload);
        if reader.u8()? != VERSION {
            return Err(Cut("the membership entry is of an unknown version"));
        }
        let count = usize::from(reader.u8()?);
        if count > CHANGES_MAX {
            return Err(Cut("a membership entry changes too much at once"));
        }
        let mut changes = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = match reader.u8()? {
                0 => ConfChangeType::AddNode,
                1 => ConfChangeType::RemoveNode,
                2 => ConfChangeType::AddLearnerNode,
                _ => return Err(Cut("a membership change of unknown kind")),
            };
            changes.push(raft_single(reader.u64()?, kind));
        }
        let after = Members::decode(&mut reader)?;
        reader.end()?;
        Ok(Statement::Change { change: raft_change(changes, ConfChangeTransition::Auto), after })
    }

    /// Whether raft treats the entry as one that changes how nodes vote.
    pub(crate) fn changes_votes(payload: &[u8]) -> bool {
        payload.get(1) != Some(&0)
    }

    /// The members once this is committed, for a node that had `before`.
    pub(crate) fn apply(self, before: &Members) -> Members {
        match self {
            Statement::LeaveJoint => before.clone().left_joint(),
            Statement::Change { after, .. } => after,
        }
    }
}

/// The entry by which raft carries a statement: our bytes are its context; its data is for raft's own check alone.
pub(crate) fn raft_entry(payload: bytes::Bytes) -> RaftEntry {
    let mut entry = RaftEntry::default();
    if Statement::changes_votes(&payload) {
        entry.set_entry_type(raft::eraftpb::EntryType::EntryConfChangeV2);
    }
    entry.context = payload;
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: NodeId, kind: MemberKind) -> Member {
        Member { id, name: format!("n{id}"), region: "east".into(), address: format!("10.0.0.{id}:7000"), kind }
    }

    fn three() -> Members {
        Members::first(&[member(1, MemberKind::Voter), member(2, MemberKind::Witness), member(3, MemberKind::Learner)])
            .unwrap()
    }

    #[test]
    fn members_read_back() {
        let members = Members { retired: vec![9, 7], outgoing: vec![1, 2], auto_leave: true, ..three() };
        let bytes = members.to_bytes();
        assert_eq!(Members::from_bytes(&bytes), Ok(members));
        for length in 0..bytes.len() {
            assert!(Members::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn the_scarcer_majority_counts() {
        let five: Vec<_> = (1..=5).map(|id| member(id, MemberKind::Voter)).collect();
        // Voters (a witness is one, a learner is not), who is there, how many more may be lost.
        let joint = |voters: &[NodeId], outgoing: &[NodeId]| Members {
            voters: voters.to_vec(),
            outgoing: outgoing.to_vec(),
            ..Members::first(&five).unwrap()
        };
        let cases: [(Members, &[NodeId], i64); 9] = [
            (Members::first(&five).unwrap(), &[1, 2, 3, 4, 5], 2),
            (Members::first(&five).unwrap(), &[1, 2], -1),
            (three(), &[1, 2, 3], 0),
            (three(), &[1, 3], -1),
            (Members::first(&[Member::alone(1)]).unwrap(), &[1], 0),
            (joint(&[1, 2, 4], &[1, 2, 3]), &[1, 2, 4], 0),
            (joint(&[1, 2, 4], &[1, 2, 3]), &[1, 4, 5], -1),
            (joint(&[1, 2, 4], &[1, 2, 3]), &[1, 2, 3, 4], 1),
            (Members::default(), &[1], -1),
        ];
        for (members, there, margin) in cases {
            assert_eq!(members.margin(|id| there.contains(&id)), margin, "{there:?} of {members:?}");
        }
    }

    #[test]
    fn a_change_reads_back() {
        let (change, after) = three().plan(&MemberChange::Promote { node: 3, instead_of: Some(2) }).unwrap();
        let bytes = Statement::encode(&change, &after);
        assert!(Statement::changes_votes(&bytes));
        assert_eq!(Statement::decode(&bytes), Ok(Statement::Change { change, after }));
        assert_eq!(Statement::decode(&[]), Ok(Statement::LeaveJoint));
        assert!(Statement::changes_votes(&[]));
    }

    #[test]
    fn numbers_are_never_used_again() {
        let (_, after) = three().plan(&MemberChange::Remove(3)).unwrap();
        assert!(after.is_retired(3) && after.get(3).is_none());
        let again = after.plan(&MemberChange::Add(member(3, MemberKind::Voter)));
        assert!(matches!(again, Err(ChangeRefused::Unsuitable(_))), "{again:?}");
        assert!(after.plan(&MemberChange::Add(member(4, MemberKind::Voter))).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for change in [
            MemberChange::Promote { node: 1, instead_of: None },
            MemberChange::Promote { node: 3, instead_of: Some(8) },
            MemberChange::Remove(8),
            MemberChange::Describe(member(8, MemberKind::Voter)),
            MemberChange::Add(member(0, MemberKind::Voter)),
            MemberChange::Add(member(1, MemberKind::Voter)),
        ] {
            assert!(matches!(three().plan(&change), Err(ChangeRefused::Unsuitable(_))), "{change:?}");
        }
        assert!(Members::first(&[member(1, MemberKind::Voter), member(1, MemberKind::Voter)]).is_err());
        assert!(Members::first(&[member(1, MemberKind::Learner)]).is_err());
    }
}
