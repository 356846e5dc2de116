//! `crosstie demo`: a cluster of three nodes in three simulated regions, eight banks with characters over TCP, load that
//! finds its own rate; a leader killed, a region cut off, a node drained; and at the end the proof that nothing was lost,
//! nothing doubled, and all nodes hold the same.
//!
//! ```text
//!   this process                                             three processes `crosstie serve`, each with its data
//!   load ──> bank A..H, each with its own book ──── TCP ───> north ─┬─ south    killed, cut off, drained,
//!                 │                                             └─ west ┘       started again, stopped
//!                 └───────────── proof <───── status, logs ─────────┘
//!                proxies between the nodes: distances and cuts (`local`)
//! ```
//!
//! In reading order: `play` (the script), `scene` (the nodes), `characters` (the cast), `acts` (what happens to the nodes),
//! `ending`; `draw` (payments from the seed), `bank` and its `book`, `line` (one that breaks), `load` (the rate);
//! `stage`, `measured`, `news`, `nodes` (what all share); `seen`, `view`, `plain`, `summary` (what is shown); `replay` and
//! `proof`.

mod acts;
mod bank;
mod book;
mod characters;
mod draw;
mod ending;
mod figures;
mod line;
mod load;
mod measured;
mod news;
mod nodes;
mod plain;
mod play;
mod proof;
mod replay;
mod scene;
mod seen;
mod stage;
mod summary;
mod view;

use std::time::Duration;

pub use load::Rate;

use crate::exit::{Exit, Failure};

/// For `--help`.
pub const HELP: &str = "\
Eight banks, each with a character, pay one another through a cluster of three nodes in three regions. The regions are
simulated: all nodes run on this host, and proxies between them make the distances. Under load the leader is killed
(SIGKILL) and started again; then its successor's region is cut off and healed; then the leader is drained in good order
and brought back. A demo below 30s leaves the drain out, one below 20s the cut, too.

At the end comes the proof: every payment has one outcome and both banks agree on it, money moved equals money received,
positions equal the log replayed from nothing, all nodes hold the same and so do their logs, the node that was cut off
acknowledged nothing; 0 lost, 0 doubled. Exit 0 only if it holds, 7 if it does not.

The same seed repeats the run: which payments each bank makes, in which order, with which UETRs, amounts and customers,
and what every bank does with each payment. Timing is not repeated, so neither is what depends on it: how many payments
there are, who has funds at which moment, who leads, what was in process at the kill.

Examples:
  crosstie demo
  crosstie demo --headless --for 30s --seed 7
  crosstie demo --rate 500 --keep

";

/// What the demo can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Plain lines instead of the live view; so it is without a terminal anyway
    #[arg(long)]
    headless: bool,
    /// Repeats the payments and choices of the run with this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long it all takes, at least 15s
    #[arg(long = "for", value_name = "LENGTH", default_value = "60s", value_parser = length)]
    length: Duration,
    /// Payments per second: a number, or as many as the latency goal allows
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    rate: Rate,
    /// Keep the data, to look at it afterwards
    #[arg(long)]
    keep: bool,
}

fn length(text: &str) -> Result<Duration, String> {
    match crate::config::parse_length(text)? {
        length if length < Duration::from_secs(15) => {
            Err("at least 15s: a node must have time to come back, payments to time out".into())
        }
        length if length > Duration::from_secs(3600) => Err("at most 1h: the banks keep their books in memory".into()),
        length => Ok(length),
    }
}

/// Plays it, on this thread; the live view has one of its own.
pub fn run(options: &Options) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::No, format!("the runtime cannot be started: {error}")))?;
    let ended = runtime.block_on(play::play(options));
    runtime.shutdown_background();
    ended
}
