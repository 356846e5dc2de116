//! What is measured while the demo runs: counts and latencies, per half second and in all.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use wire::Reason;

use super::book::Ending;

/// How often a window is closed.
pub(super) const WINDOW: Duration = Duration::from_millis(500);
const LATENCY_US_MAX: u64 = 120_000_000;

/// Latency, from when a payment was due to when its debtor agent heard the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) max_us: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

/// One closed window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) at: Duration,
    pub(super) length: Duration,
    /// Payments that ended in it.
    pub(super) ended: u64,
    /// The rate that was wanted.
    pub(super) wanted: f64,
    /// Payments to banks that answer at once.
    pub(super) prompt: Latency,
    /// Payments that found their bank's window full and were not made.
    pub(super) held_back: u64,
}

/// How payments ended, by kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) settled: u64,
    pub(super) without_posting: u64,
    pub(super) given_back: u64,
    pub(super) rejected: BTreeMap<Reason, u64>,
    /// Refused, nothing recorded.
    pub(super) refused: BTreeMap<Reason, u64>,
    /// A yes that came too late and moved nothing.
    pub(super) late_answers: u64,
    /// Posted after all: ACCC.
    pub(super) posted: u64,
}

impl Outcomes {
    pub(super) fn ended(&self) -> u64 {
        let others: u64 = self.rejected.values().chain(self.refused.values()).sum();
        self.settled + self.without_posting + self.given_back + others
    }

    pub(super) fn settled_in_all(&self) -> u64 {
        self.settled + self.without_posting + self.given_back
    }
}

/// See the file's head.
pub(super) struct Measured {
    prompt: Histogram<u64>,
    prompt_window: Histogram<u64>,
    /// The last two closed windows, the newer first.
    prompt_closed: [Histogram<u64>; 2],
    everything: Histogram<u64>,
    /// Like `prompt`, without what a kill of the switch delayed.
    undisturbed: Histogram<u64>,
    /// The switch is away, or the burst after its return is not over.
    pub(super) disturbed: bool,
    pub(super) outcomes: Outcomes,
    pub(super) held_back: u64,
    pub(super) held_back_window: u64,
    ended_before: u64,
    closed_at: Duration,
    pub(super) windows: Vec<Window>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds of a histogram")
}

impl Measured {
    pub(super) fn new() -> Measured {
        Measured {
            prompt: histogram(),
            prompt_window: histogram(),
            prompt_closed: [histogram(), histogram()],
            everything: histogram(),
            undisturbed: histogram(),
            disturbed: false,
            outcomes: Outcomes::default(),
            held_back: 0,
            held_back_window: 0,
            ended_before: 0,
            closed_at: Duration::ZERO,
            windows: Vec::new(),
        }
    }

    /// A payment ended and its debtor agent heard of it.
    pub(super) fn ended(&mut self, ending: Ending, is_return: bool, latency_us: u64, prompt: bool) {
        let outcomes = &mut self.outcomes;
        match ending {
            Ending::Settled | Ending::WithoutPosting if is_return => outcomes.given_back += 1,
            Ending::Settled => outcomes.settled += 1,
            Ending::WithoutPosting => outcomes.without_posting += 1,
            Ending::Rejected(reasons) => *outcomes.rejected.entry(reasons.first()).or_default() += 1,
            Ending::Refused(reason) => {
                *outcomes.refused.entry(reason).or_default() += 1;
                return;
            }
        }
        self.everything.saturating_record(latency_us.max(1));
        if prompt {
            self.prompt.saturating_record(latency_us.max(1));
            self.prompt_window.saturating_record(latency_us.max(1));
            if !self.disturbed {
                self.undisturbed.saturating_record(latency_us.max(1));
            }
        }
    }

    pub(super) fn held_back(&mut self) {
        self.held_back += 1;
        self.held_back_window += 1;
    }

    /// Closes the window and begins the next.
    pub(super) fn close(&mut self, at: Duration, wanted: f64) -> Window {
        let ended = self.outcomes.ended();
        let window = Window {
            at,
            length: at.saturating_sub(self.closed_at),
            ended: ended - self.ended_before,
            wanted,
            prompt: Latency::of(&self.prompt_window),
            held_back: std::mem::take(&mut self.held_back_window),
        };
        self.prompt_closed.swap(0, 1);
        std::mem::swap(&mut self.prompt_window, &mut self.prompt_closed[0]);
        self.prompt_window.reset();
        (self.ended_before, self.closed_at) = (ended, at);
        self.windows.push(window);
        window
    }

    /// Of the last two closed windows: about a second.
    pub(super) fn last_second(&self) -> (Latency, f64) {
        let mut both = self.prompt_closed[0].clone();
        both.add(&self.prompt_closed[1]).expect("histograms of the same bounds");
        let last = &self.windows[self.windows.len().saturating_sub(2)..];
        let length: Duration = last.iter().map(|window| window.length).sum();
        let ended: u64 = last.iter().map(|window| window.ended).sum();
        (Latency::of(&both), ended as f64 / length.as_secs_f64().max(1e-3))
    }

    /// Payments to banks that answer at once, since the beginning.
    pub(super) fn prompt_in_all(&self) -> Latency {
        Latency::of(&self.prompt)
    }

    /// The same without what a kill delayed.
    pub(super) fn undisturbed(&self) -> Latency {
        Latency::of(&self.undisturbed)
    }

    /// All payments, with those that wait for slow and silent banks.
    pub(super) fn everything(&self) -> Latency {
        Latency::of(&self.everything)
    }
}
