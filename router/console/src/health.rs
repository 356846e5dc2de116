//! For machines: is the process there (`/livez`), has it started (`/startupz`), may it be sent traffic (`/readyz`), and
//! what it counts (`/metrics`). Nobody signs in for them, and nothing about a single payment is in them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use watch::metrics::{OPEN_METRICS, PLAIN, encode, plain};

use crate::app::App;

pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

pub(crate) async fn startupz(State(app): State<Arc<App>>) -> Response {
    match app.looks.borrow().is_some() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the node is starting\n").into_response(),
    }
}

/// With `?verbose` every check that fails has a line, as Kubernetes has it.
pub(crate) async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let failing = match &*app.looks.borrow() {
        Some(look) => look.now.node.not_ready.iter().cloned().chain(look.too_old()).collect(),
        None => vec!["the node is starting".to_string()],
    };
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    let text = match (failing.is_empty(), is_verbose) {
        (true, true) => "[+] leader known, journal writable, caught up, serving\nok\n".to_string(),
        (true, false) => "ok\n".to_string(),
        (false, true) => failing.iter().map(|check| format!("[-] {check}\n")).chain(["not ready\n".into()]).collect(),
        (false, false) => "not ready\n".to_string(),
    };
    (status, text).into_response()
}

/// OpenMetrics for who accepts it, as Prometheus does; else the older text.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(look) = app.looks.borrow().clone() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node is starting\n").into_response();
    };
    if let Some(words) = look.too_old() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")).into_response();
    }
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let (kind, text) = match accepted.contains("application/openmetrics-text") {
        true => (OPEN_METRICS, encode(&look.now)),
        false => (PLAIN, plain(&look.now)),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
