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

pub(crate) fn decide<'a>(debtor: &Participant, submit: &'a Submit, body: &'a [u8], view: &View<'_>) -> Decision<'a> {
    if submit.created_at < view.now.minus(view.rules.duplicate_window) {
        return Decision::refused(Reason::STAL);
    }
    if submit.created_at > view.now.plus(view.rules.future_max()) {
        return Decision::refused(Reason::DT04);
    }
    if let Some(known) = debtor.payments.content(submit.uetr) {
        return match known == submit.content {
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
            // The payment has no key for it: whoever looks why must see the identifier that was wrong.
            additional_information: creditor.is_none().then(|| submit.creditor_agent.as_str()),
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

#[cfg(test)]
mod tests {
    use crate::{Fact, Facts, Rules, table};

    fn check(script: &str) {
        table::run(Rules::default(), script);
    }

    #[test]
    fn an_agent_that_nobody_knows_is_named() {
        let table = table::run(
            Rules::default(),
            "
            submit P1 A NOBODY 1            -> rejected CNOR
            submit P2 A B 1000              -> rejected AM04
            ",
        );
        let rejected = |fact| match fact {
            Fact::Rejected(rejected) => Some(rejected.additional_information),
            _ => None,
        };
        let named: Vec<_> = Facts::new(&table.facts).map(Result::unwrap).filter_map(rejected).collect();
        assert_eq!(named, [Some("NOBODY"), None]);
    }

    #[test]
    fn funds_are_set_aside_and_never_twice() {
        check(
            "
            submit P1 A B 70                -> reserved             | A 100/70  B 0/0
            submit P2 A B 40                -> rejected AM04        | A 100/70
            submit P3 A B 30                -> reserved             | A 100/100
            submit P4 A B 1                 -> rejected AM04        | A 100/100
            answer P1 yes                   -> settled 2026-11-23   | A 30/30  B 70/0
            submit P5 B C 70                -> reserved             | B 70/70
            ",
        );
    }

    #[test]
    fn every_reason() {
        check(
            "
            submit P1 A NOBODY 1            -> rejected CNOR
            submit P2 A A 1                 -> rejected AG01
            submit P3 A B 1 created=1001ms  -> rejected DT04
            submit P4 A B 1 created=-10s    -> rejected AB03
            submit P5 A B 0                 -> rejected AM01
            submit P6 A B -7                -> rejected AM01
            submit P7 A B 1000000001        -> rejected AM13
            submit P8 A D 1                 -> rejected AB08
            submit P9 A B 1 USD             -> rejected CURR
            submit P10 A B 101              -> rejected AM04
            submit P11 A B 1 created=-5001ms -> rejected E996
            limit  A max=40                 -> limited
            submit P12 A B 41               -> rejected AM02
            limit  A cap=20                 -> limited
            submit P13 A B 21               -> rejected AM23
            suspend B receive               -> suspended
            submit P14 A B 1                -> rejected S947
            suspend A send                  -> suspended
            submit P15 A C 1                -> rejected S946        | A 100/0
            ",
        );
    }

    #[test]
    fn what_is_wrong_is_collected_up_to_four_reasons() {
        check(
            "
            submit P1 A NOBODY 0 created=2s             -> rejected CNOR DT04 AM01
            submit P2 A A 1000000001                    -> rejected AG01 AM13
            submit P3 A D 0 USD created=-11s            -> rejected AB03 AM01 AB08 CURR
            suspend A                                   -> suspended
            submit P4 A B 1000000001 USD created=2s     -> rejected DT04 AM13 CURR S946
            submit P5 A NOBODY 0 USD created=2s         -> rejected CNOR DT04 AM01 S946
            ",
        );
    }

    #[test]
    fn funds_are_looked_at_last_and_time_after_them() {
        check(
            "
            submit P1 A D 500               -> rejected AB08
            submit P2 A B 500 created=-6s   -> rejected AM04
            limit  A cap=50                 -> limited
            submit P3 A B 500 created=-6s   -> rejected AM23 AM04
            submit P4 A B 60                -> rejected AM23
            limit  A cap=1000               -> limited
            submit P5 A B 500               -> rejected AM04
            ",
        );
    }

    #[test]
    fn the_cap_counts_what_is_reserved_and_what_came_in() {
        check(
            "
            limit  A cap=60                 -> limited
            submit P1 A B 50                -> reserved
            submit P2 A B 11                -> rejected AM23
            submit P3 A B 10                -> reserved             | A 100/60
            answer P1 yes                                           | A 50/10  B 50/0
            submit P4 A B 1                 -> rejected AM23
            submit P5 B A 5                 -> reserved
            answer P5 yes                                           | A 55/10
            submit P6 A B 6                 -> rejected AM23
            submit P7 A B 5                 -> reserved             | A 55/15
            answer P3 no                    -> rejected AC04        | A 55/5
            submit P8 A B 10                -> reserved
            ",
        );
    }

    #[test]
    fn a_repeat_hears_the_same_however_the_position_looks_by_then() {
        check(
            "
            submit P1 A B 101               -> rejected AM04
            fund   A 900                    -> position 1000
            submit P1 A B 101               -> told RJCT AM04       | A 1000/0
            submit P2 A B 10                -> reserved
            submit P2 A B 10                -> told ACSP            | A 1000/10
            submit P2 A B 10 content=other  -> refused DUPL         | A 1000/10
            answer P2 yes                   -> settled 2026-11-23
            submit P2 A B 10                -> told ACSC            | A 990/0
            submit P2 A C 99 content=other  -> refused DUPL         | A 990/0
            submit P3 A B 10                -> reserved
            answer P3 no                    -> rejected AC04
            submit P3 A B 10                -> told RJCT AC04
            submit P4 A B 10                -> reserved
            wait   10s
            expire P4                       -> expired AB05
            submit P4 A B 10                -> told RJCT AB05       | A 990/0
            ",
        );
    }

    #[test]
    fn a_uetr_belongs_to_its_debtor_agent() {
        check(
            "
            fund   B 50                     -> position 50
            submit P1 A B 10                -> reserved
            submit P1 B C 20                -> reserved             | A 100/10  B 50/20
            ",
        );
    }

    #[test]
    fn clocks() {
        check(
            "
            submit P1 A B 1 created=1s          -> reserved
            submit P2 A B 1 created=-5s         -> reserved
            submit P3 A B 1 created=-5000000001ns -> rejected E996
            submit P4 A B 1 created=-9999999999ns -> rejected E996
            submit P5 A B 1 created=-48h        -> rejected AB03
            submit P6 A B 1 created=-172800000000001ns -> refused STAL
            submit P7 A B 1 created=61m         -> refused DT04
            submit P7 A B 1                     -> reserved
            ",
        );
    }

    #[test]
    fn the_duplicate_window_has_no_hole() {
        check(
            "
            submit P1 A B 10 created=1s     -> reserved
            answer P1 yes                                           | A 90/0
            submit P2 A B 10 created=1h     -> rejected DT04
            wait   48h
            submit P3 A B 1                 -> reserved
            submit P1 A B 10 created=-172799s -> told ACSC
            wait   1s
            submit P4 A B 1                 -> reserved
            submit P1 A B 10 created=-48h   -> told ACSC
            wait   3600s
            submit P5 A B 1                 -> reserved
            submit P2 A B 10 created=-48h   -> told RJCT DT04
            submit P1 A B 10 created=-49h   -> refused STAL         | A 90/3
            wait   1s
            submit P6 A B 1                 -> reserved
            submit P2 A B 10 created=-172801s -> refused STAL       | A 90/4
            ",
        );
    }

    #[test]
    fn bounds_on_what_is_in_process() {
        table::run(
            Rules { in_flight_max: 2, ..Rules::default() },
            "
            submit P1 A B 1                 -> reserved
            submit P2 A B 1                 -> reserved
            submit P3 A B 1                 -> refused BUSY
            submit P1 A B 1                 -> told ACSP
            answer P1 no                    -> rejected AC04
            submit P3 A B 1                 -> reserved
            drain
            answer P2 yes                   -> settled 2026-11-23
            submit P4 A B 1                 -> refused DRAN
            submit P2 A B 1                 -> told ACSC
            ",
        );
    }

    #[test]
    fn content_leaves_out_what_may_differ() {
        use wire::frame::{self, HEADER_BYTES};
        let body = |message_id: &str, created_at: u64, amount_minor: i64| {
            let party = wire::message::Party { name: "Ada", account: "A-1" };
            let mut bytes = Vec::new();
            let transfer = wire::message::CreditTransfer {
                message_id,
                created_at: wire::Timestamp(created_at),
                uetr: table::uetr("P1"),
                debtor_agent: "A".parse().unwrap(),
                creditor_agent: "B".parse().unwrap(),
                amount_minor,
                currency: wire::Currency::EUR,
                end_to_end_id: "E",
                instruction_id: None,
                debtor: party,
                creditor: party,
                remittance_information: None,
            };
            frame::encode(wire::Kind::CreditTransfer, &transfer, &mut bytes);
            super::content_of(&bytes[HEADER_BYTES..], message_id)
        };
        assert_eq!(body("20261123BANKA00001", 1, 5), body("20261123BANKA0000000022", 2, 5));
        assert_ne!(body("20261123BANKA00001", 1, 5), body("20261123BANKA00001", 1, 6));
        assert_eq!(super::content_of(b"short", "20261123BANKA00001"), super::content_of(b"", ""));
    }
}
