//! The actors by kind, and one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::actors::{Death, Switch};
use actors::figures::Gauge;
use watch::{Actor, ActorKind, BusiestActor, StageName};

use super::totals::Totals;
use crate::outlet::Outlet;

/// Of a kind, in a snapshot.
const BUSIEST: usize = 20;

/// The kind of those who decide.
const PARTICIPANT: &str = "participant";

/// `names`: of the participants, in the order of their keys.
pub(super) fn kinds(
    switch: &Switch,
    names: &[String],
    totals: &Totals,
    outlets: &[Arc<Outlet>],
    window: u64,
) -> Vec<ActorKind> {
    vec![participants(switch, names, totals), sessions(totals, outlets, window), journal(totals)]
}

fn participants(switch: &Switch, names: &[String], totals: &Totals) -> ActorKind {
    let gauges = switch.gauges();
    let each = switch.participants_per_actor();
    let name = |place: usize| names.get(place * each).cloned().unwrap_or_default();
    let oldest = Gauge::oldest_among(&gauges);
    let mut busiest: Vec<(usize, &Arc<Gauge>)> = gauges.iter().enumerate().collect();
    // They go on while they are put in order: each is asked once.
    busiest.sort_by_cached_key(|(_, gauge)| std::cmp::Reverse((gauge.queued(), gauge.handled())));
    let one = |(place, gauge): &(usize, &Arc<Gauge>)| BusiestActor {
        name: name(*place),
        queued: gauge.queued(),
        oldest_us: Some(gauge.oldest_us()),
        handled: gauge.handled(),
        in_flight: Some(gauge.in_flight()),
        restarts: Some(gauge.restarts()),
    };
    let handle = totals.by_message();
    let restarts = &switch.traffic().restarts;
    ActorKind {
        kind: PARTICIPANT.into(),
        instances: gauges.len() as u64,
        queued: gauges.iter().map(|gauge| gauge.queued()).sum(),
        queued_longest: gauges.iter().map(|gauge| gauge.queued()).max().unwrap_or(0),
        oldest_us: oldest.map_or(0, |(_, oldest_us)| oldest_us),
        oldest_in: oldest.map_or_else(String::new, |(place, _)| name(place)),
        capacity: 0,
        wait: totals.stage(StageName::Wait),
        handled: handle.iter().map(|(message, latency)| (message.clone(), latency.count)).collect(),
        busy_us: handle.values().map(|latency| latency.sum_us).sum(),
        handle,
        dropped: BTreeMap::from([("stopped".to_string(), totals.dropped)]),
        restarts: restarts.all(),
        restarts_by: BTreeMap::from([
            ("failed".to_string(), restarts.after(Death::Failed)),
            ("stopped".to_string(), restarts.after(Death::Stopped)),
        ]),
        busiest: busiest.iter().take(BUSIEST).map(one).collect(),
    }
}

/// What they have read and is not decided and committed counts as their queue; the window bounds it.
fn sessions(totals: &Totals, outlets: &[Arc<Outlet>], window: u64) -> ActorKind {
    let outstanding = |outlet: &Arc<Outlet>| u64::from(outlet.line().outstanding());
    let decode = totals.stage(StageName::Decode);
    let mut busiest: Vec<_> = outlets.iter().collect();
    busiest.sort_by_cached_key(|outlet| std::cmp::Reverse((outstanding(outlet), outlet.instructions())));
    let one = |outlet: &&Arc<Outlet>| BusiestActor {
        name: outlet.line().participant().to_string(),
        queued: outstanding(outlet),
        handled: outlet.instructions(),
        ..BusiestActor::default()
    };
    ActorKind {
        kind: "session".into(),
        instances: outlets.len() as u64,
        queued: outlets.iter().map(outstanding).sum(),
        queued_longest: outlets.iter().map(outstanding).max().unwrap_or(0),
        capacity: window,
        handled: BTreeMap::from([("instructions".to_string(), decode.count)]),
        busy_us: decode.sum_us,
        handle: BTreeMap::from([("instructions".to_string(), decode)]),
        busiest: busiest.iter().take(BUSIEST).map(one).collect(),
        ..ActorKind::default()
    }
}

/// One thread: entries wait for it, it syncs them, and folds them.
fn journal(totals: &Totals) -> ActorKind {
    let (sync, apply) = (totals.stage(StageName::Sync), totals.stage(StageName::Apply));
    ActorKind {
        kind: "journal".into(),
        instances: 1,
        wait: totals.stage(StageName::Append),
        handled: BTreeMap::from([("sync".to_string(), sync.count), ("apply".to_string(), apply.count)]),
        busy_us: sync.sum_us + apply.sum_us,
        handle: BTreeMap::from([("sync".to_string(), sync), ("apply".to_string(), apply)]),
        ..ActorKind::default()
    }
}

/// The actor of a participant, while this node leads.
pub(crate) fn actor(switch: &Switch, participant: wire::ParticipantId) -> Option<Actor> {
    let each = switch.participants_per_actor();
    let (place, participants) = {
        let scheme = switch.scheme();
        let place = scheme.key(participant)?.place() / each;
        let hosted = scheme.listings().iter().skip(place * each).take(each);
        (place, hosted.map(|listing| listing.id.to_string()).collect::<Vec<_>>())
    };
    let gauges = switch.gauges();
    let gauge = gauges.get(place)?;
    let deed = |deed: &actors::figures::Deed| watch::Deed {
        at_ms: deed.at.milliseconds(),
        what: deed.what.into(),
        uetr: deed.uetr.map(|uetr| uetr.to_string()),
    };
    Some(Actor {
        kind: PARTICIPANT.into(),
        name: participants.first().cloned().unwrap_or_default(),
        participants,
        queued: gauge.queued(),
        oldest_us: gauge.oldest_us(),
        handled: gauge.handled(),
        in_flight: gauge.in_flight(),
        next_deadline_ms: gauge.earliest_deadline().map(wire::Timestamp::milliseconds),
        restarts: gauge.restarts(),
        deeds: gauge.deeds().iter().map(deed).collect(),
    })
}
