//! What the run must reach to pass: `p99<10ms,within10s>=99.95%,lost=0`.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::units::{Rate, duration, milliseconds};

/// A list of goals; all must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Slo {
    pub goals: Vec<Goal>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Goal {
    text: String,
    what: What,
    relation: Relation,
    bound: f64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    /// A percentile of latency, in ns; 100 is the maximum.
    Latency(f64),
    /// Share of payments final within so many ns, of all that were sent.
    Within(u64),
    Lost,
    Doubled,
    /// Settled, rejected and refused payments as shares of those sent.
    Settled,
    Rejected,
    Refused,
    /// Final outcomes per second.
    Rate,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Relation {
    Below,
    AtMost,
    Exactly,
    AtLeast,
    Above,
}

/// What a goal is held against.
pub struct Measured<'a> {
    pub latency: &'a Histogram<u64>,
    pub sent: u64,
    pub settled: u64,
    pub rejected: u64,
    pub refused: u64,
    pub lost: u64,
    pub doubled: u64,
    pub rate: f64,
}

/// One line of the verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judgement {
    pub goal: String,
    pub measured: String,
    pub holds: bool,
}

impl Slo {
    pub fn judge(&self, measured: &Measured<'_>) -> Vec<Judgement> {
        self.goals.iter().map(|goal| goal.judge(measured)).collect()
    }
}

impl Goal {
    fn judge(&self, measured: &Measured<'_>) -> Judgement {
        let share = |count: u64| count as f64 / (measured.sent.max(1)) as f64;
        let percent = |share: f64| format!("{:.3}%", share * 100.0);
        let (value, text) = match self.what {
            What::Latency(percentile) => {
                let value = measured.latency.value_at_percentile(percentile);
                (value as f64, format!("{} ms", milliseconds(value)))
            }
            What::Within(length_ns) => {
                let value = share(measured.latency.count_between(0, length_ns));
                (value, percent(value))
            }
            What::Lost => (measured.lost as f64, measured.lost.to_string()),
            What::Doubled => (measured.doubled as f64, measured.doubled.to_string()),
            What::Settled => (share(measured.settled), percent(share(measured.settled))),
            What::Rejected => (share(measured.rejected), percent(share(measured.rejected))),
            What::Refused => (share(measured.refused), percent(share(measured.refused))),
            What::Rate => (measured.rate, Rate(measured.rate).to_string()),
        };
        let nothing = measured.latency.is_empty() && matches!(self.what, What::Latency(_) | What::Within(_));
        let holds = !nothing
            && match self.relation {
                Relation::Below => value < self.bound,
                Relation::AtMost => value <= self.bound,
                Relation::Exactly => value == self.bound,
                Relation::AtLeast => value >= self.bound,
                Relation::Above => value > self.bound,
            };
        let measured = if nothing { "nothing measured".to_string() } else { text };
        Judgement { goal: self.text.clone(), measured, holds }
    }
}

impl FromStr for Slo {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let goals = text.split(',').map(str::trim).filter(|goal| !goal.is_empty()).map(Goal::from_str);
        goals.collect::<Result<_, _>>().map(|goals| Slo { goals })
    }
}

impl FromStr for Goal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no goal such as p99<10ms, max<1s, within10s>=99.95%, lost=0, rejected<=1% or rate>=9900/s"
            )
        };
        let relations = [
            (">=", Relation::AtLeast),
            ("<=", Relation::AtMost),
            ("<", Relation::Below),
            (">", Relation::Above),
            ("=", Relation::Exactly),
        ];
        let (sign, relation) = relations.into_iter().find(|(sign, _)| text.contains(sign)).ok_or_else(wrong)?;
        let (name, bound) = text.split_once(sign).ok_or_else(wrong)?;
        let (name, bound) = (name.trim(), bound.trim());
        let what = match name {
            "max" => What::Latency(100.0),
            "lost" => What::Lost,
            "doubled" => What::Doubled,
            "settled" => What::Settled,
            "rejected" => What::Rejected,
            "refused" => What::Refused,
            "rate" => What::Rate,
            _ => match (name.strip_prefix("within"), name.strip_prefix('p')) {
                (Some(length), _) => What::Within(duration(length)?.as_nanos() as u64),
                (_, Some(percentile)) => {
                    let percentile: f64 = percentile.parse().map_err(|_| wrong())?;
                    // p999 and p9999 are how people write p99.9 and p99.99.
                    let digits = name.len() - 1;
                    let shrink =
                        if percentile > 100.0 && name.starts_with("p99") { 10f64.powi(digits as i32 - 2) } else { 1.0 };
                    if !(0.0..=100.0).contains(&(percentile / shrink)) {
                        return Err(wrong());
                    }
                    What::Latency(percentile / shrink)
                }
                _ => return Err(wrong()),
            },
        };
        let bound = match what {
            What::Latency(_) => duration(bound)?.as_nanos() as f64,
            What::Rate => bound.parse::<Rate>()?.per_second(),
            What::Lost | What::Doubled => bound.parse::<u64>().map_err(|_| wrong())? as f64,
            What::Within(_) | What::Settled | What::Rejected | What::Refused => {
                let percent: f64 = bound.strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
                percent / 100.0
            }
        };
        Ok(Goal { text: text.to_string(), what, relation, bound })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goals: Vec<&str> = self.goals.iter().map(|goal| goal.text.as_str()).collect();
        formatter.write_str(&goals.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_held_against_what_was_measured() {
        let mut latency = Histogram::<u64>::new(3).unwrap();
        (1..=1000u64).for_each(|ms| latency.record(ms * 1_000_000).unwrap());
        let measured = Measured {
            latency: &latency,
            sent: 1000,
            settled: 970,
            rejected: 30,
            refused: 0,
            lost: 0,
            doubled: 0,
            rate: 99.0,
        };
        let table = [
            ("p50<600ms", true),
            ("p50<400ms", false),
            ("p99.9<=1001ms", true),
            ("p999<1001ms", true),
            ("max<900ms", false),
            ("within500ms>=50%", true),
            ("within500ms>=51%", false),
            ("lost=0", true),
            ("doubled=0", true),
            ("rejected<=3%", true),
            ("rejected<3%", false),
            ("settled>=97%", true),
            ("rate>=100/s", false),
            ("p99<10ms,within10s>=99.95%,lost=0", false),
            ("", true),
        ];
        for (text, holds) in table {
            let slo: Slo = text.parse().unwrap();
            assert_eq!(slo.judge(&measured).iter().all(|line| line.holds), holds, "{text}");
            assert_eq!(slo.to_string(), text);
        }
    }

    #[test]
    fn latency_of_nothing_meets_no_goal() {
        let latency = Histogram::<u64>::new(3).unwrap();
        let measured = Measured {
            latency: &latency,
            sent: 0,
            settled: 0,
            rejected: 0,
            refused: 0,
            lost: 0,
            doubled: 0,
            rate: 0.0,
        };
        assert!(!"p99<1s".parse::<Slo>().unwrap().judge(&measured)[0].holds);
    }

    #[test]
    fn what_is_no_goal_is_refused() {
        for text in [
            "p99",
            "p99<10",
            "p101<1s",
            "px<1s",
            "lost=none",
            "within10s>=99.95",
            "within>=9%",
            "speed>9",
            "rate>=fast",
        ] {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
    }
}
