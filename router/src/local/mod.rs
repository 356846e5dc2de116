//! A cluster on this machine, for work by hand, for the demo, for tests and measurements: every node a process of its own,
//! and between each two of them a road that can be made long or cut.
//!
//! ```text
//!   this process                                     processes of this program: `crosstie serve`
//!   proxy 1→2, 1→3, 2→1 … ─── their delays, cuts      node 1  data-1/  node-1.toml
//!   control.sock <── crosstie local kill 2            node 2  data-2/  node-2.toml   killed, paused, stopped,
//!                                                     node 3  data-3/  node-3.toml   started again; end with this one
//! ```
//!
//! Its regions are words: all nodes run on the same host and share its processors and its disk. What is measured here says
//! how the nodes work together over such distances, not what separate machines would reach.
//!
//! In reading order: `plan` (what it is to be), `ports`, `place` (its files), `roads` (the proxies), `process`, `cluster`
//! (all of it together), `books` (are they equal?), `status`, `control` (the socket), `orders` (what can be asked by it),
//! `up` and
//! `introduction` (`crosstie local up`).

mod books;
mod cluster;
mod control;
mod introduction;
mod orders;
mod place;
mod plan;
mod ports;
mod process;
mod roads;
mod status;
mod up;

pub use books::{Books, Holding};
pub use cluster::{Cluster, ask};
pub use control::{Answer, Order, order};
pub use place::Place;
pub use plan::{Plan, Seat, Stake};
pub use ports::Ports;
pub use process::{Ready, own_program};
pub use status::{NodeStatus, RoadStatus, Status};
pub use up::{Up, up};
