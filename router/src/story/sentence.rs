//! What happened to a payment and who must act, in words.

use settlement::{Key, Stage, State};
use wire::reason::Actor;
use wire::{Money, Reason, Timestamp};

use super::evidence::{Evidence, LATE};
use super::known::Known;
use super::page::length;

const NOBODY: &str = "nobody";
const OPERATOR: &str = "the operator of the switch";

/// What happened, and who must act. Without the log's evidence, as in a list of payments, with what then remains open.
pub(super) fn summary(known: &Known, evidence: &Evidence, now: Timestamp) -> (String, String) {
    let Known { record, debtor_agent: from, creditor_agent: to, .. } = known;
    let kind = if record.is_return { "return" } else { "payment" };
    let whom = match evidence.addressed_to {
        Some(id) => format!("{id}, which is not registered here,"),
        None if record.creditor == Key::NONE => "an agent that is not registered here".into(),
        None => to.to_string(),
    };
    let what = format!("The {kind} of {} from {from} to {whom}", Money::new(record.amount_minor, record.currency));
    let (summary, must_act) = match record.state {
        State::Reserved => in_process(known, &what, now),
        State::Settled => {
            let date = record.settlement_date;
            (format!("{what} settled at {}, finally, on business date {date}.", record.ended_at), NOBODY.into())
        }
        State::SettledWithoutPosting => {
            let date = record.settlement_date;
            let (word, must_act) = match known.owes_word {
                Some(true) => ("has still to say whether it posted, blocked or returns it", to.to_string()),
                Some(false) => ("has said since what became of it, or returned it", NOBODY.into()),
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
        State::Rejected => rejected(known, evidence, &what),
        State::Expired => expired(known, evidence, &what),
    };
    (summary + &returned(known, evidence), must_act)
}

fn in_process(known: &Known, what: &str, now: Timestamp) -> (String, String) {
    let Known { debtor_agent: from, creditor_agent: to, deadline, .. } = known;
    let (until, must_act) = match deadline {
        Some(deadline) if now.since(*deadline) >= LATE => {
            let late = length(now.since(*deadline).as_micros() as u64);
            let text = format!(
                "its deadline was over {late} ago without a decision: nobody leads, or the node that leads stands still; \
                 nobody at {to} need act"
            );
            (text, OPERATOR.to_string())
        }
        Some(deadline) => {
            let left = deadline.since(now).as_millis();
            let left = format!("{}.{} s left", left / 1000, left % 1000 / 100);
            (format!("{to} must answer by {deadline} ({left})"), to.to_string())
        }
        None => (format!("{to} is about to be asked"), to.to_string()),
    };
    (format!("{what} is in process: its funds are set aside at {from}, and {until}."), must_act)
}

fn rejected(known: &Known, evidence: &Evidence, what: &str) -> (String, String) {
    let Known { record, creditor_agent: to, .. } = known;
    let at = record.ended_at;
    let by = match evidence.stage {
        Some(Stage::Submit) => format!("by the switch at {at}, when it was submitted"),
        Some(Stage::Arrival) => format!("by the switch at {at}, when it reached {to}"),
        Some(Stage::Answer) => format!("by {to} at {at}"),
        None if known.is_refused_at_once() => format!("by the switch at {at}, when it was submitted"),
        None => format!("at {at}, by {to} or by the switch when it reached {to}"),
    };
    let mut text = format!("{what} was rejected {by}; no money moved.");
    let mut act = NOBODY.to_string();
    for (place, reason) in record.reasons.iter().enumerate() {
        text.push_str(&format!(" {reason}: "));
        match reason.explanation() {
            Some(explanation) => {
                text.push_str(&format!("{} {}", explanation.meaning, explanation.advice));
                if place == 0 {
                    act = acting(explanation.act, known);
                }
            }
            None => text.push_str(&format!("a code of {to}'s.")),
        }
    }
    let Some(used) = evidence.clock_used else { return (text, act) };
    let (written, used) = (at.minus(used), length(used.as_micros() as u64));
    text.push_str(&format!(" It was written at {written} or before, {used} or more before this."));
    if let Some(held) = evidence.held.in_words() {
        text.push_str(&format!(" {held} It may have waited for the switch."));
        act = OPERATOR.into();
    }
    (text, act)
}

fn expired(known: &Known, evidence: &Evidence, what: &str) -> (String, String) {
    let Known { record, creditor_agent: to, .. } = known;
    let text = format!("{what} timed out at {}; no money moved.", record.ended_at);
    let ab05 = Reason::AB05.explanation().filter(|_| record.reasons.first() == Reason::AB05);
    match (evidence.held.in_words(), ab05) {
        (Some(held), _) => {
            let text = format!(
                "{text} {held} Whether {to} was asked and answered in time is not known, so nobody at {to} need act; the \
                 funds were released, and the payer may pay again with a new UETR."
            );
            (text, OPERATOR.into())
        }
        (None, Some(ab05)) => {
            let unless = if evidence.is_whole { "" } else { ", unless the switch held it up" };
            (format!("{text} AB05: {} {}", ab05.meaning, ab05.advice), format!("{}{unless}", acting(ab05.act, known)))
        }
        (None, None) => (format!("{text} {}", record.reasons), to.to_string()),
    }
}

fn returned(known: &Known, evidence: &Evidence) -> String {
    let record = &known.record;
    let money = |minor: i64| Money::new(minor, record.currency);
    match evidence.returned {
        Some((0, 0)) => String::new(),
        Some((settled, 0)) if settled == record.amount_minor => " All of it was returned.".into(),
        Some((settled, 0)) => format!(" Of it {} was returned.", money(settled)),
        Some((0, in_process)) => format!(" Of it {} is being returned.", money(in_process)),
        Some((settled, in_process)) => {
            format!(" Of it {} was returned, and {} is being returned.", money(settled), money(in_process))
        }
        None if record.returned_minor == 0 => String::new(),
        None => format!(" Of it {} was returned or is being returned.", money(record.returned_minor)),
    }
}

fn acting(actor: Actor, known: &Known) -> String {
    match actor {
        Actor::DebtorAgent => known.debtor_agent.to_string(),
        Actor::CreditorAgent => known.creditor_agent.to_string(),
        Actor::Operator => OPERATOR.into(),
        Actor::Nobody => NOBODY.into(),
    }
}
