//! The settlement date is the business date at settlement: in the log's order it never goes back.

use settlement::Fact;

use super::{Kept, Witness};

pub fn check(witness: &Witness, fact: &Fact<'_>) -> Kept {
    let (date, exact) = match fact {
        Fact::Settled(settled) | Fact::Returned(settled) => (settled.settlement_date, true),
        Fact::DayRolled { date, .. } => (*date, false),
        _ => return Ok(()),
    };
    let today = witness.business_date;
    if exact && witness.decisions_wait {
        // Decided before the day rolled, appended after it: dated by its decision, never in advance.
        return if date <= today { Ok(()) } else { Err(format!("{date} is used before it began, today is {today}")) };
    }
    if (exact && date != today) || date < today {
        return Err(format!("settlement dates never go back: {date} on {today}: {fact:?}"));
    }
    Ok(())
}
