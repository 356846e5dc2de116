//! What waits for a peer is bounded; what is not taken is counted; what is urgent goes first.

use std::sync::atomic::Ordering;
use std::time::Duration;

use peers::{Channel, Limits};

use crate::support::{House, limits, until};

const MESSAGE_BYTES: usize = 10_000;

#[test]
fn a_full_queue_drops_and_counts_and_what_it_took_arrives_in_order() {
    let limits = Limits { queue_bytes_max: 1 << 20, ..limits() };
    let nodes = House::new().mesh(3, &limits);
    let message = |n: u32| [&n.to_le_bytes()[..], &[0; MESSAGE_BYTES - 4]].concat();
    nodes[1].seen.is_stuck.store(true, Ordering::SeqCst);
    let (mut taken, mut dropped, mut dropped_in_a_row) = (Vec::new(), 0, 0);
    // The kernel's buffers take some megabytes first, and the sending thread is not always at once at work.
    for n in 0.. {
        if nodes[0].peers.send(2, Channel::Relay, message(n)) {
            taken.push(message(n));
            dropped_in_a_row = 0;
        } else {
            (dropped, dropped_in_a_row) = (dropped + 1, dropped_in_a_row + 1);
            std::thread::sleep(Duration::from_millis(2));
        }
        if dropped_in_a_row == 200 {
            break;
        }
    }
    let about = nodes[0].about(2).unwrap();
    assert_eq!(about.dropped, dropped);
    assert!((1 << 19..=1 << 20).contains(&about.queued_bytes), "{about:?}");

    // Neither the other channel nor another peer suffers from it.
    assert!(nodes[0].peers.send(2, Channel::Consensus, b"urgent".into()));
    assert!(nodes[0].peers.send(3, Channel::Relay, message(7)));
    until("the other peer hears", || nodes[2].seen.count(1) == 1);

    nodes[1].seen.is_stuck.store(false, Ordering::SeqCst);
    until("what was taken arrives", || nodes[1].seen.count(1) == taken.len() + 1);
    assert!(nodes[1].seen.of(1, Channel::Relay) == taken);
    let arrived = nodes[1].seen.messages.lock().unwrap();
    let urgent = arrived[&1].iter().position(|(channel, _)| *channel == Channel::Consensus).unwrap();
    assert!(urgent + 50 < taken.len(), "the urgent message came as number {urgent} of {}", taken.len());
}

#[test]
#[should_panic(expected = "takes no")]
fn a_message_that_is_too_long_is_a_mistake_of_ours() {
    let nodes = House::new().mesh(2, &limits());
    nodes[0].peers.send(2, Channel::Relay, vec![0; Channel::Relay.bytes_max() + 1]);
}
