//! What stands around every page: where one is, the search, who one is; and how a problem is told.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use maud::{DOCTYPE, Markup, html};
use serde_json::json;
use watch::text;

use crate::app::{App, Asked};
use crate::live::{Format, Section};
use crate::look::Look;
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind};

/// The letter that jumps there behind `g`, where it is, its name.
const PAGES: [(&str, &str, &str); 7] = [
    ("o", "/", "Overview"),
    ("n", "/nodes", "Nodes"),
    ("k", "/actors", "Actors"),
    ("p", "/payments", "Payments"),
    ("l", "/tap", "Live tap"),
    ("t", "/tasks", "Tasks"),
    ("a", "/audit", "Audit"),
];

/// Whether the page goes on by itself, and needs the script for it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Live,
    Still,
}

/// A page for somebody who has come in.
pub(crate) fn page(asked: &Asked, title: &str, main: &Markup) -> Markup {
    framed(asked, title, main, Kind::Still)
}

/// One that goes on by itself.
pub(crate) fn live_page(asked: &Asked, title: &str, look: &Look, all: &[Section]) -> Markup {
    framed(asked, title, &sections(look, all), Kind::Live)
}

fn framed(asked: &Asked, title: &str, main: &Markup, kind: Kind) -> Markup {
    let look = asked.app.look().ok();
    let notice = asked.app.sessions.take_notice(&asked.visitor.token);
    let body = html! {
        a.skip href="#main" { "to the content" }
        header {
            (place(look.as_ref()))
            form.search role="search" action="/payments" {
                label.hidden for="search" { "Search payments" }
                input #search name="q" type="search" value=(asked.ask.q) placeholder="/  UETR, BANK-0001, amount:120.00, reason:AC04"
                    autocomplete="off" spellcheck="false" maxlength="300";
            }
            @if kind == Kind::Live {
                button #pause.plain type="button" hidden aria-pressed="false" title="p" { "pause" }
                span #freshness.freshness role="status" { "still" }
            }
            @if let Some(look) = &look { (clock_box(look)) }
            (who(&asked.visitor))
        }
        nav aria-label="Pages" {
            @for (key, href, name) in PAGES {
                a href=(href) data-key=(key) title={ "g " (key) } aria-current=[(asked.path == href).then_some("page")] { (name) }
            }
        }
        main id="main" {
            @if let Some(notice) = notice { p.notice role="status" { "✓ " (notice) } }
            (main)
        }
        (help())
    };
    document(title, &body, kind)
}

fn sections(look: &Look, sections: &[Section]) -> Markup {
    html! {
        div.sections data-live=(look.now.number) {
            @for Section { id, title, tools, body } in sections {
                section class={ "section-" (id) } aria-labelledby=[(!title.is_empty()).then(|| format!("title-{id}"))] {
                    @if !title.is_empty() { div.head { h2 #{ "title-" (id) } { (title) } (tools) } }
                    div data-part=(id) { (body) }
                }
            }
        }
    }
}

/// A page for anybody.
pub(crate) fn bare(app: &App, title: &str, main: &Markup) -> Markup {
    let body = html! { header { (place(app.look().ok().as_ref())) } (main) };
    document(title, &body, Kind::Still)
}

fn place(look: Option<&Look>) -> Markup {
    let Some(look) = look else { return html! { a.place href="/" { "Crosstie" } } };
    let node = &look.now.node;
    html! {
        a.place href="/" {
            @if !node.environment.is_empty() { span.environment data-environment=(node.environment) { (node.environment.to_uppercase()) } " " }
            "Crosstie " strong { (node.name) }
            @if !node.region.is_empty() { " · " (node.region) }
        }
    }
}

fn clock_box(look: &Look) -> Markup {
    html! { span.clock data-part="clock" { (clock(look)) } }
}

pub(crate) fn clock(look: &Look) -> Markup {
    html! { time { (text::time_of_day(look.now.at_ms)) } " UTC" }
}

fn who(visitor: &Visitor) -> Markup {
    let roles: Vec<_> = visitor.roles.iter().map(|role| role.name()).collect();
    html! {
        @match &visitor.name {
            Some(name) => {
                form.who method="post" action="/sign-out" {
                    input type="hidden" name="form_token" value=(visitor.form_token);
                    strong { (name) } " (" (roles.join(", ")) ") "
                    button.plain { "sign out" }
                }
            },
            None => { span.who { "anybody on this machine (viewer)" } },
        }
    }
}

fn help() -> Markup {
    const KEYS: [(&str, &str); 4] =
        [("/", "search"), ("Esc", "leave a field, so that keys are heard again"), ("p", "pause, go on"), ("?", "this")];
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.facts {
                @for (key, meaning) in KEYS { div { dt { kbd { (key) } } dd { (meaning) } } }
                @for (key, _, name) in PAGES { div { dt { kbd { "g" } " " kbd { (key) } } dd { (name) } } }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

fn document(title: &str, body: &Markup, kind: Kind) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Crosstie" }
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                @if kind == Kind::Live { link rel="stylesheet" href="/static/uplot.css"; }
                link rel="stylesheet" href="/static/console.css";
                @if kind == Kind::Live {
                    noscript { meta http-equiv="refresh" content="5"; }
                    script src="/static/uplot.js" defer {}
                    script src="/static/heat.js" defer {}
                    script src="/static/charts.js" defer {}
                }
                script src="/static/console.js" defer {}
            }
            body { (body) }
        }
    }
}

pub(crate) fn status(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::Usage => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemKind::Refused => StatusCode::CONFLICT,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(crate) fn problem(asked: &Asked, problem: &Problem) -> Response {
    let status = status(problem.kind);
    if asked.ask.format != Format::Html {
        return (status, Json(json!({ "error": problem.message, "next": problem.next }))).into_response();
    }
    let main = html! { h1 { (status.canonical_reason().unwrap_or("Problem")) } (told(problem)) };
    (status, page(asked, "Problem", &main)).into_response()
}

pub(crate) fn told(problem: &Problem) -> Markup {
    html! { p.problem role="alert" { (problem.message) @if let Some(next) = &problem.next { br; "Next: " (next) } } }
}
