//! The page on the wall.

use maud::{Markup, html};
use serde_json::Value;
use watch::tap::Filter;
use watch::text::{self, ago, time_of_day};
use watch::{Snapshot, Warning};

use crate::links::{linked_of, page_of_kind, page_of_node, page_of_participant, subject};
use crate::live::{Ask, Section, View, order};
use crate::look::Look;
use crate::parts::{Stand, Tile, bar, class, sign, table, tiles};
use crate::visitor::Visitor;
use crate::{Problem, heat, tap};

const WARNINGS_MAX: usize = 5;
const PARTICIPANTS_MAX: usize = 40;

pub(crate) struct Overview;

impl View for Overview {
    fn title(&self) -> String {
        "Overview".into()
    }

    fn sections(&self, look: &Look, _: &Visitor, ask: &Ask) -> Result<Vec<Section>, Problem> {
        let (now, pair) = (&look.now, look.pair());
        let part = |id, title: &str, body| Section { id, title: title.into(), tools: html! {}, body };
        let participants = pair.participants();
        let order = order(&participants.heading, ask)?;
        let participants = participants.arranged(&ask.filter, order);
        let sorted = match (order, ask.sort.as_str()) {
            ((None, _), _) => "worst first".to_string(),
            (_, by) => format!("by {}", by.replace('-', " ")),
        };
        let stand = Stand { path: "/", ask, order, rows_max: PARTICIPANTS_MAX };
        let link = |id: &str| Some(page_of_participant(id));
        let bar_of: &dyn Fn(&str) -> Markup = &|id: &str| position(now, id);
        Ok(vec![
            part("verdict", "", verdict(now)),
            part("warnings", "", warnings(now)),
            part("tiles", "", tiles(&figures(look))),
            Section { tools: range(), ..part("charts", "Last hour", charts()) },
            part("stages", "Where the time goes", stages(now)),
            Section {
                tools: filter(ask),
                ..part(
                    "participants",
                    &format!("Participants ({}), {sorted}", now.participants.len()),
                    table(&participants, Some(&stand), link, Some(("used · reserved · free", bar_of))),
                )
            },
            part("actors", "Actors by kind", table(&pair.actors(), None, |kind| Some(page_of_kind(kind)), None)),
            part("nodes", "Nodes and replication", table(&pair.nodes(), None, |name| Some(page_of_node(name)), None)),
            Section { tools: tap::form(look, &Filter::default()), ..part("tap", "Live tap", tap_hint()) },
            part("marks", "What happened", marks(look)),
        ])
    }

    fn json(&self, look: &Look) -> Value {
        serde_json::to_value(&*look.now).unwrap_or_default()
    }
}

fn verdict(now: &Snapshot) -> Markup {
    html! {
        h1 class={ "verdict " (class(now.verdict.severity)) } {
            (sign(now.verdict.severity)) " " span.sentence { (linked_of(now, &now.verdict.sentence)) }
        }
    }
}

pub(super) fn warning(now: &Snapshot, warning: &Warning) -> Markup {
    let (subject, href) = subject(now, warning);
    html! {
        li {
            (sign(warning.severity)) " " a href=(href) { (subject) } ": " (linked_of(now, &warning.sentence)) " "
            span.advice { "→ " (warning.advice) } " "
            span.since { "· for " (ago(warning.since_ms, now.at_ms)) }
        }
    }
}

fn warnings(now: &Snapshot) -> Markup {
    let shown = watch::gathered(&now.warnings);
    let more = shown.len().saturating_sub(WARNINGS_MAX);
    html! {
        @if !shown.is_empty() {
            ul.warnings {
                @for one in shown.iter().take(WARNINGS_MAX) { (warning(now, one)) }
                @if more > 0 { li.hint { "and " (more) " more: " a href="/?format=json" { "all, as JSON" } } }
            }
        }
    }
}

fn figures(look: &Look) -> Vec<Tile> {
    let payments = &look.now.payments;
    let own = &payments.settled;
    let percentile = |us| text::percentile(us, own.recent);
    let oldest = match payments.in_flight {
        0 => "none waits".to_string(),
        _ => payments.oldest_in_flight_us.map_or_else(String::new, |oldest| format!("oldest {}", text::length(oldest))),
    };
    vec![
        Tile {
            // Of the last second, as in the verdict beside it.
            figure: format!("{} /s", text::rate(payments.settled_per_second)),
            label: "settled",
            beside: format!("{} since start", text::count(payments.outcomes.settled)),
            help: "in the last second; over longer: max(sum by (instance) (rate(crosstie_transfers_finished_total{outcome=\"settled\"}[1m]))) · crosstie top",
        },
        Tile {
            figure: payments.budget.share(),
            label: "final in 10 s, last hour",
            // Broken between its parts alone.
            beside: payments.budget.sentence().replace(' ', "\u{a0}").replace(",\u{a0}", ", "),
            help: "crosstie_transfer_slo_total, burn as in alerts.yml · crosstie status",
        },
        Tile {
            figure: percentile(own.p50_us),
            label: "latency p50",
            beside: format!("p99 {} · p99.9 {}", percentile(own.p99_us), percentile(own.p999_us)),
            help: "crosstie_transfer_duration_seconds{outcome=\"settled\"}, last 10 s · crosstie top",
        },
        Tile {
            figure: text::count(payments.in_flight),
            label: "in flight",
            beside: oldest,
            help: "crosstie_transfers_in_flight · crosstie status",
        },
    ]
}

fn range() -> Markup {
    html! {
        label #range-box hidden { "show " select #range { option value="300" { "5 min" } option value="900" selected { "15 min" } option value="3600" { "1 h" } } }
    }
}

/// Filled by `charts.js` and `heat.js`.
fn charts() -> Markup {
    html! {
        div.charts data-charts="/history" {
            figure { figcaption { "payments per second: settled, rejected, timed out" } div #rates.chart role="img" aria-label="payments per second" {} }
            figure {
                figcaption { "latency: " span #cell { "cells all that ended, the stronger the more; lines those settled; ◆ a slow one, open it" } }
                div #latency.chart data-edges=(heat::edges()) role="group" aria-label="latency" {}
                details #slow { summary { "as a table, with the slowest payments" } div.scrolls tabindex="0" role="region" aria-label="latency as a table" {} }
            }
            noscript { p.hint { "Charts need the page's script; " a href="/history" { "their figures" } " do not." } }
        }
    }
}

fn stages(now: &Snapshot) -> Markup {
    let longest = now.stages.iter().map(|stage| stage.latency.p99_us).max().unwrap_or(0).max(1) as f64;
    html! {
        ol.stages title="crosstie_transfer_stage_duration_seconds" {
            @for stage in &now.stages {
                @let is_known = stage.latency.recent > 0;
                li class=[(is_known && stage.latency.p99_us as f64 == longest).then_some("longest")] {
                    span.stage { (stage.name.words()) }
                    span.number { (text::percentile(stage.latency.p99_us, stage.latency.recent)) }
                    (bar(&[("used", if is_known { stage.latency.p99_us as f64 / longest } else { 0.0 })]))
                }
            }
        }
        p.hint { "p99 of the last 10 s" }
    }
}

fn filter(ask: &Ask) -> Markup {
    html! {
        form.filter action="/" {
            @if !ask.sort.is_empty() { input type="hidden" name="sort" value=(ask.sort); }
            label { "filter " input name="filter" value=(ask.filter) autocomplete="off" spellcheck="false" maxlength="64"; }
            @if !ask.filter.is_empty() || !ask.sort.is_empty() { " " a href="/" { "all, worst first" } }
        }
    }
}

/// Of what it could use at most: used, reserved, free. Of its tightest position.
fn position(now: &Snapshot, id: &str) -> Markup {
    let own = now.participants.iter().find(|own| own.id == id);
    let tightest =
        own.and_then(|own| own.positions.iter().min_by(|one, other| one.headroom.total_cmp(&other.headroom)));
    html! {
        @if let Some(position) = tightest {
            @let share = position.headroom / position.available_minor.max(1) as f64;
            @let reserved = (position.reserved_minor as f64 * share).clamp(0.0, 1.0);
            @let used = (1.0 - position.headroom - reserved).max(0.0);
            (bar(&[("used", used), ("reserved", reserved)]))
        }
    }
}

fn tap_hint() -> Markup {
    html! { p.hint { "Payments as they end, a line each. Nothing is gathered while nobody taps." } }
}

fn marks(look: &Look) -> Markup {
    html! {
        ol.marks {
            @for (at_ms, mark) in look.marks.iter() { li { time { (time_of_day(*at_ms)) } " " (linked_of(&look.now, &mark.sentence)) } }
            @if look.marks.is_empty() { li.none { "nothing in the last hour" } }
        }
    }
}
