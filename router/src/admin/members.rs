//! Members come and go by an operator's word: what is against it is found before the log is asked.
//!
//! All of this is done by the node that leads. It knows who is heard, so it refuses what would leave no majority of voters
//! that are there. When it is itself to go, it hands leadership over and lets the next leader do it.

use std::time::Duration;

use persistence::{ChangeRefused, Cluster, Member, MemberChange, MemberKind, Members, NodeId};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::Desk;
use super::asked::Forwarded;
use super::desk::{Answer, problem, unavailable, value, wrong};
use super::protocol::{Command, MemberRole, NewMember, Problem, ProblemKind};
use super::trail::Asking;
use crate::door::Closed;

/// For a change to be committed, and for another node to lead.
const PATIENCE: Duration = Duration::from_secs(5);
/// The view that this node has of the cluster is no older.
const VIEW_RENEWED: Duration = Duration::from_secs(1);
const TEXT_BYTES_MAX: usize = 255;

fn refused(message: impl Into<String>, next: &str) -> Problem {
    Problem { next: Some(next.into()), ..problem(ProblemKind::Refused, message) }
}

fn not_yet(message: impl Into<String>) -> Problem {
    Problem { next: Some("ask again in a while".into()), ..problem(ProblemKind::NotYet, message) }
}

impl NewMember {
    fn member(&self) -> Result<Member, Problem> {
        let NewMember { id, name, region, address, role } = self;
        if !(1..=u64::from(u32::MAX)).contains(id) {
            return Err(wrong("a node's number is from 1 to 4294967295"));
        }
        let kind = match role {
            MemberRole::Voter => MemberKind::Voter,
            MemberRole::Witness => MemberKind::Witness,
        };
        let [name, region, address] = [name, region, address].map(Clone::clone);
        well_described(Member { id: *id, name, region, address, kind })
    }
}

fn well_described(member: Member) -> Result<Member, Problem> {
    let Member { name, region, address, .. } = &member;
    for (what, text) in [("name", name), ("region", region)] {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(wrong(format!("{what} is 1 to {TEXT_BYTES_MAX} bytes without control characters")));
        }
    }
    if !wire::nodes::is_address(address) || address.len() > TEXT_BYTES_MAX {
        return Err(wrong(format!("{address:?} is no HOST:PORT at which other nodes could reach it")));
    }
    Ok(member)
}

fn has_its_own_address(member: &Member, members: &Members) -> Result<(), Problem> {
    match members.iter().find(|other| other.id != member.id && other.address == member.address) {
        Some(other) => {
            let message = format!("node {} is at {} already", other.id, other.address);
            Err(refused(message, "give each node an address of its own"))
        }
        None => Ok(()),
    }
}

/// It was added before: who asks again, perhaps because no answer came, gets the answer it would have got.
fn is_same_node(one: &Member, other: &Member) -> bool {
    (&one.name, &one.region, &one.address) == (&other.name, &other.region, &other.address)
}

impl Desk {
    pub(super) async fn add_member(&self, new: &NewMember, dry_run: bool, note: &str) -> Answer {
        let member = new.member()?;
        self.is_cluster()?;
        let members = self.switch.journal().cluster().members;
        if !members.is_retired(member.id) && members.get(member.id).is_some_and(|own| is_same_node(own, &member)) {
            return value(self.cluster());
        }
        if members.is_retired(member.id) || members.get(member.id).is_some() {
            let message = format!("number {} was given before, and a number is never used again", member.id);
            return Err(refused(message, "crosstie cluster status shows the members; take a number that is new"));
        }
        has_its_own_address(&member, &members)?;
        if !dry_run {
            let id = member.id;
            self.change_members(MemberChange::Add(member), note, move |seen| seen.members.get(id).is_some()).await?;
        }
        value(self.cluster())
    }

    pub(super) async fn promote_member(
        &self,
        node: NodeId,
        instead_of: Option<NodeId>,
        dry_run: bool,
        note: &str,
    ) -> Answer {
        self.is_cluster()?;
        let seen = self.switch.journal().cluster();
        let Some(member) = seen.members.get(node) else { return Err(no_member(&seen, node)) };
        let old_is_there = instead_of.is_some_and(|old| seen.members.get(old).is_some());
        if seen.members.votes(node) {
            return match instead_of {
                Some(old) if old_is_there => {
                    let next = format!("crosstie cluster remove {old}");
                    Err(refused(format!("node {node} votes already, so it cannot take the place of node {old}"), &next))
                }
                _ => value(self.cluster()),
            };
        }
        match instead_of {
            Some(old) if !old_is_there => return Err(no_member(&seen, old)),
            Some(old) if old == self.switch.node() => {
                let message = format!("node {old} leads, so nobody can take its place just now");
                return Err(refused(message, "crosstie node step-down on that node, then ask again"));
            }
            _ => {}
        }
        if !seen.peers.iter().any(|peer| peer.node == node && peer.is_active) {
            return Err(not_yet(format!(
                "node {node} ({}) has not been heard of: is it running, with cluster.join = \"yes\" or in the cluster before?",
                member.address
            )));
        }
        let voters = voters(&seen).filter(|voter| Some(*voter) != instead_of).chain([node]).collect::<Vec<_>>();
        self.stays_able(&seen, &voters, None)?;
        if !dry_run {
            let promote = MemberChange::Promote { node, instead_of };
            self.change_members(promote, note, move |seen| seen.members.votes(node)).await?;
        }
        value(self.cluster())
    }

    /// Of a node that leads, only what is against it is found: see [`Desk::remove_this`].
    pub(super) async fn remove_member(&self, node: NodeId, dry_run: bool, note: &str) -> Answer {
        self.is_cluster()?;
        let seen = self.switch.journal().cluster();
        if seen.members.get(node).is_none() {
            // An operator who asks twice hears the same.
            return if seen.members.is_retired(node) { value(self.cluster()) } else { Err(no_member(&seen, node)) };
        }
        if seen.members.votes(node) {
            let left = voters(&seen).filter(|voter| *voter != node).collect::<Vec<_>>();
            if left.is_empty() {
                let message = format!("node {node} is the only one with a vote");
                return Err(refused(message, "add another node and promote it first"));
            }
            self.stays_able(&seen, &left, None)?;
        }
        if !dry_run {
            let is_gone = move |seen: &Cluster| seen.members.get(node).is_none();
            self.change_members(MemberChange::Remove(node), note, is_gone).await?;
        }
        value(self.cluster())
    }

    /// `name`, `region` and `address`, where they are not to stay. Whoever moves is away for a while: the others must be able
    /// to go on without it.
    pub(super) async fn describe_member(
        &self,
        node: NodeId,
        new: [Option<String>; 3],
        dry_run: bool,
        note: &str,
    ) -> Answer {
        self.is_cluster()?;
        let seen = self.switch.journal().cluster();
        let Some(old) = seen.members.get(node) else { return Err(no_member(&seen, node)) };
        let Member { name, region, address, .. } = old.clone();
        let [new_name, new_region, new_address] = new;
        let (name, region, address) =
            (new_name.unwrap_or(name), new_region.unwrap_or(region), new_address.unwrap_or(address));
        let member = well_described(Member { name, region, address, ..old.clone() })?;
        has_its_own_address(&member, &seen.members)?;
        let voters = voters(&seen).collect::<Vec<_>>();
        if member.address != old.address && voters != [node] {
            self.stays_able(&seen, &voters, Some(node))?;
        }
        if !dry_run && member != *old {
            let described = member.clone();
            let is_seen = move |seen: &Cluster| seen.members.get(node) == Some(&described);
            self.change_members(MemberChange::Describe(member), note, is_seen).await?;
        }
        value(self.cluster())
    }

    /// This node leads and is to go: another takes over, and does it.
    pub(super) async fn remove_this(&self, command: Command, asking: &mut Asking) -> Answer {
        self.remove_member(self.switch.node(), true, &asking.note()).await?;
        self.step_down(None).await?;
        let until = Instant::now() + PATIENCE;
        let forwarded = Forwarded::Change { command, who: asking.who.clone() };
        loop {
            match self.forward(&forwarded).await {
                // It was done, and the answer lost: the others take no questions of a node that is gone.
                Err(_) if self.door.closed() == Some(Closed::Removed) => {
                    let mut cluster = self.cluster();
                    cluster.members.retain(|member| member.node != self.switch.node());
                    asking.is_recorded = true;
                    return value(cluster);
                }
                Err(Problem { kind: ProblemKind::Unavailable | ProblemKind::NotYet, .. }) if Instant::now() < until => {
                    sleep(Duration::from_millis(50)).await;
                }
                answer => {
                    // Who did it recorded it.
                    asking.is_recorded = answer.is_ok();
                    return answer;
                }
            }
        }
    }

    fn is_cluster(&self) -> Result<(), Problem> {
        match self.config.cluster.node {
            0 => Err(refused(
                "this node runs alone and knows no others",
                "README.md, \"Three nodes\": a cluster is begun with [[members]] in the configuration",
            )),
            _ => Ok(()),
        }
    }

    /// Whether these voters have a majority that is heard and whole, without the one that is away.
    fn stays_able(&self, seen: &Cluster, voters: &[NodeId], away: Option<NodeId>) -> Result<(), Problem> {
        let there = voters.iter().filter(|voter| Some(**voter) != away);
        let heard = there.filter(|voter| can_vote(seen, self.switch.node(), **voter)).count();
        let needed = voters.len() / 2 + 1;
        if heard >= needed {
            return Ok(());
        }
        let message = format!(
            "then {} nodes would vote, {needed} of them would be needed, and only {heard} are heard and whole: nothing could be acknowledged",
            voters.len()
        );
        let next = "bring the others back, or replace one: crosstie cluster promote NEW --instead-of DEAD";
        Err(refused(message, next))
    }

    /// Returns when the change is committed and this node's view of the cluster shows it.
    async fn change_members(
        &self,
        change: MemberChange,
        note: &str,
        is_seen: impl Fn(&Cluster) -> bool,
    ) -> Result<(), Problem> {
        let described = format!("{change:?}");
        let (sender, changed) = oneshot::channel();
        let done = Box::new(move |changed| drop(sender.send(changed)));
        self.switch.journal().change(change, done).map_err(unavailable)?;
        let changed = timeout(PATIENCE, changed).await.map_err(|_| {
            unavailable(
                "the change was not committed in time and may still be: crosstie cluster status shows the members",
            )
        })?;
        match changed.unwrap_or(Err(ChangeRefused::Unknown)) {
            Ok(()) => {}
            Err(refusal @ (ChangeRefused::Behind(..) | ChangeRefused::Repairing(_) | ChangeRefused::Busy)) => {
                return Err(not_yet(refusal.to_string()));
            }
            // Asked again because the first answer was lost, it may have been done meanwhile.
            Err(ChangeRefused::Unsuitable(_)) if self.until_seen(&is_seen).await => return Ok(()),
            Err(refusal @ ChangeRefused::Unsuitable(_)) => {
                return Err(refused(refusal.to_string(), "crosstie cluster status"));
            }
            Err(refusal) => return Err(unavailable(refusal)),
        }
        tracing::info!(event = "members_changed", change = described, note);
        self.until_seen(&is_seen).await;
        Ok(())
    }

    /// What this node sees of the cluster is renewed a few times per second.
    async fn until_seen(&self, is_seen: impl Fn(&Cluster) -> bool) -> bool {
        let until = Instant::now() + VIEW_RENEWED;
        while !is_seen(&self.switch.journal().cluster()) {
            if Instant::now() >= until {
                return false;
            }
            sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

fn voters(seen: &Cluster) -> impl Iterator<Item = NodeId> + '_ {
    seen.members.iter().map(|member| member.id).filter(|id| seen.members.votes(*id))
}

fn can_vote(seen: &Cluster, own: NodeId, node: NodeId) -> bool {
    node == own || seen.peers.iter().any(|peer| peer.node == node && peer.can_vote())
}

fn no_member(seen: &Cluster, node: NodeId) -> Problem {
    let was = if seen.members.is_retired(node) { ", it was removed" } else { "" };
    let next = Some("crosstie cluster status shows the members; crosstie cluster add takes in another".into());
    Problem { next, ..problem(ProblemKind::NotFound, format!("node {node} is no member{was}")) }
}
