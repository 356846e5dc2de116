//! Whether the nodes still agree: hashes of their states at the same positions, compared.

use std::collections::VecDeque;
use std::time::Duration;

use super::membership::Members;
use crate::error::Error;
use crate::fold::{Index, NodeId};

/// Positions that are remembered; a node that is further behind is not compared at them.
const POSITIONS_MAX: usize = 16;

/// The last comparison of this node's state with that of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    pub node: NodeId,
    pub index: Index,
    pub is_same: bool,
}

pub(super) struct Agreement {
    me: NodeId,
    /// Oldest first, in order of their indexes.
    positions: VecDeque<Position>,
    agreed: (Index, Duration),
    compared: Vec<Compared>,
}

struct Position {
    index: Index,
    hashes: Vec<(NodeId, u64)>,
}

impl Agreement {
    pub(super) fn of(me: NodeId) -> Agreement {
        Agreement { me, positions: VecDeque::new(), agreed: (0, Duration::ZERO), compared: Vec::new() }
    }

    /// The newest position at which a majority had the same hash as this node, and when that was found.
    pub(super) fn agreed(&self) -> (Index, Duration) {
        self.agreed
    }

    /// In order of the nodes.
    pub(super) fn compared(&self) -> &[Compared] {
        &self.compared
    }

    /// Takes what a node says, this one too; fails if a majority of the members says something else than this one.
    pub(super) fn take(
        &mut self,
        members: &Members,
        node: NodeId,
        index: Index,
        hash: u64,
        now: Duration,
    ) -> Result<(), Error> {
        let Some(position) = self.position(index) else { return Ok(()) };
        position.hashes.retain(|(other, _)| *other != node);
        position.hashes.push((node, hash));
        let hashes: Vec<_> = position.hashes.iter().filter(|(node, _)| members.get(*node).is_some()).copied().collect();
        let me = self.me;
        let Some((_, ours)) = hashes.iter().find(|(node, _)| *node == me).copied() else { return Ok(()) };
        self.compared.retain(|compared| members.get(compared.node).is_some());
        let others = hashes.iter().filter(|(node, _)| *node != me);
        others.for_each(|(node, hash)| self.compare(*node, index, *hash == ours));
        let majority = members.iter().count() / 2 + 1;
        let is_majority = |hash: u64| hashes.iter().filter(|(_, other)| *other == hash).count() >= majority;
        if is_majority(ours) {
            // Said again it is no younger.
            if index > self.agreed.0 {
                self.agreed = (index, now);
            }
            return Ok(());
        }
        match hashes.iter().find(|(_, hash)| is_majority(*hash)) {
            Some((_, theirs)) => Err(Error::Diverged { index, ours, theirs: *theirs }),
            None => Ok(()),
        }
    }

    /// Who differs is told at once: it can be that no majority is there to say which of the two is right.
    fn compare(&mut self, node: NodeId, index: Index, is_same: bool) {
        let new = Compared { node, index, is_same };
        let place = self.compared.partition_point(|compared| compared.node < node);
        match self.compared.get_mut(place).filter(|compared| compared.node == node) {
            Some(last) if last.index > index || *last == new => return,
            Some(last) => *last = new,
            None => self.compared.insert(place, new),
        }
        if !is_same {
            tracing::error!(
                event = "states_differ",
                peer = node,
                index,
                "after this entry the state of another node is not the state of this one; whoever differs from a majority stops"
            );
        }
    }

    /// The place for this index; none if it is too old.
    fn position(&mut self, index: Index) -> Option<&mut Position> {
        let place = self.positions.partition_point(|position| position.index < index);
        if self.positions.get(place).is_none_or(|position| position.index != index) {
            if self.positions.len() == POSITIONS_MAX {
                if place == 0 {
                    return None;
                }
                self.positions.pop_front();
                return self.insert(place - 1, index);
            }
            return self.insert(place, index);
        }
        self.positions.get_mut(place)
    }

    fn insert(&mut self, place: usize, index: Index) -> Option<&mut Position> {
        self.positions.insert(place, Position { index, hashes: Vec::new() });
        self.positions.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::membership::Member;

    fn members(count: u64) -> Members {
        Members::first(&(1..=count).map(Member::alone).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_minority_stops() {
        // Who says what, in order; node 1 is this one.
        type Said = &'static [(NodeId, u64)];
        let cases: [(u64, Said, bool); 6] = [
            (3, &[(1, 7), (2, 7), (3, 8)], true),
            (3, &[(2, 8), (3, 8), (1, 7)], false),
            (3, &[(1, 7), (2, 8)], true),
            (3, &[(1, 7), (2, 8), (3, 9)], true),
            (5, &[(1, 7), (2, 8), (3, 8), (4, 7)], true),
            (5, &[(1, 7), (2, 8), (3, 8), (4, 8)], false),
        ];
        for (count, said, well) in cases {
            let mut agreement = Agreement::of(1);
            let say = |(node, hash): &(u64, u64)| agreement.take(&members(count), *node, 1024, *hash, Duration::ZERO);
            assert_eq!(said.iter().try_for_each(say).is_ok(), well, "{said:?} of {count}");
        }
    }

    #[test]
    fn a_stranger_does_not_count_and_nobody_counts_twice() {
        let mut agreement = Agreement::of(1);
        for node in [1, 2, 2, 2, 9] {
            let hash = if node == 1 { 7 } else { 8 };
            agreement.take(&members(4), node, 1024, hash, Duration::ZERO).unwrap();
        }
        assert_eq!(agreement.agreed(), (0, Duration::ZERO));
        assert_eq!(agreement.compared(), [Compared { node: 2, index: 1024, is_same: false }]);
    }

    #[test]
    fn positions_are_bounded() {
        let mut agreement = Agreement::of(1);
        for index in (1..=100).rev().chain(1..=100) {
            agreement.take(&members(1), 1, index, 5, Duration::ZERO).unwrap();
        }
        assert_eq!((agreement.positions.len(), agreement.agreed().0), (POSITIONS_MAX, 100));
        assert!(agreement.positions.iter().is_sorted_by_key(|position| position.index));
    }

    #[test]
    fn each_node_is_compared_at_the_newest_position_that_both_know() {
        let (mut agreement, three) = (Agreement::of(1), members(3));
        let mut say = |node, index, hash, second| {
            agreement.take(&three, node, index, hash, Duration::from_secs(second)).unwrap();
            (agreement.compared().to_vec(), agreement.agreed().0, agreement.agreed().1.as_secs())
        };
        let compared = |node, index, is_same| Compared { node, index, is_same };
        assert_eq!(say(1, 16, 7, 1), (vec![], 0, 0));
        assert_eq!(say(2, 16, 7, 2), (vec![compared(2, 16, true)], 16, 2));
        // Said again it is no younger.
        assert_eq!(say(2, 16, 7, 3), (vec![compared(2, 16, true)], 16, 2));
        // Ahead of this node: compared once this one is there.
        assert_eq!(say(3, 32, 8, 4), (vec![compared(2, 16, true)], 16, 2));
        assert_eq!(say(1, 32, 9, 5), (vec![compared(2, 16, true), compared(3, 32, false)], 16, 2));
        assert_eq!(say(3, 16, 7, 6), (vec![compared(2, 16, true), compared(3, 32, false)], 16, 2));
        assert_eq!(say(2, 32, 9, 7), (vec![compared(2, 32, true), compared(3, 32, false)], 32, 7));
        // Whoever has left is not shown.
        agreement.take(&members(2), 2, 48, 1, Duration::from_secs(8)).unwrap();
        agreement.take(&members(2), 1, 48, 1, Duration::from_secs(8)).unwrap();
        assert_eq!(agreement.compared(), [compared(2, 48, true)]);
    }
}
