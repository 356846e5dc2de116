//! Every URL, and what all of them share.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::sync::{Mutex, watch as channel};

use crate::live::{Ask, Format};
use crate::look::Look;
use crate::operators::Operators;
use crate::sent::{Place, Question};
use crate::sessions::Sessions;
use crate::sign_in::Attempts;
use crate::views::{Actor, Actors, ActorsOfKind, Nodes, Overview, Participant};
use crate::visitor::{Stranger, Visitor};
use crate::{Config, Problem, ProblemKind, Subject, Switch, actions, frame, guard, health, live, server, sign_in, tap};

pub(crate) const BODY_BYTES_MAX: usize = 16 << 10;

pub(crate) struct App {
    pub(crate) switch: Arc<dyn Switch>,
    pub(crate) looks: channel::Receiver<Option<Look>>,
    pub(crate) hosts: Vec<String>,
    pub(crate) operators: Operators,
    pub(crate) sessions: Sessions,
    pub(crate) attempts: Attempts,
    /// Held while a passphrase is tried.
    pub(crate) trying: Mutex<()>,
    /// The session of each tap that is open.
    pub(crate) tapping: parking_lot::Mutex<Vec<String>>,
    pub(crate) gives_exemplars: bool,
    /// Its name. Cookies are not told apart by port, and several nodes may be on one machine.
    pub(crate) cookie: String,
}

impl App {
    pub(crate) fn new(
        config: Config,
        address: SocketAddr,
        switch: Arc<dyn Switch>,
        looks: channel::Receiver<Option<Look>>,
    ) -> App {
        App {
            switch,
            looks,
            hosts: config.hosts,
            operators: Operators::new(config.operators),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            trying: Mutex::default(),
            tapping: Default::default(),
            gives_exemplars: config.gives_exemplars,
            cookie: format!("crosstie-{}", address.port()),
        }
    }

    pub(crate) fn look(&self) -> Result<Look, Problem> {
        let look = self.looks.borrow().clone();
        look.ok_or_else(|| {
            Problem::new(ProblemKind::Unavailable, "the node is starting: nothing has been measured yet")
        })
    }
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/startupz", get(health::startupz))
        .route("/metrics", get(health::metrics))
        .route("/static/{file}", get(file))
        .route("/sign-in", get(sign_in::ask).post(sign_in::sign_in))
        .route("/sign-out", axum::routing::post(sign_in::sign_out))
        .route("/", get(overview))
        .route("/history", get(history))
        .route("/participants/{id}", get(participant))
        .route("/actors", get(actors))
        .route("/actors/{kind}", get(actors_of_kind))
        .route("/actors/{kind}/{id}", get(actor))
        .route("/nodes", get(nodes))
        .route("/payments", get(payments))
        .route("/payments/{uetr}", get(payment))
        .route("/tap", get(tap::tap))
        .route("/audit", get(audit))
        .route("/tasks", get(tasks))
        .route("/actions/{kind}", get(actions::ask).post(actions::carry_out))
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Who asks for a page, what, and how.
pub(crate) struct Asked {
    pub(crate) app: Arc<App>,
    pub(crate) visitor: Visitor,
    pub(crate) ask: Ask,
    pub(crate) path: String,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &Arc<App>) -> Result<Asked, Response> {
        let uri = parts.uri.clone();
        let Question(ask) = Question::<Ask>::from_request_parts(parts, app).await?;
        let server::Peer(from) =
            *parts.extensions.get::<server::Peer>().ok_or_else(|| StatusCode::FORBIDDEN.into_response())?;
        let is_click = ask.format != Format::Live;
        let visitor =
            app.visitor(&parts.headers, from, is_click).map_err(|stranger| turn_away(stranger, &ask, &uri))?;
        Ok(Asked { app: app.clone(), visitor, ask, path: uri.path().to_string() })
    }
}

fn turn_away(stranger: Stranger, ask: &Ask, uri: &Uri) -> Response {
    let why = match stranger {
        Stranger::Remote => {
            "This console has no operators yet, and shows itself to its own machine alone. On the node's machine: \
             crosstie operator add NAME --role viewer\n"
        }
        Stranger::Unknown if ask.format == Format::Html => {
            let to = uri.path_and_query().map_or("/", |own| own.as_str());
            let to = percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC);
            return Redirect::to(&format!("/sign-in?to={to}")).into_response();
        }
        Stranger::Unknown => "You are not signed in, or no longer: open /sign-in\n",
    };
    let status = if stranger == Stranger::Remote { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
    (status, why).into_response()
}

async fn overview(asked: Asked) -> Response {
    live::show(asked, Overview).await
}

async fn participant(Place(id): Place<String>, asked: Asked) -> Response {
    live::show(asked, Participant { id }).await
}

async fn actors(asked: Asked) -> Response {
    live::show(asked, Actors).await
}

async fn actors_of_kind(Place(kind): Place<String>, asked: Asked) -> Response {
    live::show(asked, ActorsOfKind { kind }).await
}

async fn actor(Place((kind, id)): Place<(String, String)>, asked: Asked) -> Response {
    let switch = asked.app.switch.clone();
    live::show(asked, Actor { kind, id, switch }).await
}

async fn nodes(asked: Asked) -> Response {
    live::show(asked, Nodes).await
}

async fn history(asked: Asked) -> Response {
    axum::response::Json(live::columns(&asked.app.switch.history())).into_response()
}

async fn payments(asked: Asked) -> Response {
    let words = asked.ask.q.trim().to_string();
    let is_uetr = words.bytes().filter(u8::is_ascii_hexdigit).count() == 32
        && words.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_uetr && asked.ask.format == Format::Html {
        return Redirect::to(&format!("/payments/{words}")).into_response();
    }
    subject(asked, Subject::Payments { words }).await
}

async fn payment(Place(uetr): Place<String>, asked: Asked) -> Response {
    subject(asked, Subject::Payment { uetr }).await
}

async fn audit(asked: Asked) -> Response {
    subject(asked, Subject::Audit).await
}

async fn tasks(asked: Asked) -> Response {
    let operator = asked.visitor.name.clone();
    subject(asked, Subject::Tasks { operator }).await
}

async fn subject(asked: Asked, subject: Subject) -> Response {
    match asked.app.switch.page(subject).await {
        Ok(page) if asked.ask.format == Format::Json => axum::response::Json(page.json).into_response(),
        Ok(page) => frame::page(&asked, &page.title, &page.body).into_response(),
        Err(problem) => frame::problem(&asked, &problem),
    }
}

async fn nothing(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no page {}; the first is /\n", uri.path())).into_response()
}

/// What the pages need, in the program itself.
async fn file(Place(file): Place<String>) -> Response {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const STYLE: &str = "text/css; charset=utf-8";
    let (kind, bytes) = match file.as_str() {
        "console.js" => (SCRIPT, include_str!("../static/console.js")),
        "heat.js" => (SCRIPT, include_str!("../static/heat.js")),
        "charts.js" => (SCRIPT, include_str!("../static/charts.js")),
        "console.css" => (STYLE, include_str!("../static/console.css")),
        "uplot.js" => (SCRIPT, include_str!("../static/uplot-1.6.32.min.js")),
        "uplot.css" => (STYLE, include_str!("../static/uplot-1.6.32.min.css")),
        "icon.svg" => ("image/svg+xml", include_str!("../static/icon.svg")),
        _ => return (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], bytes).into_response()
}
