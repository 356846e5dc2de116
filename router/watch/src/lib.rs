//! What a node looks like at one moment, taken once a second and told everywhere alike: by the console page, `crosstie top`,
//! `--json` and `/metrics`. Nothing here knows the switch: whoever takes a snapshot fills it, whoever shows one reads it.

mod checks;
mod history;
pub mod metrics;
pub mod rows;
mod snapshot;
pub mod text;
mod verdict;
mod window;

pub use checks::{Actions, AuditCheck, Checks, SelfCheck};
pub use history::{History, MOMENTS_MAX, Mark, MarkKind, Moment};
pub use snapshot::{
    Actor, ActorKind, Archive, BusiestActor, Deed, Failing, Latency, Log, Messages, Node, Outcomes, Participant,
    Payments, Peer, Position, Severity, Snapshot, Stage, StageName, Telemetry, Verdict, Warning,
};
pub use verdict::{CODES, judge};
pub use window::{COARSE_EDGES_US, EDGES_US, Window};
