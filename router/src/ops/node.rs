//! What a snapshot tells of the node itself, the others, and the log.

use actors::Switch;
use actors::archive::{Failing as Failed, Work};
use peers::ClockOffset;
use watch::{Archive, Failing, Log, Node, Peer, Readiness, StageName, Telemetry};

use super::collector::Sources;
use super::process;
use super::totals::Totals;
use crate::admin::protocol::{Cluster, Member};
use crate::door::Closed;

/// Everything but what the book tells.
pub(super) fn node(from: &Sources, cluster: &Cluster, sessions: u64) -> Node {
    let (switch, config) = (&from.switch, &from.config);
    let statistics = switch.journal_statistics();
    let own = cluster.members.iter().find(|member| member.node == cluster.node);
    let name = |node: u64| match cluster.members.iter().find(|member| member.node == node) {
        _ if node == cluster.node => config.node.name.clone(),
        Some(member) => member.name.clone(),
        None => format!("node {node}"),
    };
    let role = match own.map(|member| member.kind.as_str()) {
        Some(kind @ ("learner" | "witness")) if cluster.leadership.role != "leader" => kind,
        _ if statistics.role == persistence::Role::Candidate => "candidate",
        _ => &cluster.leadership.role,
    };
    let process = process::process();
    Node {
        id: cluster.node,
        name: config.node.name.clone(),
        region: own.map_or_else(String::new, |member| member.region.clone()),
        environment: config.node.environment.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        revision: env!("CROSSTIE_REVISION").into(),
        rustc: env!("CROSSTIE_RUSTC").into(),
        protocol: wire::message::PROTOCOL_MAX.to_string(),
        pid: std::process::id(),
        address: from.address.to_string(),
        up_seconds: from.started.elapsed().as_secs(),
        role: role.into(),
        term: cluster.leadership.term,
        leader: cluster.leadership.leader.map(name),
        leader_changes: statistics.leader_changes,
        closed: from.door.closed().map(|closed| closed.name().into()),
        is_draining: switch.is_draining(),
        business_date: switch.scheme().business_date().to_string(),
        sessions,
        cpu_seconds: process.cpu_seconds,
        resident_bytes: process.resident_bytes,
        open_files: process.open_files,
        open_files_max: process.open_files_max,
        imbalance_minor: Default::default(),
        readiness: readiness(switch, from.door.closed(), cluster.leadership.leader),
    }
}

/// Why a load balancer should send nobody here.
fn readiness(switch: &Switch, closed: Option<Closed>, leader: Option<u64>) -> Vec<Readiness> {
    // Alone there is nowhere to send participants: they stay, and what they send is refused.
    let (is_serving, why) = match switch.is_draining() && closed.is_none() {
        true => (false, "it is drained and takes no new payments"),
        false => (closed.is_none(), "it serves no participants"),
    };
    let checks = [
        ("serving", is_serving, why),
        ("leader", leader.is_some(), "no leader is known"),
        ("journal", switch.journal().has_room(), "its log has no room for new payments"),
        ("caught-up", switch.has_caught_up(), "its book is behind what the leader has told"),
    ];
    let told = |(check, holds, failure): (&str, bool, &str)| Readiness {
        check: check.into(),
        failure: (!holds).then(|| failure.into()),
    };
    checks.into_iter().map(told).collect()
}

/// `clocks`: of connected nodes.
pub(super) fn peers(cluster: &Cluster, clocks: &[(u64, ClockOffset)]) -> Vec<Peer> {
    let clock = |node: u64| clocks.iter().find(|(other, _)| *other == node).map(|(_, offset)| *offset);
    let role = |member: &Member| {
        match (member.kind.as_str(), member.state.as_deref()) {
            (_, Some("leader")) => "leader",
            (kind @ ("learner" | "witness"), _) => kind,
            (_, Some(_)) => "follower",
            (_, None) => "unknown",
        }
        .to_string()
    };
    let peer = |member: &Member| Peer {
        id: member.node,
        name: member.name.clone(),
        region: member.region.clone(),
        address: member.address.clone(),
        role: role(member),
        // A follower hears the leader alone.
        is_heard: member.node == cluster.node || member.state.as_deref().is_some_and(|state| state != "silent"),
        error: member.error.clone(),
        silent_ms: member.silent_ms,
        lag_entries: member.lag_entries,
        lag_ms: member.lag_ms,
        round_trip_us: member.round_trip_us,
        clock_offset_us: clock(member.node).map(|clock| clock.ahead_ns / 1000),
        clock_uncertainty_us: clock(member.node).map(|clock| clock.uncertainty_ns.div_ceil(1000)),
        agreed_index: member.book.filter(|book| book.is_same).map(|book| book.index),
        serves: member.serves.as_ref().is_some_and(|serves| serves.contains(':')),
    };
    cluster.members.iter().map(peer).collect()
}

pub(super) fn log(from: &Sources, totals: &Totals, certificate_expires_ms: Option<u64>) -> Log {
    let statistics = from.switch.journal_statistics();
    let directory = &from.switch.log_directory;
    let snapshot = directory.join(persistence::snapshot_file_name(statistics.snapshot_index));
    let (free_bytes, size_bytes) = process::room_bytes(directory);
    Log {
        committed_index: statistics.committed_index,
        entries: statistics.entries,
        written_bytes: statistics.written_bytes,
        sync: totals.stage(StageName::Sync),
        snapshot_index: statistics.snapshot_index,
        snapshot_at_ms: if statistics.snapshot_index > 0 { process::written_at_ms(&snapshot) } else { 0 },
        snapshots_failed: statistics.snapshots_failed,
        snapshots_failing: Failing { times: statistics.snapshots_failing, last_ms: statistics.snapshot_failed_at_ms },
        free_bytes,
        size_bytes,
        certificate_expires_ms,
    }
}

pub(super) fn archive(switch: &Switch) -> Archive {
    let figures = switch.archive.figures();
    let failing = Work::ALL.into_iter().zip(figures.failing).filter(|(_, failing)| failing.times > 0);
    let failing = failing.map(|(work, Failed { times, last_at })| {
        (work.words().to_string(), Failing { times, last_ms: last_at.milliseconds() })
    });
    Archive {
        payments: figures.payments,
        covered_index: figures.covered_index,
        failures: figures.failures,
        failing: failing.collect(),
    }
}

pub(super) fn telemetry() -> Telemetry {
    Telemetry {
        spans_dropped: crate::traces::dropped(),
        log_lines_dropped: crate::logs::dropped(),
        events_dropped: crate::logs::left_out(),
    }
}

/// When the certificate of this node ends; it is read at the start and not again.
pub(super) fn certificate_expires_ms(from: &Sources) -> Option<u64> {
    if from.config.cluster.node == 0 {
        return None;
    }
    let read = peers::pki::describe(&from.config.cluster.certificate).ok()?;
    read.first().map(|own| process::since_1970_ms(own.not_after))
}
