//! What others want of the journal thread besides proposals: messages of peers, and what the owner asks.

use std::time::Duration;

use parking_lot::Mutex;

use crate::fold::NodeId;
use crate::replica::membership::MemberChange;
use crate::replica::message::{Arrived, Received};
use crate::replica::{Changed, Transferred};

pub(super) enum Event {
    Received(Received),
    Unreachable(NodeId),
    SnapshotSent(NodeId, bool),
    SnapshotArrived(Arrived),
    Transfer(Option<NodeId>, Transferred),
    Willing(bool),
    Change(MemberChange, Changed),
}

/// The way to another node and back.
struct RoundTrip {
    node: NodeId,
    average: Duration,
    /// What it takes when nothing holds it up. Forgotten slowly, as ways change.
    least: Duration,
}

impl RoundTrip {
    const LEAST_FORGOTTEN: u32 = 1024;

    fn took(&mut self, took: Duration) {
        self.average = (self.average * 7 + took) / 8;
        let longer = took.saturating_sub(self.least);
        self.least = took.min(self.least + longer / Self::LEAST_FORGOTTEN);
    }

    fn detour(&self) -> Duration {
        self.average.saturating_sub(self.least)
    }
}

/// What other nodes say is bounded: what finds no room is dropped, they say it again. What happens on this node is said
/// once, is little, and always finds room.
pub(super) struct Inbox {
    inner: Mutex<Inner>,
    round_trips: Mutex<Vec<RoundTrip>>,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    events: Vec<Event>,
    bytes: usize,
}

const EVENTS_MAX: usize = 16 << 10;

impl Inbox {
    pub(super) fn new(bytes_max: usize) -> Inbox {
        Inbox { inner: Mutex::default(), round_trips: Mutex::default(), bytes_max }
    }

    /// Something that another node said; false when there is no room, and it is dropped.
    #[must_use]
    pub(super) fn put(&self, event: Event, bytes: usize) -> bool {
        let mut inner = self.inner.lock();
        let is_full = inner.events.len() >= EVENTS_MAX || (inner.bytes > 0 && inner.bytes + bytes > self.bytes_max);
        if is_full {
            return false;
        }
        inner.events.push(event);
        inner.bytes += bytes;
        true
    }

    /// Something that happened here.
    pub(super) fn put_own(&self, event: Event) {
        self.inner.lock().events.push(event);
    }

    /// Exchanges what came for an empty list.
    pub(super) fn take(&self, empty: &mut Vec<Event>) {
        let mut inner = self.inner.lock();
        inner.bytes = 0;
        std::mem::swap(&mut inner.events, empty);
    }

    pub(super) fn round_trip(&self, node: NodeId, took: Duration) {
        let mut round_trips = self.round_trips.lock();
        match round_trips.iter_mut().find(|way| way.node == node) {
            Some(way) => way.took(took),
            None => round_trips.push(RoundTrip { node, average: took, least: took }),
        }
    }

    pub(super) fn round_trips(&self) -> Vec<(NodeId, Duration)> {
        self.round_trips.lock().iter().map(|way| (way.node, way.average)).collect()
    }

    /// The longest to one of those who count.
    pub(super) fn longest_round_trip(&self, counts: impl Fn(NodeId) -> bool) -> Option<Duration> {
        let mut round_trips = self.round_trips.lock();
        round_trips.retain(|way| counts(way.node));
        round_trips.iter().map(|way| way.average).max()
    }

    /// By how much the way to the nearest `needed` of those who count is longer than it need be, as lost packets make it.
    /// Zero while too few are known.
    pub(super) fn detour(&self, counts: impl Fn(NodeId) -> bool, needed: usize) -> Duration {
        let round_trips = self.round_trips.lock();
        let mut detours: Vec<Duration> =
            round_trips.iter().filter(|way| counts(way.node)).map(RoundTrip::detour).collect();
        detours.sort_unstable();
        needed.checked_sub(1).and_then(|last| detours.get(last).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded() {
        let inbox = Inbox::new(100);
        let put = |bytes| inbox.put(Event::Unreachable(1), bytes);
        assert!(put(500), "one always finds room");
        assert!(!put(1));
        inbox.take(&mut Vec::new());
        assert!(put(60) && put(40) && !put(1));
        inbox.take(&mut Vec::new());
        assert!((0..EVENTS_MAX).all(|_| put(0)) && !put(0));
        inbox.put_own(Event::SnapshotSent(2, true));
        let mut events = Vec::new();
        inbox.take(&mut events);
        assert!(matches!(events.last(), Some(Event::SnapshotSent(2, true))), "what happens here is not lost");
    }

    #[test]
    fn the_longest_round_trip_of_those_who_count() {
        let inbox = Inbox::new(0);
        for (node, ms) in [(1, 30), (2, 70), (3, 10)] {
            inbox.round_trip(node, Duration::from_millis(ms));
        }
        inbox.round_trip(1, Duration::from_millis(110));
        assert_eq!(inbox.longest_round_trip(|node| node != 2), Some(Duration::from_millis(40)));
        assert_eq!(inbox.longest_round_trip(|node| node == 2), None, "it was forgotten");
    }

    #[test]
    fn a_majority_is_late_when_the_ways_to_all_are() {
        let inbox = Inbox::new(0);
        let all = |_| true;
        assert_eq!(inbox.detour(all, 1), Duration::ZERO, "nothing is known");
        for node in [2, 3] {
            inbox.round_trip(node, Duration::from_millis(30));
        }
        let late = |node| (0..20).for_each(|_| inbox.round_trip(node, Duration::from_millis(230)));
        late(2);
        assert!(inbox.detour(all, 1) < Duration::from_millis(1), "node 3 suffices");
        assert!(inbox.detour(all, 2) > Duration::from_millis(150));
        late(3);
        assert!(inbox.detour(all, 1) > Duration::from_millis(150));
        assert_eq!(inbox.detour(all, 3), Duration::ZERO, "a third is not known");
        inbox.round_trip(4, Duration::from_millis(30));
        assert_eq!(inbox.detour(all, 1), Duration::ZERO, "the way to node 4 is as it was");
        assert!(inbox.detour(|node| node != 4, 1) > Duration::from_millis(150), "and says nothing once it is gone");
        assert_eq!(inbox.detour(all, 0), Duration::ZERO, "a node alone is its majority");
        // A way that has become longer for good is what it takes, in the end.
        (0..4000).for_each(|_| inbox.round_trip(3, Duration::from_millis(230)));
        assert!(inbox.detour(all, 1) < Duration::from_millis(10));
    }
}
