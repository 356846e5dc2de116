//! The promises of the replicated switch, in as many worlds as there are seeds. See `tests::replicated`.

/// Answer against timeout, while the leader dies, is cut off, sleeps or hands over.
#[test]
fn answer_and_timeout_never_both_win_while_the_leader_changes() {
    let races = tests::replicated::races(8).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{races:?}");
}
