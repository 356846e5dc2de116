//! A real switch, killed twenty times under load, has lost nothing and doubled nothing; nor has a cluster whose nodes are
//! killed, cut off and paused. See `tests::crash`.

use std::path::Path;

use clap::Parser;
use tests::crash::{Options, Outcome, run};

/// Runs it; all is kept unless it went as it should and `proves` something.
fn check(arguments: &[&str], proves: impl Fn(&Outcome) -> bool) {
    let seed = rand::random();
    let options = Options::parse_from([&["crash"], arguments].concat());
    let directory = tempfile::Builder::new().prefix("crosstie-crash-").tempdir().expect("a temporary directory");
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let ended = run(&options, program, directory.path(), seed, &mut |line| println!("{line}"));
    let good = ended.as_ref().is_ok_and(|outcome| {
        println!("{}", outcome.last_line());
        outcome.is_good() && proves(outcome)
    });
    if !good {
        let kept = directory.keep();
        panic!("seed {seed}, everything is kept in {}: {ended:#?}", kept.display());
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_twenty_kills() {
    check(&["--cycles", "20", "--rate", "1000", "--pause-max-ms", "3000"], |outcome| {
        // A run in which nothing happens proves nothing.
        outcome.counts.acknowledged > 1000 && outcome.hits.from_snapshot > 0
    });
}

#[test]
fn nothing_is_lost_or_doubled_by_a_cluster() {
    check(&["--nodes", "3", "--cycles", "9", "--rate", "200", "--pause-max-ms", "600"], |outcome| {
        outcome.counts.acknowledged > 500 && outcome.faults.len() == 9
    });
}

#[test]
fn nothing_is_lost_or_doubled_by_two_regions_and_a_witness() {
    check(&["--witness", "--nodes", "5", "--cycles", "4", "--rate", "150", "--pause-max-ms", "400"], |outcome| {
        outcome.counts.acknowledged > 200 && outcome.faults.len() == 4
    });
}
