//! A real switch, killed twenty times under load, has lost nothing and doubled nothing. See `tests::crash`.

use std::path::Path;

use clap::Parser;
use tests::crash::{Options, run};

#[test]
fn nothing_is_lost_or_doubled_by_twenty_kills() {
    let seed = rand::random();
    let options = Options::parse_from(["crash", "--cycles", "20", "--rate", "1000", "--pause-max-ms", "3000"]);
    let directory = tempfile::Builder::new().prefix("crosstie-crash-").tempdir().expect("a temporary directory");
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let ended = run(&options, program, directory.path(), seed, &mut |line| println!("{line}"));
    let good = ended.as_ref().is_ok_and(|outcome| {
        let counts = outcome.counts;
        println!("cycles 20 acknowledged {} lost {} doubled {}", counts.acknowledged, counts.lost, counts.doubled);
        // A run in which nothing happens proves nothing.
        outcome.is_good() && counts.acknowledged > 1000 && outcome.hits.from_snapshot > 0
    });
    if !good {
        let kept = directory.keep();
        panic!("seed {seed}, everything is kept in {}: {ended:#?}", kept.display());
    }
}
