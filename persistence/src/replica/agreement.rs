//! Whether the nodes still agree: hashes of their states at the same positions, compared.

use std::collections::VecDeque;

use super::membership::Members;
use crate::error::Error;
use crate::fold::{Index, NodeId};

/// Positions that are remembered; a node that is further behind is not compared at them.
const POSITIONS_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Agreement {
    /// Oldest first, in order of their indexes.
    positions: VecDeque<Position>,
    agreed: Index,
}

struct Position {
    index: Index,
    hashes: Vec<(NodeId, u64)>,
}

impl Agreement {
    /// The newest position at which a majority had the same hash as this node.
    pub(super) fn agreed(&self) -> Index {
        self.agreed
    }

    /// Takes what a node says; fails if a majority of the members says something else than `me`.
    pub(super) fn take(
        &mut self,
        me: NodeId,
        members: &Members,
        node: NodeId,
        index: Index,
        hash: u64,
    ) -> Result<(), Error> {
        let Some(position) = self.position(index) else { return Ok(()) };
        position.hashes.retain(|(other, _)| *other != node);
        position.hashes.push((node, hash));
        let hashes: Vec<_> = position.hashes.iter().filter(|(node, _)| members.get(*node).is_some()).copied().collect();
        let Some((_, ours)) = hashes.iter().find(|(node, _)| *node == me) else { return Ok(()) };
        let majority = members.iter().count() / 2 + 1;
        let theirs = hashes.iter().map(|(_, hash)| *hash).find(|hash| {
            let same = hashes.iter().filter(|(_, other)| other == hash).count();
            same >= majority
        });
        match theirs {
            Some(theirs) if theirs == *ours => self.agreed = self.agreed.max(index),
            Some(theirs) => return Err(Error::Diverged { index, ours: *ours, theirs }),
            None => {}
        }
        Ok(())
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
            let mut agreement = Agreement::default();
            let say = |(node, hash): &(u64, u64)| agreement.take(1, &members(count), *node, 1024, *hash);
            assert_eq!(said.iter().try_for_each(say).is_ok(), well, "{said:?} of {count}");
        }
    }

    #[test]
    fn a_stranger_does_not_count_and_nobody_counts_twice() {
        let mut agreement = Agreement::default();
        for node in [1, 2, 2, 2, 9] {
            agreement.take(1, &members(4), node, 1024, if node == 1 { 7 } else { 8 }).unwrap();
        }
        assert_eq!(agreement.agreed(), 0);
    }

    #[test]
    fn positions_are_bounded() {
        let mut agreement = Agreement::default();
        for index in (1..=100).rev().chain(1..=100) {
            agreement.take(1, &members(1), 1, index, 5).unwrap();
        }
        assert_eq!((agreement.positions.len(), agreement.agreed()), (POSITIONS_MAX, 100));
        assert!(agreement.positions.iter().is_sorted_by_key(|position| position.index));
    }
}
