//! Several logs: the protocol between shards keeps the promises, and costs what `SCALE.md` says. See `tests::shards`.

use tests::shards::{World, run};

#[test]
fn payments_that_cross_shards_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let tally = run(number("CROSSTIE_SEEDS").unwrap_or(3_000)).unwrap_or_else(|what| panic!("{what}"));
    println!("{tally:?}");
    for (what, count) in [
        ("crossed", tally.crossed),
        ("settled", tally.settled),
        ("rejected", tally.rejected),
        ("expired", tally.expired),
        ("crashes", tally.crashes),
        ("lost letters", tally.lost),
        ("repeated letters", tally.repeated),
    ] {
        assert!(tally.worlds < 1_000 || count > tally.worlds, "only {count} {what} in {} worlds", tally.worlds);
    }
    assert!(tally.worlds < 1_000 || tally.in_transit_max > 0, "no money was ever between two shards");
}

#[test]
fn a_payment_that_crosses_costs_two_commits_and_two_letters_more() {
    let within = World::cost(false).unwrap_or_else(|what| panic!("{what}"));
    let across = World::cost(true).unwrap_or_else(|what| panic!("{what}"));
    assert_eq!(
        within,
        [(1, 0), (2, 0)],
        "commits and letters until the creditor agent is asked, the debtor agent told"
    );
    assert_eq!(across, [(2, 1), (4, 2)]);
}
