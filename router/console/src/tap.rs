//! The live tap: payments as they end, for whoever looks just now. `/tap` is the filter and an empty table, `?format=live`
//! goes on with lines as server-sent events, and `?format=json` is what ended within a second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Json, Response};
use maud::{Markup, html};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use watch::Outcome;
use watch::tap::{Ended, Filter, Tapped};
use watch::text;

use crate::app::{App, Asked};
use crate::links::{participant, payment};
use crate::live::{Ask, Format, Section};
use crate::look::Look;
use crate::parts::sign_of;
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind, Tap, frame};

/// What is gathered for a program that asks once.
const LOOK: Duration = Duration::from_secs(1);
/// Of one visitor at a time, so that the places are left for others.
const TAPS_PER_VISITOR_MAX: usize = 2;
/// Names that are proposed in the form.
const PROPOSED_MAX: usize = 500;

fn wanted(ask: &Ask) -> Filter {
    Filter {
        outcome: ask.outcome.clone(),
        reason: ask.reason.clone(),
        participant: ask.participant.clone(),
        slower_than: ask.slower_than.clone(),
    }
}

pub(crate) async fn tap(asked: Asked) -> Response {
    let filter = wanted(&asked.ask);
    let look = match asked.app.look() {
        Ok(look) => look,
        Err(problem) => return frame::problem(&asked, &problem),
    };
    if asked.ask.format == Format::Html {
        return page(&asked, &filter, &look);
    }
    match (Open::of(&asked, &filter), asked.ask.format) {
        (Ok(open), Format::Live) => live(asked, open, &look),
        (Ok(open), _) => Json(within_a_second(open).await).into_response(),
        // A browser shows its page nothing of a refusal, and would ask again for ever.
        (Err(problem), Format::Live) if problem.kind == ProblemKind::Refused => ended(&problem),
        (Err(problem), _) => frame::problem(&asked, &problem),
    }
}

/// It taps by its script. When the filter is wrong it has the form, so that it can be set right.
fn page(asked: &Asked, filter: &Filter, look: &Look) -> Response {
    match asked.app.switch.check_tap(filter) {
        Ok(()) => frame::live_page(asked, "Live tap", look, &sections(look, filter)).into_response(),
        Err(problem) => {
            let main = html! { h1 { "Live tap" } (form(look, filter)) (frame::told(&problem)) };
            (frame::status(problem.kind), frame::page(asked, "Live tap", &main)).into_response()
        }
    }
}

fn ended(problem: &Problem) -> Response {
    let next = problem.next.as_ref().map_or_else(String::new, |next| format!(": {next}"));
    let end = Event::default().event("end").data(format!("{}{next}.", problem.message));
    Sse::new(futures_util::stream::iter([Ok::<_, Infallible>(end)])).into_response()
}

/// A tap of a visitor, counted until it is dropped.
struct Open {
    tap: Box<dyn Tap>,
    app: Arc<App>,
    /// Empty for who is on this machine, where nobody signs in.
    session: String,
}

impl Open {
    fn of(asked: &Asked, filter: &Filter) -> Result<Open, Problem> {
        let (app, session) = (asked.app.clone(), asked.visitor.token.clone());
        let mut sessions = app.tapping.lock();
        if sessions.iter().filter(|own| **own == session).count() >= TAPS_PER_VISITOR_MAX {
            let message = format!("You have {TAPS_PER_VISITOR_MAX} taps open already");
            return Err(Problem {
                next: Some("close one of them".into()),
                ..Problem::new(ProblemKind::Refused, message)
            });
        }
        let tap = app.switch.tap(filter)?;
        sessions.push(session.clone());
        drop(sessions);
        Ok(Open { tap, app, session })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut sessions = self.app.tapping.lock();
        if let Some(place) = sessions.iter().position(|own| *own == self.session) {
            sessions.swap_remove(place);
        }
    }
}

async fn within_a_second(mut open: Open) -> Tapped {
    let until = Instant::now() + LOOK;
    let mut all = Tapped::default();
    while let Ok(Ok(mut next)) = timeout_at(until, open.tap.next()).await {
        all.count(&next);
        all.lines.append(&mut next.lines);
    }
    all
}

fn sections(look: &Look, filter: &Filter) -> Vec<Section> {
    let part = |id, title: &str, body| Section { id, title: title.into(), tools: html! {}, body };
    vec![
        part("heading", "", html! { h1 { "Live tap" } }),
        Section { tools: form(look, filter), ..part("tap", "Payments as they end", counts(None)) },
        part("lines", "", table()),
    ]
}

/// What is tapped; it leads to the page.
pub(crate) fn form(look: &Look, filter: &Filter) -> Markup {
    let now = &look.now;
    html! {
        form.filter action="/tap" {
            label { "outcome " select name="outcome" {
                option value="" selected[filter.outcome.is_empty()] { "any" }
                @for own in Outcome::ALL {
                    option value=(own.word()) selected[filter.outcome == own.word()] { (own.word().replace('_', " ")) }
                }
            } } " "
            label { "reason " input name="reason" value=(filter.reason) list="reasons" size="6" maxlength="8" placeholder="AM04" autocomplete="off" spellcheck="false"; } " "
            label { "participant " input name="participant" value=(filter.participant) list="participants" maxlength="32" autocomplete="off" spellcheck="false"; } " "
            label { "slower than " input name="slower_than" value=(filter.slower_than) size="6" maxlength="16" placeholder="2s" autocomplete="off" spellcheck="false"; } " "
            button { "Tap" }
            @if *filter != Filter::default() { " " a href="/tap" { "all" } }
            datalist id="reasons" { @for code in now.payments.reasons.keys() { option value=(code) {} } }
            datalist id="participants" { @for own in now.participants.iter().take(PROPOSED_MAX) { option value=(own.id) {} } }
        }
    }
}

/// None before the first line could have come.
fn counts(told: Option<&Stream>) -> Markup {
    html! {
        p.hint {
            @match told {
                None => "Nothing has come yet. On a terminal: crosstie tap.",
                Some(Stream { since, total, shown, .. }) => {
                    (text::count(total.matched)) " matched since " (since) " UTC, " (text::count(*shown)) " are shown"
                    @if let Some(besides) = total.besides(*shown) { ", " strong { (besides) } }
                },
            }
            noscript { " The tap needs the page's script." }
        }
    }
}

fn table() -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of payments that ended" {
            table {
                thead { tr {
                    @for name in ["ENDED", "PAYMENT", "FROM", "TO"] { th scope="col" { (name) } }
                    th.number scope="col" { "AMOUNT" }
                    th scope="col" { "CURRENCY" }
                    th.number scope="col" { "TOOK" }
                    th scope="col" { "OUTCOME" }
                } }
                tbody data-lines="200" {}
            }
        }
    }
}

fn row(own: &Ended) -> Markup {
    html! {
        tr {
            td { time datetime=(own.at) { (own.time_of_day()) } }
            th scope="row" { (payment(&own.uetr)) }
            td { (participant(&own.debtor_agent)) }
            td { @match &own.creditor_agent { Some(id) => (participant(id)), None => (text::NONE) } }
            td.number { (own.amount) }
            td { (own.currency) }
            td.number { (own.took()) }
            td { (sign_of(own.outcome.severity(), &own.sentence())) }
        }
    }
}

struct Stream {
    open: Open,
    visitor: Visitor,
    /// Time of day.
    since: String,
    /// All that was told, without the lines.
    total: Tapped,
    shown: u64,
}

fn live(asked: Asked, open: Open, look: &Look) -> Response {
    let since = text::time_of_day(look.now.at_ms);
    let stream = Stream { open, visitor: asked.visitor, since, total: Tapped::default(), shown: 0 };
    let events = futures_util::stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        match stream.next().await {
            Ok(event) => Some((Ok::<_, Infallible>(Event::default().data(event.to_string())), Some(stream))),
            Err(why) => Some((Ok(Event::default().event("end").data(why)), None)),
        }
    });
    Sse::new(events).into_response()
}

impl Stream {
    /// What came; or why there is no more.
    async fn next(&mut self) -> Result<serde_json::Value, String> {
        let told = self.open.tap.next().await?;
        let app = &self.open.app;
        app.still_lets_in(&self.visitor)?;
        let look = app.look().map_err(|problem| problem.message)?;
        self.total.count(&told);
        self.shown += told.lines.len() as u64;
        // The latest first, as they stand in the table.
        let lines: String = told.lines.iter().rev().map(|own| row(own).into_string()).collect();
        let parts = json!({ "clock": frame::clock(&look).into_string(), "tap": counts(Some(self)).into_string() });
        Ok(json!({ "parts": parts, "lines": lines }))
    }
}
