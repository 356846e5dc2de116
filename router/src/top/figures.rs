//! What is looked at first: rate, objective, latency, what is under way, where the time goes.

use watch::rows::Pair;
use watch::text;

/// Figures that belong together.
pub(super) struct Figures {
    /// What goes first where there is no room for all, the largest first.
    pub(super) rank: usize,
    pub(super) between: &'static str,
    pub(super) parts: Vec<String>,
}

impl Figures {
    /// On one line, however long.
    pub(super) fn line(&self) -> String {
        self.parts.join(self.between)
    }
}

pub(super) fn figures(pair: &Pair<'_>) -> [Figures; 4] {
    let payments = &pair.now.payments;
    let (budget, settled, outcomes) = (&payments.budget, &payments.settled, &payments.outcomes);
    let log = &pair.now.log;
    let figure = |us| text::percentile(us, settled.recent);
    let oldest = match payments.in_flight {
        0 => text::NONE.to_string(),
        _ => payments.oldest_in_flight_us.map_or(text::NONE.into(), text::length),
    };
    [
        Figures {
            rank: 0,
            between: "   ",
            parts: vec![
                format!("{} /s started", text::rate(payments.started_per_second)),
                format!("{} /s settled", text::rate(payments.settled_per_second)),
                format!("{} in flight, oldest {oldest}", text::count(payments.in_flight)),
            ],
        },
        Figures {
            rank: 2,
            between: "   ",
            parts: vec![format!("final in 10 s, last {}: {}", budget.window(), budget.share()), budget.sentence()],
        },
        Figures {
            rank: 1,
            between: " · ",
            parts: vec![
                format!("settled p50 {}", figure(settled.p50_us)),
                format!("p99 {}", figure(settled.p99_us)),
                format!("p99.9 {}", figure(settled.p999_us)),
                format!("longest {} (last 10 s)", figure(settled.max_us)),
            ],
        },
        Figures {
            rank: 4,
            between: "   ",
            parts: vec![
                format!("log sync p99 {}", text::percentile(log.sync.p99_us, log.sync.recent)),
                format!("{} free on its disk", text::bytes(log.free_bytes)),
                format!(
                    "since start: {} settled, {} rejected, {} timed out, {} returned",
                    text::count(outcomes.settled),
                    text::count(outcomes.rejected),
                    text::count(outcomes.timed_out),
                    text::count(outcomes.returned),
                ),
            ],
        },
    ]
}

pub(super) fn stages(pair: &Pair<'_>) -> Figures {
    let stages = pair.now.stages.iter().map(|stage| {
        format!("{} {}", stage.name.words(), text::percentile(stage.latency.p99_us, stage.latency.recent))
    });
    let mut parts: Vec<String> = stages.collect();
    if let Some(first) = parts.first_mut() {
        *first = format!("where the time goes, p99: {first}");
    }
    Figures { rank: 3, between: " │ ", parts }
}
