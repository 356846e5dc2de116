//! The page before the deed: what will happen, what must be filled in.

use maud::{Markup, html};
use watch::{Participant, text};

use super::{Direction, Given, Kind, PRODUCTION, name_of, page_of, words};
use crate::app::Asked;
use crate::{Problem, ProblemKind, Subject, frame};

/// As the log keeps it.
const REASON_BYTES_MAX: usize = 200;

pub(super) async fn page(
    asked: &Asked,
    kind: Kind,
    given: &Given,
    refusal: Option<&Problem>,
) -> Result<Markup, Problem> {
    let look = asked.app.look()?;
    let now = &look.now;
    let id = given.participant.as_str();
    let participant = now.participants.iter().find(|own| own.id == id);
    if !kind.is_of_node() && !kind.is_of_task() && participant.is_none() {
        return Err(Problem::new(ProblemKind::NotFound, format!("{id:?} is not registered")));
    }
    let proposed = match kind.is_of_task() {
        true => Some(asked.app.switch.page(Subject::Task { number: given.task }).await?.body),
        false => None,
    };
    let name = name_of(kind, given, now);
    let title = format!("{} {name}", words::name(kind));
    let number = asked.app.sessions.show_form(&asked.visitor.token).unwrap_or_default();
    let main = html! {
        div.narrow {
            h1 { (title) }
            @if let Some(problem) = refusal { (frame::told(problem)) }
            @if let Some(proposed) = proposed { h2 { "What was proposed" } (proposed) }
            h2 { "What will happen" }
            ul.consequences { @for sentence in words::consequences(kind, now, participant) { li { (sentence) } } }
            form.stacked method="post" action=(asked.path) {
                input type="hidden" name="form_token" value=(asked.visitor.form_token);
                input type="hidden" name="form" value=(number);
                @if kind.is_of_task() { input type="hidden" name="task" value=(given.task); }
                @if let Some(own) = participant {
                    input type="hidden" name="participant" value=(own.id);
                    (particulars(kind, own, given))
                }
                label for="reason" { "Reason, kept with your name" }
                input #reason name="reason" required maxlength=(REASON_BYTES_MAX) value=(given.reason) autocomplete="off";
                @if now.node.environment == PRODUCTION {
                    label for="typed_name" { "This is production. Type " strong { (name) } " to confirm" }
                    input #typed_name name="typed_name" required autocomplete="off" spellcheck="false";
                }
                div.buttons {
                    button.act { (title) }
                    a.button href=(page_of(kind, id)) { "Cancel" }
                }
            }
        }
    };
    Ok(frame::page(asked, &title, &main))
}

fn particulars(kind: Kind, own: &Participant, given: &Given) -> Markup {
    match kind {
        Kind::Suspend | Kind::Resume => directions(given.direction),
        Kind::Fund | Kind::Defund => html! {
            (currency(own, given))
            label for="amount" { "Amount" }
            input #amount name="amount" required inputmode="decimal" maxlength="32" value=(given.amount) autocomplete="off";
        },
        Kind::Limit => html! {
            (currency(own, given))
            @for (name, label, value) in [
                ("net_debit_cap", "Net debit cap: the most it may owe by payments alone", &given.net_debit_cap),
                ("payment_max", "Payment maximum: the most that one payment it sends may move", &given.payment_max),
            ] {
                label for=(name) { (label) }
                input id=(name) name=(name) maxlength="32" value=(value) autocomplete="off";
            }
            @for position in &own.positions {
                @let limit = |minor: Option<i64>| minor.map_or("none".into(), |minor| text::money(minor, position.decimals));
                p.hint {
                    "Now in " (position.currency) ": net debit cap " (limit(position.net_debit_cap_minor))
                    ", payment maximum " (limit(position.payment_max_minor))
                }
            }
        },
        Kind::Drain | Kind::Undrain | Kind::StepDown | Kind::Approve | Kind::Refuse | Kind::Withdraw => html! {},
    }
}

fn directions(chosen: Direction) -> Markup {
    const ALL: [(Direction, &str, &str); 3] = [
        (Direction::Both, "both", "both"),
        (Direction::Send, "send", "sending"),
        (Direction::Receive, "receive", "receiving"),
    ];
    html! {
        fieldset {
            legend { "Which way" }
            @for (direction, value, word) in ALL {
                label { input type="radio" name="direction" value=(value) checked[direction == chosen]; " " (word) }
            }
        }
    }
}

fn currency(own: &Participant, given: &Given) -> Markup {
    let first = own.positions.first().map_or("", |position| position.currency.as_str());
    let value = if given.currency.is_empty() { first } else { &given.currency };
    html! {
        label for="currency" { "Currency" }
        input #currency name="currency" required maxlength="3" value=(value) autocapitalize="characters" autocomplete="off";
    }
}
