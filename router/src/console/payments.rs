//! Payments as pages: a search in words, and one payment's story.

use console::{Page, bar, facts, linked, participant};
use maud::{Markup, html};
use serde_json::json;

use crate::admin::Desk;
use crate::admin::protocol::Problem;
use crate::story::page::{after, length, parts, unknown_words};
use crate::story::{Budget, Found, Link, Moment, Payment, Posting, Story, UNKNOWN, WORDS};

const FOUND_MAX: usize = 100;

pub(super) async fn search(desk: &Desk, words: &str) -> Result<Page, Problem> {
    let found = match words {
        "" => None,
        words => Some(desk.find(words, Some(FOUND_MAX)).await?),
    };
    let body = html! {
        h1 { "Payments" }
        p.hint { "Write in the box above: " (WORDS) }
        @if let Some(found) = &found { (table(found)) }
    };
    Ok(Page { title: "Payments".into(), body, json: json!(found) })
}

fn table(found: &Found) -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of payments" {
            table {
                thead { tr {
                    @for name in ["UETR", "STATE", "REASON", "DEBTOR AGENT", "CREDITOR AGENT"] { th scope="col" { (name) } }
                    th.number scope="col" { "AMOUNT" }
                    @for name in ["CURRENCY", "DECIDED", "ENDED"] { th scope="col" { (name) } }
                } }
                tbody {
                    @for own in &found.payments { (row(own)) }
                    @if found.payments.is_empty() { tr { td.none colspan="9" { "none" } } }
                }
            }
        }
        @if let Some(more) = &found.more { p.hint { (more) } }
    }
}

fn row(own: &Payment) -> Markup {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    html! {
        tr {
            th scope="row" { (console::payment(&own.uetr)) }
            td { (sign(&own.state)) }
            td { (own.reasons.join(" ")) }
            td { (participant(&own.debtor_agent)) }
            td { (participant(&own.creditor_agent)) }
            td.number { (own.amount) }
            td { (own.currency) }
            td { (or_none(&own.decided_at)) }
            td { (or_none(&own.ended_at)) }
        }
    }
}

/// A state with a shape, so that colour is not needed.
fn sign(state: &str) -> Markup {
    let (class, shape) = match state {
        "settled" | "settled_without_posting" => ("fine", "●"),
        "in_process" => ("none", "○"),
        "timed_out" => ("critical", "■"),
        _ => ("degraded", "▲"),
    };
    html! { span class={ "sign " (class) } { span aria-hidden="true" { (shape) } " " (state.replace('_', " ")) } }
}

pub(super) async fn stories(desk: &Desk, uetr: &str) -> Result<Page, Problem> {
    let stories = desk.stories(uetr, None).await?;
    let body = html! { @for own in &stories { (story(own)) } };
    Ok(Page { title: format!("Payment {uetr}"), body, json: json!(stories) })
}

fn story(own: &Story) -> Markup {
    let payment = &own.payment;
    let kind = if payment.is_return { "Return" } else { "Payment" };
    let text = |text: &str| html! { (text) };
    let parties =
        |sentence: &str| linked(sentence, |name| name == payment.debtor_agent || name == payment.creditor_agent);
    html! {
        h1 { (kind) " " code { (payment.uetr) } " " (sign(&payment.state)) }
        (facts(&[
            ("amount", html! { (payment.amount) " " (payment.currency) }),
            ("from", participant(&payment.debtor_agent)),
            ("to", participant(&payment.creditor_agent)),
            ("decided", text(payment.decided_at.as_deref().unwrap_or("-"))),
            ("ended", text(payment.ended_at.as_deref().unwrap_or("-"))),
        ]))
        p { strong { (parties(&payment.summary)) } }
        p { "Must act: " strong { (parties(&payment.must_act)) } }
        @if let Some(budget) = &own.budget { (budget_bar(budget, &payment.creditor_agent)) }
        h2 { "Timeline, from the " (own.told_by) " and the log" }
        (timeline(&own.timeline))
        h2 { "Postings" }
        (postings(&own.postings))
        @if let Some(original) = &own.original { h2 { "Returns" } (links(std::slice::from_ref(original))) }
        @if !own.returns.is_empty() { h2 { "Returned by" } (links(&own.returns)) }
        @if !own.untold.is_empty() { h2 { "Not told here" } ul { @for one in &own.untold { li { (one) } } } }
        p { a href={ "/payments/" (payment.uetr) "?format=json" } { "as JSON" } }
    }
}

fn budget_bar(own: &Budget, creditor: &str) -> Markup {
    let share = |us: u64| us as f64 / own.total_us.max(1) as f64;
    html! {
        h2 { "Its time, " (length(own.total_us)) " in all" }
        (bar(&[("used", share(own.before_us)), ("reserved", share(own.waiting_us))]))
        p.hint { @for (place, (_, what)) in parts(own, creditor).iter().enumerate() { @if place > 0 { "; " } (what) } }
    }
}

fn timeline(moments: &[Moment]) -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label="table of timeline" {
            table {
                thead { tr { th.number scope="col" { "AFTER, S" } th.number scope="col" { "LOG ENTRY" } th scope="col" { "WHAT" } th scope="col" { "TOLD" } } }
                tbody {
                    @for moment in moments {
                        tr {
                            td.number { (after(moment.after_us)) }
                            td.number { (moment.entry.map_or_else(|| "-".into(), |entry| entry.to_string())) }
                            td { (moment.what) }
                            td {
                                @for (place, notice) in moment.notices.iter().enumerate() {
                                    @if place > 0 { ", " }
                                    (participant(&notice.to)) " as notice " (notice.number.map_or_else(|| "?".into(), |number| number.to_string()))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn postings(all: &[Posting]) -> Markup {
    html! {
        @if all.is_empty() { p.none { "none" } }
        @else {
            div.scrolls tabindex="0" role="region" aria-label="table of postings" {
                table {
                    thead { tr { th scope="col" { "KIND" } th scope="col" { "PARTICIPANT" } th.number scope="col" { "AMOUNT" } th scope="col" { "CURRENCY" } th.number scope="col" { "LOG ENTRY" } } }
                    tbody {
                        @for own in all {
                            tr {
                                td { (own.kind) }
                                td { (participant(&own.participant)) }
                                td.number { (own.amount) }
                                td { (own.currency) }
                                td.number { (own.entry.map_or_else(|| "-".into(), |entry| entry.to_string())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn links(all: &[Link]) -> Markup {
    html! {
        ul {
            @for own in all {
                li {
                    (console::payment(&own.uetr))
                    @if own.state == UNKNOWN { ": " (unknown_words(&own.debtor_agent)) }
                    @else {
                        " of " (participant(&own.debtor_agent)) ", " (own.amount) " " (own.currency) ", " (own.state.replace('_', " "))
                        @if let Some(at) = &own.ended_at { ", " (at) }
                    }
                }
            }
        }
    }
}
