//! What a run found: the contents of `result.json`, and the verdict that the exit code tells.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::audit::Check;
use crate::machine::Environment;
use crate::progress::{Event, Interval};
use crate::slo::Judgement;

/// The layout of `result.json`; a reader refuses a larger one.
pub const FORMAT: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    /// A goal of the SLO was missed.
    Fail,
    /// The switch was gone at the end.
    Unreachable,
    /// The generator was too slow for its own schedule: the figures say nothing about the switch.
    Untrustworthy,
    /// Money or notices do not add up.
    Violation,
    Interrupted,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Unreachable => 3,
            Verdict::Untrustworthy => 6,
            Verdict::Violation => 7,
            Verdict::Interrupted => 130,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Unreachable => "UNREACHABLE",
            Verdict::Untrustworthy => "NOT TRUSTWORTHY",
            Verdict::Violation => "INTEGRITY VIOLATION",
            Verdict::Interrupted => "INTERRUPTED",
        }
    }
}

/// Percentiles of one histogram, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub count: u64,
    pub mean_ns: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub p9999_ns: u64,
    pub max_ns: u64,
}

impl Percentiles {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |percentile| histogram.value_at_percentile(percentile);
        Percentiles {
            count: histogram.len(),
            mean_ns: histogram.mean().round(),
            p50_ns: at(50.0),
            p90_ns: at(90.0),
            p95_ns: at(95.0),
            p99_ns: at(99.0),
            p999_ns: at(99.9),
            p9999_ns: at(99.99),
            max_ns: histogram.max(),
        }
    }
}

/// A measured stretch of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    pub name: String,
    pub start_s: f64,
    pub seconds: f64,
    /// Payments per second that were due; 0 in a closed loop.
    pub offered_rate: f64,
    /// Outcomes per second that arrived in the step.
    pub rate: f64,
    pub due: u64,
    pub sent: u64,
    pub settled: u64,
    pub rejected: u64,
    pub refused: u64,
    pub response: Percentiles,
    pub service: Percentiles,
    pub lag: Percentiles,
    /// Whether the step met the SLO.
    pub holds: bool,
}

/// Whether the figures can be believed, and why not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustOutcome {
    pub trustworthy: bool,
    pub doubts: Vec<String>,
    /// Share of the measured time that the generator's thread had work, and its CPU time per payment.
    pub busy: f64,
    pub loader_cpu_us_per_payment: f64,
    pub lag_p99_ns: u64,
    /// Share of all cores' time that the hypervisor gave to others.
    pub steal: f64,
    pub connected: usize,
    pub connections: usize,
    /// The target's address is this machine's own.
    pub same_host: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerOutcome {
    pub pid: u32,
    pub cpu_seconds: f64,
    pub cpu_us_per_payment: f64,
    pub resident_bytes: u64,
}

/// How many payments were rejected or refused for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: String,
    pub count: u64,
}

/// Numbers of the last notices that one bank processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEnd {
    pub bank: wire::ParticipantId,
    pub last_notice: u64,
    pub last_system_notice: u64,
}

/// Everything about a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub format: u32,
    pub version: String,
    /// When it began, ISO 8601.
    pub began_at: String,
    pub command: String,
    /// Every setting, defaults included, in the words of the command line.
    pub config: Vec<(String, String)>,
    pub seed: u64,
    pub environment: Environment,
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub sentence: String,
    pub goals: Vec<Judgement>,
    pub check: Check,
    pub closed_loop: bool,
    /// Outcomes per second over the measured steps; of find-max the highest rate that met the SLO.
    pub rate: f64,
    /// Of find-max only.
    pub rate_max: Option<f64>,
    /// Over all measured steps; of find-max over the best one. From the due time; in a closed loop from the sending.
    pub response: Percentiles,
    pub service: Percentiles,
    pub lag: Percentiles,
    pub steps: Vec<StepOutcome>,
    pub reasons: Vec<ReasonCount>,
    pub reconnects: u64,
    pub trust: TrustOutcome,
    pub server: Option<ServerOutcome>,
    pub events: Vec<Event>,
    /// `(percentile, response ns, service ns)`, for the spectrum.
    pub spectrum: Vec<(f64, u64, u64)>,
    /// Where each bank's feeds ended, so that the next run can go on there.
    #[serde(skip)]
    pub feeds: Vec<FeedEnd>,
    /// In `series.ndjson`, not in `result.json`.
    #[serde(skip)]
    pub intervals: Vec<Interval>,
    #[serde(skip)]
    pub hlog: Vec<u8>,
    #[serde(skip)]
    pub hgrm: Vec<u8>,
}
