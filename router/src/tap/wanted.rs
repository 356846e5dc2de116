//! Which payments a tap wants. All that is named must fit.

use std::time::Duration;

use actors::trail::{Step, What};
use settlement::Key;
use watch::Outcome;
use watch::tap::Filter;
use wire::Reason;

use crate::admin::desk::wrong;
use crate::admin::protocol::Problem;
use crate::config::parse_length;

/// See the file's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    outcome: Option<Outcome>,
    reason: Option<Reason>,
    /// As debtor agent or as creditor agent.
    participant: Option<Key>,
    slower_than: Duration,
}

impl Wanted {
    /// Why not, in words that name what would be right. `key` knows the participants.
    pub(super) fn parse(filter: &Filter, key: impl FnOnce(&str) -> Result<Key, Problem>) -> Result<Wanted, Problem> {
        let given = |word: &str| (!word.trim().is_empty()).then(|| word.trim().to_string());
        let of = |what: &str, why: String| wrong(format!("{what}: {why}"));
        let code = |code: String| {
            code.parse::<Reason>().map_err(|_| {
                let why = format!("{code:?} is no reason code: four capital letters or digits, such as AM04 or AB05");
                Problem { next: Some("crosstie errors lists them".into()), ..of("reason", why) }
            })
        };
        let length = |text: String| {
            parse_length(&text)
                .map_err(|_| of("slower than", format!("{text:?} is no length of time: write 250ms, 2s or 1m")))
        };
        Ok(Wanted {
            outcome: given(&filter.outcome).map(|word| word.parse().map_err(|why| of("outcome", why))).transpose()?,
            reason: given(&filter.reason).map(code).transpose()?,
            participant: given(&filter.participant).map(|id| key(&id)).transpose()?,
            slower_than: given(&filter.slower_than).map(length).transpose()?.unwrap_or_default(),
        })
    }

    /// Of one that has ended.
    pub(super) fn fits(&self, outcome: Outcome, step: &Step) -> bool {
        self.outcome.is_none_or(|wanted| wanted == outcome)
            && self.reason.is_none_or(|wanted| reason(step.what) == Some(wanted))
            && self.participant.is_none_or(|own| own == step.debtor || own == step.creditor)
            && (self.slower_than.is_zero() || step.at.since(step.began) >= self.slower_than)
    }
}

/// How it ended; `None` while it is in process.
pub(super) fn outcome(step: &Step) -> Option<Outcome> {
    match step.what {
        What::Reserved => None,
        What::Settled if step.original.is_some() => Some(Outcome::Returned),
        What::Settled => Some(Outcome::Settled),
        What::Rejected(..) => Some(Outcome::Rejected),
        What::Expired(_) => Some(Outcome::TimedOut),
    }
}

pub(super) fn reason(what: What) -> Option<Reason> {
    match what {
        What::Reserved | What::Settled => None,
        What::Rejected(_, reason) | What::Expired(reason) => Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::desk::problem;
    use crate::admin::protocol::ProblemKind;

    use super::super::open::tests::step;
    use super::*;
    use settlement::Stage;

    fn parse([outcome, reason, participant, slower_than]: [&str; 4]) -> Result<Wanted, Problem> {
        let [outcome, reason, participant, slower_than] = [outcome, reason, participant, slower_than].map(String::from);
        Wanted::parse(&Filter { outcome, reason, participant, slower_than }, |id| match id {
            "BANK-1" => Ok(Key(1)),
            id => Err(problem(ProblemKind::NotFound, format!("{id} is not registered"))),
        })
    }

    #[test]
    fn all_that_is_named_must_fit() {
        let short = step(What::Rejected(Stage::Submit, Reason::AM04), 0);
        let slow = step(What::Settled, 2_000);
        let back = Step { original: Some(slow.uetr), ..slow };
        let late = step(What::Expired(Reason::AB05), 10_000);
        for (filter, fitting) in [
            (["", "", "", ""], [true, true, true, true]),
            (["rejected", "", "", ""], [true, false, false, false]),
            (["settled", "", "", ""], [false, true, false, false]),
            (["returned", "", "", ""], [false, false, true, false]),
            (["timed_out", "", "", ""], [false, false, false, true]),
            (["", "AB05", "", ""], [false, false, false, true]),
            (["", "", "BANK-1", ""], [true, true, true, true]),
            (["", "", "", "2s"], [false, true, true, true]),
            (["", "", " BANK-1 ", "2001ms"], [false, false, false, true]),
            (["settled", "AB05", "", ""], [false, false, false, false]),
        ] {
            let wanted = parse(filter).unwrap();
            let fits = [&short, &slow, &back, &late].map(|step| wanted.fits(outcome(step).unwrap(), step));
            assert_eq!(fits, fitting, "{filter:?}");
        }
        let of_others = Step { debtor: Key(3), creditor: Key(4), ..slow };
        assert!(!parse(["", "", "BANK-1", ""]).unwrap().fits(Outcome::Settled, &of_others));
        assert_eq!(outcome(&step(What::Reserved, 0)), None);
    }

    #[test]
    fn wrong_words_are_refused_with_what_would_be_right() {
        for (filter, part) in [
            (["lost", "", "", ""], "settled, rejected, timed_out, returned"),
            (["", "am04", "", ""], "four capital letters or digits"),
            (["", "AM0", "", ""], "such as AM04"),
            (["", "", "BANK-9", ""], "BANK-9 is not registered"),
            (["", "", "", "2"], "250ms, 2s or 1m"),
            (["", "", "", "soon"], "250ms, 2s or 1m"),
        ] {
            let problem = parse(filter).unwrap_err();
            assert!(problem.message.contains(part), "{filter:?}: {}", problem.message);
        }
    }
}
