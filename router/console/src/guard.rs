//! What is asked of every request before anything looks at it, and said with every answer.
//!
//! - The name that the browser thinks it speaks to is ours: a page elsewhere cannot make a name of its own point here.
//!   An address is no name and cannot be bent that way.
//! - What changes something comes from a page of this console: its `Origin` is the host that was asked.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::server::Peer;

/// For a request to come in and be answered. A page that goes on by itself begins within it.
const PATIENCE: Duration = Duration::from_secs(30);

const SAID: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let refusal = refusal(&app.hosts, request.method(), request.headers());
    let mut response = match refusal {
        Some((status, why)) => {
            // What was asked for stands in no log: it may be anything.
            let from = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string());
            tracing::warn!(event = "console_request_refused", status = status.as_u16(), from);
            (status, format!("{why}\n")).into_response()
        }
        None => tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| {
            (StatusCode::REQUEST_TIMEOUT, "the request took too long to come in or to be answered\n").into_response()
        }),
    };
    let headers = response.headers_mut();
    for (name, value) in SAID {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refusal(hosts: &[String], method: &Method, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let text =
        |name: HeaderName| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let host = text(header::HOST);
    if headers.get_all(header::HOST).iter().count() != 1 || !is_ours(host, hosts) {
        let why = format!("{host:?} is no name of this console: set ops.hosts to the names that browsers know it by");
        return Some((StatusCode::MISDIRECTED_REQUEST, why));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if *method != Method::POST {
        return Some((StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not known here: GET, HEAD and POST are")));
    }
    let origin = text(header::ORIGIN);
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if authority != Some(host) {
        let why = "nothing was changed: what changes something is sent by a page of this console alone".into();
        return Some((StatusCode::FORBIDDEN, why));
    }
    None
}

fn is_ours(host: &str, hosts: &[String]) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(ip, port)| {
            ip.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok() || hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_refused() {
        let hosts = ["ops.example".to_string()];
        for host in [
            "localhost",
            "localhost:7880",
            "127.0.0.1:7880",
            "10.0.0.7",
            "[::1]:7880",
            "ops.example",
            "OPS.example:443",
        ] {
            assert!(is_ours(host, &hosts), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:7880",
            "localhost:",
            "localhost:x",
            "[::1",
            "[evil]",
            "127.0.0.1:7880:1",
            "localhost@evil",
        ] {
            assert!(!is_ours(host, &hosts), "{host}");
        }
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        let refused = |method: Method, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:7880"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            refusal(&[], &method, &headers).map(|(status, _)| status.as_u16())
        };
        assert_eq!(refused(Method::GET, None), None);
        assert_eq!(refused(Method::POST, Some("http://localhost:7880")), None);
        assert_eq!(refused(Method::POST, Some("https://localhost:7880")), None, "behind a proxy that speaks TLS");
        for origin in
            [None, Some("null"), Some("http://localhost:7881"), Some("http://evil.example"), Some("localhost:7880")]
        {
            assert_eq!(refused(Method::POST, origin), Some(403), "{origin:?}");
        }
        assert_eq!(refused(Method::DELETE, Some("http://localhost:7880")), Some(405));
    }
}
