//! What became of a payment, as the book or the archive has it, told in a sentence.

use actors::archive::Entry;
use settlement::{Book, Key, Record, State};
use wire::{Money, Timestamp, Uetr};

use super::protocol::Payment;

/// All payments with this UETR: one per debtor agent that used it.
pub(super) fn find(book: &Book, uetr: Uetr, debtor: Option<Key>, now: Timestamp) -> Vec<Payment> {
    let asked = |key: Key| debtor.is_none_or(|debtor| debtor == key);
    let participants = book.participants().iter().filter(|participant| asked(participant.key()));
    participants
        .filter_map(|participant| {
            let record = participant.payment(uetr)?;
            Some(tell(book, participant.key(), &record, now))
        })
        .collect()
}

/// What the archive has, once the book has forgotten it. The book still knows who is who.
pub(super) fn tell_archived(book: &Book, entry: &Entry, now: Timestamp) -> Payment {
    let record = Record {
        uetr: entry.uetr,
        content: 0,
        amount_minor: entry.amount_minor,
        returned_minor: 0,
        at: entry.decided_at,
        ended_at: entry.ended_at,
        creditor: entry.creditor,
        settlement_date: entry.settlement_date,
        reasons: entry.reasons,
        currency: entry.currency,
        state: entry.state,
        is_return: entry.original.is_some(),
    };
    let mut told = tell(book, entry.debtor, &record, now);
    told.returned = None;
    told.decided_at = told.decided_at.filter(|_| entry.decided_at != Timestamp(0));
    told
}

fn tell(book: &Book, debtor: Key, record: &Record, now: Timestamp) -> Payment {
    let scheme = book.scheme();
    let deadline = book.participant(record.creditor).and_then(|creditor| creditor.deadline(debtor, record.uetr));
    let amount = |minor| Money::new(minor, record.currency).decimal().to_string();
    let (summary, must_act) = summary(book, debtor, record, deadline, now);
    let report = book.report(debtor, record);
    let in_process = record.state == State::Reserved;
    Payment {
        uetr: record.uetr.to_string(),
        debtor_agent: scheme.id(debtor).to_string(),
        creditor_agent: scheme.id(record.creditor).to_string(),
        is_return: record.is_return,
        amount: amount(record.amount_minor),
        currency: record.currency.to_string(),
        returned: Some(amount(record.returned_minor)),
        state: match record.state {
            State::Reserved => "in_process",
            State::Settled => "settled",
            State::SettledWithoutPosting => "settled_without_posting",
            State::Rejected => "rejected",
            State::Expired => "expired",
        }
        .into(),
        status: report.status.to_string(),
        reasons: record.reasons.iter().map(|reason| reason.to_string()).collect(),
        decided_at: Some(record.at.to_string()),
        ended_at: (!in_process).then(|| record.ended_at.to_string()),
        deadline: deadline.map(|deadline| deadline.to_string()),
        settlement_date: (!record.settlement_date.is_none()).then(|| record.settlement_date.to_string()),
        summary,
        must_act,
    }
}

/// What happened, and who must act.
fn summary(book: &Book, debtor: Key, record: &Record, deadline: Option<Timestamp>, now: Timestamp) -> (String, String) {
    let scheme = book.scheme();
    let (from, to) = (scheme.id(debtor), scheme.id(record.creditor));
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
            let text = format!(
                "{what} settled at {}, finally, on business date {date}; {to} accepted it without posting and says \
                 afterwards whether it posted, blocked or returns it.",
                record.ended_at
            );
            (text, format!("{to}, unless it has said so"))
        }
        State::Rejected | State::Expired => {
            let verb = if record.state == State::Expired { "expired" } else { "was rejected" };
            let mut text = format!("{what} {verb} at {}; no money moved.", record.ended_at);
            let mut act = nobody;
            for (place, reason) in record.reasons.iter().enumerate() {
                match reason.explanation() {
                    Some(explanation) => {
                        text.push_str(&format!(" {reason}: {} {}", explanation.meaning, explanation.advice));
                        if place == 0 {
                            act = acting(explanation.act, from, to);
                        }
                    }
                    None => text.push_str(&format!(" {reason}: a code of {to}'s.")),
                }
            }
            (text, act)
        }
    };
    if record.returned_minor == 0 {
        return (summary, must_act);
    }
    let returned = Money::new(record.returned_minor, record.currency);
    (format!("{summary} Of it {returned} was returned or is being returned."), must_act)
}

fn acting(actor: wire::reason::Actor, debtor: wire::ParticipantId, creditor: wire::ParticipantId) -> String {
    use wire::reason::Actor;
    match actor {
        Actor::DebtorAgent => debtor.to_string(),
        Actor::CreditorAgent => creditor.to_string(),
        Actor::Operator => "the operator of the switch".into(),
        Actor::Nobody => "nobody".into(),
    }
}
