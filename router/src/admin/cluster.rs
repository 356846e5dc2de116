//! What operators are told of the nodes.

use actors::{Switch, relay};
use persistence::PeerStatistics;

use watch::text;

use super::protocol::{Cluster, ComparedBook, Member};
use crate::config::Config;
use crate::door::{Closed, Door};

/// As this node sees it: the leader knows how the others fare, a follower who they are.
pub(crate) fn cluster(switch: &Switch, door: &Door, config: &Config) -> Cluster {
    let leadership = super::leading::leadership(switch);
    let seen = switch.journal().cluster();
    let leads = leadership.role == "leader";
    let own = switch.node();
    let of = |node| seen.peers.iter().find(|peer| peer.node == node);
    let state = |node| match of(node) {
        _ if leadership.leader == Some(node) => Some("leader"),
        _ if node == own && seen.is_repairing => Some("repairing"),
        _ if node == own => Some("follower"),
        Some(PeerStatistics { is_active: true, is_repairing: true, .. }) => Some("repairing"),
        Some(PeerStatistics { is_active: true, .. }) => Some("follower"),
        Some(_) if leads => Some("silent"),
        _ => None,
    };
    let silent_ms = |node| {
        let silent = of(node).filter(|peer| !peer.is_active && peer.report_version.is_none())?;
        Some(silent.heard_ago?.as_millis() as u64)
    };
    let lag = |node| match node == own {
        true => leads.then_some(0),
        false => Some(seen.last_index.saturating_sub(of(node)?.progress?.matched)),
    };
    let lag_ms = |node| match node == own {
        true => leads.then_some(0),
        false => Some(of(node)?.progress?.behind.as_millis() as u64),
    };
    let round_trips = switch.journal().round_trips();
    // Of a node that is gone the last one says nothing any more.
    let is_connected = |node| match of(node) {
        Some(peer) => peer.is_active || peer.report_version.is_some(),
        None => switch.relay.door_of(node).is_some(),
    };
    let round_trip = |node| {
        let (_, took) = round_trips.iter().find(|(other, _)| *other == node && is_connected(node))?;
        Some(took.as_micros() as u64)
    };
    let serves = |node| match switch.relay.door_of(node)? {
        relay::Door::Open(address) => Some(address),
        relay::Door::Drained => Some(Closed::Drained.name().into()),
        relay::Door::Shut if node == own => Some(door.closed().map_or("no", Closed::name).into()),
        relay::Door::Shut => Some("no".into()),
    };
    let book = |node| match seen.compared.iter().find(|compared| compared.node == node) {
        Some(compared) => Some(ComparedBook { index: compared.index, is_same: compared.is_same }),
        // Itself agrees with the majority, or it would have stopped.
        None => {
            (node == own && seen.agreed_index > 0).then_some(ComparedBook { index: seen.agreed_index, is_same: true })
        }
    };
    // A follower is told nothing of how the others fare, but has a connection to each that is there.
    let error = |node| match of(node) {
        Some(PeerStatistics { report_version: Some(version), .. }) => Some(format!(
            "it is of another build: its reports have version {version}, those of this node {}; upgrade the older, stop all, start all",
            persistence::REPORT_VERSION
        )),
        Some(PeerStatistics { is_active: false, heard_ago, .. }) => Some(match heard_ago {
            Some(ago) => format!("nothing has been heard of it for {}", text::length(ago.as_micros() as u64)),
            None => "nothing has been heard of it since this node started".into(),
        }),
        None if node != own && switch.relay.door_of(node).is_none() => Some("there is no connection to it".into()),
        _ => None,
    };
    let member = |member: &persistence::Member| Member {
        node: member.id,
        // Of a node alone the log has no name.
        name: if config.cluster.node == 0 { config.node.name.clone() } else { member.name.clone() },
        region: member.region.clone(),
        address: member.address.clone(),
        kind: if seen.members.votes(member.id) { crate::config::word(member.kind) } else { "learner" }.into(),
        serves: serves(member.id),
        state: state(member.id).map(Into::into),
        silent_ms: silent_ms(member.id),
        lag_entries: lag(member.id),
        lag_ms: lag_ms(member.id),
        book: book(member.id),
        round_trip_us: round_trip(member.id),
        error: error(member.id),
    };
    let is_there = |node| match node == own {
        true => !seen.is_repairing,
        false => of(node).is_some_and(PeerStatistics::can_vote),
    };
    Cluster {
        node: own,
        // What is committed is told at once, where the log ends from time to time.
        last_index: seen.last_index.max(leadership.committed_index),
        agreed_index: seen.agreed_index,
        agreed_ago_ms: (seen.agreed_index > 0).then_some(seen.agreed_age.as_millis() as u64),
        quorum_margin: leads.then(|| seen.members.margin(is_there)),
        members: seen.members.iter().map(member).collect(),
        leadership,
    }
}
