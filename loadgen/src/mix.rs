//! What the payments are made of: how creditor agents answer and when, and how large the amounts are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::distr::Distribution;
use rand::rngs::SmallRng;
use wire::Reason;

use crate::units::duration;

/// What a creditor agent will do with one payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    Accept,
    AcceptWithoutPosting,
    Reject(Reason),
    Never,
}

/// Shares of answers, `accept=97,AC04=2,never=1`: weights of any sum; four capitals are a reason to reject.
#[derive(Clone, PartialEq, Debug)]
pub struct Answers {
    shares: Vec<(Plan, f64)>,
}

impl Answers {
    pub fn all_accept() -> Self {
        Answers { shares: vec![(Plan::Accept, 1.0)] }
    }

    pub fn plans(&self) -> impl Iterator<Item = Plan> + '_ {
        self.shares.iter().map(|(plan, _)| *plan)
    }

    /// For each plan the part of `0..=u32::MAX` that ends it, in order.
    pub fn thresholds(&self) -> Vec<(u32, Plan)> {
        let sum: f64 = self.shares.iter().map(|(_, weight)| weight).sum();
        let mut reached = 0.0;
        let mut thresholds: Vec<(u32, Plan)> = self
            .shares
            .iter()
            .map(|(plan, weight)| {
                reached += weight / sum;
                ((reached * f64::from(u32::MAX)) as u32, *plan)
            })
            .collect();
        if let Some(last) = thresholds.last_mut() {
            last.0 = u32::MAX;
        }
        thresholds
    }
}

impl FromStr for Answers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares = Vec::new();
        for part in text.split(',') {
            let wrong = || format!("{part:?} is no share of answers such as accept=97, acwp=1, AC04=2 or never=1");
            let (name, weight) = part.trim().split_once('=').ok_or_else(wrong)?;
            let plan = match name.trim() {
                "accept" => Plan::Accept,
                "acwp" => Plan::AcceptWithoutPosting,
                "never" => Plan::Never,
                code => Plan::Reject(code.parse().map_err(|_| wrong())?),
            };
            let weight: f64 = weight.trim().trim_end_matches('%').parse().map_err(|_| wrong())?;
            if !weight.is_finite() || weight < 0.0 {
                return Err(wrong());
            }
            if shares.iter().any(|(other, _)| *other == plan) {
                return Err(format!("{name:?} stands twice in {text:?}"));
            }
            if weight > 0.0 {
                shares.push((plan, weight));
            }
        }
        if shares.is_empty() {
            return Err(format!("{text:?} leaves no answer with a share above zero"));
        }
        Ok(Answers { shares })
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (plan, weight)) in self.shares.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match plan {
                Plan::Accept => write!(formatter, "{comma}accept={weight}")?,
                Plan::AcceptWithoutPosting => write!(formatter, "{comma}acwp={weight}")?,
                Plan::Never => write!(formatter, "{comma}never={weight}")?,
                Plan::Reject(reason) => write!(formatter, "{comma}{reason}={weight}")?,
            }
        }
        Ok(())
    }
}

/// How long a creditor agent thinks: `0`, `40ms`, or `lognormal:40ms,0.5` (median, sigma).
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum AnswerTime {
    Fixed(Duration),
    LogNormal { median: Duration, sigma: f64 },
}

impl AnswerTime {
    pub fn is_zero(&self) -> bool {
        matches!(self, AnswerTime::Fixed(Duration::ZERO))
    }

    pub fn draw_ns(&self, rng: &mut SmallRng) -> u64 {
        match self {
            AnswerTime::Fixed(length) => length.as_nanos() as u64,
            AnswerTime::LogNormal { median, sigma } => log_normal(median.as_nanos() as f64, *sigma, rng) as u64,
        }
    }
}

impl FromStr for AnswerTime {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("lognormal:") else { return duration(text).map(AnswerTime::Fixed) };
        let (median, sigma) = median_and_sigma(rest, text)?;
        Ok(AnswerTime::LogNormal { median: duration(median)?, sigma })
    }
}

impl fmt::Display for AnswerTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerTime::Fixed(length) => write!(formatter, "{length:?}"),
            AnswerTime::LogNormal { median, sigma } => write!(formatter, "lognormal:{median:?},{sigma}"),
        }
    }
}

/// Amounts in minor units: `1250`, `uniform:1,100000`, or `lognormal:5000,1.2` (median, sigma).
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Amounts {
    Fixed(i64),
    Uniform { from: i64, to: i64 },
    LogNormal { median: f64, sigma: f64 },
}

impl Amounts {
    /// The most a drawn amount can be: ten million of a currency with cents.
    pub const MINOR_MAX: i64 = 1_000_000_000;

    pub fn draw(&self, rng: &mut SmallRng) -> i64 {
        let amount = match self {
            Amounts::Fixed(amount) => *amount,
            Amounts::Uniform { from, to } => rand::Rng::random_range(rng, *from..=*to),
            Amounts::LogNormal { median, sigma } => log_normal(*median, *sigma, rng) as i64,
        };
        amount.clamp(1, Self::MINOR_MAX)
    }
}

impl FromStr for Amounts {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} are no amounts such as 1250, uniform:1,100000 or lognormal:5000,1.2 (minor units)");
        let in_bounds = |amount: i64| (1..=Self::MINOR_MAX).contains(&amount).then_some(amount).ok_or_else(wrong);
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let (median, sigma) = median_and_sigma(rest, text)?;
            let median = in_bounds(median.parse().map_err(|_| wrong())?)? as f64;
            return Ok(Amounts::LogNormal { median, sigma });
        }
        if let Some(rest) = text.strip_prefix("uniform:") {
            let (from, to) = rest.split_once(',').ok_or_else(wrong)?;
            let from = in_bounds(from.trim().parse().map_err(|_| wrong())?)?;
            let to = in_bounds(to.trim().parse().map_err(|_| wrong())?)?;
            return if from <= to { Ok(Amounts::Uniform { from, to }) } else { Err(wrong()) };
        }
        in_bounds(text.trim().parse().map_err(|_| wrong())?).map(Amounts::Fixed)
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amounts::Fixed(amount) => write!(formatter, "{amount}"),
            Amounts::Uniform { from, to } => write!(formatter, "uniform:{from},{to}"),
            Amounts::LogNormal { median, sigma } => write!(formatter, "lognormal:{median},{sigma}"),
        }
    }
}

fn median_and_sigma<'a>(rest: &'a str, whole: &str) -> Result<(&'a str, f64), String> {
    let wrong = || format!("{whole:?} needs a median and a sigma between 0 and 5, such as lognormal:40ms,0.5");
    let (median, sigma) = rest.split_once(',').ok_or_else(wrong)?;
    let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
    if (0.0..=5.0).contains(&sigma) { Ok((median.trim(), sigma)) } else { Err(wrong()) }
}

fn log_normal(median: f64, sigma: f64, rng: &mut SmallRng) -> f64 {
    let normal: f64 = rand_distr::StandardNormal.sample(rng);
    median * (sigma * normal).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let mix: Answers = "accept=97, AC04=2,never=1".parse().unwrap();
        let thresholds = mix.thresholds();
        assert_eq!(thresholds.last().map(|last| last.0), Some(u32::MAX));
        assert!((f64::from(thresholds[0].0) / f64::from(u32::MAX) - 0.97).abs() < 1e-6);
        assert_eq!(mix.to_string(), "accept=97,AC04=2,never=1");
        assert_eq!(
            "acwp=1,accept=0".parse::<Answers>().unwrap().plans().collect::<Vec<_>>(),
            [Plan::AcceptWithoutPosting]
        );
        for text in ["", "accept", "accept=-1", "accept=0", "accept=1,accept=2", "ac04=1", "AC4=1", "never=x"] {
            assert!(text.parse::<Answers>().is_err(), "{text}");
        }
    }

    #[test]
    fn answer_times() {
        let table = [
            ("0", AnswerTime::Fixed(Duration::ZERO)),
            ("40ms", AnswerTime::Fixed(Duration::from_millis(40))),
            ("lognormal:40ms,0.5", AnswerTime::LogNormal { median: Duration::from_millis(40), sigma: 0.5 }),
        ];
        for (text, time) in table {
            assert_eq!(text.parse(), Ok(time), "{text}");
        }
        for text in ["lognormal:40ms", "lognormal:40ms,9", "40", "soon"] {
            assert!(text.parse::<AnswerTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn amounts() {
        for text in ["1250", "uniform:1,100000", "lognormal:5000,1.2"] {
            assert_eq!(text.parse::<Amounts>().unwrap().to_string(), text);
        }
        for text in ["0", "-5", "uniform:5,1", "uniform:1", "lognormal:0,1", "12.50"] {
            assert!(text.parse::<Amounts>().is_err(), "{text}");
        }
    }
}
