//! The objective: of 10,000 payments 9,995 are final within 10 s of the decision, and neither time out nor are refused because
//! their clock had run out. How many were, what is left of those that need not be, and how fast that is used up. By the same goal, thresholds and guard as the alerts in `deploy/alerts.yml`.

use serde::{Deserialize, Serialize};

use crate::text;

/// Of all payments so many may take longer than 10 s; the others must not.
pub(crate) const ALLOWED: f64 = 0.0005;
const GOAL: f64 = 1.0 - ALLOWED;
/// A share of fewer ends than this says nothing.
pub(crate) const ENDS_MIN: u64 = 100;
/// Burning so many times as fast as the objective allows, for an hour and still, somebody must act now.
pub(crate) const BURN_FAST: f64 = 14.4;
/// What "still" is.
pub(crate) const RECENT_MS: u64 = 300_000;

/// Ends within a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) window_ms: u64,
    pub(crate) within: u64,
    pub(crate) beyond: u64,
}

impl Ends {
    fn all(self) -> u64 {
        self.within + self.beyond
    }

    fn late(self) -> Option<f64> {
        (self.all() >= ENDS_MIN).then(|| self.beyond as f64 / self.all() as f64)
    }

    /// 1 is as fast as the objective allows.
    fn burn(self) -> Option<f64> {
        self.late().map(|late| late / ALLOWED)
    }
}

/// The last hour, or what there is of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub goal: f64,
    pub window_seconds: u64,
    /// Payments and returns that ended in the window, and those of them that took longer than the objective.
    pub ended: u64,
    pub late: u64,
    /// The share that was within the objective. None of fewer ends than 100, like all that follows.
    pub within: Option<f64>,
    /// Of what may be late in the window, the share that has not been; below 0 when more was.
    pub left: Option<f64>,
    /// How many times as fast as the objective allows: over the window, and over its last five minutes.
    pub burn: Option<f64>,
    pub burn_recent: Option<f64>,
}

impl Budget {
    pub(crate) fn new(hour: Ends, recent: Ends) -> Budget {
        let burn = hour.burn();
        Budget {
            goal: GOAL,
            window_seconds: hour.window_ms.div_ceil(1000),
            ended: hour.all(),
            late: hour.beyond,
            within: hour.late().map(|late| 1.0 - late),
            left: burn.map(|burn| 1.0 - burn),
            burn,
            burn_recent: recent.burn(),
        }
    }

    /// Faster than the objective allows, over the window and still.
    pub(crate) fn burns(&self) -> bool {
        self.burns_beyond(1.0)
    }

    /// Faster than somebody may sleep through; not known before there is something to be recent in.
    pub(crate) fn burns_fast(&self) -> bool {
        self.window_seconds * 1000 > 2 * RECENT_MS && self.burns_beyond(BURN_FAST)
    }

    fn burns_beyond(&self, limit: f64) -> bool {
        let is_beyond = |burn: Option<f64>| burn.is_some_and(|burn| burn > limit);
        is_beyond(self.burn) && is_beyond(self.burn_recent)
    }

    /// `99.94 %`, or `-`.
    pub fn share(&self) -> String {
        // Of whole numbers: nothing that was late is rounded away.
        self.within
            .map_or_else(|| text::NONE.into(), |_| text::percent((self.ended - self.late) as f64 / self.ended as f64))
    }

    /// `1 h`, `12 min`, `40 s`: the window.
    pub fn window(&self) -> String {
        match self.window_seconds {
            seconds @ 0..60 => format!("{seconds} s"),
            seconds @ 60..3570 => format!("{} min", (seconds + 30) / 60),
            _ => "1 h".into(),
        }
    }

    /// `goal 99.95 %, budget left 61 %, burn 1 h 0.4×, 5 min 1.2×`, or why nothing is known.
    pub fn sentence(&self) -> String {
        let (Some(left), Some(burn)) = (self.left, self.burn) else {
            return format!("no data: {} ended in {}, {ENDS_MIN} are needed", text::count(self.ended), self.window());
        };
        let left = match left {
            _ if left <= 0.0 => "budget used up".to_string(),
            _ => format!("budget left {:.0} %", (left * 100.0).floor()),
        };
        let recent = match self.burn_recent {
            _ if self.window_seconds * 1000 <= RECENT_MS => String::new(),
            Some(recent) => format!(", 5 min {recent:.1}×"),
            None => format!(", 5 min {}", text::NONE),
        };
        format!("goal {}, {left}, burn {} {burn:.1}×{recent}", text::percent(GOAL), self.window())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(minutes: u64, within: u64, beyond: u64) -> Ends {
        Ends { window_ms: minutes * 60_000, within, beyond }
    }

    #[track_caller]
    fn check(hour: Ends, recent: Ends, share: &str, sentence: &str) -> Budget {
        let budget = Budget::new(hour, recent);
        assert_eq!((budget.share().as_str(), budget.sentence().as_str()), (share, sentence));
        budget
    }

    #[test]
    fn a_budget_is_told_in_words() {
        let budget = check(
            ends(60, 99_980, 20),
            ends(5, 9_994, 6),
            "99.98 %",
            "goal 99.95 %, budget left 60 %, burn 1 h 0.4×, 5 min 1.2×",
        );
        assert_eq!((budget.ended, budget.late, budget.window_seconds), (100_000, 20, 3_600));
        check(
            ends(12, 1_000, 0),
            ends(5, 99, 0),
            "100 %",
            "goal 99.95 %, budget left 100 %, burn 12 min 0.0×, 5 min -",
        );
        check(ends(4, 1_000, 1), ends(4, 1_000, 1), "99.90 %", "goal 99.95 %, budget used up, burn 4 min 2.0×");
    }

    #[test]
    fn few_ends_say_nothing() {
        check(ends(60, 90, 9), ends(5, 90, 9), "-", "no data: 99 ended in 1 h, 100 are needed");
        check(Ends::default(), Ends::default(), "-", "no data: 0 ended in 0 s, 100 are needed");
        assert!(!Budget::new(ends(60, 0, 99), ends(5, 0, 99)).burns_fast());
    }

    #[test]
    fn what_burns_fast_has_done_so_and_still_does() {
        let burns = |hour_late, recent_late| {
            Budget::new(ends(60, 100_000 - hour_late, hour_late), ends(5, 10_000 - recent_late, recent_late))
                .burns_fast()
        };
        assert!(burns(721, 73));
        assert!(!burns(720, 73) && !burns(721, 72), "14.4 times is not more than 14.4 times");
        assert!(!burns(721, 0), "it is over");
        let young = Budget::new(ends(10, 99, 1), ends(5, 99, 1));
        assert!(young.burns() && !young.burns_fast(), "a start is no hour");
    }
}
