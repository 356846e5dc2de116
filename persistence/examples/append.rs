//! What the log costs on this disk: appends of a given size alone; proposals at a steady rate, with the time from each to
//! its commit; and as many proposals as two threads can make.
//!
//!     cargo run --release -p persistence --example append -- [DIRECTORY] [BATCH_BYTES ...]

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use persistence::disk::RealDisk;
use persistence::{Config, Entry, Error, Fold, Freeze, Log, Refused};

const RUN: Duration = Duration::from_secs(3);
const PROPOSAL_BYTES: usize = 200;
const PROPOSERS: usize = 2;

const RATES_PER_S: [u64; 4] = [1_000, 10_000, 60_000, 300_000];

struct Forget;

impl Fold for Forget {
    type Passenger = ();
    fn restore(&mut self, _: &mut dyn Read) -> Result<(), String> {
        Ok(())
    }
    fn committed(&mut self, _: Entry<'_>, _: &mut Vec<()>) {}
    fn delivered(&mut self, _: &mut Vec<()>) {}
    fn freeze(&mut self) -> Freeze {
        Box::new(|_| -> io::Result<()> { Ok(()) })
    }
}

/// Passengers know when they were due; at the end the waiting times go where the example looks.
struct Stopwatch {
    waited_us: Vec<u64>,
    report: Sender<Vec<u64>>,
}

impl Fold for Stopwatch {
    type Passenger = Instant;
    fn restore(&mut self, _: &mut dyn Read) -> Result<(), String> {
        Ok(())
    }
    fn committed(&mut self, _: Entry<'_>, due: &mut Vec<Instant>) {
        let now = Instant::now();
        self.waited_us.extend(due.drain(..).map(|due| now.saturating_duration_since(due).as_micros() as u64));
    }
    fn delivered(&mut self, _: &mut Vec<Instant>) {}
    fn freeze(&mut self) -> Freeze {
        Box::new(|_| -> io::Result<()> { Ok(()) })
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let _ = self.report.send(std::mem::take(&mut self.waited_us));
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "target/append".into()));
    let sizes: Vec<usize> = arguments.filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] } else { sizes };
    for size in sizes {
        appends(&directory, size)?;
    }
    for rate_per_s in RATES_PER_S {
        steady(&directory, rate_per_s)?;
    }
    proposals(&directory)
}

fn fresh(directory: &Path) -> Config {
    let _ = std::fs::remove_dir_all(directory);
    Config { retained_bytes_max: 0, free_bytes_min: 0, ..Config::new(directory) }
}

/// One entry after the other, without threads; segments are made on the spot, which is not counted.
fn appends(directory: &Path, size: usize) -> Result<(), Error> {
    let config = fresh(directory);
    let disk = RealDisk::new(directory);
    std::fs::create_dir_all(directory).map_err(|error| Error::Configuration(error.to_string()))?;
    let (mut log, _) = Log::open(disk, &config, &mut Forget)?;
    let payload: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
    let mut took_us = Vec::new();
    let started = Instant::now();
    while started.elapsed() < RUN && (took_us.len() as u64 + 2) * (size as u64 + 1024) < config.segment_bytes {
        let append = Instant::now();
        log.append_payload(1, &payload)?;
        log.sync()?;
        took_us.push(append.elapsed().as_micros() as u64);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let entries = took_us.len() as f64;
    took_us.sort_unstable();
    println!(
        "append  {size:>8} B  {:>8.0} entries/s  {:>7.1} MB/s  write and sync p50 {:>6} us  p99 {:>6} us",
        entries / elapsed,
        entries * size as f64 / elapsed / 1e6,
        took_us[took_us.len() / 2],
        took_us[took_us.len() * 99 / 100],
    );
    log.close()
}

/// One thread proposes what is due, counting from when it was due.
fn steady(directory: &Path, rate_per_s: u64) -> Result<(), Error> {
    let (report, reported) = channel();
    let (journal, _) = persistence::open(fresh(directory), Stopwatch { waited_us: Vec::new(), report })?;
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < RUN {
        let due_now = (started.elapsed().as_secs_f64() * rate_per_s as f64) as u64 + 1;
        while number < due_now {
            let due = started + Duration::from_nanos(number * 1_000_000_000 / rate_per_s);
            let propose = || {
                journal.propose(1, |batch, passengers| {
                    batch.resize(batch.len() + PROPOSAL_BYTES, 1);
                    passengers.push(due);
                })
            };
            while propose() == Err(Refused::Full) {
                std::thread::yield_now();
            }
            number += 1;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    journal.stop();
    let statistics = journal.statistics();
    let mut waited_us = reported.recv().unwrap_or_default();
    waited_us.sort_unstable();
    let at = |share: f64| waited_us.get((waited_us.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "steady  {PROPOSAL_BYTES:>8} B  {rate_per_s:>8} proposals/s  {:>5.1} per entry  due to committed p50 {} us  p99 {} us  \
         p99.9 {} us  max {} us, sync mean {:.0} us",
        number as f64 / statistics.entries.max(1) as f64,
        at(0.5),
        at(0.99),
        at(0.999),
        waited_us.last().copied().unwrap_or_default(),
        statistics.sync_ns_sum as f64 / 1e3 / statistics.syncs.max(1) as f64,
    );
    Ok(())
}

/// The journal as a switch uses it: as many small proposals as it takes.
fn proposals(directory: &Path) -> Result<(), Error> {
    let (journal, _) = persistence::open(fresh(directory), Forget)?;
    let started = Instant::now();
    let proposed: u64 = std::thread::scope(|scope| {
        let propose = || {
            let mut count = 0;
            while started.elapsed() < RUN {
                for _ in 0..64 {
                    match journal.propose(1, |batch, _| batch.resize(batch.len() + PROPOSAL_BYTES, count as u8)) {
                        Ok(()) => count += 1,
                        Err(Refused::Full) => std::thread::yield_now(),
                        Err(_) => return count,
                    }
                }
            }
            count
        };
        let proposers: Vec<_> = (0..PROPOSERS).map(|_| scope.spawn(propose)).collect();
        proposers.into_iter().filter_map(|proposer| proposer.join().ok()).sum()
    });
    journal.stop();
    let elapsed = started.elapsed().as_secs_f64();
    let statistics = journal.statistics();
    println!(
        "journal {PROPOSAL_BYTES:>8} B  {:>8.0} proposals/s  {:>7.1} MB/s  {:.0} per entry  sync mean {:.0} us  max {} us",
        proposed as f64 / elapsed,
        statistics.payload_bytes as f64 / elapsed / 1e6,
        proposed as f64 / statistics.entries.max(1) as f64,
        statistics.sync_ns_sum as f64 / 1e3 / statistics.syncs.max(1) as f64,
        statistics.sync_ns_max / 1000,
    );
    journal.failure().map_or(Ok(()), |error| Err(Error::Configuration(error.to_string())))
}
