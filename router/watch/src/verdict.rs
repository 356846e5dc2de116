//! Is it fine: the rules by which a snapshot is judged, in words. The same thresholds as the alerts in `deploy/alerts.yml`,
//! where those say it over time; each code has its entry in `deploy/RUNBOOK.md`.

mod checks;
mod gathered;

use std::cmp::Reverse;

pub use gathered::{SEVERAL, gathered};

use crate::{Failing, Participant, Peer, Severity, Snapshot, Verdict, Warning, text};

/// An alert's and a rule's name, and the anchor of its entry in the runbook.
pub const CODES: &[&str] = &[
    "imbalance",
    "no_leader",
    "not_ready",
    "oldest_in_flight",
    "budget_burning",
    "disk_low",
    "certificate_expires",
    "quorum_at_risk",
    "node_silent",
    "replication_lag",
    "sync_slow",
    "actor_slow",
    "actor_restarted",
    "creditor_slow",
    "headroom_low",
    "not_connected",
    "snapshot_failed",
    "archive_failing",
    "telemetry_dropped",
    "clock_offset",
    "self_check_failed",
    "self_check_incomplete",
    "self_check_overdue",
    "audit_broken",
    "audit_unverified",
];

const OLDEST_IN_FLIGHT_US: u64 = 12_000_000;
const LAG_MS: u64 = 1_000;
const SYNC_P99_US: u64 = 20_000;
const ACTOR_OLDEST_US: u64 = 1_000_000;
const CREDITOR_P99_US: u64 = 8_000_000;
/// One or two may be anybody's; of those to a busy bank a hundredth.
const UNANSWERED: u64 = 3;
const UNANSWERED_SHARE: f64 = 0.01;
const HEADROOM: f64 = 0.10;
const FREE_LOW: f64 = 0.10;
const FREE_OUT: f64 = 0.03;
const DAY_MS: u64 = 86_400_000;
/// Percentiles of fewer than this say nothing.
const FEW: u64 = 20;

/// Fills in verdict and warnings, worst first. What was wrong in the snapshot before has been so since then.
pub fn judge(now: &mut Snapshot, before: &Snapshot) {
    let mut warnings = Found::default();
    of_the_node(now, before, &mut warnings);
    of_its_peers(now, &mut warnings);
    checks::of_its_clock(now, &mut warnings);
    checks::of_its_checks(now, &mut warnings);
    of_its_disk(now, &mut warnings);
    of_its_actors(now, before, &mut warnings);
    now.participants.iter().for_each(|participant| of_a_participant(participant, &mut warnings));
    let mut warnings = warnings.0;
    for warning in &mut warnings {
        let same = |earlier: &&Warning| (&earlier.code, &earlier.subject) == (&warning.code, &warning.subject);
        warning.since_ms = before.warnings.iter().find(same).map_or(now.at_ms, |earlier| earlier.since_ms);
    }
    warnings.sort_by_key(|warning| Reverse(warning.severity));
    now.verdict = verdict(now, &gathered(&warnings));
    now.warnings = warnings;
}

fn verdict(now: &Snapshot, warnings: &[Warning]) -> Verdict {
    let Some(worst) = warnings.first() else {
        let settled = &now.payments.settled;
        let p99 = text::percentile(settled.p99_us, settled.recent);
        let rate = text::rate(now.payments.settled_per_second);
        let sentence = format!("All is well: {rate} payments settle per second, p99 {p99}.");
        return Verdict { severity: Severity::Fine, sentence };
    };
    let more = match warnings.len() - 1 {
        0 => String::new(),
        1 => " And one more thing.".into(),
        more => format!(" And {more} more things."),
    };
    Verdict { severity: worst.severity, sentence: format!("{}{more}", worst.sentence) }
}

#[derive(Default)]
struct Found(Vec<Warning>);

impl Found {
    fn add(&mut self, code: &str, severity: Severity, subject: &str, sentence: String, advice: &str) {
        assert!(CODES.contains(&code), "{code} is no known code");
        let (code, subject, advice) = (code.into(), subject.into(), advice.into());
        self.0.push(Warning { code, severity, subject, sentence, advice, since_ms: 0 });
    }

    fn critical(&mut self, code: &str, subject: &str, sentence: String, advice: &str) {
        self.add(code, Severity::Critical, subject, sentence, advice);
    }

    fn degraded(&mut self, code: &str, subject: &str, sentence: String, advice: &str) {
        self.add(code, Severity::Degraded, subject, sentence, advice);
    }
}

fn of_the_node(now: &Snapshot, before: &Snapshot, found: &mut Found) {
    for (currency, imbalance) in now.node.imbalance_minor.iter().filter(|(_, imbalance)| **imbalance != 0) {
        let sentence = format!("Money does not add up: {currency} is off by {imbalance} minor units.");
        found.critical("imbalance", currency, sentence, "Stop taking payments; keep the log; follow the runbook.");
    }
    if now.node.leader.is_none() {
        let sentence = "No leader is known: no payment can be decided.".into();
        found.critical("no_leader", "", sentence, "See whether a majority of the nodes is up and reaches each other.");
    }
    // Closed on purpose is nothing to warn of.
    for own in now.node.readiness.iter().filter(|_| now.node.closed.is_none() && now.node.leader.is_some()) {
        let Some(failure) = &own.failure else { continue };
        let sentence = format!("This node is not ready: {failure}.");
        found.degraded("not_ready", &own.check, sentence, "crosstie status and the node's log say more.");
    }
    if let Some(oldest) = now.payments.oldest_in_flight_us.filter(|oldest| *oldest > OLDEST_IN_FLIGHT_US) {
        let sentence = format!("A payment is in flight for {}, longer than any may be.", text::length(oldest));
        found.critical("oldest_in_flight", "", sentence, "Look at the slowest actor and at the log's syncs.");
    }
    let budget = &now.payments.budget;
    if budget.burns() {
        let (window, share) = (budget.window(), budget.share());
        let sentence = format!("Payments end late: in {window} {share} were final within 10 s, and it goes on.");
        let severity = if budget.burns_fast() { Severity::Critical } else { Severity::Degraded };
        found.add("budget_burning", severity, "", sentence, "Look at the slowest payments and at where the time goes.");
    }
    if let Some(expires) = now.log.certificate_expires_ms {
        let left = expires.saturating_sub(now.at_ms);
        let sentence = format!("The certificate of this node ends in {} days.", left / DAY_MS);
        let advice = "crosstie pki issue --renew, then start the node again.";
        match left / DAY_MS {
            0..2 => found.critical("certificate_expires", "", sentence, advice),
            2..21 => found.degraded("certificate_expires", "", sentence, advice),
            _ => {}
        }
    }
    let dropped = |of: &Snapshot| {
        let telemetry = &of.telemetry;
        telemetry.spans_dropped + telemetry.log_lines_dropped + telemetry.events_dropped
    };
    if dropped(now) > dropped(before) {
        let sentence =
            format!("{} log lines or spans were dropped in the last second.", dropped(now) - dropped(before));
        found.degraded("telemetry_dropped", "", sentence, "Whoever reads the node's log or traces is too slow.");
    }
}

/// Connections come up within seconds of a start.
const CONNECTED_AFTER_SECONDS: u64 = 10;

fn of_its_peers(now: &Snapshot, found: &mut Found) {
    if now.peers.len() < 2 {
        return;
    }
    if now.node.role != "leader" {
        // How the others fare it is not told; whether they are there it sees.
        let is_lost = |peer: &&Peer| peer.id != now.node.id && peer.error.is_some();
        let lost = now.peers.iter().filter(is_lost).filter(|_| now.node.up_seconds >= CONNECTED_AFTER_SECONDS);
        for peer in lost {
            let why = peer.error.as_deref().unwrap_or("-");
            let sentence = format!("{} in {} is not reached from this node: {why}.", peer.name, peer.region);
            found.degraded("node_silent", &peer.name, sentence, "Is it up, and is the network between whole?");
        }
        return;
    }
    let voters = || now.peers.iter().filter(|peer| peer.role != "learner");
    let heard = voters().filter(|peer| peer.is_heard).count();
    if heard == voters().count() / 2 + 1 && heard < voters().count() {
        let sentence = "No further node may be lost: with one less there is no majority.".to_string();
        found.degraded("quorum_at_risk", "", sentence, "Bring the silent nodes back.");
    }
    for peer in now.peers.iter().filter(|peer| peer.id != now.node.id) {
        if !peer.is_heard {
            let why = peer.error.as_deref().unwrap_or("nothing has been heard of it");
            let sentence = format!("{} in {} is silent: {why}.", peer.name, peer.region);
            found.degraded("node_silent", &peer.name, sentence, "Is it up, and is the network between whole?");
        } else if let Some(lag) = peer.lag_ms.filter(|lag| *lag > LAG_MS) {
            let sentence = format!("{} lags {} behind.", peer.name, text::length(lag * 1000));
            found.degraded("replication_lag", &peer.name, sentence, "Look at its disk and at the network to it.");
        }
    }
}

fn of_its_disk(now: &Snapshot, found: &mut Found) {
    let log = &now.log;
    if log.size_bytes > 0 {
        let free = log.free_bytes as f64 / log.size_bytes as f64;
        let left = text::bytes(log.free_bytes);
        let sentence = format!("The log's disk is {} full: {left} are free.", text::percent(1.0 - free));
        let advice = "Make room; below log.free_bytes_min new payments are refused.";
        match free {
            _ if free < FREE_OUT => found.critical("disk_low", "", sentence, advice),
            _ if free < FREE_LOW => found.degraded("disk_low", "", sentence, advice),
            _ => {}
        }
    }
    if log.sync.recent >= FEW && log.sync.p99_us > SYNC_P99_US {
        let sentence = format!("Syncs of the log are slow: p99 {}.", text::length(log.sync.p99_us));
        found.degraded("sync_slow", "", sentence, "Look at the disk; another node may lead meanwhile.");
    }
    // They end when the next goes well; how many failed since the start the metrics tell.
    if log.snapshots_failing.times > 0 {
        let sentence = format!("No snapshot could be written: {}.", failures(now, log.snapshots_failing));
        let advice =
            "The node's log says why; a restart takes longer until one succeeds. crosstie snapshot tries at once.";
        found.degraded("snapshot_failed", "", sentence, advice);
    }
    for (what, failing) in &now.archive.failing {
        let sentence = format!("The archive cannot {what}: {}.", failures(now, *failing));
        found.degraded("archive_failing", "", sentence, "The node's log says why; payments go on.");
    }
}

/// How often and when: `3 failures in a row, the last 12.0 s ago`.
fn failures(now: &Snapshot, failing: Failing) -> String {
    let ago = text::length(now.at_ms.saturating_sub(failing.last_ms) * 1000);
    match failing.times {
        1 => format!("it failed {ago} ago"),
        times => format!("{times} failures in a row, the last {ago} ago"),
    }
}

fn of_its_actors(now: &Snapshot, before: &Snapshot, found: &mut Found) {
    for kind in &now.actors {
        let earlier = before.actors.iter().find(|own| own.kind == kind.kind);
        if let Some(earlier) = earlier.filter(|earlier| kind.restarts > earlier.restarts) {
            let count = kind.restarts - earlier.restarts;
            let sentence = format!("{count} actors of kind {} were restarted.", kind.kind);
            found.degraded(
                "actor_restarted",
                &kind.kind,
                sentence,
                "The node's log has why: actor_restarted. Report it.",
            );
        }
        if kind.oldest_us > ACTOR_OLDEST_US {
            let (oldest, name) = (text::length(kind.oldest_us), &kind.oldest_in);
            let sentence = format!("A message waits for {oldest} in the mailbox of {} {name}.", kind.kind);
            found.degraded("actor_slow", name, sentence, "crosstie actor show tells what it decided last.");
        }
    }
}

fn of_a_participant(own: &Participant, found: &mut Found) {
    let (unanswered, offered) = (own.unanswered_recently, own.unanswered_recently + own.answer.recent);
    if unanswered >= UNANSWERED && unanswered as f64 > UNANSWERED_SHARE * offered as f64 {
        let sentence =
            format!("{} does not answer: {unanswered} of the last {offered} payments to it timed out.", own.id);
        found.degraded("creditor_slow", &own.id, sentence, "Call the participant, or suspend it from receiving.");
    } else if own.answer.recent >= FEW && own.answer.p99_us > CREDITOR_P99_US {
        let p99 = text::length(own.answer.p99_us);
        let sentence = format!("{} answers slowly: p99 {p99}. Payments to it may time out.", own.id);
        found.degraded("creditor_slow", &own.id, sentence, "Call the participant.");
    }
    // Who never pays needs no funds.
    for position in own.positions.iter().filter(|_| own.started > 0).filter(|own| own.headroom < HEADROOM) {
        let available = text::money(position.available_minor, position.decimals);
        let sentence = format!("{} has {available} {} left to pay with.", own.id, position.currency);
        found.degraded("headroom_low", &own.id, sentence, "Call its treasury; crosstie participant fund, or limit.");
    }
    if own.state == "signed_on" && own.is_connected == Some(false) {
        let sentence = format!("{} is signed on but not connected: payments to it will time out.", own.id);
        found.degraded("not_connected", &own.id, sentence, "Call the participant, or suspend it.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActorKind, AuditCheck, Budget, Latency, Position, Readiness, SelfCheck};

    pub(super) fn fine() -> Snapshot {
        let mut own = Snapshot { at_ms: 1_000 * DAY_MS, ..Snapshot::default() };
        (own.node.id, own.node.role, own.node.leader) = (1, "leader".into(), Some("n1".into()));
        (own.log.free_bytes, own.log.size_bytes) = (50, 100);
        let voter = |id: u64| Peer { id, name: format!("n{id}"), is_heard: true, ..Peer::default() };
        own.peers = vec![voter(1), voter(2), voter(3)];
        own.actors.push(ActorKind { kind: "participant".into(), ..ActorKind::default() });
        let position = Position { currency: "EUR".into(), headroom: 0.5, ..Position::default() };
        let (id, state) = ("BANK-0001".to_string(), "signed_on".to_string());
        own.participants.push(Participant {
            id,
            state,
            started: 1,
            positions: vec![position],
            ..Participant::default()
        });
        own
    }

    /// What is found when this is changed, and nothing else.
    #[track_caller]
    fn check(code: &str, severity: Severity, change: impl FnOnce(&mut Snapshot)) {
        let (mut now, before) = (fine(), fine());
        change(&mut now);
        judge(&mut now, &before);
        let found: Vec<_> = now.warnings.iter().map(|own| (own.code.as_str(), own.severity)).collect();
        assert!(found.contains(&(code, severity)), "{found:?} without {code}");
        assert!(now.warnings.iter().all(|own| !own.sentence.is_empty() && !own.advice.is_empty()));
        assert!(now.verdict.severity >= severity && !now.verdict.sentence.is_empty());
    }

    fn failing(check: &str, failure: &str) -> Readiness {
        Readiness { check: check.into(), failure: Some(failure.into()) }
    }

    fn latency(p99_us: u64) -> Latency {
        Latency { recent: 100, p99_us, ..Latency::default() }
    }

    #[test]
    fn what_is_fine_is_called_fine() {
        let mut now = fine();
        judge(&mut now, &fine());
        assert_eq!((now.warnings.len(), now.verdict.severity), (0, Severity::Fine), "{:?}", now.warnings);
    }

    #[test]
    fn a_check_that_fails_is_named_and_told_once() {
        let mut now = fine();
        now.node.readiness.push(failing("caught-up", "its book is behind"));
        judge(&mut now, &fine());
        let own = &now.warnings[0];
        assert_eq!(
            (own.subject.as_str(), own.sentence.as_str()),
            ("caught-up", "This node is not ready: its book is behind.")
        );
    }

    #[test]
    fn every_rule_finds_what_it_is_for() {
        use Severity::{Critical, Degraded};
        check("imbalance", Critical, |now| _ = now.node.imbalance_minor.insert("EUR".into(), -1));
        check("no_leader", Critical, |now| now.node.leader = None);
        check("not_ready", Degraded, |now| now.node.readiness.push(failing("journal", "the log has no room")));
        check("oldest_in_flight", Critical, |now| now.payments.oldest_in_flight_us = Some(12_000_001));
        check("budget_burning", Critical, |now| {
            let (late, window_seconds) = (Some(14.5), 3600);
            now.payments.budget = Budget { burn: late, burn_recent: late, window_seconds, ..Budget::default() };
        });
        check("budget_burning", Degraded, |now| {
            let late = Some(1.1);
            now.payments.budget = Budget { burn: late, burn_recent: late, ..Budget::default() };
        });
        check("certificate_expires", Degraded, |now| now.log.certificate_expires_ms = Some(now.at_ms + 20 * DAY_MS));
        check("certificate_expires", Critical, |now| now.log.certificate_expires_ms = Some(now.at_ms));
        check("telemetry_dropped", Degraded, |now| now.telemetry.log_lines_dropped = 1);
        check("node_silent", Degraded, |now| now.peers[1].is_heard = false);
        check("quorum_at_risk", Degraded, |now| now.peers[2].is_heard = false);
        check("replication_lag", Degraded, |now| now.peers[1].lag_ms = Some(1_001));
        check("disk_low", Degraded, |now| now.log.free_bytes = 9);
        check("disk_low", Critical, |now| now.log.free_bytes = 2);
        check("sync_slow", Degraded, |now| now.log.sync = latency(20_001));
        check("snapshot_failed", Degraded, |now| now.log.snapshots_failing.times = 1);
        check("archive_failing", Degraded, |now| _ = now.archive.failing.insert("merge".into(), Failing::default()));
        check("actor_restarted", Degraded, |now| now.actors[0].restarts = 1);
        check("actor_slow", Degraded, |now| now.actors[0].oldest_us = 1_000_001);
        check("creditor_slow", Degraded, |now| now.participants[0].answer = latency(8_000_001));
        check("creditor_slow", Degraded, |now| now.participants[0].unanswered_recently = 3);
        check("headroom_low", Degraded, |now| now.participants[0].positions[0].headroom = 0.09);
        check("not_connected", Degraded, |now| now.participants[0].is_connected = Some(false));
        check("clock_offset", Degraded, |now| now.peers[1].clock_offset_us = Some(-50_001));
        let checked = |own: SelfCheck| move |now: &mut Snapshot| now.checks.self_checked(own, 35);
        let date = Some("2026-11-23".to_string());
        let differing = SelfCheck { date: date.clone(), differences: 1, ..SelfCheck::default() };
        check("self_check_failed", Critical, checked(differing));
        check("self_check_incomplete", Degraded, checked(SelfCheck { date, unchecked: 1, ..SelfCheck::default() }));
        check("self_check_overdue", Degraded, |now| now.node.up_seconds = 26 * 3600);
        check("audit_unverified", Degraded, |now| now.node.up_seconds = 26 * 3600);
        let broken = AuditCheck { broken: Some("audit entry 3: cut".into()), ..AuditCheck::default() };
        check("audit_broken", Critical, |now| now.checks.audit = Some(broken));
    }

    #[test]
    fn what_lasts_is_told_since_when_and_the_worst_comes_first() {
        let mut before = fine();
        before.node.leader = None;
        before.participants[0].positions[0].headroom = 0.0;
        judge(&mut before, &fine());
        let mut now = Snapshot { at_ms: before.at_ms + 1_000, ..before.clone() };
        now.log.snapshots_failing.times = 1;
        judge(&mut now, &before);
        let found: Vec<_> = now.warnings.iter().map(|own| (own.code.as_str(), own.since_ms == before.at_ms)).collect();
        assert_eq!(found, [("no_leader", true), ("snapshot_failed", false), ("headroom_low", true)]);
        assert_eq!(now.verdict.sentence, "No leader is known: no payment can be decided. And 2 more things.");
    }

    #[test]
    fn what_failed_and_then_went_well_is_fine() {
        let mut now = fine();
        (now.log.snapshots_failed, now.archive.failures) = (3, 7);
        judge(&mut now, &fine());
        assert_eq!(now.warnings, []);
        now.log.snapshots_failing = Failing { times: 3, last_ms: now.at_ms - 90_000 };
        judge(&mut now, &fine());
        let sentence = "No snapshot could be written: 3 failures in a row, the last 1.50 min ago.";
        assert_eq!(now.verdict.sentence, sentence);
    }

    #[test]
    fn a_follower_warns_of_a_node_that_it_does_not_reach() {
        let warned = |up_seconds| {
            let mut now = fine();
            (now.node.id, now.node.role, now.node.up_seconds) = (2, "follower".into(), up_seconds);
            let (region, error) = ("west".into(), Some("there is no connection to it".into()));
            now.peers[2] = Peer { region, error, is_heard: false, ..now.peers[2].clone() };
            judge(&mut now, &fine());
            now.warnings.iter().map(|own| format!("{}: {}", own.code, own.sentence)).collect::<Vec<_>>()
        };
        let lost = "node_silent: n3 in west is not reached from this node: there is no connection to it.";
        assert_eq!((warned(1), warned(60)), (vec![], vec![lost.to_string()]));
    }

    #[test]
    fn what_is_drained_on_purpose_is_fine() {
        let mut now = fine();
        now.node.closed = Some("drained".into());
        now.node.readiness.push(failing("serving", "it is drained"));
        judge(&mut now, &fine());
        assert_eq!(now.warnings, []);
    }
}
