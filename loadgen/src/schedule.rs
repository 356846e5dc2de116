//! When payments are due. Fixed by rate, arrivals and seed before the first is sent; nothing that the switch does
//! moves a due time.

use std::time::Duration;

use rand::distr::Distribution;
use rand::rngs::SmallRng;
use rand_distr::Exp1;

use crate::options::{Arrivals, Options, Shape};
use crate::units::Rate;

/// A stretch of time with one rule for its rate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) from: Rate,
    /// Differs from `from` in a ramp.
    pub(crate) to: Rate,
    pub(crate) length: Duration,
    /// False for a warm-up, whose payments count only in the money check.
    pub(crate) measured: bool,
    pub(crate) closed_loop: bool,
}

impl Phase {
    pub(crate) fn constant(name: &str, rate: Rate, length: Duration, measured: bool) -> Self {
        Phase { name: name.to_string(), from: rate, to: rate, length, measured, closed_loop: false }
    }
}

/// The phases of a run whose shape is known beforehand; `FindMax` makes its own as it goes.
pub(crate) fn phases(options: &Options) -> Vec<Phase> {
    let mut phases = Vec::new();
    let closed_loop = options.shape == Shape::Saturate;
    if !options.warm_up.is_zero() {
        phases.push(Phase { closed_loop, ..Phase::constant("warm-up", options.rate, options.warm_up, false) });
    }
    match options.shape {
        Shape::Constant | Shape::FindMax { .. } => {
            phases.push(Phase::constant("constant", options.rate, options.length, true));
        }
        Shape::Ramp { to } => {
            phases.push(Phase { to, ..Phase::constant("ramp", options.rate, options.length, true) });
        }
        Shape::Step { by, steps, step_time } => phases.extend((0..steps).map(|step| {
            let rate = Rate(options.rate.per_second() + by.per_second() * step as f64);
            Phase::constant(&format!("step {}", step + 1), rate, step_time, true)
        })),
        Shape::Saturate => {
            phases.push(Phase { closed_loop, ..Phase::constant("saturate", options.rate, options.length, true) });
        }
    }
    phases
}

/// Due times of one phase, in nanoseconds since the run began.
pub(crate) struct Schedule {
    arrivals: Arrivals,
    start_ns: u64,
    length_ns: f64,
    from: f64,
    to: f64,
    /// Since the start of the phase.
    next_ns: f64,
    given: u64,
}

impl Schedule {
    pub(crate) fn new(phase: &Phase, arrivals: Arrivals, start_ns: u64, rng: &mut SmallRng) -> Self {
        let length_ns = if phase.closed_loop { 0.0 } else { phase.length.as_nanos() as f64 };
        let (from, to) = (phase.from.per_second(), phase.to.per_second());
        let mut schedule = Schedule { arrivals, start_ns, length_ns, from, to, next_ns: 0.0, given: 0 };
        if arrivals == Arrivals::Poisson {
            schedule.advance(rng);
        }
        schedule
    }

    /// The next due time; none once the phase is over.
    pub(crate) fn next(&self) -> Option<u64> {
        (self.next_ns < self.length_ns).then(|| self.start_ns + self.next_ns as u64)
    }

    pub(crate) fn advance(&mut self, rng: &mut SmallRng) {
        self.given += 1;
        if self.arrivals == Arrivals::Constant && self.from == self.to {
            self.next_ns = self.given as f64 * 1e9 / self.from.max(0.001); // Adding up gaps would add up their rounding.
            return;
        }
        let rate = self.from + (self.to - self.from) * (self.next_ns / self.length_ns);
        let share: f64 = match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => Exp1.sample(rng),
        };
        self.next_ns += share * Rate(rate.max(0.001)).gap_ns();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn due(phase: &Phase, arrivals: Arrivals, seed: u64) -> Vec<u64> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut schedule = Schedule::new(phase, arrivals, 500, &mut rng);
        let mut times = Vec::new();
        while let Some(time) = schedule.next() {
            times.push(time);
            schedule.advance(&mut rng);
        }
        times
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let phase = Phase::constant("", Rate(1000.0), Duration::from_secs(2), true);
        let times = due(&phase, Arrivals::Constant, 1);
        assert_eq!((times.len(), times[0], times[1999]), (2000, 500, 500 + 1_999_000_000));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_repeat_with_the_seed() {
        let phase = Phase::constant("", Rate(10_000.0), Duration::from_secs(5), true);
        let times = due(&phase, Arrivals::Poisson, 7);
        assert!((49_000..51_000).contains(&times.len()), "{}", times.len());
        assert_eq!(times, due(&phase, Arrivals::Poisson, 7));
        assert_ne!(times, due(&phase, Arrivals::Poisson, 8));
        let empty = (0..5000).filter(|ms| !times.iter().any(|time| (time - 500) / 1_000_000 == *ms)).count();
        assert!(empty < 20, "a gap of a millisecond has a probability of 0.005 %, {empty} of 5000 were empty");
    }

    #[test]
    fn a_ramp_offers_the_mean_of_its_ends() {
        let phase = Phase { to: Rate(3000.0), ..Phase::constant("", Rate(1000.0), Duration::from_secs(4), true) };
        let times = due(&phase, Arrivals::Constant, 1);
        assert!((7950..8050).contains(&times.len()), "{}", times.len());
    }

    #[test]
    fn steps_follow_the_warm_up() {
        let shape = Shape::Step { by: Rate(500.0), steps: 3, step_time: Duration::from_secs(9) };
        let options = Options { shape, rate: Rate(1000.0), ..Options::default() };
        let rates: Vec<f64> = phases(&options).iter().map(|phase| phase.from.per_second()).collect();
        assert_eq!(rates, [1000.0, 1000.0, 1500.0, 2000.0]);
    }
}
