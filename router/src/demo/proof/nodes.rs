//! The part of the proof that speaks of the nodes: all hold the same, all logs are the same, and one that was cut off
//! acknowledged nothing.

use super::Proof;
use crate::demo::acts::Silence;
use crate::demo::figures::count;
use crate::demo::replay::Replay;
use crate::local::Books;

impl Proof {
    /// What every node told of every bank, at one entry of the log.
    pub(in crate::demo) fn nodes(&mut self, books: &Books) {
        for difference in &books.differences {
            self.differs(|| difference.clone());
        }
        let found = format!("{} nodes, {} banks, at entry {}", books.nodes, books.holdings.len(), count(books.index));
        self.row("all nodes' books are equal", books.differences.is_empty(), found);
    }

    /// Each node's log, folded from nothing.
    pub(in crate::demo) fn logs(&mut self, replays: &[(u64, Replay)]) {
        let mut same = true;
        let Some(((first, own), others)) = replays.split_first() else { return };
        let holdings = own.holdings();
        for (node, other) in others {
            if (other.entries, other.fingerprint) != (own.entries, own.fingerprint) {
                same = false;
                let (entries, others) = (count(own.entries), count(other.entries));
                self.differs(|| format!("the logs of node {first} ({entries} entries) and {node} ({others}) differ"));
            }
            for (own, other) in holdings.iter().zip(other.holdings()).filter(|(own, other)| *own != other) {
                same = false;
                self.differs(|| format!("by the log of node {first} {own:?}, by that of node {node} {other:?}"));
            }
            same &= holdings.len() == other.holdings().len();
        }
        let found = format!("{} logs of {} entries", replays.len(), count(own.entries));
        self.row("each node's log folds to the same", same, found);
    }

    /// What the node did that was cut off.
    pub(in crate::demo) fn silence(&mut self, silence: &Silence) {
        if !silence.holds() {
            self.differs(|| format!("node {}: {}", silence.node, silence.words()));
        }
        let (notices, banks) = (count(silence.notices), silence.banks);
        let found = format!("{notices} notices to {banks} banks in {:.1} s", silence.length.as_secs_f64());
        self.row("cut off, a node tells nothing", silence.holds(), found);
    }
}
