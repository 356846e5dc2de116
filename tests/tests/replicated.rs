//! The promises of the replicated switch, in as many worlds as there are seeds. See `tests::replicated`.

use tests::replicated::{chaos, races};

/// Everything at once: machines that stop, links that are cut, nodes that sleep, clocks that jump, banks that misbehave.
#[test]
fn every_promise_is_kept_in_every_replicated_world() {
    let chaos = chaos(std::env::var("N").map_or(60, |n| n.parse().unwrap_or(8))).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{chaos:?}");
}

/// Answer against timeout, while the leader dies, is cut off, sleeps or hands over.
#[test]
fn answer_and_timeout_never_both_win_while_the_leader_changes() {
    let races = races(std::env::var("N").map_or(8, |n| n.parse().unwrap_or(8))).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{races:?}");
}
