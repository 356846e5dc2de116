//! Latencies and counts: per interval for the eye, per step for the verdict.

use hdrhistogram::Histogram;

use crate::schedule::Phase;

pub(crate) const LATENCY_NS_MIN: u64 = 1_000;
pub(crate) const LATENCY_NS_MAX: u64 = 600_000_000_000;

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("these bounds are valid")
}

/// Three digits from 1 us to ten minutes; beyond that the largest value is counted.
#[derive(Clone)]
pub(crate) struct Latencies {
    /// From the due time to the final status at the debtor agent; in a closed loop from the sending.
    pub(crate) response: Histogram<u64>,
    /// From the sending to the final status.
    pub(crate) service: Histogram<u64>,
    /// From the due time to the sending: how far the generator fell behind its own schedule.
    pub(crate) lag: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { response: histogram(), service: histogram(), lag: histogram() }
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, other: &Latencies) {
        for (mine, theirs) in
            [(&mut self.response, &other.response), (&mut self.service, &other.service), (&mut self.lag, &other.lag)]
        {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
    }

    pub(crate) fn clear(&mut self) {
        self.response.reset();
        self.service.reset();
        self.lag.reset();
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Payments whose due time has come, that were sent, that ended.
    pub(crate) due: u64,
    pub(crate) sent: u64,
    pub(crate) settled: u64,
    pub(crate) rejected: u64,
    pub(crate) refused: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.due += other.due;
        self.sent += other.sent;
        self.settled += other.settled;
        self.rejected += other.rejected;
        self.refused += other.refused;
    }
}

/// One phase as it went. Counts and latencies are of the payments that were due in it, whenever they ended.
pub(crate) struct Step {
    pub(crate) phase: Phase,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) counts: Counts,
    pub(crate) latencies: Latencies,
    /// Outcomes that arrived between start and end, whenever those payments were due.
    pub(crate) ended_within: u64,
}

impl Step {
    pub(crate) fn seconds(&self) -> f64 {
        (self.end_ns.saturating_sub(self.start_ns)) as f64 / 1e9
    }

    pub(crate) fn rate(&self) -> f64 {
        self.ended_within as f64 / self.seconds().max(1e-9)
    }
}

/// One second, handed from the generator to whoever watches.
pub(crate) struct RawInterval {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) step: usize,
    pub(crate) counts: Counts,
    pub(crate) latencies: Latencies,
    pub(crate) in_flight: u64,
    pub(crate) connected: usize,
    pub(crate) reconnects: u64,
    /// Idle time of the generator's thread since it began.
    pub(crate) idle_ns: u64,
}
