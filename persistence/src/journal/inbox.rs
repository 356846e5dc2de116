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

/// What other nodes say is bounded: what finds no room is dropped, they say it again. What happens on this node is said
/// once, is little, and always finds room.
pub(super) struct Inbox {
    inner: Mutex<Inner>,
    round_trips: Mutex<Vec<(NodeId, Duration)>>,
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
        match round_trips.iter_mut().find(|(other, _)| *other == node) {
            Some((_, average)) => *average = (*average * 7 + took) / 8,
            None => round_trips.push((node, took)),
        }
    }

    pub(super) fn round_trips(&self) -> Vec<(NodeId, Duration)> {
        self.round_trips.lock().clone()
    }

    /// The longest to one of those who count.
    pub(super) fn longest_round_trip(&self, counts: impl Fn(NodeId) -> bool) -> Option<Duration> {
        let mut round_trips = self.round_trips.lock();
        round_trips.retain(|(node, _)| counts(*node));
        round_trips.iter().map(|(_, average)| *average).max()
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
}
