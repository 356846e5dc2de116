//! What `deploy/` asks Prometheus for is in the catalogue: no alert and no panel is empty because of a name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Kind, Metric, catalogue};
use crate::budget::{ALLOWED, BURN_FAST, ENDS_MIN, RECENT_MS};

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

fn deploy(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn find(name: &str) -> Option<&'static Metric> {
    let is_it = |metric: &&Metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(metric.name)),
        _ => name == metric.name,
    };
    catalogue().iter().find(is_it)
}

/// Every name of ours in a text, and what stands behind it.
fn names(text: &str) -> Vec<(&str, &str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let (name, behind) = word.split_at(word.find(|letter| !is_part(letter)).unwrap_or(word.len()));
        if name.starts_with("crosstie_") || (name.starts_with("process_") && name.len() > 8) {
            found.push((name, behind));
        }
        rest = behind;
    }
    found
}

/// The labels that a selector asks for.
fn asked(behind: &str) -> BTreeSet<&str> {
    let Some((selector, _)) = behind.strip_prefix('{').and_then(|selector| selector.split_once('}')) else {
        return BTreeSet::new();
    };
    selector.split(',').filter_map(|part| part.split_once(['=', '!'])).map(|(label, _)| label.trim()).collect()
}

#[track_caller]
fn check(file: &str) -> usize {
    let text = deploy(file).replace("\\\"", "\"");
    let names = names(&text);
    for (name, behind) in &names {
        let metric = find(name).unwrap_or_else(|| panic!("{file} asks for {name}, which is not in the catalogue"));
        for label in asked(behind) {
            let known = metric.labels.contains(&label) || ADDED.contains(&label) || label == "le";
            assert!(known, "{file} asks for {label} of {name}, which has {:?}", metric.labels);
        }
    }
    names.len()
}

#[test]
fn alerts_and_dashboards_ask_for_what_there_is() {
    assert!(check("alerts.yml") > 30 && check("alerts.test.yml") > 30 && check("alerts.days.test.yml") > 4);
    for name in ["overview", "participant", "actors", "replication"] {
        assert!(check(&format!("dashboards/{name}.json")) >= 10, "{name}");
    }
}

#[test]
fn what_alerts_record_is_what_they_look_at() {
    let text = deploy("alerts.yml");
    let is_recorded = |name: &str| text.contains(&format!("record: {name}\n"));
    let used = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    for name in used.filter(|word| word.starts_with("crosstie:")) {
        assert!(is_recorded(name), "{name}");
    }
}

#[test]
fn alerts_burn_by_the_goal_that_nodes_tell() {
    let alerts = deploy("alerts.yml");
    let thresholds: Vec<&str> =
        alerts.lines().filter(|line| line.contains("crosstie:late:rate") && line.contains(" > ")).collect();
    assert_eq!(thresholds.len(), 12);
    let allowed = format!(" * {ALLOWED}");
    assert!(thresholds.iter().all(|line| line.ends_with(&allowed)), "{thresholds:#?} without {allowed}");
    let fast = format!(" > {BURN_FAST}{allowed}");
    for window in ["rate1h", &format!("rate{}m", RECENT_MS / 60_000)] {
        let is_fast = |line: &&&str| line.contains(window) && line.ends_with(&fast);
        assert_eq!(thresholds.iter().filter(is_fast).count(), 2, "{window}: of all payments, and of a debtor agent's");
    }
    assert_eq!(alerts.matches(&format!("* 3600 >= {ENDS_MIN}\n")).count(), 2);
}

#[test]
fn every_alert_and_every_warning_has_its_entry_in_the_runbook() {
    let (runbook, alerts) = (deploy("RUNBOOK.md"), deploy("alerts.yml"));
    let entries: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let named = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: RUNBOOK.md#"));
    let named: BTreeSet<&str> = named.chain(crate::CODES.iter().copied()).collect();
    assert_eq!(entries, named);
    let of = |what: &str| alerts.matches(what).count();
    assert!(of("- alert: ") > 30);
    assert_eq!((of("- alert: "), of("- alert: ")), (of("runbook_url: "), of("severity: ")));
}
