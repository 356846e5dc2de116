//! Signing in and out. Wrong passphrases are counted, by name and by where they come from; after a few of them nobody is
//! tried for a while. One passphrase is tried at a time: each costs the machine some 20 ms and 19 MiB on purpose.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::app::App;
use crate::operators::{NAME_BYTES_MAX, Operators, PASSPHRASE_BYTES_MAX};
use crate::sent::{Form, Question};
use crate::sessions::AGE_MAX;
use crate::{frame, server};

/// Wrong ones of a name, and from an address, before both have to wait.
const OF_NAME_MAX: u32 = 5;
const OF_ADDRESS_MAX: u32 = 20;
const WAIT: Duration = Duration::from_secs(60);
/// Names and addresses that are remembered; when there are more, everybody waits.
const REMEMBERED_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Name(String),
    Address(IpAddr),
}

/// Wrong attempts of the last while.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<Source, (u32, Instant)>>);

impl Attempts {
    fn may_try(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        let mut wrong = self.0.lock();
        wrong.retain(|_, (_, at)| now.duration_since(*at) < WAIT);
        let count = |source| wrong.get(&source).map_or(0, |(count, _)| *count);
        wrong.len() < REMEMBERED_MAX
            && count(Source::Name(name.into())) < OF_NAME_MAX
            && count(Source::Address(address)) < OF_ADDRESS_MAX
    }

    fn was_wrong(&self, name: &str, address: IpAddr, now: Instant) {
        let mut wrong = self.0.lock();
        for source in [Source::Name(name.into()), Source::Address(address)] {
            let (count, at) = wrong.entry(source).or_insert((0, now));
            (*count, *at) = (*count + 1, now);
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct To {
    /// Where to go afterwards.
    #[serde(default)]
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    name: String,
    passphrase: String,
    #[serde(default)]
    to: String,
}

/// A page of this console, or else its first.
fn local(to: &str) -> &str {
    let is_path = to.starts_with('/') && !to.starts_with("//") && to.len() < 1024;
    if is_path && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { to } else { "/" }
}

fn page(app: &App, to: &str, refusal: Option<&str>) -> Markup {
    let body = html! {
        main.narrow id="main" {
            h1 { "Sign in" }
            @if let Some(refusal) = refusal {
                p.problem role="alert" { (refusal) }
            }
            form.stacked method="post" action="/sign-in" {
                input type="hidden" name="to" value=(local(to));
                label for="name" { "Name" }
                input #name name="name" autocomplete="username" autofocus required maxlength=(NAME_BYTES_MAX) autocapitalize="none";
                label for="passphrase" { "Passphrase" }
                input #passphrase name="passphrase" type="password" autocomplete="current-password" required maxlength=(PASSPHRASE_BYTES_MAX);
                button { "Sign in" }
            }
            p.hint { "An operator is added on the node's machine: " code { "crosstie operator add NAME --role viewer" } }
        }
    };
    frame::bare(app, "Sign in", &body)
}

pub(crate) async fn ask(State(app): State<Arc<App>>, Question(To { to }): Question<To>) -> Markup {
    page(&app, &to, None)
}

pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(server::Peer(from)): Extension<server::Peer>,
    headers: HeaderMap,
    Form(given): Form<Credentials>,
) -> Response {
    let Credentials { name, passphrase, to } = given;
    let refuse = |status: StatusCode, why: &str| (status, page(&app, &to, Some(why))).into_response();
    let known_as = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    let too_long = name.len() > NAME_BYTES_MAX || passphrase.len() > PASSPHRASE_BYTES_MAX;
    // Held until a wrong one is counted: of many at a time no more are tried than one by one.
    let one_at_a_time = app.trying.lock().await;
    if !app.attempts.may_try(known_as, from.ip(), Instant::now()) {
        tracing::warn!(event = "sign_in_refused", from = %from.ip(), why = "too many attempts");
        let why = "Too many wrong attempts. Wait a minute, then try again.";
        return refuse(StatusCode::TOO_MANY_REQUESTS, why);
    }
    let operator = app.operators.named(&name);
    let own = operator.clone();
    let verify = move || !too_long && Operators::verify(own.as_ref(), &passphrase);
    let is_right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
    let Some(operator) = operator.filter(|_| is_right) else {
        app.attempts.was_wrong(known_as, from.ip(), Instant::now());
        tracing::warn!(event = "sign_in_refused", from = %from.ip(), why = "wrong name or passphrase");
        return refuse(StatusCode::UNAUTHORIZED, "Name or passphrase is wrong.");
    };
    drop(one_at_a_time);
    // A session that was there before is nobody's any more.
    app.token(&headers).iter().for_each(|token| app.sessions.end(token));
    let Some(token) = app.sessions.begin(&operator, Instant::now()) else {
        tracing::warn!(event = "sign_in_refused", from = %from.ip(), why = "too many are signed in");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "Too many people are signed in. Try again in some minutes.");
    };
    tracing::info!(event = "signed_in", operator = operator.name, from = %from.ip());
    let is_encrypted = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let cookie = cookie(&app, &token, AGE_MAX, is_encrypted);
    ([(header::SET_COOKIE, cookie)], Redirect::to(local(&to))).into_response()
}

#[derive(Deserialize)]
pub(crate) struct Leaving {
    form_token: String,
}

pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(leaving): Form<Leaving>,
) -> Response {
    if let Some(token) = app.token(&headers)
        && let Some(session) = app.sessions.find(&token, Instant::now(), false)
    {
        if session.form_token != leaving.form_token {
            let why = "You are still signed in: this page is of another session. Load it again, then sign out.\n";
            return (StatusCode::FORBIDDEN, why).into_response();
        }
        app.sessions.end(&token);
        tracing::info!(event = "signed_out", operator = session.operator.name);
    }
    ([(header::SET_COOKIE, cookie(&app, "", Duration::ZERO, false))], Redirect::to("/sign-in")).into_response()
}

fn cookie(app: &App, token: &str, lasts: Duration, is_encrypted: bool) -> String {
    let (name, seconds) = (&app.cookie, lasts.as_secs());
    let secure = if is_encrypted { "; Secure" } else { "" };
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_to() {
        for (to, page) in [
            ("/nodes?sort=lag", "/nodes?sort=lag"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
        ] {
            assert_eq!(local(to), page, "{to:?}");
        }
    }

    #[test]
    fn guessing_has_to_wait() {
        let attempts = Attempts::default();
        let (start, here) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..OF_NAME_MAX {
            assert!(attempts.may_try("ann", here, start));
            attempts.was_wrong("ann", here, start);
        }
        assert!(!attempts.may_try("ann", here, start));
        assert!(attempts.may_try("bob", here, start));
        for other in 0..OF_ADDRESS_MAX {
            attempts.was_wrong(&other.to_string(), here, start);
        }
        assert!(!attempts.may_try("bob", here, start), "an address that tries many names");
        assert!(attempts.may_try("bob", IpAddr::from([10, 0, 0, 1]), start));
        assert!(attempts.may_try("ann", here, start + WAIT));
    }
}
