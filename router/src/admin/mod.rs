//! Administration over a local socket: a Unix domain socket that only the node's own user may open, one JSON request per
//! line, one JSON answer per line.
//!
//! In reading order: `protocol` (what can be asked and what comes back), `asked` (by whom), `desk` (how it is done on a
//! switch), `figures` (of the book and the journal), `leading` (who leads), `members` (who belongs to the cluster), `drain`,
//! `operators` (who may sign in), `trail` (what operators changed), `tasks` (what waits for a second person), `checks` (what the node checks of itself),
//! `logbook` (what the snapshot tells of all that), `server` (the socket), `client` (the other end). Payments are told and
//! found by `story`.

pub mod asked;
mod checks;
pub mod client;
mod cluster;
pub(crate) mod desk;
mod drain;
mod figures;
mod leading;
mod logbook;
mod members;
pub mod operators;
pub mod protocol;
pub mod server;
mod tasks;
mod trail;

pub(crate) use cluster::cluster;
pub use desk::Desk;
pub use logbook::Logbook;
pub(crate) use trail::own_draft;
