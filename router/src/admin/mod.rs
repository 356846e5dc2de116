//! Administration over a local socket: a Unix domain socket that only the node's own user may open, one JSON request per
//! line, one JSON answer per line.
//!
//! In reading order: `protocol` (what can be asked and what comes back), `desk` (how it is done on a switch), `figures`
//! (of the book and the journal), `leading` (who leads), `members` (who belongs to the cluster), `drain`, `trail` (what operators changed), `payment` (what
//! became of a payment, in a sentence), `find` (in the archive), `server` (the socket), `client` (the other end).

pub mod client;
mod cluster;
mod desk;
mod drain;
mod figures;
mod find;
mod leading;
mod members;
mod payment;
pub mod protocol;
pub mod server;
mod trail;

pub(crate) use cluster::cluster;
pub use desk::Desk;
