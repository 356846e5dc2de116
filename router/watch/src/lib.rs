//! What a node looks like at one moment, taken once a second and told everywhere alike: by the console page, `crosstie top`,
//! `--json` and `/metrics`; and payments as they end, for a live tap. Nothing here knows the switch: whoever takes a snapshot
//! fills it, whoever shows one reads it.

mod budget;
mod checks;
mod exemplar;
pub mod facts;
mod history;
pub mod metrics;
mod outcome;
pub mod rows;
mod snapshot;
pub mod tap;
pub mod text;
mod verdict;
mod window;

pub use budget::Budget;
pub use checks::{Actions, AuditCheck, Checks, SelfCheck};
pub use exemplar::Exemplar;
pub use history::{History, MOMENTS_MAX, Mark, MarkKind, Moment};
pub use outcome::Outcome;
pub use snapshot::{
    Actor, ActorKind, Archive, BusiestActor, Deed, Failing, Latency, Log, Messages, Node, Outcomes, Participant,
    Payments, Peer, Position, Readiness, Session, Severity, Snapshot, Stage, StageName, Telemetry, Verdict, Warning,
};
pub use verdict::{CODES, SEVERAL, gathered, judge};
pub use window::{Lately, Window};
