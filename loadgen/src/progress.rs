//! Watching a run: once a second the generator hands over its figures, another thread makes percentiles of them.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use crate::schedule::Phase;
use crate::stats::{Counts, Latencies, RawInterval};

pub(crate) const STOP_AND_REPORT: u8 = 1;
pub(crate) const STOP_NOW: u8 = 2;

/// A handle on a run under way: what it has shown so far, and the means to end it. Clones share one run.
#[derive(Clone, Default)]
pub struct Progress {
    stop: Arc<AtomicU8>,
    seen: Arc<Mutex<Seen>>,
}

/// What a live view shows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub phase: String,
    pub offered_rate: f64,
    pub intervals: Vec<Interval>,
    pub events: Vec<Event>,
}

impl Progress {
    /// No new payments; outcomes are waited for and the run is reported.
    pub fn stop(&self) {
        let _ = self.stop.compare_exchange(0, STOP_AND_REPORT, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Nothing is waited for.
    pub fn abort(&self) {
        self.stop.store(STOP_NOW, Ordering::Relaxed);
    }

    pub fn was_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn stop_flag(&self) -> &AtomicU8 {
        &self.stop
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One second of a run. Counts are of what happened in it, latencies of the payments that ended in it; times in ns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Since the run began.
    pub at_s: f64,
    pub seconds: f64,
    /// Number of the step it belongs to; the warm-up is step 0 where there is one.
    pub step: usize,
    pub due: u64,
    pub sent: u64,
    pub settled: u64,
    pub rejected: u64,
    pub refused: u64,
    pub in_flight: u64,
    pub connected: usize,
    pub reconnects: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    pub service_p99_ns: u64,
    pub lag_p99_ns: u64,
    /// Share of the second that the generator's thread had work.
    pub busy: f64,
}

impl Interval {
    pub fn ended_rate(&self) -> f64 {
        (self.settled + self.rejected) as f64 / self.seconds.max(1e-9)
    }
}

/// Something worth a mark on the time axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at_s: f64,
    pub text: String,
}

/// What the generator's thread says; it never waits for an answer.
pub(crate) enum Report {
    Phase { number: usize, phase: Phase, start_ns: u64 },
    Interval(Box<RawInterval>),
    Event { at_ns: u64, text: String },
}

/// The generator's end.
pub(crate) struct Watch {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) spare_latencies: mpsc::Receiver<Latencies>,
}

/// The watcher's end.
pub(crate) struct Watcher {
    reports: mpsc::Receiver<Report>,
    spare_latencies: mpsc::Sender<Latencies>,
    progress: Progress,
    began_at: Timestamp,
    last_idle_ns: u64,
}

/// What the watcher has in the end.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) intervals: Vec<Interval>,
    pub(crate) events: Vec<Event>,
    /// The interval log in the format of HdrHistogram's own tools.
    pub(crate) hlog: Vec<u8>,
}

pub(crate) fn channel(progress: Progress) -> (Watch, Watcher) {
    let (reports, inbox) = mpsc::channel();
    let (spare, spare_latencies) = mpsc::channel();
    let began_at = Timestamp::now();
    let watcher = Watcher { reports: inbox, spare_latencies: spare, progress, began_at, last_idle_ns: 0 };
    (Watch { reports, spare_latencies }, watcher)
}

impl Watcher {
    /// Until the generator hangs up.
    pub(crate) fn watch(mut self, mut each: impl FnMut(&Interval)) -> Watched {
        let mut watched = Watched::default();
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let start = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(self.began_at.nanoseconds());
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("crosstie-loadgen: response time in ns, one line per second, by time of the outcome")
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut log, &mut serializer)
            .ok();
        while let Ok(report) = self.reports.recv() {
            match report {
                Report::Phase { number, phase, start_ns } => {
                    let text = format!("{} at {}", phase.name, phase.from);
                    let event = Event { at_s: start_ns as f64 / 1e9, text };
                    if number > 0 {
                        watched.events.push(event.clone());
                    }
                    self.progress.change(|seen| {
                        seen.phase.clone_from(&phase.name);
                        seen.offered_rate = if phase.closed_loop { 0.0 } else { phase.from.per_second() };
                        seen.events.push(event);
                    });
                }
                Report::Event { at_ns, text } => {
                    let event = Event { at_s: at_ns as f64 / 1e9, text };
                    watched.events.push(event.clone());
                    self.progress.change(|seen| seen.events.push(event));
                }
                Report::Interval(raw) => {
                    let interval = self.interval(&raw);
                    if let Some(writer) = &mut writer {
                        let at = std::time::Duration::from_nanos(raw.start_ns);
                        let length = std::time::Duration::from_nanos(raw.end_ns - raw.start_ns);
                        let _ = writer.write_histogram(&raw.latencies.response, at, length, None);
                    }
                    each(&interval);
                    self.progress.change(|seen| seen.intervals.push(interval.clone()));
                    watched.intervals.push(interval);
                    let mut latencies = raw.latencies;
                    latencies.clear();
                    let _ = self.spare_latencies.send(latencies);
                }
            }
        }
        drop(writer);
        watched.hlog = log;
        watched
    }

    fn interval(&mut self, raw: &RawInterval) -> Interval {
        let length_ns = (raw.end_ns - raw.start_ns).max(1);
        let idle_ns = raw.idle_ns.saturating_sub(self.last_idle_ns);
        self.last_idle_ns = raw.idle_ns;
        let Counts { due, sent, settled, rejected, refused } = raw.counts;
        let at = |histogram: &Histogram<u64>, percentile| histogram.value_at_percentile(percentile);
        let response = &raw.latencies.response;
        Interval {
            at_s: raw.start_ns as f64 / 1e9,
            seconds: length_ns as f64 / 1e9,
            step: raw.step,
            due,
            sent,
            settled,
            rejected,
            refused,
            in_flight: raw.in_flight,
            connected: raw.connected,
            reconnects: raw.reconnects,
            p50_ns: at(response, 50.0),
            p90_ns: at(response, 90.0),
            p99_ns: at(response, 99.0),
            p999_ns: at(response, 99.9),
            max_ns: response.max(),
            service_p99_ns: at(&raw.latencies.service, 99.0),
            lag_p99_ns: at(&raw.latencies.lag, 99.0),
            busy: 1.0 - (idle_ns as f64 / length_ns as f64).clamp(0.0, 1.0),
        }
    }
}
