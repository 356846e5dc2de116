//! Who asks, and what he may.

use std::net::SocketAddr;
use std::time::Instant;

use axum::http::{HeaderMap, header};

use crate::Role;
use crate::app::App;

#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// None where nobody needs to sign in.
    pub(crate) name: Option<String>,
    pub(crate) roles: Vec<Role>,
    /// Of the session.
    pub(crate) token: String,
    pub(crate) form_token: String,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// He has not signed in, or no longer is.
    Unknown,
    /// There are no operators, and he is on another machine.
    Remote,
}

impl Visitor {
    pub(crate) fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl App {
    /// Whether a click or a page that is open by itself asks.
    pub(crate) fn visitor(&self, headers: &HeaderMap, from: SocketAddr, is_click: bool) -> Result<Visitor, Stranger> {
        if !self.operators.are_named() {
            // A name means that there is a proxy, to which everybody is on this machine.
            if from.ip().is_loopback() && self.hosts.is_empty() {
                let (token, form_token) = Default::default();
                return Ok(Visitor { name: None, roles: vec![Role::Viewer], token, form_token });
            }
            return Err(Stranger::Remote);
        }
        let token = self.token(headers).ok_or(Stranger::Unknown)?;
        let session = self.sessions.find(&token, Instant::now(), is_click).ok_or(Stranger::Unknown)?;
        // Who was removed from the file, lost a role, or got another passphrase, has lost it now.
        let Some(operator) = self.operators.still(&session.operator) else {
            self.sessions.end(&token);
            return Err(Stranger::Unknown);
        };
        if operator.roles == [Role::Viewer] {
            self.sessions.find(&token, Instant::now(), true);
        }
        Ok(Visitor { name: Some(operator.name), roles: operator.roles, token, form_token: session.form_token })
    }

    /// Whether a page that goes on by itself may go on; or why not, in words.
    pub(crate) fn still_lets_in(&self, visitor: &Visitor) -> Result<(), String> {
        let signed_out = || "You are signed out.".to_string();
        if visitor.name.is_none() {
            return Ok(());
        }
        let may_only_look = visitor.roles == [Role::Viewer];
        let session = self.sessions.find(&visitor.token, Instant::now(), may_only_look).ok_or_else(signed_out)?;
        let operator = self.operators.still(&session.operator).filter(|own| own.roles == visitor.roles);
        operator.map(drop).ok_or_else(signed_out)
    }

    /// The session's token, from the cookie.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut cookies =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.find(|(name, _)| *name == self.cookie).map(|(_, token)| token.to_string())
    }
}
