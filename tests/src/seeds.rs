//! Seeds on all cores: as many as a test wants, as `CROSSTIE_SEEDS` says, or the one that `CROSSTIE_SEED` names. One
//! that fails runs once more, writing down its last steps.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::promises::Kept;

const TRACE_STEPS_MAX: usize = 60;

/// Which test runs the seeds.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    pub file: &'static str,
    pub name: &'static str,
}

/// A promise was broken.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The last steps before it.
    pub trace: Vec<String>,
    pub test: Test,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}: {}", self.seed, self.what)?;
        self.trace.iter().try_for_each(|step| writeln!(formatter, "    {step}"))?;
        let Test { file, name } = self.test;
        write!(formatter, "replay: CROSSTIE_SEED={} cargo test -p tests --test {file} {name}", self.seed)
    }
}

/// The last steps, written down only when a failure is looked at.
#[derive(Default)]
pub struct Trace {
    on: bool,
    steps: VecDeque<String>,
}

impl Trace {
    pub fn say(&mut self, step: impl FnOnce() -> String) {
        if self.on {
            self.steps.push_back(step());
            if self.steps.len() > TRACE_STEPS_MAX {
                self.steps.pop_front();
            }
        }
    }
}

/// A panic is a failure like any other.
pub fn caught(run: impl FnOnce() -> Kept) -> Kept {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panic_text(&panic)))
}

fn panic_text(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a word"))
}

/// Runs one seed with `attempt`, which gives back what happened and its trace.
pub fn run<T>(
    test: Test,
    seed: u64,
    attempt: &impl Fn(u64, Trace) -> (Result<T, String>, Trace),
) -> Result<T, Box<Failure>> {
    let first = match attempt(seed, Trace::default()).0 {
        Ok(tally) => return Ok(tally),
        Err(first) => first,
    };
    let (again, trace) = attempt(seed, Trace { on: true, steps: VecDeque::new() });
    let what = match again {
        Err(again) if again == first => again,
        other => {
            let other = other.map_or_else(|what| what, |_| "nothing".into());
            format!("{first} (when repeated: {other}; the run is not deterministic)")
        }
    };
    Err(Box::new(Failure { seed, what, trace: trace.steps.into(), test }))
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Gives back what happened in sum, or the failure with the smallest seed among those found first.
pub fn run_all<T: Default + AddAssign + Send>(
    test: Test,
    count: u64,
    attempt: impl Fn(u64, Trace) -> (Result<T, String>, Trace) + Sync,
) -> Result<T, Box<Failure>> {
    if let Some(seed) = number("CROSSTIE_SEED") {
        return run(test, seed, &attempt);
    }
    let count = number("CROSSTIE_SEEDS").unwrap_or(count);
    let (next, failed_below) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut sum = T::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || failed_below.load(Ordering::Relaxed) < seed {
                return Ok(sum);
            }
            match run(test, seed, &attempt) {
                Ok(tally) => sum += tally,
                Err(failure) => {
                    failed_below.fetch_min(seed, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<T, Box<Failure>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker catches every panic")).collect()
    });
    let mut sum = T::default();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(tally) => sum += tally,
            Err(failure) => failures.push(failure),
        }
    }
    match failures.into_iter().min_by_key(|failure| failure.seed) {
        Some(failure) => Err(failure),
        None => Ok(sum),
    }
}
