//! The performance goals as benchmarks that anyone can run: `tests/bench`, or `tests/bench NAME`.
//!
//! The machines are shared, so what decides is a ratio within one run: ours and the floor in turn, or a sick cluster and a
//! healthy one, several rounds, the median of the rounds' ratios with the smallest and largest beside it. Absolute figures
//! are printed too. One line a goal: `goal NAME value UNIT target VALUE met|missed`.
//!
//! In reading order: `goals`, `machine`, `load` (the generator); one node: `server`, `speed`, `participants`, `looking`, `long`; three
//! of them: `nodes`, `three_nodes`, `regions`, `failover`, `planned`, `journal` (every payment of a run), `sick`,
//! `sickness`, `slow_disk`.

mod failover;
mod goals;
mod journal;
mod load;
mod long;
mod looking;
mod machine;
mod nodes;
mod participants;
mod planned;
mod regions;
mod server;
mod sick;
mod sickness;
mod slow_disk;
mod speed;
mod three_nodes;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NAMES: &str = "\
One node, against the floor (about 90 seconds each): saturation, ten-thousand, sixty-thousand, quarter, participants;
looking (at its pages and not, 2 minutes), restart (2 minutes), minutes (20 minutes).

Three nodes on this host:
  three-nodes  payments/s against one node, no distances        2 minutes
  regions      latency over round trips of 30, 40 and 70 ms     1 minute
  failover     leaders killed, 30, 40 and 70 ms                 3 minutes
  planned      node step-down and node drain, 30, 40 and 70 ms  1 minute
  sick         one node starved, paused, lossy, slow of disk    4 minutes

Without a name: all but minutes, about 20 minutes.";

/// Run the performance goals, each with its own line.
#[derive(Parser)]
#[command(after_help = NAMES)]
struct Options {
    /// Which; see below.
    names: Vec<String>,
    /// Rounds of what is measured in turn, 3 when left out; leaders killed by failover, 20; of looking, sick and planned, 12, 2 and 5.
    #[arg(long)]
    rounds: Option<usize>,
    /// Measured seconds of each run: 10 when left out, 8 of regions, 6 of sick, 5 of looking.
    #[arg(long)]
    seconds: Option<u64>,
    /// Minutes of the long run.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Payments to remember before the restart.
    #[arg(long, default_value_t = 10_000_000)]
    remembered: u64,
    /// Payments per second of failover and planned, 500 when left out, and of regions, 200.
    #[arg(long)]
    rate: Option<u64>,
    /// Where data and results are put; removed afterwards unless it is given.
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Options {
    fn rounds_or(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual).max(1)
    }

    fn seconds_or(&self, usual: u64) -> u64 {
        self.seconds.unwrap_or(usual).max(1)
    }
}

struct Bench {
    binaries: PathBuf,
    directory: PathBuf,
    options: Options,
    missed: usize,
}

const ALL: [&str; 12] = [
    "saturation",
    "ten-thousand",
    "sixty-thousand",
    "quarter",
    "participants",
    "looking",
    "restart",
    "three-nodes",
    "regions",
    "failover",
    "planned",
    "sick",
];

fn main() -> ExitCode {
    match run() {
        Ok(missed) => {
            println!("{missed} goals missed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let mut options = Options::parse();
    let kept = options.directory.take();
    let mut names = std::mem::take(&mut options.names);
    if names.is_empty() {
        names = ALL.map(String::from).to_vec();
    }
    if let Some(other) = names.iter().find(|name| !ALL.contains(&name.as_str()) && *name != "minutes") {
        return Err(format!("no benchmark is called {other}; see --help").into());
    }
    let temporary = tempfile::tempdir_in(".")?;
    let directory = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    std::fs::create_dir_all(&directory)?;
    let binaries = std::env::current_exe()?.parent().map(Path::to_path_buf).ok_or("no directory of its own")?;
    machine::print();
    let mut bench = Bench { binaries, directory, options, missed: 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for name in &names {
        match name.as_str() {
            "saturation" => bench.saturation()?,
            "ten-thousand" => bench.open_loop("ten_thousand", 10_000, [Some(1.0), Some(5.0), Some(20.0)], 1.5)?,
            "sixty-thousand" => bench.open_loop("sixty_thousand", 60_000, [None, Some(10.0), None], 2.0)?,
            "quarter" => bench.quarter()?,
            "participants" => bench.participants()?,
            "looking" => bench.looking()?,
            "minutes" => bench.minutes()?,
            "restart" => bench.restart()?,
            "three-nodes" => runtime.block_on(bench.three_nodes())?,
            "regions" => runtime.block_on(bench.regions())?,
            "failover" => runtime.block_on(bench.failover())?,
            "planned" => runtime.block_on(bench.planned())?,
            _ => runtime.block_on(bench.sick())?,
        }
    }
    Ok(bench.missed)
}
