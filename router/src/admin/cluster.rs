//! What operators are told of the nodes.

use actors::Switch;
use persistence::{MemberKind, PeerStatistics};

use super::protocol::{Cluster, Leadership, Member};

/// As this node sees it: the leader knows how the others fare, a follower who they are.
pub(super) fn cluster(switch: &Switch, leadership: Leadership) -> Cluster {
    let seen = switch.journal().cluster();
    let leads = leadership.role == "leader";
    let own = switch.node();
    let of = |node| seen.peers.iter().find(|peer| peer.node == node);
    let state = |node| match of(node) {
        _ if leadership.leader == Some(node) => Some("leader"),
        _ if node == own && seen.is_repairing => Some("repairing"),
        _ if node == own => Some("follower"),
        Some(PeerStatistics { is_active: true, .. }) => Some("follower"),
        Some(_) if leads => Some("silent"),
        _ => None,
    };
    let lag = |node| match node == own {
        true => leads.then_some(0),
        false => of(node).map(|peer| seen.last_index.saturating_sub(peer.matched)),
    };
    let round_trips = switch.journal().round_trips();
    let round_trip =
        |node| round_trips.iter().find(|(other, _)| *other == node).map(|(_, took)| took.as_micros() as u64);
    let member = |member: &persistence::Member| Member {
        node: member.id,
        name: member.name.clone(),
        region: member.region.clone(),
        address: member.address.clone(),
        kind: crate::config::word(member.kind).into(),
        state: state(member.id).map(Into::into),
        lag_entries: lag(member.id),
        round_trip_us: round_trip(member.id),
    };
    let voters = || seen.members.iter().filter(|member| member.kind != MemberKind::Learner);
    let heard = voters().filter(|member| member.id == own || of(member.id).is_some_and(|peer| peer.is_active)).count();
    let quorum = voters().count() / 2 + 1;
    Cluster {
        node: own,
        last_index: seen.last_index,
        agreed_index: seen.agreed_index,
        quorum_margin: leads.then_some(heard as i64 - quorum as i64),
        members: seen.members.iter().map(member).collect(),
        leadership,
    }
}
