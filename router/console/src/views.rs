//! Pages made of the snapshot, in the order of an operator's questions: is it fine, what is wrong, for whom, why, what can
//! I do.

mod actors;
mod nodes;
mod overview;
mod participant;

pub(crate) use actors::{Actor, Actors, ActorsOfKind};
pub(crate) use nodes::Nodes;
pub(crate) use overview::Overview;
pub(crate) use participant::Participant;
