//! Payments that ended alike, since the start: counted exactly by band, and of each band one that is known by its UETR.

use actors::figures;
use meter::{BANDS, EDGES_US, Resolution};
use watch::{Exemplar, Latency, Outcome, Window};

/// See the file's head. Some 16 KiB.
pub(super) struct Ends {
    window: Window,
    counts: [u64; BANDS],
    /// The slowest of the latest second in which there was one.
    exemplars: [Option<Exemplar>; BANDS],
}

impl Ends {
    pub(super) fn new() -> Ends {
        Ends { window: Window::new(Resolution::Fine), counts: [0; BANDS], exemplars: [None; BANDS] }
    }

    /// Takes in what was measured since the last turn.
    pub(super) fn turn(&mut self, second: &figures::Ends) {
        self.window.turn(&second.took);
        for (count, more) in self.counts.iter_mut().zip(second.counts) {
            *count += u64::from(more);
        }
        for slowest in second.slowest() {
            self.exemplars[meter::band(slowest.took_us)] = Some(exemplar(slowest));
        }
    }

    /// As it stands, with the exact counts.
    pub(super) fn latency(&self) -> Latency {
        let mut below = 0;
        let bucket = |(edge, count): (u64, &u64)| {
            below += count;
            (edge, below)
        };
        Latency { buckets: EDGES_US.into_iter().zip(&self.counts).map(bucket).collect(), ..self.window.latency() }
    }

    pub(super) fn exemplars(&self) -> impl Iterator<Item = Exemplar> {
        self.exemplars.iter().flatten().copied()
    }
}

fn exemplar(ended: &figures::Ended) -> Exemplar {
    let outcome = match ended.outcome {
        figures::Outcome::Settled => Outcome::Settled,
        figures::Outcome::Rejected => Outcome::Rejected,
        figures::Outcome::TimedOut => Outcome::TimedOut,
        figures::Outcome::Returned => Outcome::Returned,
    };
    Exemplar { uetr: ended.uetr, outcome, took_us: ended.took_us, at_ms: ended.at.milliseconds() }
}
