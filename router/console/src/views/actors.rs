//! Actors: their kinds, of one kind the busiest twenty, then one of them. Never a list of all.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::{Value, json};
use watch::{ActorKind, Deed, Latency, Snapshot, facts as told, text};

use super::participant::positions;
use crate::links::{page_of_actor, page_of_kind, participant, payment};
use crate::live::{Ask, Section, View};
use crate::look::Look;
use crate::parts::{facts, table};
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind, Switch};

/// The kinds of which there is one for each participant.
const PARTICIPANT: &str = "participant";
const SESSION: &str = "session";

pub(crate) struct Actors;

pub(crate) struct ActorsOfKind {
    pub(crate) kind: String,
}

pub(crate) struct Actor {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) switch: Arc<dyn Switch>,
}

fn part(id: &'static str, title: &str, body: Markup) -> Section {
    Section { id, title: title.into(), tools: html! {}, body }
}

fn kind<'a>(now: &'a Snapshot, name: &str) -> Result<&'a ActorKind, Problem> {
    let names = || now.actors.iter().map(|own| own.kind.as_str()).collect::<Vec<_>>().join(", ");
    let found = now.actors.iter().find(|own| own.kind == name);
    found.ok_or_else(|| Problem {
        next: Some(format!("kinds are: {}", names())),
        ..Problem::new(ProblemKind::NotFound, format!("there are no actors of kind {name:?}"))
    })
}

impl View for Actors {
    fn title(&self) -> String {
        "Actors".into()
    }

    fn sections(&self, look: &Look, _: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        Ok(vec![
            part("heading", "", html! { h1 { "Actors" } }),
            part("kinds", "By kind", table(&look.pair().actors(), None, |kind| Some(page_of_kind(kind)), None)),
        ])
    }

    fn json(&self, look: &Look) -> Value {
        json!(look.now.actors)
    }
}

impl View for ActorsOfKind {
    fn title(&self) -> String {
        format!("Actors of kind {}", self.kind)
    }

    fn sections(&self, look: &Look, _: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        let own = kind(&look.now, &self.kind)?;
        let mut all = look.pair().actors();
        all.rows.retain(|row| row.cells.first().is_some_and(|cell| cell.text == self.kind));
        let page = |id: &str| Some(page_of_actor(&self.kind, id));
        Ok(vec![
            part("heading", "", html! { h1 { (self.title()) } p { a href="/actors" { "all kinds" } } }),
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
        div.scrolls tabindex="0" role="region" aria-label="table of messages" {
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
    /// Its participant.
    fn find<'a>(&self, now: &'a Snapshot) -> Result<&'a watch::Participant, Problem> {
        let own = kind(now, &self.kind)?;
        let found = now.participants.iter().find(|other| other.id == self.id);
        let missing = |why: String| Problem {
            next: Some(format!("/actors/{} has the busiest", own.kind)),
            ..Problem::new(ProblemKind::NotFound, why)
        };
        if self.kind != PARTICIPANT && self.kind != SESSION {
            return Err(missing(format!("actors of kind {} have no page each", own.kind)));
        }
        found.ok_or_else(|| {
            missing(format!("there is no {} {:?}: no participant of that name is registered", own.kind, self.id))
        })
    }

    fn decides(&self, now: &Snapshot) -> Result<watch::Actor, Problem> {
        self.switch.actor(&self.id).map_err(|problem| match &now.node.leader {
            Some(leader) if problem.kind == ProblemKind::Refused => {
                Problem { next: Some(format!("{leader} leads: its console has this page")), ..problem }
            }
            _ => problem,
        })
    }

    fn deciding(&self, look: &Look, kind: &ActorKind) -> Result<Vec<Section>, Problem> {
        let now = &look.now;
        let own = self.decides(now)?;
        let mut about: Vec<(&str, Markup)> =
            told::actor(&own, now.at_ms).into_iter().map(|(name, text)| (name, html! { (text) })).collect();
        about[0].1 = html! { @for id in &own.participants { (participant(id)) " " } };
        about.push(("wait p99 of its kind", html! { (text::percentile(kind.wait.p99_us, kind.wait.recent)) }));
        Ok(vec![
            part("actor", "Mailbox and work", facts(&about)),
            part("positions", "Positions", held(now, &own)),
            part("deeds", "What it decided last", deeds(&own.deeds)),
        ])
    }

    fn session(&self, now: &Snapshot, own: &watch::Participant) -> Result<Vec<Section>, Problem> {
        let session = own.session.as_ref().ok_or_else(|| {
            let why = format!("{} is not connected to this node", own.id);
            Problem {
                next: Some(format!("/participants/{} tells more of it", own.id)),
                ..Problem::new(ProblemKind::NotFound, why)
            }
        })?;
        let mut about: Vec<(&str, Markup)> = vec![("of", participant(&own.id))];
        about.extend(told::session(session, now.at_ms).into_iter().map(|(name, text)| (name, html! { (text) })));
        Ok(vec![part("actor", "Connection", facts(&about))])
    }
}

/// Participants that an actor decides for.
fn hosted<'a>(now: &'a Snapshot, own: &'a watch::Actor) -> impl Iterator<Item = &'a watch::Participant> {
    now.participants.iter().filter(|other| own.participants.contains(&other.id))
}

/// What those hold for whom it decides.
fn held(now: &Snapshot, own: &watch::Actor) -> Markup {
    html! {
        @for own in hosted(now, own) {
            p { (participant(&own.id)) }
            (positions(&own.positions))
        }
    }
}

impl View for Actor {
    fn title(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }

    fn sections(&self, look: &Look, _: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        let own = self.find(&look.now)?;
        let kind = kind(&look.now, &self.kind)?;
        let busiest = html! { a href=(page_of_kind(&self.kind)) { "the busiest of kind " (self.kind) } };
        let up = part("heading", "", html! { h1 { "Actor: " (self.title()) } p { (busiest) } });
        let rest = if self.kind == SESSION { self.session(&look.now, own)? } else { self.deciding(look, kind)? };
        Ok(std::iter::once(up).chain(rest).collect())
    }

    fn json(&self, look: &Look) -> Value {
        let Ok(participant) = self.find(&look.now) else { return Value::Null };
        if self.kind == SESSION {
            return json!(participant.session);
        }
        let Ok(own) = self.decides(&look.now) else { return Value::Null };
        let positions: serde_json::Map<String, Value> =
            hosted(&look.now, &own).map(|own| (own.id.clone(), json!(own.positions))).collect();
        let mut own = json!(own);
        own["positions"] = positions.into();
        own
    }
}

fn deeds(all: &[Deed]) -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of decisions" {
            table {
                thead { tr { th scope="col" { "AT" } th scope="col" { "WHAT" } th scope="col" { "PAYMENT" } } }
                tbody {
                    @for deed in all {
                        tr {
                            td { (text::time_of_day(deed.at_ms)) }
                            td { (deed.what.replace('_', " ")) }
                            td { @if let Some(uetr) = &deed.uetr { (payment(uetr)) } }
                        }
                    }
                    @if all.is_empty() { tr { td.none colspan="3" { "nothing yet" } } }
                }
            }
        }
    }
}
