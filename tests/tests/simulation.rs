//! The promises of the pure core, in as many worlds as there are seeds. See `tests::simulation`.

use tests::simulation::{Options, Scenario, run_all};

/// Everything at once: banks that misbehave, operators, clocks that jump, actors and nodes that crash.
#[test]
fn every_promise_is_kept_in_every_world() {
    let tally = run_all(Scenario { test: "every_promise", draw: Options::any }, 10_000);
    let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{tally:?}");
    // A simulation in which nothing happens keeps every promise.
    if tally.seeds >= 1_000 {
        for (what, count) in [
            ("settled", tally.settled),
            ("returned", tally.returned),
            ("expired", tally.expired),
            ("actor crashes", tally.actor_crashes),
            ("node crashes", tally.node_crashes),
        ] {
            assert!(count > tally.seeds / 10, "only {count} {what} in {} seeds", tally.seeds);
        }
    }
}

/// Answer against timeout, to the nanosecond, with everything in between.
#[test]
fn answer_and_timeout_never_both_win() {
    let tally = run_all(Scenario { test: "answer_and_timeout", draw: Options::race }, 100_000);
    let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{tally:?}");
    assert!(tally.seeds < 1_000 || (tally.settled > tally.seeds / 20 && tally.expired > tally.seeds / 20), "{tally:?}");
}
