//! From what was measured in each second to what a snapshot tells: counts since the start, percentiles of the last seconds.

use meter::{Distribution, EDGES_US, Resolution};

use crate::Latency;

/// Edges of the buckets of what there is one of per participant, microseconds; others have [`EDGES_US`].
const COARSE_EDGES_US: &[u64] = &[10_000, 50_000, 250_000, 1_000_000, 2_500_000, 5_000_000, 8_000_000, 10_000_000];

/// Percentiles are of the last one to two of these, in turns.
const TURNS: u32 = 5;

/// A distribution as it goes on. With one turn a second, its percentiles are of the last five to ten seconds.
#[derive(Clone, Debug)]
pub struct Window {
    edges: &'static [u64],
    /// How many were at most as long as each edge, and longer than the one before.
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u64,
    /// What the percentiles are of, and the newer part of it.
    recent: Distribution,
    newer: Distribution,
    turns: u32,
}

impl Window {
    pub fn new(resolution: Resolution) -> Window {
        let edges = match resolution {
            Resolution::Fine => &EDGES_US,
            Resolution::Coarse => COARSE_EDGES_US,
        };
        Window {
            edges,
            buckets: vec![0; edges.len()],
            count: 0,
            sum_ns: 0,
            recent: Distribution::new(resolution),
            newer: Distribution::new(resolution),
            turns: 0,
        }
    }

    /// Takes in what was measured since the last turn.
    pub fn turn(&mut self, interval: &Distribution) {
        self.turns += 1;
        if self.turns == TURNS {
            self.turns = 0;
            std::mem::swap(&mut self.recent, &mut self.newer);
            self.newer.clear();
        }
        if interval.count() == 0 {
            return;
        }
        interval.each(|us, count| {
            if let Some(bucket) = self.edges.iter().position(|edge| us <= *edge) {
                self.buckets[bucket] += count;
            }
        });
        self.count += interval.count();
        self.sum_ns += interval.sum_ns();
        self.recent.add(interval);
        self.newer.add(interval);
    }

    /// As it stands.
    pub fn latency(&self) -> Latency {
        let mut below = 0;
        let bucket = |(edge, count): (&u64, &u64)| {
            below += count;
            (*edge, below)
        };
        Latency {
            count: self.count,
            sum_us: self.sum_ns / 1000,
            buckets: self.edges.iter().zip(&self.buckets).map(bucket).collect(),
            recent: self.recent.count(),
            p50_us: self.recent.quantile_us(0.5),
            p99_us: self.recent.quantile_us(0.99),
            p999_us: self.recent.quantile_us(0.999),
            max_us: self.recent.max_us(),
        }
    }
}

/// A count of the same last seconds as a window's percentiles.
#[derive(Clone, Debug, Default)]
pub struct Lately {
    recent: u64,
    newer: u64,
    turns: u32,
}

impl Lately {
    /// Takes in what was counted since the last turn.
    pub fn turn(&mut self, count: u64) {
        self.turns += 1;
        if self.turns == TURNS {
            (self.turns, self.recent, self.newer) = (0, self.newer, 0);
        }
        self.recent += count;
        self.newer += count;
    }

    pub fn count(&self) -> u64 {
        self.recent
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(lengths_us: &[u64]) -> Distribution {
        let mut own = Distribution::default();
        lengths_us.iter().for_each(|us| own.record(Duration::from_micros(*us)));
        own
    }

    #[test]
    fn counts_stay_and_percentiles_pass() {
        let mut window = Window::new(Resolution::Fine);
        assert_eq!(window.latency().recent, 0);
        window.turn(&of(&[90, 200, 400, 20_000_000]));
        let latency = window.latency();
        assert_eq!((latency.count, latency.recent, latency.sum_us), (4, 4, 20_000_690));
        assert_eq!(latency.buckets[..3], [(100, 1), (250, 2), (500, 3)]);
        assert_eq!(
            latency.buckets.last(),
            Some(&(10_000_000, 3)),
            "what is longer than all edges is in the count alone"
        );
        assert!(latency.p50_us.abs_diff(200) <= 2 && latency.max_us >= 19_900_000, "{latency:?}");
        for second in 0..2 * TURNS {
            window.turn(&Distribution::default());
            let seen = window.latency();
            assert!(seen.recent == 4 || second + 1 >= TURNS, "forgotten after {second} s");
            assert_eq!((seen.count, &seen.buckets), (4, &latency.buckets));
        }
        let mut lately = Lately::default();
        lately.turn(4);
        let seen: Vec<u64> = (0..2 * TURNS).map(|_| (lately.turn(0), lately.count()).1).collect();
        assert!(seen[..TURNS as usize - 1].iter().all(|count| *count == 4), "{seen:?}");
        assert_eq!((seen.last(), lately.count()), (Some(&0), 0));
        assert_eq!((window.latency().recent, window.latency().p50_us), (0, 0));
    }

    #[test]
    fn edges_are_where_alerts_look() {
        assert!(EDGES_US.contains(&10_000_000) && EDGES_US.contains(&20_000), "the objective, and a slow sync");
        assert!(COARSE_EDGES_US.contains(&8_000_000), "a slow creditor agent");
        assert!(COARSE_EDGES_US.is_sorted_by(|one, next| one < next));
    }
}
