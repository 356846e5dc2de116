//! Crash runs: a real switch under load, killed with SIGKILL at random moments, started again on the same data.
//!
//! ```text
//!  start ── ready ── banks come back, resume by notice number, send again what has no outcome ── load ── SIGKILL ─┐
//!    ^                                                                                                            │
//!    └────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//!  at the end: quiet ── one more SIGKILL ── feeds read again from notice 1 ── SIGKILL ── the log folded from nothing
//! ```
//!
//! With several nodes the faults are those of `nodes`: nodes are killed, cut off and paused, leadership moves, and the
//! banks move to another node when theirs is away.
//!
//! In reading order: `options`, `bank` (one participant, both roles), `session` (its connection), `journal` (what it was
//! told), `record` (what all of them saw), `crowd` (all banks together), this file (a node alone), `nodes` and `fault`
//! (a cluster), `replay` (the log without a node), `audit` (the reckoning).

mod audit;
mod bank;
mod crowd;
mod fault;
mod journal;
mod nodes;
mod options;
mod record;
mod replay;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::LocalSet;
use tokio::time::sleep;
use wire::ParticipantId;

use crate::process::{Place, Process, Ready, Setup};
use crowd::Crowd;
pub use options::Options;
pub use record::Counts;

/// A node that needs longer to start is a failure.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kills; fewer than asked for when something was wrong before.
    pub cycles: u32,
    pub counts: Counts,
    /// What must not be, in words.
    pub violations: Vec<String>,
    /// Where the kills hit.
    pub hits: Hits,
    /// Faults of a cluster that were seen to have happened, by their names.
    pub faults: BTreeMap<&'static str, u32>,
}

/// What was going on when the switch was killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hits {
    pub under_load: u32,
    pub starting: u32,
    pub new_file: u32,
    /// A snapshot was half written.
    pub in_snapshot: u32,
    /// Recoveries that began from a snapshot, or cut a torn tail.
    pub from_snapshot: u32,
    pub torn_tail: u32,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.counts.violated == 0
    }

    /// The run in one line.
    pub fn last_line(&self) -> String {
        let Counts { acknowledged, lost, doubled, .. } = self.counts;
        format!("cycles {} acknowledged {acknowledged} lost {lost} doubled {doubled}", self.cycles)
    }
}

/// Runs in `directory`, which is empty, and tells `say` how it goes. An error when it could not run.
pub fn run(
    options: &Options,
    program: &Path,
    directory: &Path,
    seed: u64,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&runtime, async {
        match options.nodes {
            1 if !options.witness => Run::new(options, program, directory, seed)?.go(say).await,
            _ => nodes::run(options, program, directory, seed, say).await,
        }
    })
}

/// Files small enough that segments turn and snapshots are taken all the time; the whole log is kept.
fn setup(banks: &[ParticipantId]) -> Setup {
    let setup = Setup::default()
        .with("log.segment_bytes", "1MiB")
        .with("log.batch_bytes_max", "256KiB")
        .with("log.snapshot_every_bytes", "512KiB")
        .with("log.retained_bytes_max", "1TiB")
        .with("log.free_bytes_min", "64MiB")
        .with("actors.feed_tail_bytes_max", "128KiB")
        .with("scheme.payment_timeout", "3s")
        .with("scheme.creditor_share", "500ms")
        .with("scheme.day_roll", "manual");
    // One in four is short of funds now and then.
    let funded = |place: usize| if place % 4 == 3 { "30000.00" } else { "5000000.00" };
    banks.iter().enumerate().fold(setup, |setup, (place, id)| setup.member(id.as_str(), funded(place)))
}

/// When the next kill comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so long under load.
    UnderLoad(Duration),
    /// So long after the process was started, ready or not.
    Starting(Duration),
    /// After so long under load, when next a file appears or goes: a segment turns, a snapshot begins or ends.
    NewFile(Duration, Duration),
}

struct Run {
    cycles: u32,
    pause_max: Duration,
    place: Place,
    random: SmallRng,
    crowd: Crowd,
    hits: Hits,
    /// How long the last start took.
    start_took: Duration,
}

impl Run {
    fn new(options: &Options, program: &Path, directory: &Path, seed: u64) -> Result<Run, String> {
        let mut random = SmallRng::seed_from_u64(seed);
        let crowd = Crowd::new(options, directory, &mut random)?;
        let setup = setup(&crowd::ids(options)?);
        Ok(Run {
            cycles: options.cycles,
            pause_max: Duration::from_millis(options.pause_max_ms),
            place: Place::new(program, directory, &setup).map_err(|error| error.to_string())?,
            random,
            crowd,
            hits: Hits::default(),
            start_took: Duration::from_millis(100),
        })
    }

    async fn go(mut self, say: &mut dyn FnMut(&str)) -> Result<Outcome, String> {
        self.crowd.come();
        let mut cycles = 0;
        for cycle in 1..=self.cycles {
            cycles = cycle;
            let line = self.cycle().await.unwrap_or_else(|error| {
                self.crowd.record.violate(error.clone());
                error
            });
            let Counts { acknowledged, violated, .. } = self.crowd.record.counts();
            say(&format!("cycle {cycle}: {line}; acknowledged {acknowledged}"));
            if violated > 0 {
                break;
            }
        }
        // Whatever cannot be looked at is not as it should be.
        if let Err(error) = self.end(say).await {
            self.crowd.record.violate(error);
        }
        let record = &self.crowd.record;
        let (counts, violations) = (record.counts(), record.violations());
        Ok(Outcome { cycles, counts, violations, hits: self.hits, faults: BTreeMap::new() })
    }

    async fn end(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), String> {
        say("quiet: nothing new is submitted, everything gets its outcome");
        let (mut process, _) = self.start().await?;
        self.crowd.quiet().await;
        self.crowd.go().await?;
        process.kill();
        self.reckon(say).await
    }

    /// Starts the switch, lets the banks at it, kills it.
    async fn cycle(&mut self) -> Result<String, String> {
        let moment = self.draw();
        if let Moment::Starting(after) = moment {
            let process = self.place.start().map_err(|error| error.to_string())?;
            sleep(after).await;
            self.kill(process);
            self.hits.starting += 1;
            return Ok(format!("killed {} ms after its start", after.as_millis()));
        }
        let (process, recovered) = self.start().await?;
        let at = Instant::now();
        match moment {
            Moment::UnderLoad(after) => {
                sleep(after).await;
                self.hits.under_load += 1;
            }
            Moment::NewFile(after, then) => {
                sleep(after).await;
                self.until_files_change().await;
                sleep(then).await;
                self.hits.new_file += 1;
            }
            Moment::Starting(_) => {}
        }
        let open = self.crowd.open();
        self.kill(process);
        let after = at.elapsed().as_millis();
        Ok(format!("{recovered}; killed after {after} ms under load with {open} payments open"))
    }

    fn draw(&mut self) -> Moment {
        let mut up_to = |most: Duration| most.mul_f64(self.random.random::<f64>());
        let (pause, early, short) = (up_to(self.pause_max), up_to(self.start_took), up_to(Duration::from_millis(3)));
        match self.random.random_range(0..10) {
            0..=4 => Moment::UnderLoad(pause),
            5..=6 => Moment::Starting(early + short),
            _ => Moment::NewFile(pause, short),
        }
    }

    async fn start(&mut self) -> Result<(Process, String), String> {
        let mut process = self.place.start().map_err(|error| error.to_string())?;
        let Ready { address, line } = process.ready(READY_PATIENCE).await?;
        self.start_took = process.started.elapsed();
        self.hits.from_snapshot += u32::from(line["snapshot_index"].as_u64().unwrap_or(0) > 0);
        self.hits.torn_tail += u32::from(line["torn_bytes"].as_u64().unwrap_or(0) > 0);
        self.crowd.reach(vec![address]);
        let recovered = format!(
            "ready in {} ms, {} entries on top of snapshot {}",
            self.start_took.as_millis(),
            line["recovered_entries"],
            line["snapshot_index"]
        );
        Ok((process, recovered))
    }

    fn kill(&mut self, mut process: Process) {
        process.kill();
        self.crowd.reach(Vec::new());
        self.hits.in_snapshot += u32::from(self.place.log().join("snapshot.tmp").exists());
    }

    async fn until_files_change(&self) {
        let list = || -> BTreeSet<_> {
            let entries = std::fs::read_dir(self.place.log()).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).collect()
        };
        let (before, patience) = (list(), Instant::now() + Duration::from_secs(2));
        while list() == before && Instant::now() < patience {
            sleep(Duration::from_micros(500)).await;
        }
    }

    /// Feeds and positions of a freshly started switch, then the log without one.
    async fn reckon(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), String> {
        let (process, recovered) = self.start().await?;
        say(&format!("reckoning: {recovered}"));
        let address = process.address().ok_or("the switch has no address")?;
        audit::feeds(address, &self.crowd).await?;
        let live = self.place.ask(&["participant", "list"])?;
        let status = self.place.ask(&["status"])?;
        let last = status["journal"]["committed_index"].as_u64().ok_or("the node does not say what is committed")?;
        self.kill(process);
        let replay = replay::replay(self.place.log(), last)?;
        audit::log(&replay, &live, &self.crowd)?;
        say(&format!("reckoning: {} entries folded, {:?}", replay.entries, self.hits));
        Ok(())
    }
}
