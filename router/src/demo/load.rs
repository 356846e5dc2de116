//! The load: payments due at even distances, at a rate that is given or found. What is due is due, however slow the
//! switch is; latency counts from there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::bank::Bank;
use super::draw::Texts;
use super::measured::Window;
use super::stage::Stage;

const TICK: Duration = Duration::from_millis(1);
const RATE_FIRST: f64 = 1_000.0;
const RATE_MIN: f64 = 50.0;
/// Both sides remember every payment: a minute of more would fill a small machine.
const RATE_MAX: f64 = 100_000.0;
/// After an act the rate is left alone until the burst of what had waited is over, at most so long.
const REST_WINDOWS_MAX: u32 = 6;

/// Which rate is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As high as the goal allows.
    Auto,
    PerSecond(u32),
}

impl std::str::FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Rate::Auto),
            number => match number.parse() {
                Ok(rate @ 1..=1_000_000) => Ok(Rate::PerSecond(rate)),
                _ => Err("write auto, or payments per second from 1 to 1000000".into()),
            },
        }
    }
}

/// Finds the rate.
#[derive(Debug)]
pub(super) struct Pace {
    auto: bool,
    rate: f64,
    /// The rate grows while the 99th percentile stays below this.
    pub(super) goal: Duration,
    /// Still going up fast: nothing was too much so far.
    climbing: bool,
    resting: u32,
}

impl Pace {
    pub(super) fn new(rate: Rate, goal: Duration) -> Pace {
        let (auto, rate) = match rate {
            Rate::Auto => (true, RATE_FIRST),
            Rate::PerSecond(rate) => (false, f64::from(rate)),
        };
        Pace { auto, rate, goal, climbing: true, resting: 0 }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.rate
    }

    /// An act is being played or was a moment ago: what is measured now says nothing of the rate.
    pub(super) fn rest(&mut self) {
        self.resting = REST_WINDOWS_MAX;
    }

    /// Payments are as fast as they should be.
    pub(super) fn is_calm(&self, window: &Window) -> bool {
        window.prompt.count > 0 && window.prompt.p99_us <= self.goal.as_micros() as u64 && window.held_back == 0
    }

    /// A window of load has passed.
    pub(super) fn judge(&mut self, window: &Window) {
        let (p99, goal) = (Duration::from_micros(window.prompt.p99_us), self.goal);
        let calm = self.is_calm(window);
        if self.resting > 0 {
            self.resting = if calm { 0 } else { self.resting - 1 };
            return;
        }
        if !self.auto {
            return;
        }
        let factor = match (calm, self.climbing) {
            (true, true) => 1.4,
            (true, false) if p99 < goal * 6 / 10 => 1.12,
            (true, false) if p99 < goal * 8 / 10 => 1.05,
            (true, false) => 1.0,
            (false, _) if p99 > 2 * goal || window.held_back > 0 => 0.7,
            (false, _) => 0.88,
        };
        self.climbing &= calm;
        self.rate = (self.rate * factor).clamp(RATE_MIN, RATE_MAX);
    }
}

/// Makes payments until the load is over.
pub(super) async fn make(stage: Arc<Stage>, banks: Arc<[Bank]>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut numbers = [0u64; super::characters::CAST.len()];
    let mut turn = 0u64;
    let mut due = stage.elapsed();
    let mut texts = Texts::default();
    while !stage.load_is_over() {
        tick.tick().await;
        let now = stage.elapsed();
        let distance = Duration::from_secs_f64(1.0 / stage.pace.lock().per_second());
        while due <= now {
            let place = stage.draw.debtor(turn);
            turn += 1;
            // A bank whose window is full makes this payment later: its payments stay in their order.
            if banks[place].pay(numbers[place], due, &mut texts) {
                numbers[place] += 1;
            } else {
                stage.measured.lock().held_back();
            }
            due += distance;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::measured::Latency;

    const GOAL: Duration = Duration::from_millis(50);

    fn window(p99_ms: u64, held_back: u64) -> Window {
        let prompt = Latency { count: 100, p99_us: p99_ms * 1000, ..Latency::default() };
        Window { prompt, held_back, ..Window::default() }
    }

    #[test]
    fn the_rate_grows_below_the_goal_and_falls_above_it() {
        let mut pace = Pace::new(Rate::Auto, GOAL);
        let rates: Vec<f64> = [window(5, 0), window(5, 0), window(60, 0), window(35, 0), window(45, 0), window(5, 9)]
            .iter()
            .map(|window| {
                pace.judge(window);
                pace.per_second().round()
            })
            .collect();
        assert_eq!(rates, [1400.0, 1960.0, 1725.0, 1811.0, 1811.0, 1268.0]);
    }

    #[test]
    fn a_given_rate_stays_and_a_rest_changes_nothing() {
        let mut pace = Pace::new(Rate::PerSecond(500), GOAL);
        pace.judge(&window(500, 3));
        assert_eq!(pace.per_second(), 500.0);
        let mut pace = Pace::new(Rate::Auto, GOAL);
        pace.rest();
        for _ in 0..REST_WINDOWS_MAX {
            pace.judge(&window(500, 3));
        }
        assert_eq!(pace.per_second(), RATE_FIRST);
        pace.judge(&window(500, 3));
        assert!(pace.per_second() < RATE_FIRST);
    }

    #[test]
    fn rates_as_text() {
        assert_eq!("auto".parse(), Ok(Rate::Auto));
        assert_eq!("500".parse(), Ok(Rate::PerSecond(500)));
        for wrong in ["", "0", "-1", "fast", "1.5"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
