//! The log of the simulated node: facts one after the other, synced up to a point. What lies behind that point may be
//! lost, wholly or in part, but only from its end.

/// Where a node appends what it decided. Positions count facts.
pub(crate) trait Append {
    /// The position of the fact.
    fn append(&mut self, fact: &[u8]) -> usize;

    /// The position of the next one.
    fn len(&self) -> usize;
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Log {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    committed: usize,
}

impl Append for Log {
    fn append(&mut self, fact: &[u8]) -> usize {
        self.bytes.extend_from_slice(fact);
        self.ends.push(self.bytes.len());
        self.ends.len() - 1
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

impl Log {
    pub(super) fn committed(&self) -> usize {
        self.committed
    }

    pub(super) fn commit(&mut self, up_to: usize) {
        self.committed = up_to.clamp(self.committed, self.ends.len());
    }

    /// A crash: only `kept` facts are found afterwards; all of them count as committed from then on.
    pub(super) fn cut(&mut self, kept: usize) {
        assert!(kept >= self.committed, "what is synced is not lost");
        self.ends.truncate(kept);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.committed = self.ends.len();
    }

    /// The bytes of the facts from `first` up to, not including, `end`.
    pub(super) fn read(&self, first: usize, end: usize) -> &[u8] {
        let offset = |place: usize| if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[offset(first)..offset(end)]
    }
}
