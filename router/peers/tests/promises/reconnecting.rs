//! Connections come again by themselves, and the owner hears of it in turn.

use std::net::TcpListener;
use std::time::Duration;

use peers::{Channel, Config, Limits};

use crate::support::{Event, House, Node, any_port, introduce, limits, start, until};

#[test]
fn a_node_that_went_is_found_again() {
    let house = House::new();
    let nodes = house.mesh(3, &limits());
    let address = nodes[1].address();
    for round in 1..=3 {
        nodes[1].peers.stop();
        let misses = |node: &Node| !node.about(2).unwrap().sends && !node.is_connected(2);
        until("it is missed", || misses(&nodes[0]) && misses(&nodes[2]));
        assert!(!nodes[0].peers.send(2, Channel::Consensus, vec![0]));
        let listener = TcpListener::bind(address).unwrap();
        let again = start(house.config(2), listener);
        again.knows(&[(1, nodes[0].address()), (3, nodes[2].address())]);
        until("it is back", || again.is_connected(1) && again.is_connected(3));
        until("and the others know", || nodes[0].is_connected(2) && nodes[2].is_connected(2));
        let before = again.seen.count(1);
        assert!(nodes[0].peers.send(2, Channel::Consensus, vec![round]));
        until("messages flow", || again.seen.count(1) > before);
        again.peers.stop();
        until("it is missed again", || !nodes[0].is_connected(2));
    }
    until("the last end is told", || nodes[0].seen.events().len() % 2 == 1);
    let told: Vec<_> = nodes[0].seen.events().into_iter().filter(|event| *event != Event::Connected(3)).collect();
    for pair in told.chunks(2) {
        assert!(matches!(pair, [Event::Connected(2), Event::Disconnected(2, _)]), "{told:?}");
    }
}

#[test]
fn connections_follow_the_members() {
    let house = House::new();
    let nodes = house.mesh(3, &limits());
    nodes[0].knows(&[(3, nodes[2].address())]);
    until("no longer sent to", || nodes[0].about(2).is_none_or(|peer| !peer.sends));
    assert!(!nodes[0].peers.send(2, Channel::Relay, vec![1]));
    assert!(nodes[1].peers.send(1, Channel::Relay, vec![1]), "but heard");
    until("heard", || nodes[0].seen.count(2) == 1);

    // Node 2 moves.
    let moved = start(house.config(2), any_port());
    nodes[1].peers.stop();
    introduce(&[&nodes[0], &moved, &nodes[2]]);
    assert!(nodes[2].about(2).unwrap().address.unwrap() == moved.address().to_string());
}

/// A port that is open and says nothing.
#[test]
fn a_deaf_address_is_tried_again_and_told() {
    let deaf = any_port();
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..limits() };
    let node = start(Config { limits, ..House::new().config(1) }, any_port());
    node.knows(&[(2, deaf.local_addr().unwrap())]);
    let tried = |why: String| why.contains("did not answer in time");
    until("it says why", || node.about(2).unwrap().last_error.is_some_and(tried));
    for _ in 0..3 {
        deaf.accept().unwrap();
    }
}
