use std::collections::{BTreeMap, BTreeSet};

use wire::Uetr;

use super::*;
use crate::{
    Actions, ActorKind, AuditCheck, Exemplar, Messages, Outcome, Participant, Peer, Position, SelfCheck, Stage,
    StageName, Window,
};

/// One of everything.
pub(crate) fn full() -> Arc<Snapshot> {
    let mut window = Window::new(meter::Resolution::Fine);
    let mut measured = meter::Distribution::default();
    measured.record(std::time::Duration::from_micros(300));
    measured.record(std::time::Duration::from_secs(60));
    window.turn(&measured);
    let latency = window.latency();
    let mut now = Snapshot { at_ms: 1_764_000_000_000, ..Snapshot::default() };
    now.node.id = 1;
    now.node.role = "leader".into();
    now.node.version = "0.1.0".into();
    now.node.imbalance_minor.insert("EUR".into(), 0);
    now.payments.reasons.insert("AM04".into(), 5);
    now.payments.reasons_by_creditor.insert("AM04".into(), 2);
    now.payments.settled = latency.clone();
    now.payments.exemplars = [(300, Outcome::Settled), (60_000_000, Outcome::Returned), (240, Outcome::TimedOut)]
        .map(|(took_us, outcome)| Exemplar {
            uetr: Uetr::from_random([1; 16]),
            outcome,
            took_us,
            at_ms: 1_764_000_000_250,
        })
        .into();
    now.stages.push(Stage { name: StageName::Commit, latency: latency.clone() });
    let positions = vec![Position {
        currency: "EUR".into(),
        net_debit_cap_minor: Some(7),
        balance_minor: -3,
        ..Position::default()
    }];
    let one = |what: &str| [(what.to_string(), 1)].into();
    let messages =
        Messages { received: one("Answer"), sent: one("GoAway"), errors: one("frame"), events: one("connect") };
    let (id, state) = ("BANK-0001".to_string(), "signed_on".to_string());
    let answer = latency.clone();
    let started_in = [("EUR".to_string(), 4), ("other".to_string(), 1)].into();
    let own = Participant { id, state, started: 5, started_in, positions, answer, messages, ..Participant::default() };
    now.participants.push(own);
    now.node.is_draining = true;
    now.payments.oldest_in_flight_us = Some(4);
    let check = |date: &str, differences: u64| {
        let (date, at_ms) = (Some(date.to_string()), 1_500);
        SelfCheck { date, at_ms, positions: 3, differences, ..SelfCheck::default() }
    };
    now.checks.self_checked(check("2026-11-22", 2), 35);
    now.checks.self_checked(check("2026-11-23", 1), 35);
    now.checks.self_checked(SelfCheck { at_ms: 1_700, unchecked: 4, ..check("2026-11-24", 0) }, 35);
    now.checks.audit = Some(AuditCheck { at_ms: 2_500, ..AuditCheck::default() });
    now.actions.push(Actions { action: "fund".into(), result: "done".into(), count: 6 });
    let handle = [("letters".to_string(), latency.clone())].into();
    let handled = [("letters".to_string(), 2)].into();
    let dropped = [("stopped".to_string(), 0)].into();
    let (kind, wait) = ("participant".to_string(), latency);
    let restarts_by = BTreeMap::from([("failed".to_string(), 2)]);
    now.actors.push(ActorKind {
        kind,
        capacity: 9,
        wait,
        handle,
        handled,
        dropped,
        restarts_by,
        ..ActorKind::default()
    });
    let other = Peer {
        id: 2,
        name: "n2".into(),
        lag_entries: Some(1),
        lag_ms: Some(2),
        round_trip_us: Some(3),
        clock_offset_us: Some(-70_000),
        clock_uncertainty_us: Some(1_500),
        ..Peer::default()
    };
    now.peers.push(other);
    now.log.certificate_expires_ms = Some(1);
    Arc::new(now)
}

/// Name of a sample's metric, and the names of its labels.
fn parsed(sample: &str) -> (&str, BTreeSet<&str>) {
    let (sample, _) = sample.split_once(" # ").unwrap_or((sample, ""));
    let (series, _) = sample.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    (name, labels.map(|label| label.split_once('=').unwrap().0).collect())
}

#[test]
fn every_series_is_in_the_catalogue_and_everything_in_the_catalogue_is_there() {
    let text = encode(&full());
    let mut seen = BTreeSet::new();
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, mut labels) = parsed(sample);
        let is_it = |metric: &&Metric| match metric.kind {
            Kind::Histogram => {
                ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(metric.name))
            }
            _ => name == metric.name,
        };
        let metric = catalogue().iter().find(is_it).unwrap_or_else(|| panic!("{sample} is not in the catalogue"));
        assert_eq!(labels.remove("le"), name.ends_with("_bucket"), "{sample}");
        assert_eq!(labels, metric.labels.iter().copied().collect(), "{sample}");
        seen.insert(metric.name);
    }
    let missing: Vec<_> = catalogue().iter().map(|metric| metric.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in catalogue() {
        assert!(names.insert(metric.name), "{} is there twice", metric.name);
        assert!(metric.name.starts_with("crosstie_") || metric.name.starts_with("process_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.kind != Kind::Histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn figures_come_out_as_they_are() {
    let text = encode(&full());
    // In whatever order the labels stand.
    let parts = |line: &str| line.split(['{', ',', '}']).map(String::from).collect::<BTreeSet<_>>();
    let has = |line: &str| {
        let is_it = |own: &str| parts(own.split(" # ").next().unwrap_or("")) == parts(line);
        assert!(text.lines().any(is_it), "{line} is not in\n{text}");
    };
    has(r#"crosstie_transfer_rejects_total{reason="AM04",by="switch"} 3.0"#);
    has(r#"crosstie_position_minor_units{participant="BANK-0001",currency="EUR"} -3.0"#);
    has(r#"crosstie_participant_state{participant="BANK-0001",state="signed_on"} 1.0"#);
    has(r#"crosstie_participant_state{participant="BANK-0001",state="suspended"} 0.0"#);
    has(r#"crosstie_transfer_duration_seconds_bucket{le="0.0005",outcome="settled"} 1"#);
    has(r#"crosstie_transfer_duration_seconds_bucket{le="10.0",outcome="settled"} 1"#);
    has(r#"crosstie_transfer_duration_seconds_bucket{le="+Inf",outcome="settled"} 2"#);
    has(r#"crosstie_transfer_duration_seconds_count{outcome="settled"} 2"#);
    has(r#"crosstie_replication_lag_seconds{peer="n2"} 0.002"#);
    has(r#"crosstie_transfers_started_total{debtor="BANK-0001",currency="EUR"} 4.0"#);
    has(r#"crosstie_transfers_started_total{debtor="BANK-0001",currency="other"} 1.0"#);
    has(r#"crosstie_messages_total{participant="BANK-0001",direction="in",type="Answer"} 1.0"#);
    has(r#"crosstie_messages_total{participant="BANK-0001",direction="out",type="GoAway"} 1.0"#);
    has(r#"crosstie_clock_offset_seconds{peer="n2"} -0.07"#);
    has(r#"crosstie_clock_offset_uncertainty_seconds{peer="n2"} 0.0015"#);
    has(r#"crosstie_report_last_success_timestamp_seconds{report="self_check"} 1.5"#);
    has("crosstie_reconciliation_differences 3.0");
    has("crosstie_reconciliation_unchecked_participants 4.0");
    has(r#"crosstie_operator_actions_total{action="fund",result="done"} 6.0"#);
    has("# TYPE crosstie_leader_changes counter");
}

#[test]
fn a_bucket_has_a_payment_that_fell_into_it() {
    let text = encode(&full());
    let found: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(" # ")).collect();
    let id = "01010101010141018101010101010101";
    let expected = [
        ("le=\"0.0005\"", format!("{{trace_id=\"{id}\"}} 0.0003 1764000000.250")),
        ("le=\"+Inf\"", format!("{{trace_id=\"{id}\"}} 60 1764000000.250")),
    ];
    assert_eq!(found.len(), expected.len(), "none failed, so there is no bucket for the third: {found:?}");
    for ((sample, exemplar), (edge, expected)) in found.iter().zip(expected) {
        assert!(sample.starts_with("crosstie_transfer_duration_seconds_bucket{") && sample.contains(edge), "{sample}");
        assert!(sample.contains("outcome=\"settled\""), "{sample}");
        assert_eq!(*exemplar, expected);
    }
    assert!(!plain(&full()).contains(id), "the older format knows none");
}

#[test]
fn the_plain_format_names_counters_in_full() {
    let text = plain(&full());
    assert!(
        text.contains("# TYPE crosstie_leader_changes_total counter\ncrosstie_leader_changes_total 0.0\n"),
        "{text}"
    );
    assert!(text.contains("# TYPE crosstie_leader_known gauge\n") && !text.contains("# EOF"));
}

#[test]
fn an_empty_snapshot_has_no_series_of_what_is_not_there() {
    let text = encode(&Arc::default());
    for name in ["participant_state", "replication_lag_seconds", "clock_offset", "report_last", "audit_last"] {
        assert!(!text.contains(&format!("crosstie_{name}")), "{name}");
    }
    assert!(text.contains("crosstie_leader_known 0.0\n"));
}
