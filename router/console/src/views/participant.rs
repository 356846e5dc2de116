//! One participant: how it does, what it holds, what can be done.

use maud::{Markup, html};
use serde_json::Value;
use watch::text::{self, ago};
use watch::{Outcomes, Position, Snapshot, facts as told};

use super::overview::warning;
use crate::actions::{self, Kind};
use crate::links::{encoded, page_of_actor};
use crate::live::{Ask, Section, View};
use crate::look::Look;
use crate::parts::{Tile, facts, tiles};
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind};

pub(crate) struct Participant {
    pub(crate) id: String,
}

impl Participant {
    fn find<'a>(&self, now: &'a Snapshot) -> Result<&'a watch::Participant, Problem> {
        let found = now.participants.iter().find(|own| own.id == self.id);
        found.ok_or_else(|| Problem {
            next: Some("the overview lists all that are".into()),
            ..Problem::new(ProblemKind::NotFound, format!("{:?} is not registered", self.id))
        })
    }
}

impl View for Participant {
    fn title(&self) -> String {
        self.id.clone()
    }

    fn sections(&self, look: &Look, visitor: &Visitor, _: &Ask) -> Result<Vec<Section>, Problem> {
        const ACTIONS: [Kind; 5] = [Kind::Suspend, Kind::Resume, Kind::Fund, Kind::Defund, Kind::Limit];
        let now = &look.now;
        let own = self.find(now)?;
        let part = |id, title: &str, body| Section { id, title: title.into(), tools: html! {}, body };
        let heading = html! { h1 { (own.id) " " span.state { (own.state.replace('_', " ")) } } };
        let about: Vec<_> = now.warnings.iter().filter(|one| one.subject == own.id).collect();
        Ok(vec![
            part("heading", "", heading),
            part(
                "warnings",
                "",
                html! { @if !about.is_empty() { ul.warnings { @for one in about { (warning(now, one)) } } } },
            ),
            part("tiles", "", tiles(&figures(look, own))),
            Section {
                tools: actions::links(visitor, &ACTIONS, Some(&own.id)),
                ..part("positions", "Positions", positions(&own.positions))
            },
            part("outcomes", "Payments since this node's start", outcomes(own)),
            part("session", "Connection to this node", session(now, own)),
            part("more", "", more(&own.id)),
        ])
    }

    fn json(&self, look: &Look) -> Value {
        self.find(&look.now).ok().and_then(|own| serde_json::to_value(own).ok()).unwrap_or_default()
    }
}

fn figures(look: &Look, own: &watch::Participant) -> Vec<Tile> {
    let pair = look.pair();
    let before = pair.before.and_then(|before| before.participants.iter().find(|other| other.id == own.id));
    let rate = |now, before| {
        pair.rate(now, before).map_or_else(|| text::NONE.into(), |rate| format!("{} /s", text::rate(rate)))
    };
    let answer = |us| text::percentile(us, own.answer.recent);
    vec![
        Tile {
            figure: rate(own.started, before.map(|before| before.started)),
            label: "sent",
            beside: format!("{} in flight", text::count(own.in_flight_out)),
            help: "rate(crosstie_transfers_started_total{debtor=…}[10s])",
        },
        Tile {
            figure: rate(own.received, before.map(|before| before.received)),
            label: "received",
            beside: format!("{} in flight", text::count(own.in_flight_in)),
            help: "crosstie top",
        },
        Tile {
            figure: answer(own.answer.p99_us),
            label: "its answer, p99",
            beside: format!("p50 {} · last 10 s", answer(own.answer.p50_us)),
            help: "crosstie_creditor_response_duration_seconds{creditor=…}",
        },
    ]
}

fn more(id: &str) -> Markup {
    html! {
        p {
            a href={ "/payments?q=" (encoded(id)) } { "its payments" } " · "
            a href={ "/tap?participant=" (encoded(id)) } { "its payments as they end" } " · "
            a href=(page_of_actor("participant", id)) { "the actor that decides for it" }
        }
    }
}

pub(super) fn positions(all: &[Position]) -> Markup {
    let limit = |minor: Option<i64>, decimals| minor.map_or("none".into(), |minor| text::money(minor, decimals));
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of positions" {
            table {
                thead { tr {
                    th scope="col" { "CURRENCY" }
                    @for name in ["BALANCE", "RESERVED", "AVAILABLE", "FREE", "NET DEBIT CAP", "PAYMENT MAXIMUM"] { th.number scope="col" { (name) } }
                } }
                tbody {
                    @for own in all {
                        tr {
                            th scope="row" { (own.currency) }
                            td.number { (text::money(own.balance_minor, own.decimals)) }
                            td.number { (text::money(own.reserved_minor, own.decimals)) }
                            td.number { (text::money(own.available_minor, own.decimals)) }
                            td.number { (text::percent(own.headroom)) }
                            td.number { (limit(own.net_debit_cap_minor, own.decimals)) }
                            td.number { (limit(own.payment_max_minor, own.decimals)) }
                        }
                    }
                    @if all.is_empty() { tr { td.none colspan="7" { "none" } } }
                }
            }
        }
    }
}

fn outcomes(own: &watch::Participant) -> Markup {
    let row = |name: &str, all: u64, of: Outcomes| {
        html! {
            tr {
                th scope="row" { (name) }
                @for count in [all, of.settled, of.rejected, of.timed_out, of.returned] { td.number { (text::count(count)) } }
            }
        }
    };
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of payments" {
            table {
                thead { tr {
                    th scope="col" { "AS" }
                    @for name in ["ALL", "SETTLED", "REJECTED", "TIMED OUT", "RETURNED"] { th.number scope="col" { (name) } }
                } }
                tbody {
                    (row("debtor agent", own.started, own.outcomes))
                    (row("creditor agent", own.received, own.answered))
                }
            }
        }
    }
}

fn session(now: &Snapshot, own: &watch::Participant) -> Markup {
    match &own.session {
        Some(session) => facts(&told::session(session, now.at_ms)),
        None => {
            let heard = match own.last_heard_ms {
                0 => "never".to_string(),
                at_ms => format!("{} ago", ago(at_ms, now.at_ms)),
            };
            let elsewhere = if now.peers.len() > 1 { "; it may be connected to another" } else { "" };
            facts(&[("connected", format!("no{elsewhere}")), ("last heard", heard)])
        }
    }
}
