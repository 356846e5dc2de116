//! What happened to a payment and who must act, in words.

use settlement::State;
use wire::reason::Actor;
use wire::{Money, Timestamp};

use super::known::Known;

/// What happened, and who must act.
pub(super) fn summary(known: &Known, now: Timestamp) -> (String, String) {
    let Known { record, debtor_agent: from, creditor_agent: to, deadline, .. } = known;
    let kind = if record.is_return { "return" } else { "payment" };
    let what = format!("The {kind} of {} from {from} to {to}", Money::new(record.amount_minor, record.currency));
    let nobody = "nobody".to_string();
    let (summary, must_act) = match record.state {
        State::Reserved => {
            let until = match deadline {
                Some(deadline) => {
                    let left = deadline.since(now).as_millis();
                    format!("{to} must answer by {deadline} ({}.{} s left)", left / 1000, left % 1000 / 100)
                }
                None => format!("{to} is about to be asked"),
            };
            (format!("{what} is in process: its funds are set aside at {from}, and {until}."), to.to_string())
        }
        State::Settled => {
            let date = record.settlement_date;
            (format!("{what} settled at {}, finally, on business date {date}.", record.ended_at), nobody)
        }
        State::SettledWithoutPosting => {
            let date = record.settlement_date;
            let (word, must_act) = match known.owes_word {
                Some(true) => ("has still to say whether it posted, blocked or returns it", to.to_string()),
                Some(false) => ("has said since what became of it, or returned it", nobody),
                None => {
                    ("says afterwards whether it posted, blocked or returns it", format!("{to}, unless it has said so"))
                }
            };
            let text = format!(
                "{what} settled at {}, finally, on business date {date}; {to} accepted it without posting and {word}.",
                record.ended_at
            );
            (text, must_act)
        }
        State::Rejected | State::Expired => refused(known, &what),
    };
    if record.returned_minor == 0 {
        return (summary, must_act);
    }
    let returned = Money::new(record.returned_minor, record.currency);
    (format!("{summary} Of it {returned} was returned or is being returned."), must_act)
}

fn refused(known: &Known, what: &str) -> (String, String) {
    let Known { record, creditor_agent: to, .. } = known;
    let verb = if record.state == State::Expired { "timed out" } else { "was rejected" };
    let mut text = format!("{what} {verb} at {}; no money moved.", record.ended_at);
    let mut act = "nobody".into();
    for (place, reason) in record.reasons.iter().enumerate() {
        match reason.explanation() {
            Some(explanation) => {
                text.push_str(&format!(" {reason}: {} {}", explanation.meaning, explanation.advice));
                if place == 0 {
                    act = acting(explanation.act, known);
                }
            }
            None => text.push_str(&format!(" {reason}: a code of {to}'s.")),
        }
    }
    (text, act)
}

fn acting(actor: Actor, known: &Known) -> String {
    match actor {
        Actor::DebtorAgent => known.debtor_agent.to_string(),
        Actor::CreditorAgent => known.creditor_agent.to_string(),
        Actor::Operator => "the operator of the switch".into(),
        Actor::Nobody => "nobody".into(),
    }
}
