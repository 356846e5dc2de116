//! What a run is asked to do. The command line fills it in; the demo and the benches do so in code.

use std::path::PathBuf;
use std::time::Duration;

use wire::{Currency, ParticipantId};

use crate::mix::{Amounts, AnswerTime, Answers};
use crate::slo::Slo;
use crate::units::Rate;

#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port`; several nodes are tried in turn.
    pub targets: Vec<String>,
    /// Who takes part, each with one connection on which it pays and is paid.
    pub banks: Vec<Bank>,
    pub shape: Shape,
    /// Offered rate; of a ramp or of steps the first one.
    pub rate: Rate,
    /// Measured time of the whole run; of steps and of find-max each step has `step_time` instead.
    pub length: Duration,
    pub warm_up: Duration,
    /// How long to wait for outcomes after the last payment was due.
    pub drain: Duration,
    pub arrivals: Arrivals,
    /// Exponent of the skew over debtors and creditors; 0 for none.
    pub zipf: f64,
    pub amounts: Amounts,
    pub currency: Currency,
    pub answers: Answers,
    pub answer_time: AnswerTime,
    /// Connections dropped and made again, per minute, over all banks.
    pub reconnects_per_minute: f64,
    /// In a closed loop, payments of one bank that may be without outcome.
    pub in_flight_max: usize,
    pub slo: Slo,
    pub seed: u64,
    /// Tells this run's UETRs from those of other runs; taken from the clock when none.
    pub run: Option<u64>,
    /// Connect again after a drop and go on; else a drop ends the run.
    pub reconnect: bool,
    pub connect_timeout: Duration,
    /// Decode and check every frame in full.
    pub verify: bool,
    /// Poll without sleeping when the next payment is due sooner than this.
    pub spin: Duration,
    /// The process whose CPU time is set against the payments.
    pub server_pid: Option<u32>,
    pub trust: Trust,
    /// Every event of every payment, one line each.
    pub journal: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Constant,
    /// From `rate` to this rate over the length.
    Ramp {
        to: Rate,
    },
    /// `steps` steps from `rate` on, each this much higher.
    Step {
        by: Rate,
        steps: usize,
        step_time: Duration,
    },
    /// Looks for the highest rate that meets the SLO, from `rate` on.
    FindMax {
        step_time: Duration,
        trials: usize,
    },
    /// Closed loop: each bank has `in_flight_max` payments without outcome at any time.
    Saturate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    Constant,
    Poisson,
}

/// A participant that the generator plays.
#[derive(Clone, Debug)]
pub struct Bank {
    pub id: ParticipantId,
    /// How it answers; like all others when none.
    pub answers: Option<Answers>,
    pub answer_time: Option<AnswerTime>,
    /// Number of its last notice before this run, where known; else its old notices come first and are passed over.
    pub last_notice: u64,
    pub last_system_notice: u64,
}

impl Bank {
    pub fn new(id: ParticipantId) -> Self {
        Bank { id, answers: None, answer_time: None, last_notice: 0, last_system_notice: 0 }
    }

    /// `BANK-0001`, `BANK-0002`, … for the prefix `BANK-`.
    pub fn series(prefix: &str, count: usize) -> Result<Vec<Bank>, wire::Error> {
        (1..=count).map(|number| format!("{prefix}{number:04}").parse().map(Bank::new)).collect()
    }
}

/// When a run's figures can be believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trust {
    pub lag_p99_max: Duration,
    /// The same as a share of the latency's p99; whichever is larger counts.
    pub lag_share_max: f64,
    /// Share of a core that the generator's thread may be busy.
    pub busy_max: f64,
}

impl Default for Trust {
    fn default() -> Self {
        Trust { lag_p99_max: Duration::from_millis(1), lag_share_max: 0.1, busy_max: 0.95 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            targets: Vec::new(),
            banks: Vec::new(),
            shape: Shape::Constant,
            rate: Rate(10_000.0),
            length: Duration::from_secs(60),
            warm_up: Duration::from_secs(5),
            drain: Duration::from_secs(15),
            arrivals: Arrivals::Constant,
            zipf: 0.0,
            amounts: Amounts::LogNormal { median: 5000.0, sigma: 1.2 },
            currency: Currency::EUR,
            answers: Answers::all_accept(),
            answer_time: AnswerTime::Fixed(Duration::ZERO),
            reconnects_per_minute: 0.0,
            in_flight_max: 64,
            slo: Slo::default(),
            seed: 1,
            run: None,
            reconnect: true,
            connect_timeout: Duration::from_secs(10),
            verify: false,
            spin: Duration::from_millis(1),
            server_pid: None,
            trust: Trust::default(),
            journal: None,
        }
    }
}

impl Options {
    /// Contradictions that no single value shows.
    pub fn check(&self) -> Result<(), crate::Error> {
        let wrong = |text: &str| Err(crate::Error::Usage(text.to_string()));
        if self.targets.is_empty() {
            return wrong("no target: say --target HOST:PORT");
        }
        if self.banks.len() < 2 || self.banks.len() > usize::from(u16::MAX) {
            return wrong("a payment needs two banks, and no more than 65535 are played: change --participants");
        }
        let open = self.shape != Shape::Saturate;
        if open && self.rate.per_second() <= 0.0 {
            return wrong("the rate is zero: say --rate 10000/s");
        }
        if !open && self.in_flight_max == 0 {
            return wrong("a closed loop needs at least one payment in flight: change --in-flight-max");
        }
        if let Shape::Step { steps, .. } | Shape::FindMax { trials: steps, .. } = self.shape
            && !(1..=200).contains(&steps)
        {
            return wrong("a run has 1 to 200 steps: change --steps");
        }
        if matches!(self.shape, Shape::FindMax { .. }) && self.slo.goals.is_empty() {
            return wrong("find-max needs to know what is good enough: say --slo 'p99<10ms,lost=0'");
        }
        Ok(())
    }
}

impl Shape {
    pub fn searches(&self) -> bool {
        matches!(self, Shape::FindMax { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Shape::Constant => "constant",
            Shape::Ramp { .. } => "ramp",
            Shape::Step { .. } => "step",
            Shape::FindMax { .. } => "find-max",
            Shape::Saturate => "saturate",
        }
    }
}

impl Options {
    /// Every setting in the words of the command line, for the report and for comparing two runs.
    pub fn describe(&self) -> Vec<(String, String)> {
        let first = self.banks.first().map_or(String::new(), |bank| bank.id.to_string());
        let mut lines: Vec<(&str, String)> = vec![
            ("target", self.targets.join(" ")),
            ("participants", format!("{} from {first} on", self.banks.len())),
            ("shape", self.shape.name().to_string()),
        ];
        match self.shape {
            Shape::Saturate => lines.push(("in-flight-max", self.in_flight_max.to_string())),
            _ => lines.push(("rate", self.rate.to_string())),
        }
        match self.shape {
            Shape::Constant | Shape::Saturate => lines.push(("for", format!("{:?}", self.length))),
            Shape::Ramp { to } => lines.extend([("for", format!("{:?}", self.length)), ("rate-to", to.to_string())]),
            Shape::Step { by, steps, step_time } => lines.extend([
                ("step-rate", by.to_string()),
                ("steps", steps.to_string()),
                ("step-time", format!("{step_time:?}")),
            ]),
            Shape::FindMax { step_time, trials } => {
                lines.extend([("step-time", format!("{step_time:?}")), ("steps", trials.to_string())]);
            }
        }
        lines.extend([
            ("warm-up", format!("{:?}", self.warm_up)),
            ("arrivals", format!("{:?}", self.arrivals).to_lowercase()),
            ("zipf", self.zipf.to_string()),
            ("amounts", self.amounts.to_string()),
            ("currency", self.currency.to_string()),
            ("answers", self.answers.to_string()),
            ("answer-time", self.answer_time.to_string()),
            ("reconnects", format!("{}/min", self.reconnects_per_minute)),
            ("slo", self.slo.to_string()),
            ("verify", self.verify.to_string()),
            ("seed", self.seed.to_string()),
        ]);
        lines.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}
