//! What the owner of the log brings: something that folds committed entries.

use std::io::{self, Read, Write};

/// Number of an entry, from 1 without gaps.
pub type Index = u64;
/// Reign of a leader; 1 for a node alone.
pub type Term = u64;

/// Identity of a node; never 0, never used again.
pub type NodeId = u64;

/// Where this node stands in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub term: Term,
    pub leader: Option<NodeId>,
    /// It leads, and everything of earlier terms is folded.
    pub leads: bool,
}

/// A committed entry: one batch of proposals, back to back as they were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub index: Index,
    pub term: Term,
    pub payload: &'a [u8],
    /// Read back from disk, not just committed.
    pub replay: bool,
}

/// Folds committed entries; lives on the journal thread, which waits for every call, so calls must be quick.
pub trait Fold: Send + 'static {
    /// In-memory values that travel with a batch and are handed over once it is committed. Never written.
    type Passenger: Send + 'static;

    /// Called at open, at most once, before any `committed()`. The bytes are those `freeze()` wrote, already verified.
    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String>;

    /// The next entry is on disk. In order, each index once. `passengers` came with it, in the order they were proposed
    /// (none at replay); drain them, what is left is dropped.
    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<Self::Passenger>);

    /// Passengers of a batch without bytes: there is no entry, but everything proposed before them is committed.
    fn delivered(&mut self, passengers: &mut Vec<Self::Passenger>);

    /// On every change, in order with `committed()`.
    fn standing(&mut self, _standing: Standing) {}

    /// Captures the state after the last `committed()`, between two entries. The closure writes it on another thread.
    fn freeze(&mut self) -> Freeze;
}

/// Writes a captured state.
pub type Freeze = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;
