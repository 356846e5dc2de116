//! What can be done: a page that says what will happen, then the deed. It needs a role and a reason; in production the
//! name of what it is about is typed.

mod form;
mod words;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use watch::Snapshot;

use crate::app::Asked;
use crate::links::encoded;
use crate::sent::{Form, Place};
use crate::visitor::Visitor;
use crate::{Order, Problem, ProblemKind, Role, frame};

/// What can be asked of the switch. Amounts are decimal text in the currency's own decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Suspend {
        participant: String,
        direction: Direction,
    },
    Resume {
        participant: String,
        direction: Direction,
    },
    Fund {
        participant: String,
        currency: String,
        amount: String,
    },
    Defund {
        participant: String,
        currency: String,
        amount: String,
    },
    /// What is left out stays as it is; `none` lifts a limit.
    Limit {
        participant: String,
        currency: String,
        net_debit_cap: Option<String>,
        payment_max: Option<String>,
    },
    Drain,
    Undrain,
    StepDown,
    /// Of what waits for a second person; by its number in the audit trail.
    Approve {
        task: u64,
    },
    Refuse {
        task: u64,
    },
    /// By the one who proposed it.
    Withdraw {
        task: u64,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Send,
    Receive,
    #[default]
    Both,
}

/// An action without its particulars, as it stands in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Suspend,
    Resume,
    Fund,
    Defund,
    Limit,
    Drain,
    Undrain,
    StepDown,
    Approve,
    Refuse,
    Withdraw,
}

impl Kind {
    /// Who may do it.
    pub(crate) fn role(self) -> Role {
        match self {
            Kind::Suspend | Kind::Resume | Kind::Drain | Kind::Undrain | Kind::StepDown => Role::Operator,
            Kind::Fund | Kind::Defund | Kind::Limit | Kind::Withdraw => Role::Treasury,
            Kind::Approve | Kind::Refuse => Role::Approver,
        }
    }

    fn slug(self) -> &'static str {
        match self {
            Kind::Suspend => "suspend",
            Kind::Resume => "resume",
            Kind::Fund => "fund",
            Kind::Defund => "defund",
            Kind::Limit => "limit",
            Kind::Drain => "drain",
            Kind::Undrain => "undrain",
            Kind::StepDown => "step-down",
            Kind::Approve => "approve",
            Kind::Refuse => "refuse",
            Kind::Withdraw => "withdraw",
        }
    }

    fn is_of_task(self) -> bool {
        matches!(self, Kind::Approve | Kind::Refuse | Kind::Withdraw)
    }

    fn is_of_node(self) -> bool {
        matches!(self, Kind::Drain | Kind::Undrain | Kind::StepDown)
    }
}

/// What a form sends.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Given {
    form_token: String,
    /// Of this form alone: it is carried out once, however often it is sent.
    form: String,
    participant: String,
    task: u64,
    direction: Direction,
    currency: String,
    amount: String,
    net_debit_cap: String,
    payment_max: String,
    reason: String,
    typed_name: String,
}

impl Given {
    fn action(&self, kind: Kind) -> Action {
        let Given { participant, direction, currency, amount, .. } = self.clone();
        let limit = |text: &str| Some(text.trim().to_string()).filter(|text| !text.is_empty());
        match kind {
            Kind::Suspend => Action::Suspend { participant, direction },
            Kind::Resume => Action::Resume { participant, direction },
            Kind::Fund => Action::Fund { participant, currency, amount },
            Kind::Defund => Action::Defund { participant, currency, amount },
            Kind::Limit => Action::Limit {
                participant,
                currency,
                net_debit_cap: limit(&self.net_debit_cap),
                payment_max: limit(&self.payment_max),
            },
            Kind::Drain => Action::Drain,
            Kind::Undrain => Action::Undrain,
            Kind::StepDown => Action::StepDown,
            Kind::Approve => Action::Approve { task: self.task },
            Kind::Refuse => Action::Refuse { task: self.task },
            Kind::Withdraw => Action::Withdraw { task: self.task },
        }
    }
}

/// To the actions' pages. What the visitor may not do is named with the role that it needs.
pub(crate) fn links(visitor: &Visitor, kinds: &[Kind], participant: Option<&str>) -> Markup {
    let query = participant.map_or_else(String::new, |id| format!("?participant={}", encoded(id)));
    html! {
        span.actions {
            @for kind in kinds {
                @if visitor.may(kind.role()) {
                    a.button href={ "/actions/" (kind.slug()) (query) } { (words::name(*kind)) }
                } @else {
                    span.forbidden title={ "needs the role " (kind.role().name()) } { (words::name(*kind)) }
                }
            }
            @if kinds.iter().any(|kind| !visitor.may(kind.role())) { span.hint { "struck out: needs another role" } }
        }
    }
}

fn forbidden(kind: Kind) -> Problem {
    Problem {
        next: Some("ask somebody who has it".into()),
        ..Problem::new(ProblemKind::Refused, format!("{} needs the role {}", words::name(kind), kind.role().name()))
    }
}

/// The page before the deed.
pub(crate) async fn ask(Place(kind): Place<Kind>, asked: Asked) -> Response {
    if !asked.visitor.may(kind.role()) {
        return refused(&asked, StatusCode::FORBIDDEN, &forbidden(kind));
    }
    let given = Given { participant: asked.ask.participant.clone(), task: asked.ask.task, ..Given::default() };
    match form::page(&asked, kind, &given, None).await {
        Ok(page) => page.into_response(),
        Err(problem) => frame::problem(&asked, &problem),
    }
}

pub(crate) async fn carry_out(Place(kind): Place<Kind>, asked: Asked, Form(given): Form<Given>) -> Response {
    if !asked.visitor.may(kind.role()) {
        let operator = asked.visitor.name.as_deref();
        tracing::warn!(event = "console_action", action = kind.slug(), operator, result = "forbidden");
        let problem = forbidden(kind);
        let is_his = given.form_token == asked.visitor.form_token;
        if let Some(operator) = asked.visitor.name.clone().filter(|_| is_his)
            && asked.app.sessions.count_forbidden(&asked.visitor.token)
        {
            let order = Order { action: given.action(kind), operator, reason: given.reason.trim().into() };
            asked.app.switch.forbidden(order, problem.message.clone()).await;
        }
        return refused(&asked, StatusCode::FORBIDDEN, &problem);
    }
    let Some(operator) = asked.visitor.name.clone().filter(|_| given.form_token == asked.visitor.form_token) else {
        let problem =
            Problem::new(ProblemKind::Refused, "Nothing was changed: this form is of another session. Open it again.");
        return refused(&asked, StatusCode::FORBIDDEN, &problem);
    };
    let place = page_of(kind, &given.participant);
    if !asked.app.sessions.take_form(&asked.visitor.token, &given.form) {
        let message = "This form was sent before, or is no longer known; it is carried out once.";
        let next = Some(format!("see at {place} what came of it; to do it once more, open it anew"));
        return frame::problem(&asked, &Problem { next, ..Problem::new(ProblemKind::Refused, message) });
    }
    let done = match check(&asked, kind, &given) {
        Ok(()) => {
            let reason = given.reason.trim().to_string();
            asked.app.switch.act(Order { action: given.action(kind), operator: operator.clone(), reason }).await
        }
        Err(problem) => Err(problem),
    };
    match done {
        Ok(done) => {
            tracing::info!(event = "console_action", action = kind.slug(), operator, result = "done");
            asked.app.sessions.tell(&asked.visitor.token, done);
            Redirect::to(&place).into_response()
        }
        Err(problem) => {
            tracing::warn!(event = "console_action", action = kind.slug(), operator, result = "refused");
            // What may have been done is not offered once more.
            if problem.kind == ProblemKind::Unavailable {
                let next = Some(format!("see at {place} and in the audit trail what came of it before you ask again"));
                let message = format!("It may have been done, or be done yet: {}", problem.message);
                return frame::problem(&asked, &Problem { next, message, ..problem });
            }
            match form::page(&asked, kind, &given, Some(&problem)).await {
                Ok(page) => (frame::status(problem.kind), page).into_response(),
                Err(_) => frame::problem(&asked, &problem),
            }
        }
    }
}

/// Where it is seen what has become of it.
fn page_of(kind: Kind, participant: &str) -> String {
    match kind {
        _ if kind.is_of_node() => "/nodes".into(),
        _ if kind.is_of_task() => "/tasks".into(),
        _ => format!("/participants/{}", encoded(participant)),
    }
}

/// What is typed to confirm.
fn name_of(kind: Kind, given: &Given, now: &Snapshot) -> String {
    match kind {
        _ if kind.is_of_node() => now.node.name.clone(),
        _ if kind.is_of_task() => format!("task {}", given.task),
        _ => given.participant.clone(),
    }
}

/// What the switch does not check itself.
fn check(asked: &Asked, kind: Kind, given: &Given) -> Result<(), Problem> {
    if given.reason.trim().is_empty() {
        return Err(Problem::new(ProblemKind::Usage, "Say why: the reason is kept with your name."));
    }
    let look = asked.app.look()?;
    let name = name_of(kind, given, &look.now);
    if look.now.node.environment == PRODUCTION && given.typed_name.trim() != name {
        return Err(Problem::new(ProblemKind::Usage, format!("Nothing was changed: type {name} to confirm.")));
    }
    Ok(())
}

/// Where a name is typed before anything changes.
const PRODUCTION: &str = "prod";

fn refused(asked: &Asked, status: StatusCode, problem: &Problem) -> Response {
    let main = html! { h1 { "Not allowed" } (frame::told(problem)) };
    (status, frame::page(asked, "Not allowed", &main)).into_response()
}
