//! For machines: is the process there (`/livez`), has it started (`/startupz`), may it be sent traffic (`/readyz`), and
//! what it counts (`/metrics`). Nobody signs in for them, and nothing about a single payment is in them but exemplars, where
//! they are to be given.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use watch::metrics::{OPEN_METRICS, PLAIN, encode, plain, samples};

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

/// With `?verbose` every check has a line, as Kubernetes has it.
pub(crate) async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let is_verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    let (checks, age) = match &*app.looks.borrow() {
        Some(look) => (look.now.node.readiness.clone(), look.too_old()),
        None => (Vec::new(), Some("the node is starting".to_string())),
    };
    let checks = || checks.iter().map(|own| (own.check.as_str(), &own.failure)).chain([("measured", &age)]);
    let (status, verdict) = match checks().all(|(_, failure)| failure.is_none()) {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let line = |(check, failure): (&str, &Option<String>)| match failure {
        None => format!("[+] {check}\n"),
        Some(failure) => format!("[-] {check}: {failure}\n"),
    };
    let lines: String = checks().filter(|_| is_verbose).map(line).collect();
    (status, lines + verdict).into_response()
}

/// OpenMetrics for who prefers it, as Prometheus does; else the older text.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(look) = app.looks.borrow().clone() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node is starting\n").into_response();
    };
    if let Some(words) = look.too_old() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")).into_response();
    }
    let accepted: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|own| own.to_str().ok()).collect();
    let (kind, text) = match prefers_open_metrics(&accepted.join(",")) {
        true if app.gives_exemplars => (OPEN_METRICS, encode(&look.now)),
        true => (OPEN_METRICS, samples(&look.now)),
        false => (PLAIN, plain(&look.now)),
    };
    ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text).into_response()
}

/// By the weights of an Accept header (RFC 9110, 12.5.1): only who names OpenMetrics gets it, and not who likes the older
/// text better.
fn prefers_open_metrics(accepted: &str) -> bool {
    let weight = |kind: &str| {
        let weights = accepted.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(kind))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            weight.map_or(Some(1.0), |weight| weight.parse::<f64>().ok())
        });
        weights.fold(0.0, f64::max)
    };
    let open_metrics = weight("application/openmetrics-text");
    open_metrics > 0.0 && open_metrics >= weight("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_prefers_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for accepted in
            [prometheus, "application/openmetrics-text", "text/plain, Application/OpenMetrics-Text; version=1.0.0"]
        {
            assert!(prefers_open_metrics(accepted), "{accepted}");
        }
        let older = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5";
        for accepted in
            ["", "*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", older, "application/openmetrics-text;q=0"]
        {
            assert!(!prefers_open_metrics(accepted), "{accepted}");
        }
    }
}
