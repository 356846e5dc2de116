//! The nodes as this one sees them, its log, and what can be done with it.

use maud::{Markup, html};
use serde_json::{Value, json};
use watch::Snapshot;
use watch::text::{self, ago};

use super::overview::warning;
use crate::Problem;
use crate::actions::{self, Kind};
use crate::live::{Ask, Section, View};
use crate::look::Look;
use crate::parts::{facts, table};
use crate::visitor::Visitor;

pub(crate) struct Nodes;

impl View for Nodes {
    fn title(&self) -> String {
        "Nodes".into()
    }

    fn sections(&self, look: &Look, visitor: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        let now = &look.now;
        let part = |id, title: &str, body| Section { id, title: title.into(), tools: html! {}, body };
        let actions = actions::links(visitor, &[Kind::Drain, Kind::Undrain, Kind::StepDown], None);
        Ok(vec![
            part("heading", "", html! { h1 { "Nodes and replication" } }),
            part("warnings", "", warnings(now)),
            part("nodes", "Nodes", table(&look.pair().nodes(), None, |_| None, None)),
            Section { tools: actions, ..part("node", &format!("This node, {}", now.node.name), node(now)) },
            part("log", "Its log", log(now)),
        ])
    }

    fn json(&self, look: &Look) -> Value {
        let now = &look.now;
        json!({ "node": now.node, "peers": now.peers, "log": now.log, "archive": now.archive })
    }
}

fn warnings(now: &Snapshot) -> Markup {
    let of_nodes: Vec<_> =
        now.warnings.iter().filter(|own| !now.participants.iter().any(|other| other.id == own.subject)).collect();
    html! { @if !of_nodes.is_empty() { ul.warnings { @for one in of_nodes { (warning(now, one)) } } } }
}

fn node(now: &Snapshot) -> Markup {
    let node = &now.node;
    let ready = match node.is_ready() {
        true => "yes".into(),
        false => format!("no: {}", node.not_ready().collect::<Vec<_>>().join("; ")),
    };
    let words = |word: &str| word.replace('_', " ");
    facts(&[
        ("role", format!("{}, term {}", words(&node.role), node.term)),
        ("leader", node.leader.clone().unwrap_or_else(|| "unknown".into())),
        ("leader changes", text::count(node.leader_changes)),
        ("serves participants", node.closed.as_deref().map_or("yes".into(), |why| format!("no: {}", words(why)))),
        ("ready", ready),
        ("address", node.address.clone()),
        ("sessions", text::count(node.sessions)),
        ("business date", node.business_date.clone()),
        ("version", node.version.clone()),
        ("up", text::length(node.up_seconds * 1_000_000)),
        ("memory", text::bytes(node.resident_bytes)),
    ])
}

fn log(now: &Snapshot) -> Markup {
    let log = &now.log;
    let snapshot = match log.snapshot_at_ms {
        0 => "none yet".to_string(),
        at_ms => format!("at entry {}, {} ago", text::count(log.snapshot_index), ago(at_ms, now.at_ms)),
    };
    let mut all = vec![
        ("committed", format!("entry {}", text::count(log.committed_index))),
        ("sync p99", text::percentile(log.sync.p99_us, log.sync.recent)),
        ("written since start", text::bytes(log.written_bytes)),
        ("free on its disk", text::bytes(log.free_bytes)),
        ("snapshot", snapshot),
        ("archived payments", text::count(now.archive.payments)),
    ];
    if let Some(expires_ms) = log.certificate_expires_ms {
        all.push(("certificate ends in", ago(now.at_ms, expires_ms)));
    }
    facts(&all)
}
