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

#[cfg(test)]
mod tests {
    use crate::{Rules, table};

    fn check(script: &str) {
        table::run(Rules::default(), script);
    }

    #[test]
    fn yes_and_no() {
        check(
            "
            submit P1 A B 70                -> reserved             | A 100/70
            answer P1 yes                   -> settled 2026-11-23   | A 30/0  B 70/0
            submit P2 A B 30                -> reserved             | A 30/30
            answer P2 no                    -> rejected AC04        | A 30/0  B 70/0
            roll                            -> 2026-11-24
            submit P3 B C 70                -> reserved
            answer P3 yes                   -> settled 2026-11-24   | B 0/0  C 70/0
            ",
        );
    }

    #[test]
    fn too_late_is_exactly_at_the_deadline() {
        check(
            "
            submit P1 A B 10                -> reserved
            submit P2 A B 10                -> reserved
            submit P3 A B 10                -> reserved
            wait   9999999999ns
            answer P1 yes                   -> settled 2026-11-23   | A 90/20
            wait   1ns
            answer P2 yes                   -> expired AB05, refused LATE   | A 90/10  B 10/0
            wait   1ns
            answer P3 no                    -> expired AB05, refused LATE   | A 90/0  B 10/0
            ask    A P3                     -> told RJCT AB05
            ",
        );
    }

    #[test]
    fn a_second_answer_changes_nothing() {
        check(
            "
            submit P1 A B 10                -> reserved
            answer P1 yes                   -> settled 2026-11-23
            answer P1 yes                   -> told ACSC
            answer P1 acwp                  -> told ACSC
            answer P1 no                    -> refused LATE         | A 90/0  B 10/0
            submit P2 A B 10                -> reserved
            answer P2 no                    -> rejected AC04
            answer P2 yes                   -> refused LATE
            answer P2 no                    -> refused LATE         | A 90/0  B 10/0
            submit P3 A B 10                -> reserved
            wait   10s
            expire P3                       -> expired AB05
            answer P3 yes                   -> refused LATE         | A 90/0  B 10/0
            ",
        );
    }

    #[test]
    fn only_the_creditor_agent_answers() {
        check(
            "
            submit P1 A B 10                -> reserved
            answer P1 yes by=C              -> refused AG09
            answer P1 yes by=A              -> refused AG09         | A 100/10
            answer P9 yes                   -> refused AG09
            answer P1 yes                   -> settled 2026-11-23
            answer P1 yes by=C              -> refused AG09
            ",
        );
    }

    #[test]
    fn accepted_without_posting() {
        check(
            "
            submit P1 A B 10                -> reserved
            answer P1 accc                  -> refused OPEN
            answer P1 acwp                  -> settled without posting      | A 90/0  B 10/0
            ask    A P1                     -> told ACWP
            answer P1 pdng                  -> noted PDNG
            answer P1 pdng                  -> noted PDNG
            answer P1 accc                  -> noted ACCC
            answer P1 accc                  -> refused LATE
            submit P2 A B 10                -> reserved
            answer P2 acwp                  -> settled without posting
            answer P2 blck                  -> noted BLCK
            answer P2 pdng                  -> refused LATE
            submit P3 A B 10                -> reserved
            answer P3 yes
            answer P3 accc                  -> refused LATE                 | A 70/0  B 30/0
            ",
        );
    }

    #[test]
    fn what_is_given_back_wholly_needs_no_further_word() {
        let rules = Rules { unposted_max: 1, ..Rules::default() };
        table::run(
            rules,
            "
            submit P1 A B 10                -> reserved
            answer P1 acwp                  -> settled without posting
            submit P2 A B 10                -> reserved
            answer P2 acwp                  -> refused BUSY                 | A 90/10
            submit R1 B A 4 returns=P1      -> reserved
            answer R1 yes                   -> returned
            answer P2 acwp                  -> refused BUSY
            answer P1 accc                  -> noted ACCC
            answer P2 acwp                  -> settled without posting
            submit R2 B A 10 returns=P2     -> reserved
            answer R2 yes                   -> returned                     | A 94/0  B 6/0
            answer P2 accc                  -> refused LATE
            submit P3 A B 10                -> reserved
            answer P3 acwp                  -> settled without posting
            ",
        );
    }

    #[test]
    fn arrival_where_nobody_is() {
        check(
            "
            submit P1 A B 10                -> reserved
            arrive P1                       -> nothing
            sign-off B                      -> signed off
            arrive P1                       -> rejected on arrival AB08     | A 100/0
            arrive P1                       -> nothing
            sign-on B                       -> signed on
            submit P2 A B 10                -> reserved
            suspend B                       -> suspended
            arrive P2                       -> rejected on arrival S947     | A 100/0
            resume B                        -> resumed
            sign-on B                       -> signed on
            submit P3 A B 10                -> reserved
            suspend B                       -> suspended
            answer P3 yes                   -> settled 2026-11-23           | A 90/0  B 10/0
            ",
        );
    }

    #[test]
    fn more_than_a_position_can_hold_is_not_credited() {
        let rules = Rules { payment_minor_max: i64::MAX, ..Rules::default() };
        table::run(
            rules,
            "
            fund   B 1152921504606846970    -> position 1152921504606846970
            submit P1 A B 7                 -> reserved
            answer P1 yes                   -> rejected on arrival CURR     | A 100/0
            submit P2 A B 6                 -> reserved
            answer P2 yes                   -> settled 2026-11-23           | A 94/0  B 1152921504606846976/0
            submit P3 B A 1152921504606846976 -> reserved
            answer P3 yes                   -> rejected on arrival CURR
            ",
        );
    }

    #[test]
    fn returns_never_exceed_the_original() {
        check(
            "
            submit P1 A B 60                -> reserved
            answer P1 yes                                                   | A 40/0  B 60/0
            submit R1 B A 20 returns=P1     -> reserved
            arrive R1                       -> nothing
            answer R1 yes                   -> returned                     | A 60/0  B 40/0
            submit R2 B A 30 returns=P1     -> reserved
            submit R3 B A 10 returns=P1     -> reserved
            arrive R2                       -> nothing
            arrive R3                       -> nothing
            answer R2 no                    -> rejected AC04                | A 60/0  B 40/10
            submit R4 B A 30 returns=P1     -> reserved
            answer R4 yes                   -> returned                     | A 90/0  B 10/10
            answer R3 yes                   -> returned                     | A 100/0  B 0/0
            fund   B 50
            submit R5 B A 1 returns=P1      -> reserved
            arrive R5                       -> rejected on arrival AM09     | A 100/0  B 50/0
            ",
        );
    }

    #[test]
    fn two_returns_that_together_exceed() {
        check(
            "
            submit P1 A B 60                -> reserved
            answer P1 yes
            fund   B 50
            submit R1 B A 40 returns=P1     -> reserved
            arrive R1                       -> nothing
            submit R2 B A 40 returns=P1     -> reserved
            arrive R2                       -> rejected on arrival AM09
            answer R1 yes                   -> returned                     | A 80/0  B 70/0
            submit R3 B A 20 returns=P1     -> reserved
            wait   10s
            expire R3                       -> expired AB05
            submit R4 B A 20 returns=P1     -> reserved
            answer R4 yes                   -> returned                     | A 100/0  B 50/0
            ",
        );
    }

    /// As after a crash between the reservation and the judgement of its arrival.
    #[test]
    fn returns_whose_arrival_was_never_judged() {
        check(
            "
            submit P1 A B 60                -> reserved
            answer P1 yes
            fund   B 50
            submit R1 B A 40 returns=P1     -> reserved
            submit R2 B A 40 returns=P1     -> reserved
            answer R1 yes                   -> rejected on arrival AM09
            answer R2 yes                   -> returned                     | A 80/0  B 70/0
            submit R3 B A 61 returns=P1     -> reserved
            answer R3 yes                   -> rejected on arrival AM09     | A 80/0  B 70/0
            ",
        );
    }

    #[test]
    fn what_cannot_be_returned() {
        check(
            "
            submit P1 A B 60                -> reserved
            fund   B 100
            fund   C 100
            submit R1 B A 10 returns=P1     -> reserved
            arrive R1                       -> rejected on arrival AG09
            answer P1 yes
            submit R2 C A 10 returns=P1     -> reserved
            arrive R2                       -> rejected on arrival AG09
            submit R3 B C 10 returns=P1     -> reserved
            arrive R3                       -> rejected on arrival AG09
            submit R4 B A 10 returns=P9     -> reserved
            arrive R4                       -> rejected on arrival AG09
            fund   A 10 USD
            fund   B 10 USD
            submit R5 B A 10 USD returns=P1 -> reserved
            arrive R5                       -> rejected on arrival AG09
            submit R6 B A 10 returns=P1     -> reserved
            answer R6 yes                   -> returned
            submit R7 A B 10 returns=R6     -> reserved
            arrive R7                       -> rejected on arrival AG01
            submit P2 A B 5                 -> reserved
            answer P2 no
            submit R8 B A 5 returns=P2      -> reserved
            arrive R8                       -> rejected on arrival AG09
            submit R9 B A 50 returns=P1     -> reserved
            arrive R9                       -> nothing
            answer R9 yes                   -> returned
            ",
        );
    }

    /// While a stranger's return is in process, the right one is not in its way.
    #[test]
    fn a_strangers_return_claims_nothing() {
        check(
            "
            submit P1 A B 60                -> reserved
            answer P1 yes
            fund   C 100
            submit R1 C A 60 returns=P1     -> reserved
            submit R2 B A 60 returns=P1     -> reserved
            arrive R2                       -> nothing
            answer R2 yes                   -> returned                     | A 100/0  B 0/0
            arrive R1                       -> rejected on arrival AG09     | C 100/0
            ",
        );
    }
}
