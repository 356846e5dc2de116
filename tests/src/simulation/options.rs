//! What a seed draws before the first step: how many take part, how they behave, what goes wrong how often.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use settlement::Rules;

/// Relative weight of each kind of step.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    pub bank: u32,
    pub turn: u32,
    pub append: u32,
    pub deliver: u32,
    pub sync: u32,
    pub apply: u32,
    pub fire: u32,
    pub tick: u32,
    pub jump: u32,
    pub operate: u32,
    pub snapshot: u32,
    pub crash_actor: u32,
    pub crash_node: u32,
}

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Options {
    pub participants: usize,
    /// Participants that share one mailbox.
    pub hosted_together: usize,
    pub steps: u32,
    pub rules: Rules,
    pub weights: Weights,
    /// True when a decision reaches the log some time after it was made.
    pub appends_later: bool,
    /// Longest ordinary step of the clock.
    pub tick_ns_max: u64,
    /// Chance, of 100, that it steps to a deadline instead, give or take a nanosecond.
    pub to_deadline: u32,
    /// Longest jump of the clock, in both directions.
    pub jump_ns_max: u64,
    /// Chance, of 100, that an action of a bank is not what its engineers intended.
    pub mischief: u32,
    /// Chance, of 100, that a bank answers yes.
    pub yes: u32,
    pub opening_minor: i64,
    pub amount_minor_max: i64,
}

const SECOND: u64 = 1_000_000_000;

impl Options {
    /// Anything goes.
    pub fn any(seed: u64) -> Options {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x6f70_7469_6f6e_7321);
        let participants = random.random_range(2..=5);
        let window = [20, 60, 600, 48 * 3600][random.random_range(0..4)];
        let rules = Rules {
            duplicate_window: Duration::from_secs(window),
            payment_minor_max: 5_000,
            in_flight_max: if random.random_bool(0.1) { 3 } else { 1_000 },
            unposted_max: if random.random_bool(0.2) { 2 } else { 1_000 },
            ..Rules::default()
        };
        let mut fault = || random.random_range(0..8);
        let (crash_actor, crash_node) = (fault(), fault());
        Options {
            participants,
            hosted_together: [1, 1, 2, participants][random.random_range(0..4)],
            steps: random.random_range(200..1_200),
            rules,
            weights: Weights {
                bank: 400,
                turn: random.random_range(50..300),
                append: random.random_range(30..300),
                deliver: random.random_range(20..300),
                sync: random.random_range(20..200),
                apply: random.random_range(30..300),
                fire: random.random_range(2..30),
                tick: random.random_range(5..100),
                jump: random.random_range(0..4),
                operate: random.random_range(2..40),
                snapshot: 3,
                crash_actor,
                crash_node,
            },
            appends_later: random.random_bool(0.5),
            tick_ns_max: [SECOND / 1000, SECOND / 50, SECOND / 5, SECOND][random.random_range(0..4)],
            to_deadline: 2,
            jump_ns_max: [15, 70, 3600, 72 * 3600][random.random_range(0..4)] * SECOND,
            mischief: random.random_range(0..40),
            yes: random.random_range(50..100),
            opening_minor: random.random_range(0..60_000),
            amount_minor_max: random.random_range(10..6_000),
        }
    }

    /// Two banks, hardly a payment, a clock that hovers around its deadline: answer, timeout and crashes race.
    pub fn race(seed: u64) -> Options {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x7261_6365_2161_6263);
        let rules = Rules {
            payment_timeout: Duration::from_nanos(24),
            creditor_share: Duration::from_nanos(1),
            skew_max: Duration::from_nanos(4),
            ..Rules::default()
        };
        Options {
            participants: 2,
            hosted_together: random.random_range(1..=2),
            steps: random.random_range(60..130),
            rules,
            weights: Weights {
                bank: 400,
                turn: 200,
                append: 150,
                deliver: 150,
                sync: 150,
                apply: 200,
                fire: 80,
                tick: 40,
                jump: 0,
                operate: 0,
                snapshot: 0,
                crash_actor: 5,
                crash_node: 5,
            },
            appends_later: random.random_bool(0.5),
            tick_ns_max: 4,
            to_deadline: 15,
            jump_ns_max: 12,
            mischief: 30,
            yes: 70,
            opening_minor: 1_000,
            amount_minor_max: 900,
        }
    }
}
