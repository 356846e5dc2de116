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
    /// Like `prompt`, without what an act delayed: payments that were due and ended in calm times.
    undisturbed: Histogram<u64>,
    /// An act is being played, or what it delayed is not over.
    disturbed: bool,
    /// The last disturbance was over then.
    calm_since_us: u64,
    /// Payments made from then on are watched for the first that settles.
    watched_from_us: u64,
    first_settled_us: Option<u64>,
    /// When the last outcome came, and the longest time since that none came.
    last_outcome_us: u64,
    longest_pause_us: u64,
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
            calm_since_us: 0,
            watched_from_us: u64::MAX,
            first_settled_us: None,
            last_outcome_us: 0,
            longest_pause_us: 0,
            outcomes: Outcomes::default(),
            held_back: 0,
            held_back_window: 0,
            ended_before: 0,
            closed_at: Duration::ZERO,
            windows: Vec::new(),
        }
    }

    /// An act begins.
    pub(super) fn disturb(&mut self) {
        self.disturbed = true;
    }

    pub(super) fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    /// Nothing is delayed any more. Payments due before do not count as undisturbed, whenever they end.
    pub(super) fn calm(&mut self, at: Duration) {
        if std::mem::take(&mut self.disturbed) {
            self.calm_since_us = at.as_micros() as u64;
        }
    }

    /// Looks out for the first payment that is due from then on and settles.
    pub(super) fn watch_from(&mut self, at: Duration) {
        (self.watched_from_us, self.first_settled_us) = (at.as_micros() as u64, None);
    }

    /// When its payer's bank was told.
    pub(super) fn first_settled(&self) -> Option<Duration> {
        self.first_settled_us.map(Duration::from_micros)
    }

    /// Looks out for pauses between outcomes.
    pub(super) fn watch_pauses(&mut self, at: Duration) {
        (self.last_outcome_us, self.longest_pause_us) = (at.as_micros() as u64, 0);
    }

    /// The longest so far, with the one that goes on.
    pub(super) fn longest_pause(&self, at: Duration) -> Duration {
        let current_us = (at.as_micros() as u64).saturating_sub(self.last_outcome_us);
        Duration::from_micros(self.longest_pause_us.max(current_us))
    }

    /// A payment ended and its debtor agent heard of it, at `due_us + latency_us`.
    pub(super) fn ended(&mut self, ending: Ending, is_return: bool, (due_us, latency_us): (u64, u64), prompt: bool) {
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
        let now_us = due_us + latency_us;
        self.longest_pause_us = self.longest_pause_us.max(now_us.saturating_sub(self.last_outcome_us));
        self.last_outcome_us = self.last_outcome_us.max(now_us);
        if due_us >= self.watched_from_us && ending.is_settled() {
            self.first_settled_us.get_or_insert(now_us);
        }
        self.everything.saturating_record(latency_us.max(1));
        if prompt {
            self.prompt.saturating_record(latency_us.max(1));
            self.prompt_window.saturating_record(latency_us.max(1));
            if !self.disturbed && due_us >= self.calm_since_us {
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

    /// The same without what an act delayed.
    pub(super) fn undisturbed(&self) -> Latency {
        Latency::of(&self.undisturbed)
    }

    /// All payments, with those that wait for slow and silent banks.
    pub(super) fn everything(&self) -> Latency {
        Latency::of(&self.everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settle(measured: &mut Measured, due_ms: u64, latency_ms: u64) {
        measured.ended(Ending::Settled, false, (due_ms * 1000, latency_ms * 1000), true);
    }

    #[test]
    fn what_an_act_delayed_is_left_out_of_calm_times() {
        let mut measured = Measured::new();
        settle(&mut measured, 0, 10);
        measured.disturb();
        settle(&mut measured, 5, 900);
        measured.calm(1000 * MS);
        // Due while it lasted, ended when it was over: the backlog.
        settle(&mut measured, 990, 500);
        settle(&mut measured, 1001, 20);
        let (calm, all) = (measured.undisturbed(), measured.prompt_in_all());
        assert_eq!((calm.count, all.count), (2, 4));
        assert!(calm.max_us < 21_000 && all.max_us > 800_000, "{calm:?} {all:?}");
    }

    #[test]
    fn the_first_settled_payment_was_made_after_the_kill() {
        let mut measured = Measured::new();
        measured.watch_from(100 * MS);
        settle(&mut measured, 99, 50);
        assert_eq!(measured.first_settled(), None);
        settle(&mut measured, 101, 700);
        settle(&mut measured, 102, 10);
        assert_eq!(measured.first_settled(), Some(801 * MS));
    }

    #[test]
    fn pauses_between_outcomes() {
        let mut measured = Measured::new();
        measured.watch_pauses(100 * MS);
        settle(&mut measured, 100, 30);
        settle(&mut measured, 100, 110);
        assert_eq!(measured.longest_pause(220 * MS), 80 * MS);
        assert_eq!(measured.longest_pause(400 * MS), 190 * MS, "it goes on");
    }
}
