//! The connections between the nodes of a cluster: encrypted, proven to be nodes of this cluster, measured, bounded.
//!
//! ```text
//!   node 1                                                node 2
//!   send ──> queue ──> sending thread ──TLS──> receiving thread ──> Upcalls::message
//!   Upcalls::message <── receiving thread <──TLS── sending thread <── queue <── send
//! ```
//!
//! Each node dials every other and only sends on that connection; what it accepts it only reads. Messages of one channel
//! arrive in the order in which they were sent, or not at all: a message that was lost, because its queue was full or a
//! connection ended, is lost for good. A file goes over a connection of its own, so that messages never wait for it.
//!
//! What it does not know: what a message means, who leads, who is a member until it is told. It believes a certificate
//! of the cluster's authority and nothing else; who is a member is for the log to say, and a node whose log is behind
//! must be able to hear a leader it has not heard of.
//!
//! In reading order: [`Upcalls`] (what the owner brings), [`Peers`] (what it holds), `hello` and `frame` (bytes), `tls`
//! and `identity` (who may speak), `accept` and `receive` (incoming), `dial` and `speak` (outgoing), `file`, `peer` (one
//! other node), `lane` (its queue), `meter` (its round trips). Beside them [`pki`] (certificates) and [`proxy`] (faults
//! on purpose).

mod accept;
mod config;
mod dial;
mod error;
mod file;
mod frame;
mod hello;
mod hub;
mod identity;
mod lane;
mod meter;
mod peer;
mod peers;
pub mod pki;
pub mod proxy;
mod receive;
mod refusals;
mod socket;
mod speak;
mod statistics;
mod threads;
mod tls;
mod upcalls;
mod words;

pub use config::{ClusterId, Config, Limits, NodeId, Tls};
pub use error::Error;
pub use identity::Identity;
pub use meter::{ClockOffset, RoundTrip};
pub use peers::Peers;
pub use statistics::{FileProgress, PeerStatistics, Statistics};
pub use upcalls::{Channel, FileSink, Upcalls};
