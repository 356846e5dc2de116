//! Payments as they end, as a live tap tells of them: one line each. Names and accounts of customers are in none.

use serde::{Deserialize, Serialize};

use crate::{Outcome, text};

/// What is tapped, as words: empty is any. What they mean, and why not, the node says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// [`Outcome::word`].
    pub outcome: String,
    /// A reason code: AM04.
    pub reason: String,
    /// Sent by it or offered to it.
    pub participant: String,
    /// At least so long: 2s.
    pub slower_than: String,
}

/// Who decided that a payment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Switch,
    /// The creditor agent, by its answer or by giving none.
    Creditor,
}

/// A payment or a return that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// ISO 8601 in UTC with microseconds.
    pub at: String,
    pub uetr: String,
    pub is_return: bool,
    pub debtor_agent: String,
    /// Absent when it named nobody who is registered.
    pub creditor_agent: Option<String>,
    /// Decimal text in the currency's own decimals.
    pub amount: String,
    pub currency: String,
    pub outcome: Outcome,
    /// Of those that failed.
    pub reason: Option<String>,
    pub by: Option<By>,
    /// From its first decision to its last; 0 when that was one.
    pub took_us: u64,
}

impl Ended {
    /// `14:02:10.812`
    pub fn time_of_day(&self) -> &str {
        self.at.get(11..23).unwrap_or(&self.at)
    }

    /// `rejected AM04 by the switch`
    pub fn sentence(&self) -> String {
        let outcome = match (self.outcome, self.is_return) {
            (Outcome::Rejected, true) => "return rejected",
            (Outcome::TimedOut, true) => "return timed out",
            (outcome, _) => outcome.words(),
        };
        let creditor = self.creditor_agent.as_deref().unwrap_or("the creditor agent");
        match (&self.reason, self.by, self.outcome) {
            (None, ..) => outcome.into(),
            (Some(reason), Some(By::Creditor), Outcome::TimedOut) => {
                format!("{outcome} {reason}, no answer of {creditor}")
            }
            (Some(reason), Some(By::Creditor), _) => format!("{outcome} {reason} by {creditor}"),
            (Some(reason), ..) => format!("{outcome} {reason} by the switch"),
        }
    }

    pub fn took(&self) -> String {
        if self.took_us == 0 { "at once".into() } else { text::length(self.took_us) }
    }
}

/// What came of a tap since it was told of last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tapped {
    /// The oldest first.
    pub lines: Vec<Ended>,
    /// Ended and fit the filter; so many more than there are lines are not shown.
    pub matched: u64,
    /// Ended, and could not be looked at: more ended than this node could follow.
    pub not_followed: u64,
    /// How often this node took over another's book instead of hearing of each payment: nobody knows how many ended meanwhile.
    pub gaps: u64,
}

impl Tapped {
    /// Adds up what was told, without the lines.
    pub fn count(&mut self, next: &Tapped) {
        self.matched += next.matched;
        self.not_followed += next.not_followed;
        self.gaps += next.gaps;
    }

    /// What there was besides `shown` lines, in words; none when that was all.
    pub fn besides(&self, shown: u64) -> Option<String> {
        let not_shown = self.matched.saturating_sub(shown);
        let told = [
            (not_shown > 0).then(|| format!("{} more matched and are not shown", text::count(not_shown))),
            (self.not_followed > 0)
                .then(|| format!("{} ended that could not be followed", text::count(self.not_followed))),
            (self.gaps > 0).then(|| format!("gaps of unknown size: {}", text::count(self.gaps))),
        ];
        let told: Vec<String> = told.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: Outcome, reason: Option<&str>, by: Option<By>) -> Ended {
        Ended {
            at: "2026-11-23T14:02:10.812310Z".into(),
            uetr: "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f".into(),
            is_return: outcome == Outcome::Returned,
            debtor_agent: "BANK-A".into(),
            creditor_agent: Some("BANK-F".into()),
            amount: "120.00".into(),
            currency: "EUR".into(),
            outcome,
            reason: reason.map(Into::into),
            by,
            took_us: 41_000,
        }
    }

    #[test]
    fn a_line_says_what_happened_and_who_decided_it() {
        for (outcome, reason, by, sentence) in [
            (Outcome::Settled, None, None, "settled"),
            (Outcome::Returned, None, None, "returned"),
            (Outcome::Rejected, Some("AM04"), Some(By::Switch), "rejected AM04 by the switch"),
            (Outcome::Rejected, Some("AC04"), Some(By::Creditor), "rejected AC04 by BANK-F"),
            (Outcome::TimedOut, Some("AB05"), Some(By::Creditor), "timed out AB05, no answer of BANK-F"),
        ] {
            assert_eq!(ended(outcome, reason, by).sentence(), sentence);
        }
        let own = ended(Outcome::Settled, None, None);
        assert_eq!((own.time_of_day(), own.took().as_str()), ("14:02:10.812", "41.0 ms"));
        assert_eq!(Ended { took_us: 0, ..own }.took(), "at once");
        assert_eq!(
            "lost".parse::<Outcome>().unwrap_err(),
            "\"lost\" is no outcome: settled, rejected, timed_out, returned"
        );
        Outcome::ALL.into_iter().for_each(|own| assert_eq!(own.word().parse(), Ok(own)));
    }

    #[test]
    fn what_is_missing_is_told() {
        let all = Tapped { matched: 50, ..Tapped::default() };
        assert_eq!(all.besides(50), None);
        let more = Tapped { not_followed: 7, gaps: 1, ..all };
        assert_eq!(
            more.besides(20).unwrap(),
            "30 more matched and are not shown, 7 ended that could not be followed, gaps of unknown size: 1"
        );
    }
}
