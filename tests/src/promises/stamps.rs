//! Time does not go back from one reign to the next: nothing is stamped earlier than anything an earlier reign stamped,
//! whatever the clock of the new leader says. (Within a reign, actors may hand over in another order than they decided.)

use settlement::Fact;
use wire::Timestamp;

use super::Kept;

/// What earlier reigns stamped last, and what this one did.
#[derive(Default)]
pub struct Stamps {
    term: u64,
    earlier: Timestamp,
    latest: Timestamp,
}

impl Stamps {
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The next committed fact, which the leader of `term` decided.
    pub fn check(&mut self, term: u64, fact: &Fact<'_>) -> Kept {
        if term != self.term {
            (self.term, self.earlier) = (term, self.latest);
        }
        self.latest = self.latest.max(fact.at());
        if fact.at() >= self.earlier {
            return Ok(());
        }
        let (at, earlier) = (fact.at().nanoseconds(), self.earlier.nanoseconds());
        Err(format!("time does not go back: term {term} stamps {at}, an earlier one has stamped {earlier}: {fact:?}"))
    }
}
