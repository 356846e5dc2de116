//! What the owner of the log brings: something that folds committed entries.

use std::io::{self, Read, Write};

/// Number of an entry, from 1 without gaps.
pub type Index = u64;
/// Number of a reign: at most one node leads in it.
pub type Term = u64;
/// Number of a node; never 0, never given to another one.
pub type NodeId = u64;

/// Where this node stands in its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub term: Term,
    /// Who leads in that term, as far as this node knows.
    pub leader: Option<NodeId>,
    /// This node does, and everything of earlier terms is folded.
    pub leads: bool,
}

/// A committed entry: one batch of proposals, back to back as they were appended. Empty where a leader began its reign or
/// the members changed.
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

    /// Replaces everything: at open, before any `committed()`, and whenever this node lags so far behind that it gets the
    /// leader's snapshot. The bytes are those `freeze()` wrote, already verified.
    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String>;

    /// The next entry is on disk. In order, each index once. `passengers` came with it, in the order they were proposed
    /// (none at replay); drain them, what is left is dropped.
    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<Self::Passenger>);

    /// Passengers without an entry: those who accompanied, when everything proposed before them is committed; visitors at
    /// once.
    fn delivered(&mut self, passengers: &mut Vec<Self::Passenger>);

    /// On every change, in order with `committed()`. When leadership ended, the passengers of what was not committed have
    /// been dropped before.
    fn standing(&mut self, _standing: Standing) {}

    /// Of the numbers that `checkpoint` gives. Another build may compute them otherwise under another version: they are not
    /// compared, so that nodes can be brought to a new build one after the other.
    const CHECKPOINT_VERSION: u32 = 1;

    /// A number that is the same for equal states, after the entry `index`, at positions that are the same on every node;
    /// nodes compare it. `None` skips the comparison.
    fn checkpoint(&mut self, _index: Index) -> Option<u64> {
        None
    }

    /// Captures the state after the last `committed()`, between two entries. The closure writes it on another thread.
    fn freeze(&mut self) -> Freeze;
}

/// Writes a captured state.
pub type Freeze = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;
