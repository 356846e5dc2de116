//! Actors: of one kind the busiest twenty, then one of them. Never a list of all.

use serde_json::Value;
use watch::{ActorKind, BusiestActor, Latency, Snapshot, text};

use maud::{Markup, html};

use crate::live::{Ask, Section, View};
use crate::look::Look;
use crate::parts::{encoded, facts, table};
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind};

pub(crate) struct ActorsOfKind {
    pub(crate) kind: String,
}

pub(crate) struct Actor {
    pub(crate) kind: String,
    pub(crate) id: String,
}

fn kind<'a>(now: &'a Snapshot, name: &str) -> Result<&'a ActorKind, Problem> {
    let names = || now.actors.iter().map(|own| own.kind.as_str()).collect::<Vec<_>>().join(", ");
    let found = now.actors.iter().find(|own| own.kind == name);
    found.ok_or_else(|| Problem {
        next: Some(format!("kinds are: {}", names())),
        ..Problem::new(ProblemKind::NotFound, format!("there are no actors of kind {name:?}"))
    })
}

impl View for ActorsOfKind {
    fn title(&self) -> String {
        format!("Actors of kind {}", self.kind)
    }

    fn sections(&self, look: &Look, _: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        let own = kind(&look.now, &self.kind)?;
        let part = |id, title: &str, body| Section { id, title: title.into(), tools: html! {}, body };
        let mut all = look.pair().actors();
        all.rows.retain(|row| row.cells.first().is_some_and(|cell| cell.text == self.kind));
        let page = |id: &str| Some(format!("/actors/{}/{}", encoded(&self.kind), encoded(id)));
        Ok(vec![
            part("heading", "", html! { h1 { (self.title()) } }),
            part("kind", "All of them", table(&all, None, |_| None, None)),
            part("busiest", "Busiest twenty", table(&look.pair().busiest(&self.kind), None, page, None)),
            part("messages", "Messages", messages(own)),
        ])
    }

    fn json(&self, look: &Look) -> Value {
        kind(&look.now, &self.kind).ok().and_then(|own| serde_json::to_value(own).ok()).unwrap_or_default()
    }
}

fn messages(own: &ActorKind) -> Markup {
    let unmeasured = Latency::default();
    html! {
        div.scrolls tabindex="0" role="region" aria-label="messages" {
            table {
                thead { tr { th scope="col" { "MESSAGE" } th.number scope="col" { "HANDLED" } th.number scope="col" { "P50" } th.number scope="col" { "P99" } th.number scope="col" { "DROPPED" } } }
                tbody {
                    @for (message, count) in &own.handled {
                        @let took = own.handle.get(message).unwrap_or(&unmeasured);
                        tr {
                            th scope="row" { (message) }
                            td.number { (text::count(*count)) }
                            td.number { (text::percentile(took.p50_us, took.recent)) }
                            td.number { (text::percentile(took.p99_us, took.recent)) }
                            td.number { (text::count(own.dropped.get(message).copied().unwrap_or(0))) }
                        }
                    }
                    @if own.handled.is_empty() { tr { td.none colspan="5" { "none" } } }
                }
            }
        }
    }
}

impl Actor {
    fn find<'a>(&self, now: &'a Snapshot) -> Result<&'a BusiestActor, Problem> {
        let found = kind(now, &self.kind)?.busiest.iter().find(|own| own.name == self.id);
        found.ok_or_else(|| Problem {
            next: Some(format!("/actors/{} has the busiest", self.kind)),
            ..Problem::new(ProblemKind::NotFound, format!("{:?} is not among the busiest twenty of its kind", self.id))
        })
    }
}

impl View for Actor {
    fn title(&self) -> String {
        format!("Actor {}", self.id)
    }

    fn sections(&self, look: &Look, _: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        let own = self.find(&look.now)?;
        let oldest = if own.queued == 0 { text::NONE.into() } else { text::length(own.oldest_us) };
        let body = facts(&[
            ("kind", self.kind.clone()),
            ("queued", text::count(own.queued)),
            ("oldest message", oldest),
            ("handled", text::count(own.handled)),
            ("payments in flight", text::count(own.in_flight)),
            ("restarts", text::count(own.restarts)),
        ]);
        let part = |id, body| Section { id, title: String::new(), tools: html! {}, body };
        let up = html! { h1 { (self.title()) } p { a href={ "/actors/" (encoded(&self.kind)) } { "all of kind " (self.kind) } } };
        Ok(vec![part("heading", up), part("actor", body)])
    }

    fn json(&self, look: &Look) -> Value {
        self.find(&look.now).ok().and_then(|own| serde_json::to_value(own).ok()).unwrap_or_default()
    }
}
