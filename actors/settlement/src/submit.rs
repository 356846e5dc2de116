//! The debtor agent submits a payment: set its funds aside, ask the creditor agent.
//!
//! In this order (domain, validation order): a timestamp older than the duplicate window, or an hour in the future
//! (see [`crate::Rules::future_max`]), is refused, for its UETR could not be remembered as long as it may come; a UETR seen before hears its answer again, or DUPL with other content; a node that takes no new payments says so. Then
//! everything that is wrong is collected: creditor agent unknown or the debtor itself, the clock, the amount, the
//! creditor agent's standing, the debtor agent's own. Funds are looked at only when nothing else is wrong; last comes
//! the time that is left for the creditor agent. What is rejected is recorded, so that a repeat hears the same.

use wire::{Currency, MessageId, ParticipantId, Reason, Reasons, Timestamp, Uetr};

use crate::Key;
use crate::fact::{Fact, Payment, Rejected, Reserved, Stage};
use crate::participant::{Decision, Participant, Purpose, View};

/// An instruction to pay, taken from its message and checked for form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    pub message_id: MessageId,
    pub created_at: Timestamp,
    pub uetr: Uetr,
    pub creditor_agent: ParticipantId,
    pub amount_minor: i64,
    pub currency: Currency,
    /// See [`content_of`].
    pub content: u64,
    /// Set when it is a return.
    pub original: Option<Uetr>,
}

/// Hash of an instruction's content (XXH3, 64 bits, of its body without message id and timestamp, which may differ
/// when the same payment is sent again). `message_id` is the first field of the body.
pub fn content_of(body: &[u8], message_id: &str) -> u64 {
    // The body begins with the message id's length (8 bytes), its text, and the timestamp (8 bytes).
    let start = (8 + message_id.len() + 8).min(body.len());
    xxhash_rust::xxh3::xxh3_64(&body[start..])
}

pub(crate) fn decide<'a>(debtor: &Participant, submit: &Submit, body: &'a [u8], view: &View<'_>) -> Decision<'a> {
    if submit.created_at < view.now.minus(view.rules.duplicate_window) {
        return Decision::refused(Reason::STAL);
    }
    if submit.created_at > view.now.plus(view.rules.future_max()) {
        return Decision::refused(Reason::DT04);
    }
    if let Some(known) = debtor.payments.get(submit.uetr) {
        return match known.content == submit.content {
            true => Decision::inquire(debtor.key, submit.uetr, Purpose::Repeat),
            false => Decision::refused(Reason::DUPL),
        };
    }
    if let Some(reason) = view.refusing {
        return Decision::refused(reason);
    }
    if debtor.payments.in_flight() >= view.rules.in_flight_max {
        return Decision::refused(Reason::BUSY);
    }

    let creditor = view.scheme.key(submit.creditor_agent);
    let payment = Payment {
        debtor: debtor.key,
        creditor: creditor.unwrap_or(Key::NONE),
        uetr: submit.uetr,
        amount_minor: submit.amount_minor,
        currency: submit.currency,
        message_id: submit.message_id,
        original: submit.original,
    };
    let horizon = view.rules.horizon(view.now);
    let deadline = submit.created_at.plus(view.rules.payment_timeout);
    let reasons = check(debtor, submit, creditor, deadline, view);
    if reasons.is_empty() {
        Decision::fact(Fact::Reserved(Reserved {
            at: view.now,
            payment,
            content: submit.content,
            deadline,
            horizon,
            body,
        }))
    } else {
        Decision::fact(Fact::Rejected(Rejected {
            at: view.now,
            payment,
            content: submit.content,
            horizon,
            stage: Stage::Submit,
            reasons,
            additional_information: None,
        }))
    }
}

fn check(
    debtor: &Participant,
    submit: &Submit,
    creditor: Option<Key>,
    deadline: Timestamp,
    view: &View<'_>,
) -> Reasons {
    let mut reasons = Reasons::NONE;
    let mut found = |wrong: bool, reason: Reason| {
        if wrong {
            reasons.add(reason);
        }
    };
    let rules = view.rules;
    let listing = creditor.and_then(|key| view.scheme.listing(key));
    let position = debtor.position(submit.currency);

    found(listing.is_none(), Reason::CNOR);
    found(creditor == Some(debtor.key), Reason::AG01);
    found(submit.created_at > view.now.plus(rules.skew_max), Reason::DT04);
    found(deadline <= view.now, Reason::AB03);
    found(submit.amount_minor <= 0, Reason::AM01);
    found(submit.amount_minor > rules.payment_minor_max, Reason::AM13);
    let own_max = position.map_or(-1, |position| position.limits.payment_max);
    found(own_max >= 0 && submit.amount_minor > own_max, Reason::AM02);
    if let Some(listing) = listing {
        found(listing.suspended_receiving, Reason::S947);
        found(!listing.signed_on && !listing.suspended_receiving, Reason::AB08);
        found(!listing.currencies.contains(&submit.currency), Reason::CURR);
    }
    found(debtor.listing.suspended_sending, Reason::S946);
    found(position.is_none(), Reason::CURR);
    if let (true, Some(position)) = (reasons.is_empty(), position) {
        if !position.within_cap(submit.amount_minor) {
            reasons.add(Reason::AM23);
        }
        if position.available() < submit.amount_minor {
            reasons.add(Reason::AM04);
        }
        if reasons.is_empty() && deadline.since(view.now) < rules.creditor_share {
            reasons.add(Reason::E996);
        }
    }
    reasons
}
