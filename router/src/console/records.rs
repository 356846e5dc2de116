//! The audit trail and what waits for a second person, as pages.

use console::{Page, facts, participant};
use maud::{Markup, html};
use serde_json::json;

use crate::admin::Desk;
use crate::admin::asked::{AuditEntry, AuditSearch, Origin, Outcome, Task, Way, Who};
use crate::admin::desk::unavailable;
use crate::admin::protocol::{Command, Problem, Request};

const ENTRIES_MAX: usize = 100;

async fn ask<T: serde::de::DeserializeOwned>(desk: &Desk, command: Command) -> Result<T, Problem> {
    let (operator, reason) = Default::default();
    let request = Request { command, operator, origin: Origin::Console, reason };
    let answer = desk.answer(request, rustix::process::getuid().as_raw()).await?;
    serde_json::from_value(answer).map_err(unavailable)
}

fn table(name: &str, heading: &[&str], rows: &[Markup]) -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label={ "table of " (name) } {
            table {
                thead { tr { @for name in heading { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows { tr { (row) } }
                    @if rows.is_empty() { tr { td.none colspan=(heading.len()) { "none" } } }
                }
            }
        }
    }
}

pub(super) async fn audit(desk: &Desk) -> Result<Page, Problem> {
    let search = AuditSearch { since: None, operator: None, action: None, limit: ENTRIES_MAX };
    let entries: Vec<AuditEntry> = ask(desk, Command::AuditLog(search)).await?;
    let (checks, now_ms) = (desk.logbook.checks(), desk.switch.clock().now().milliseconds());
    let rows: Vec<Markup> = entries.iter().map(entry).collect();
    let heading = ["NUMBER", "AT", "OPERATOR", "SECOND PERSON", "ACTION", "OUTCOME", "REASON", "PARAMETERS"];
    let body = html! {
        h1 { "Audit trail" }
        p.hint { "The latest " (ENTRIES_MAX) ". crosstie audit log has all, crosstie audit verify checks the chain." }
        (table("entries", &heading, &rows))
        h2 { "What this node checked of itself" }
        (facts(&checks.told(now_ms)))
    };
    Ok(Page { title: "Audit trail".into(), body, json: json!({ "entries": entries, "checks": checks }) })
}

/// What was asked, name by name; participants lead to their pages.
fn parameters(text: &str) -> Markup {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else { return html! { code { (text) } } };
    html! {
        @for (place, (name, value)) in fields.iter().enumerate() {
            @if place > 0 { ", " }
            (name.replace('_', " ")) " "
            @match value {
                serde_json::Value::String(id) if name == "id" => (participant(id)),
                serde_json::Value::String(text) => code { (text) },
                value => code { (value) },
            }
        }
    }
}

fn entry(own: &AuditEntry) -> Markup {
    let outcome = match own.outcome {
        Outcome::Proposed { .. } => "○ waits",
        Outcome::Done => "● done",
        Outcome::Refused => "▲ refused",
        Outcome::Unknown => "■ unknown",
    };
    let second = own.approver.as_ref().map_or("-", |approver| approver.operator.as_str());
    html! {
        td.number { (own.number) }
        td { (own.at) }
        td { (own.operator) }
        td { (second) }
        td { (own.action.replace('_', " ")) }
        td { (outcome) @if !own.why.is_empty() { ": " (own.why) } }
        td { (own.reason) }
        td { (parameters(&own.parameters)) }
    }
}

pub(super) async fn tasks(desk: &Desk, operator: Option<&str>) -> Result<Page, Problem> {
    let tasks: Vec<Task> = ask(desk, Command::Tasks).await?;
    let (operator, reason) = (operator.unwrap_or_default().into(), String::new());
    let request = Request { command: Command::Tasks, operator, origin: Origin::Console, reason };
    let visitor = desk.who(&request, rustix::process::getuid().as_raw())?;
    let rows: Vec<Markup> = tasks.iter().map(|own| task(own, &visitor)).collect();
    let heading = ["TASK", "ACTION", "PARAMETERS", "PROPOSED BY", "REASON", "EXPIRES", "DECIDE"];
    let body = html! {
        h1 { "Tasks" }
        p.hint { "Changes that wait for a second person. Whoever proposed one can only withdraw it; who may have, only refuse it." }
        (table("tasks", &heading, &rows))
    };
    Ok(Page { title: "Tasks".into(), body, json: json!(tasks) })
}

/// What somebody is about to decide on.
pub(super) async fn one_task(desk: &Desk, number: u64) -> Result<Page, Problem> {
    let own = desk.task_told(number).await?;
    let body = facts(&[
        ("action", own.action.replace('_', " ")),
        ("parameters", own.parameters.clone()),
        ("proposed by", own.who.operator.clone()),
        ("reason", own.who.reason.clone()),
        ("expires", own.until.clone()),
    ]);
    Ok(Page { title: format!("Task {number}"), body, json: json!(own) })
}

fn task(own: &Task, visitor: &Who) -> Markup {
    let number = own.number;
    let ways = own.ways(visitor).iter().map(|way| match way {
        Way::Approve => ("approve", "Approve"),
        Way::Refuse => ("refuse", "Refuse"),
        Way::Withdraw => ("withdraw", "Withdraw"),
    });
    html! {
        td.number { (number) }
        td { (own.action.replace('_', " ")) }
        td { (parameters(&own.parameters)) }
        td { (own.who.operator) }
        td { (own.who.reason) }
        td { (own.until) }
        td {
            @for (way, name) in ways { a.button href={ "/actions/" (way) "?task=" (number) } { (name) } " " }
        }
    }
}
