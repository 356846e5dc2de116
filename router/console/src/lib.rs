//! The page that operations have on the wall, and its server: health, metrics, sign-in, live pages, actions.
//!
//! It knows the [`Snapshot`] and nothing of the switch: what it shows besides, and what operators ask for, goes through
//! [`Switch`]. It runs on a thread of its own, so that no payment waits for a page.
//!
//! In reading order: `server` (sockets and their limits), `guard` (what is asked of every request), `app` (every URL),
//! `health`; `roles` (who may what), `operators` (their file), `sessions`, `sign_in`; `live` (a page, once and then each
//! second), `look`, `heat`, `views` (pages made of the snapshot), `links`, `hover`, `tap` (payments as they end), `frame`
//! (what stands around every page), `actions`.

mod actions;
mod app;
mod frame;
mod guard;
mod health;
mod heat;
mod hover;
mod links;
mod live;
mod look;
pub mod operators;
mod parts;
mod roles;
mod sent;
mod server;
mod sessions;
mod sign_in;
mod tap;
mod views;
mod visitor;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use watch::tap::{Filter, Tapped};
use watch::{Moment, Snapshot};

pub use actions::{Action, Direction};
pub use links::{linked, participant, payment};
pub use parts::{bar, facts};
pub use roles::Role;
pub use server::{Config, Console, Error, start};

/// What takes a while.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The switch, as the console needs it.
pub trait Switch: Send + Sync + 'static {
    /// Waits for the next snapshot, at first for any; none when there will be no more.
    fn next(&self) -> Waiting<'_, Option<Arc<Snapshot>>>;

    /// The last hour, oldest first.
    fn history(&self) -> Vec<Moment>;

    /// Carries out what an operator asked for. The text says what was done.
    fn act(&self, order: Order) -> Waiting<'_, Result<String, Problem>>;

    /// Keeps for the audit trail what somebody tried who has not the role for it, and why it was not done.
    fn forbidden(&self, order: Order, why: String) -> Waiting<'_, ()>;

    /// What is known besides the snapshot.
    fn page(&self, subject: Subject) -> Waiting<'_, Result<Page, Problem>>;

    /// Whether a filter can be tapped, or why not; nothing is opened.
    fn check_tap(&self, filter: &Filter) -> Result<(), Problem>;

    /// Payments that end from now on and fit the filter.
    fn tap(&self, filter: &Filter) -> Result<Box<dyn Tap>, Problem>;

    /// The actor that decides for a participant, while this node leads.
    fn actor(&self, participant: &str) -> Result<watch::Actor, Problem>;
}

/// Payments as they end; nobody gathers them any more once it is dropped.
pub trait Tap: Send {
    /// Waits for what came of it, which may be nothing; or tells why there is no more.
    fn next(&mut self) -> Waiting<'_, Result<Tapped, String>>;
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub action: Action,
    /// The name that was signed in with.
    pub operator: String,
    pub reason: String,
}

/// A page that is not made of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A search in words.
    Payments { words: String },
    /// One payment's story.
    Payment { uetr: String },
    /// Who changed what, and why, the latest first.
    Audit,
    /// What waits for a second person; by name who looks, where people sign in.
    Tasks { operator: Option<String> },
    /// One of them, for the page on which it is decided.
    Task { number: u64 },
}

pub struct Page {
    pub title: String,
    pub body: maud::Markup,
    /// The same for programs.
    pub json: Value,
}

/// Why not, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    pub message: String,
    /// What to do next.
    pub next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request is wrong.
    Usage,
    /// A rule, a right or the state of things is against it.
    Refused,
    NotFound,
    /// It cannot be done now.
    Unavailable,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Problem {
        Problem { kind, message: message.into(), next: None }
    }
}
