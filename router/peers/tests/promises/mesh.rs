//! Messages arrive, in order, on each channel.

use peers::Channel;

use crate::support::{Event, House, Node, any_port, introduce, limits, start, until};

#[test]
fn three_nodes_each_with_each_in_order() {
    const MESSAGES: usize = 2000;
    let nodes = House::new().mesh(3, &limits());
    let message = |from: u64, n: usize| format!("{from} {n} {}", "x".repeat(n % 300)).into_bytes();
    std::thread::scope(|scope| {
        for from in &nodes {
            scope.spawn(|| {
                for n in 0..MESSAGES {
                    for to in nodes.iter().filter(|to| to.id != from.id) {
                        let channel = if n % 3 == 0 { Channel::Relay } else { Channel::Consensus };
                        assert!(from.peers.send(to.id, channel, message(from.id, n)));
                    }
                }
            });
        }
    });
    for to in &nodes {
        for from in nodes.iter().filter(|from| from.id != to.id) {
            until("all messages arrive", || to.seen.count(from.id) >= MESSAGES);
            let (relay, consensus): (Vec<_>, Vec<_>) = (0..MESSAGES).partition(|n| n % 3 == 0);
            let of = |numbers: Vec<usize>| numbers.into_iter().map(|n| message(from.id, n)).collect::<Vec<_>>();
            assert!(to.seen.of(from.id, Channel::Relay) == of(relay), "{} to {}", from.id, to.id);
            assert!(to.seen.of(from.id, Channel::Consensus) == of(consensus), "{} to {}", from.id, to.id);
        }
        let statistics = to.peers.statistics();
        assert!(statistics.peers.iter().all(|peer| peer.dropped == 0), "{statistics:?}");
        assert!(to.seen.events().iter().all(|event| matches!(event, Event::Connected(_))));
    }
}

#[test]
fn each_knows_how_far_the_other_clocks_are_from_its_own() {
    let mut nodes = House::new().mesh(3, &limits());
    let offset = |from: &Node, to: u64| from.about(to).and_then(|peer| peer.clock_offset);
    for (from, to) in [(0, 2), (0, 3), (1, 1), (1, 3), (2, 1), (2, 2)] {
        let expected = (to as i64 - nodes[from].id as i64) * 100_000_000;
        // What is measured is wrong by no more than it says, and that is little once a ping was quick.
        until("the clock is known", || {
            let Some(offset) = offset(&nodes[from], to) else { return false };
            let is_right = offset.ahead_ns.abs_diff(expected) <= offset.uncertainty_ns + 1_000_000;
            is_right && offset.uncertainty_ns < 40_000_000
        });
    }
    nodes.pop();
    until("whoever is gone has no clock", || offset(&nodes[0], 3).is_none());
    assert!(offset(&nodes[0], 2).is_some());
}

#[test]
fn the_longest_messages_arrive_whole() {
    let nodes = House::new().mesh(2, &limits());
    let sizes = [0, 1, 16 << 10, (16 << 10) - 1, 1 << 20, Channel::Relay.bytes_max()];
    let message = |bytes: usize| (0..bytes).map(|n| (n * 7 + n / 251) as u8).collect::<Vec<u8>>();
    for bytes in sizes {
        assert!(nodes[0].peers.send(2, Channel::Relay, message(bytes)));
        assert!(nodes[0].peers.send(2, Channel::Consensus, message(bytes)));
    }
    assert!(nodes[0].peers.send(2, Channel::Consensus, message(Channel::Consensus.bytes_max())));
    until("all arrive", || nodes[1].seen.count(1) == 2 * sizes.len() + 1);
    let relayed = nodes[1].seen.of(1, Channel::Relay);
    assert!(relayed == sizes.map(message));
    assert_eq!(nodes[1].seen.of(1, Channel::Consensus).last().unwrap().len(), 8 << 20);
}

/// A node that is new, or whose log is behind, does not know who speaks to it; it must be able to answer.
#[test]
fn a_node_that_knows_nobody_answers_the_one_who_dials_it() {
    let house = House::new();
    let (listener, newcomer) = (any_port(), house.node(2));
    let mut config = house.config(1);
    config.address = listener.local_addr().unwrap().to_string();
    let leader = start(config, listener);
    leader.knows(&[(2, newcomer.address())]);
    until("both ways", || newcomer.is_connected(1) && leader.is_connected(2));
    assert!(!newcomer.about(1).unwrap().is_member && leader.about(2).unwrap().is_member);
    assert!(newcomer.peers.send(1, Channel::Consensus, b"yes?".into()));
    until("it answers", || leader.seen.count(2) == 1);

    leader.knows(&[]);
    until("the guest goes when the host does", || newcomer.about(1).is_none() && leader.about(2).is_none());
}

#[test]
fn nodes_that_were_members_to_each_other_part() {
    let house = House::new();
    let nodes = [1, 2].map(|id| {
        let (mut config, listener) = (house.config(id), any_port());
        config.address = listener.local_addr().unwrap().to_string();
        start(config, listener)
    });
    introduce(&[&nodes[0], &nodes[1]]);
    nodes[0].knows(&[]);
    until("the one that is kept as a guest answers still", || nodes[0].is_connected(2) && nodes[1].is_connected(1));
    nodes[1].knows(&[]);
    until("they part", || nodes[0].about(2).is_none() && nodes[1].about(1).is_none());
}

#[test]
fn nobody_is_sent_to_who_is_not_connected() {
    let house = House::new();
    let node = house.node(1);
    assert!(!node.peers.send(2, Channel::Consensus, vec![1]), "unknown");
    let nobody = any_port().local_addr().unwrap();
    node.knows(&[(1, node.address()), (2, nobody)]);
    assert!(!node.peers.send(2, Channel::Consensus, vec![1]), "not connected");
    assert!(!node.peers.send(1, Channel::Consensus, vec![1]), "itself");
    until("it says why", || node.about(2).unwrap().last_error.is_some_and(|why| why.contains("nobody listens there")));
    assert_eq!(node.about(2).unwrap().dropped, 1);
    assert!(node.about(1).is_none());
}
