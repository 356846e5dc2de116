//! The promises of the replicated switch, in as many worlds as there are seeds. See `tests::replicated`.

use tests::replicated::{Races, again, chaos, races};

/// Everything at once: machines that stop, links that are cut, nodes that sleep, clocks that jump, banks that misbehave.
#[test]
fn every_promise_is_kept_in_every_replicated_world() {
    let chaos = chaos(500).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{chaos:?}");
    // A simulation in which nothing happens keeps every promise.
    if chaos.worlds >= 100 {
        for (what, count, least) in [
            ("reigns", chaos.reigns, 4),
            ("facts", chaos.facts, 200),
            ("settled", chaos.settled, 10),
            ("expired", chaos.expired, 5),
            ("crashes", chaos.crashes, 4),
            ("actor crashes", chaos.actor_crashes, 1),
            ("banks that came back to another node", chaos.moved, 10),
        ] {
            assert!(count >= least * chaos.worlds, "only {count} {what} in {} worlds", chaos.worlds);
        }
        assert!(chaos.snapshots_arrived >= chaos.worlds / 10, "only {} snapshots arrived", chaos.snapshots_arrived);
    }
}

/// Answer against timeout, while the leader dies, is cut off, sleeps or hands over: at least 100,000 times.
#[test]
fn answer_and_timeout_never_both_win_while_the_leader_changes() {
    let races = races(250).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{races:?}");
    let Races { settled, rejected, expired, yes_then_expired, expired_then_yes, otherwise, .. } = races;
    assert_eq!(settled + rejected + expired, races.races, "each race has one end");
    if races.worlds >= 250 {
        assert!(races.races >= 100_000, "only {} races", races.races);
        for (what, count) in [
            ("settled", settled),
            ("rejected", rejected),
            ("expired", expired),
            ("yes, then expired", yes_then_expired),
            ("expired, then yes", expired_then_yes),
            ("decided otherwise", otherwise),
            ("decided again", races.decided_again),
        ] {
            assert!(count >= 1_000, "only {count} {what}");
        }
        assert!(races.after.iter().all(|count| *count >= 1_000), "the leader went in every way: {:?}", races.after);
        assert!(races.two_reigns_at_once >= 100, "a deposed leader hardly ever went on: {}", races.two_reigns_at_once);
    }
}

/// The same seed, the same world: otherwise a failure could not be looked at again.
#[test]
fn a_replicated_seed_repeats_exactly() {
    for seed in 1_000..1_003 {
        assert_eq!(again(seed), again(seed), "seed {seed}");
    }
}
