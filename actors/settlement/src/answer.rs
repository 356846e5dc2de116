//! The creditor agent answers: settle, or release.
//!
//! Its actor alone decides: yes, no or too late, in the order of the log. An answer that is decided at or after the
//! deadline never settles. Also here: a payment that arrives when its creditor agent is not (or no longer) there.

use wire::{ParticipantId, Reason, Reasons, Status, Uetr};

use crate::fact::{Annotated, Fact, Payment, Rejected, Settled, Stage};
use crate::participant::{Decision, Participant, Purpose, View};
use crate::payments::State;
use crate::{Key, expire};

/// What the creditor agent said, checked for form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub debtor_agent: ParticipantId,
    pub uetr: Uetr,
    pub status: Status,
    pub reason: Reason,
    pub additional_information: Option<&'a str>,
}

impl Answer<'_> {
    fn is_yes(&self) -> bool {
        self.status == Status::ACTC || self.status == Status::ACWP
    }

    fn is_annotation(&self) -> bool {
        !self.is_yes() && self.status != Status::RJCT
    }
}

pub(crate) fn decide<'a>(creditor: &Participant, answer: Answer<'a>, view: &View<'_>) -> Decision<'a> {
    let Some(debtor) = view.scheme.key(answer.debtor_agent) else { return Decision::refused(Reason::AG09) };
    let identity = (debtor, answer.uetr.number());
    let Some(incoming) = creditor.incoming.get(&identity) else {
        return match creditor.unposted.get(&identity) {
            Some(payment) if answer.is_annotation() => {
                Decision::fact(Fact::Annotated(Annotated { at: view.now, payment: *payment, status: answer.status }))
            }
            _ => Decision::inquire(debtor, answer.uetr, Purpose::Answer { yes: answer.is_yes() }),
        };
    };
    if answer.is_annotation() {
        return Decision::refused(Reason::OPEN);
    }
    if view.now >= incoming.deadline {
        return expire::decide(creditor, debtor, answer.uetr, view).with_reply(Reason::LATE);
    }
    let payment = incoming.payment;
    if answer.status == Status::RJCT {
        return rejected(payment, Stage::Answer, answer.reason, answer.additional_information, view);
    }
    // Asked again here: after a crash a return may be offered although its arrival was never judged.
    if let Some(reason) = payment.original.and_then(|original| against_original(creditor, &payment, original)) {
        return rejected(payment, Stage::Arrival, reason, None, view);
    }
    let without_posting = answer.status == Status::ACWP;
    if without_posting && creditor.unposted.len() >= view.rules.unposted_max as usize {
        return Decision::refused(Reason::BUSY);
    }
    if !creditor.position(payment.currency).is_some_and(|position| position.can_take(payment.amount_minor)) {
        return rejected(payment, Stage::Arrival, Reason::CURR, None, view);
    }
    let settled = Settled {
        at: view.now,
        payment,
        status: if without_posting { Status::ACWP } else { Status::ACSC },
        settlement_date: view.scheme.business_date(),
    };
    Decision::fact(if payment.original.is_some() { Fact::Returned(settled) } else { Fact::Settled(settled) })
}

/// A payment has reached this participant's actor: reject at once what can never settle.
pub(crate) fn arrive<'a>(creditor: &Participant, debtor: Key, uetr: Uetr, view: &View<'_>) -> Decision<'a> {
    let Some(incoming) = creditor.incoming.get(&(debtor, uetr.number())) else { return Decision::default() };
    let payment = incoming.payment;
    let reason = match (creditor.listing.suspended_receiving, creditor.listing.signed_on) {
        (true, _) => Some(Reason::S947),
        (false, false) => Some(Reason::AB08),
        (false, true) => payment.original.and_then(|original| against_original(creditor, &payment, original)),
    };
    match reason {
        Some(reason) => rejected(payment, Stage::Arrival, reason, None, view),
        None => Decision::default(),
    }
}

/// Why a return does not fit the payment it names. Its own amount is already counted in `returned_minor`.
fn against_original(creditor: &Participant, payment: &Payment, original: Uetr) -> Option<Reason> {
    let Some(record) = creditor.payments.get(original) else { return Some(Reason::AG09) };
    let settled = matches!(record.state, State::Settled | State::SettledWithoutPosting);
    if !settled || record.creditor != payment.debtor || record.currency != payment.currency {
        return Some(Reason::AG09);
    }
    if record.is_return {
        return Some(Reason::AG01);
    }
    (record.returned_minor > record.amount_minor).then_some(Reason::AM09)
}

fn rejected<'a>(
    payment: Payment,
    stage: Stage,
    reason: Reason,
    additional_information: Option<&'a str>,
    view: &View<'_>,
) -> Decision<'a> {
    let reasons = Reasons::one(reason);
    let horizon = wire::Timestamp(0);
    Decision::fact(Fact::Rejected(Rejected {
        at: view.now,
        payment,
        content: 0,
        horizon,
        stage,
        reasons,
        additional_information,
    }))
}
