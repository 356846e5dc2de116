//! One run from start to verdict: the shape drives the generator, the watcher follows, the outcome is put together.

use std::time::Duration;

use crate::engine::Engine;
use crate::machine::{self, Environment, Reading, Usage};
use crate::options::{Options, Shape};
use crate::outcome::{
    FORMAT, FeedEnd, Outcome, Percentiles, ReasonCount, ServerOutcome, StepOutcome, TrustOutcome, Verdict,
};
use crate::progress::{self, Interval, Progress, Watched};
use crate::schedule::{Phase, phases};
use crate::slo::{Judgement, Measured};
use crate::stats::{Counts, Latencies, Step};
use crate::units::{Rate, milliseconds};
use crate::{Check, Error, Result};

/// Between the trials of find-max the switch may catch up for so long.
const RECOVER: Duration = Duration::from_secs(10);
/// find-max is done when the best rate that held and the lowest that did not are this close.
const CLOSE_ENOUGH: f64 = 0.05;

/// Runs to the end on the calling thread. `each` is called once a second, on another thread.
pub fn run(options: &Options, progress: &Progress, each: impl FnMut(&Interval) + Send) -> Result<Outcome> {
    options.check()?;
    let (watch, watcher) = progress::channel(progress.clone());
    std::thread::scope(|scope| {
        let watched = scope.spawn(move || watcher.watch(each));
        let finished = drive(options, progress, watch);
        let watched = watched.join().map_err(|_| Error::Io(std::io::Error::other("the watching thread panicked")))?;
        Ok(finished?.outcome(options, watched))
    })
}

/// All that the generator's thread knows in the end.
struct Finished {
    began_at: String,
    check: Check,
    steps: Vec<Step>,
    /// Numbers of the steps that the verdict is about.
    judged: Vec<usize>,
    rate_max: Option<f64>,
    usage: Usage,
    /// Length of the measured time, and how much of it the thread had nothing to do.
    measured_ns: u64,
    idle_ns: u64,
    reasons: Vec<([u8; 4], u64)>,
    reconnects: u64,
    connected: usize,
    interrupted: bool,
    feeds: Vec<FeedEnd>,
    server: Option<ServerOutcome>,
}

fn drive(options: &Options, progress: &Progress, watch: progress::Watch) -> Result<Finished> {
    let mut engine = Engine::connect(options, progress.stop_flag(), watch)?;
    let mut window = Window::default();
    let mut rate_max = None;
    let judged = if let Shape::FindMax { step_time, trials } = options.shape {
        let (best, rate) = find_max(options, &mut engine, &mut window, step_time, trials)?;
        rate_max = Some(rate);
        best.into_iter().collect()
    } else {
        let mut judged = Vec::new();
        for phase in phases(options) {
            if phase.measured {
                window.open(options, &engine);
            }
            let number = engine.run_phase(&phase)?;
            if phase.measured {
                judged.push(number);
            }
        }
        judged
    };
    window.close(options, &engine);
    let interrupted = progress.was_stopped();
    engine.drain(options.drain)?;
    let connected = engine.connected();
    let check = engine.finish();
    let ended: u64 = engine.steps.iter().filter(|step| step.phase.measured).map(|step| step.ended_within).sum();
    let usage = window.usage();
    let server = options.server_pid.zip(usage.server_cpu_s).map(|(pid, cpu_seconds)| ServerOutcome {
        pid,
        cpu_seconds,
        cpu_us_per_payment: cpu_seconds * 1e6 / ended.max(1) as f64,
        resident_bytes: machine::resident_bytes(pid).unwrap_or(0),
    });
    Ok(Finished {
        began_at: engine.began_at().to_string(),
        check,
        judged,
        rate_max,
        usage,
        measured_ns: window.length_ns(),
        idle_ns: window.idle_ns(),
        reasons: std::mem::take(&mut engine.audit.reasons),
        reconnects: engine.reconnects,
        connected,
        interrupted,
        feeds: engine.audit.feed_ends(),
        server,
        steps: std::mem::take(&mut engine.steps),
    })
}

/// The measured time, from the first measured phase to the end of the last.
#[derive(Default)]
struct Window {
    opened: Option<(u64, u64, Reading)>,
    closed: Option<(u64, u64, Reading)>,
}

impl Window {
    fn open(&mut self, options: &Options, engine: &Engine<'_>) {
        if self.opened.is_none() {
            self.opened = Some((engine.now_ns(), engine.idle_ns(), Reading::take(options.server_pid)));
        }
    }

    fn close(&mut self, options: &Options, engine: &Engine<'_>) {
        self.closed = Some((engine.now_ns(), engine.idle_ns(), Reading::take(options.server_pid)));
    }

    fn usage(&self) -> Usage {
        self.opened.as_ref().zip(self.closed.as_ref()).map_or(Usage::default(), |(first, last)| first.2.until(&last.2))
    }

    fn length_ns(&self) -> u64 {
        self.opened.as_ref().zip(self.closed.as_ref()).map_or(0, |(first, last)| last.0 - first.0)
    }

    fn idle_ns(&self) -> u64 {
        self.opened.as_ref().zip(self.closed.as_ref()).map_or(0, |(first, last)| last.1 - first.1)
    }
}

/// Doubles the rate until the SLO is missed, then halves the distance. Returns the best step and its rate.
fn find_max(
    options: &Options,
    engine: &mut Engine<'_>,
    window: &mut Window,
    step_time: Duration,
    trials: usize,
) -> Result<(Option<usize>, f64)> {
    if !options.warm_up.is_zero() {
        engine.run_phase(&Phase::constant("warm-up", options.rate, options.warm_up, false))?;
    }
    window.open(options, engine);
    let (mut holds, mut fails): (Option<(usize, f64)>, Option<f64>) = (None, None);
    let mut rate = options.rate.per_second();
    for trial in 1..=trials {
        let number = engine.run_phase(&Phase::constant(&format!("trial {trial}"), Rate(rate), step_time, true))?;
        let caught_up = engine.drain(RECOVER)?;
        let met = caught_up && judge_step(options, &engine.steps[number]).iter().all(|goal| goal.holds);
        if met && keeps_up(&engine.steps[number]) {
            holds = Some((number, rate));
        } else {
            fails = Some(rate);
        }
        rate = match (holds, fails) {
            (Some((_, low)), Some(high)) if high / low < 1.0 + CLOSE_ENOUGH => break,
            (Some((_, low)), Some(high)) => (low + high) / 2.0,
            (Some((_, low)), None) => low * 2.0,
            (None, _) => rate / 2.0,
        };
        if engine.was_aborted() || rate < 1.0 {
            break;
        }
    }
    Ok((holds.map(|(number, _)| number), holds.map_or(0.0, |(_, rate)| rate)))
}

/// Whether outcomes came as fast as payments were due, within a fiftieth.
fn keeps_up(step: &Step) -> bool {
    step.rate() >= 0.98 * step.phase.from.per_second()
}

fn judge_step(options: &Options, step: &Step) -> Vec<Judgement> {
    let Counts { due, settled, rejected, refused, .. } = step.counts;
    let lost = due.saturating_sub(settled + rejected + refused);
    let latency = &step.latencies.response;
    options.slo.judge(&Measured { latency, sent: due, settled, rejected, refused, lost, doubled: 0, rate: step.rate() })
}

impl Finished {
    fn outcome(self, options: &Options, watched: Watched) -> Outcome {
        let (mut counts, mut latencies) = (Counts::default(), Latencies::default());
        let (mut seconds, mut ended_within) = (0.0, 0);
        for number in &self.judged {
            let step = &self.steps[*number];
            counts.add(&step.counts);
            latencies.add(&step.latencies);
            seconds += step.seconds();
            ended_within += step.ended_within;
        }
        let rate = ended_within as f64 / f64::max(seconds, 1e-9);
        let closed_loop = options.shape == Shape::Saturate;
        let measured = Measured {
            latency: &latencies.response,
            sent: counts.due,
            settled: counts.settled,
            rejected: counts.rejected,
            refused: counts.refused,
            lost: self.check.lost,
            doubled: self.check.doubled,
            rate,
        };
        let goals = options.slo.judge(&measured);
        let trust = self.trust(options, &latencies, ended_within);
        let (verdict, sentence) = self.verdict(options, &goals, &trust, rate, &latencies);
        let response = &latencies.response;
        let service = if closed_loop { response } else { &latencies.service };
        Outcome {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            began_at: self.began_at,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            config: options.describe(),
            seed: options.seed,
            environment: Environment::read(),
            verdict,
            sentence,
            goals,
            closed_loop,
            rate: self.rate_max.unwrap_or(rate),
            rate_max: self.rate_max,
            response: Percentiles::of(response),
            service: Percentiles::of(service),
            lag: Percentiles::of(&latencies.lag),
            steps: self
                .steps
                .iter()
                .filter(|step| step.phase.measured)
                .map(|step| step_outcome(options, step))
                .collect(),
            reasons: reasons(&self.reasons),
            reconnects: self.reconnects,
            trust,
            server: self.server,
            events: watched.events,
            spectrum: spectrum(response, service),
            feeds: self.feeds,
            intervals: watched.intervals,
            hlog: watched.hlog,
            hgrm: crate::report::hgrm(response),
            check: self.check,
        }
    }

    fn trust(&self, options: &Options, latencies: &Latencies, ended: u64) -> TrustOutcome {
        let mut doubts = Vec::new();
        let lag_p99_ns = latencies.lag.value_at_percentile(99.0);
        let relative = latencies.response.value_at_percentile(99.0) as f64 * options.trust.lag_share_max;
        let bound = (options.trust.lag_p99_max.as_nanos() as f64).max(relative);
        if lag_p99_ns as f64 > bound {
            let (lag, bound) = (milliseconds(lag_p99_ns), milliseconds(bound as u64));
            doubts.push(format!("the generator was late by {lag} ms at p99, at most {bound} ms can be believed"));
        }
        let busy = 1.0 - (self.idle_ns as f64 / self.measured_ns.max(1) as f64).min(1.0);
        if options.shape != Shape::Saturate && busy > options.trust.busy_max {
            doubts.push(format!("the generator's thread was busy {:.0} % of the time", busy * 100.0));
        }
        if self.connected < options.banks.len() {
            doubts.push(format!("only {} of {} connections were up at the end", self.connected, options.banks.len()));
        }
        let loopback = |target: &String| {
            target.starts_with("127.") || target.starts_with("localhost") || target.starts_with("[::1]")
        };
        TrustOutcome {
            trustworthy: doubts.is_empty(),
            doubts,
            busy,
            loader_cpu_us_per_payment: self.usage.loader_cpu_s * 1e6 / ended.max(1) as f64,
            lag_p99_ns,
            steal: self.usage.steal,
            connected: self.connected,
            connections: options.banks.len(),
            same_host: options.targets.iter().any(loopback),
        }
    }

    fn verdict(
        &self,
        options: &Options,
        goals: &[Judgement],
        trust: &TrustOutcome,
        rate: f64,
        latencies: &Latencies,
    ) -> (Verdict, String) {
        let check = &self.check;
        let missed: Vec<String> = goals
            .iter()
            .filter(|goal| !goal.holds)
            .map(|goal| format!("{} (measured {})", goal.goal, goal.measured))
            .collect();
        if self.connected == 0 && check.lost > 0 {
            let text = format!("The switch was gone at the end; {} payments have no outcome known here.", check.lost);
            return (Verdict::Unreachable, text);
        }
        if !check.holds() {
            let first = check.examples.first().map_or(String::new(), |example| format!(" First: {example}."));
            return (
                Verdict::Violation,
                format!("{} violations: {} lost, {} doubled.{first}", check.violations, check.lost, check.doubled),
            );
        }
        if self.interrupted {
            return (Verdict::Interrupted, "Stopped before its end; what was measured until then follows.".to_string());
        }
        if !trust.trustworthy {
            return (
                Verdict::Untrustworthy,
                format!("These figures say nothing about the switch: {}.", trust.doubts.join("; ")),
            );
        }
        if options.shape.searches() && self.judged.is_empty() {
            return (Verdict::Fail, "No rate that was tried met the goals.".to_string());
        }
        if !missed.is_empty() {
            return (Verdict::Fail, format!("Missed: {}.", missed.join(", ")));
        }
        let (p50, p99) = (latencies.response.value_at_percentile(50.0), latencies.response.value_at_percentile(99.0));
        let rate = Rate(self.rate_max.unwrap_or(rate));
        let text = format!(
            "{rate} at p50 {} ms, p99 {} ms; nothing lost, nothing doubled.",
            milliseconds(p50),
            milliseconds(p99)
        );
        (Verdict::Pass, text)
    }
}

fn step_outcome(options: &Options, step: &Step) -> StepOutcome {
    let Counts { due, sent, settled, rejected, refused } = step.counts;
    let closed_loop = step.phase.closed_loop;
    let offered = if closed_loop { 0.0 } else { (step.phase.from.per_second() + step.phase.to.per_second()) / 2.0 };
    let service = if closed_loop { &step.latencies.response } else { &step.latencies.service };
    StepOutcome {
        name: step.phase.name.clone(),
        start_s: step.start_ns as f64 / 1e9,
        seconds: step.seconds(),
        offered_rate: offered,
        rate: step.rate(),
        due,
        sent,
        settled,
        rejected,
        refused,
        response: Percentiles::of(&step.latencies.response),
        service: Percentiles::of(service),
        lag: Percentiles::of(&step.latencies.lag),
        holds: judge_step(options, step).iter().all(|goal| goal.holds),
    }
}

fn reasons(counts: &[([u8; 4], u64)]) -> Vec<ReasonCount> {
    let mut reasons: Vec<ReasonCount> = counts
        .iter()
        .map(|(code, count)| ReasonCount { reason: String::from_utf8_lossy(code).into_owned(), count: *count })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

/// Evenly spaced on the axis of nines, up to the last percentile that the count supports.
fn spectrum(response: &hdrhistogram::Histogram<u64>, service: &hdrhistogram::Histogram<u64>) -> Vec<(f64, u64, u64)> {
    let nines_max = (response.len().max(1) as f64).log10().min(6.0);
    let points = 20 * nines_max.ceil() as usize;
    let mut spectrum = Vec::with_capacity(points + 1);
    for point in 0..=points {
        let nines = nines_max * point as f64 / points.max(1) as f64;
        let percentile = 100.0 * (1.0 - 10f64.powf(-nines));
        spectrum.push((percentile, response.value_at_percentile(percentile), service.value_at_percentile(percentile)));
    }
    spectrum
}
