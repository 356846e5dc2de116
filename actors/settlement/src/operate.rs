//! What operators ask, and participants about themselves: money in and out, limits, suspension, sign-on and sign-off.

use wincode::{SchemaRead, SchemaWrite};
use wire::{Currency, Reason};

use crate::fact::{Fact, LimitChanged, PositionMoved, Standing};
use crate::participant::{Decision, Participant, View};
use crate::{Limits, Position};

/// Which way payments are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Direction {
    Send,
    Receive,
    Both,
}

impl Direction {
    pub fn sends(self) -> bool {
        self != Direction::Receive
    }

    pub fn receives(self) -> bool {
        self != Direction::Send
    }
}

/// See the file's head. `note` says who and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    SignOn,
    SignOff,
    Suspend { direction: Direction, note: &'a str },
    Resume { direction: Direction, note: &'a str },
    Fund { currency: Currency, amount_minor: i64, note: &'a str },
    Defund { currency: Currency, amount_minor: i64, note: &'a str },
    Limit { currency: Currency, limits: Limits, note: &'a str },
}

/// Longest note of an operator, bytes; a fact has room for so much.
pub const NOTE_BYTES_MAX: usize = 1024;

impl Operation<'_> {
    fn note(&self) -> &str {
        match self {
            Operation::SignOn | Operation::SignOff => "",
            Operation::Suspend { note, .. }
            | Operation::Resume { note, .. }
            | Operation::Fund { note, .. }
            | Operation::Defund { note, .. }
            | Operation::Limit { note, .. } => note,
        }
    }
}

/// What a refusal says to an operator: its codes are those of payments, whose words do not fit all of them.
pub fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::AM01 => "The amount must be above 0.",
        Reason::AM04 => "The position has not so much available.",
        Reason::AM13 => "The position would be above what the books can hold.",
        _ => reason.explanation().map_or("", |explanation| explanation.meaning),
    }
}

/// A refusal is not recorded: the operator hears it and may ask again. What is so already changes nothing.
pub(crate) fn decide<'a>(participant: &Participant, operation: Operation<'a>, view: &View<'_>) -> Decision<'a> {
    let at = view.now;
    let key = participant.key;
    let standing = |direction, note| Standing { at, participant: key, direction, note };
    let listing = &participant.listing;
    if operation.note().len() > NOTE_BYTES_MAX {
        return Decision::refused(Reason::FORM);
    }
    match operation {
        Operation::SignOn if listing.suspended_receiving => Decision::refused(Reason::S947),
        Operation::SignOn if listing.signed_on => Decision::default(),
        Operation::SignOn => Decision::fact(Fact::SignedOn(standing(Direction::Both, ""))),
        Operation::SignOff if !listing.signed_on => Decision::default(),
        Operation::SignOff => Decision::fact(Fact::SignedOff(standing(Direction::Both, ""))),
        Operation::Suspend { direction, note } => Decision::fact(Fact::Suspended(standing(direction, note))),
        Operation::Resume { direction, note } => Decision::fact(Fact::Resumed(standing(direction, note))),
        Operation::Fund { currency, amount_minor, note } => {
            let room = participant.position(currency).copied().unwrap_or_default().can_take(amount_minor);
            if amount_minor <= 0 || !room {
                return Decision::refused(if amount_minor <= 0 { Reason::AM01 } else { Reason::AM13 });
            }
            let position = changed(participant, currency, |position| position.fund(amount_minor));
            Decision::fact(Fact::Funded(PositionMoved { at, participant: key, currency, amount_minor, position, note }))
        }
        Operation::Defund { currency, amount_minor, note } => {
            let available = participant.position(currency).map_or(0, crate::Position::available);
            if amount_minor <= 0 || amount_minor > available {
                return Decision::refused(if amount_minor <= 0 { Reason::AM01 } else { Reason::AM04 });
            }
            let position = changed(participant, currency, |position| position.fund(-amount_minor));
            Decision::fact(Fact::Defunded(PositionMoved {
                at,
                participant: key,
                currency,
                amount_minor,
                position,
                note,
            }))
        }
        Operation::Limit { currency, limits, note } => {
            let position = changed(participant, currency, |position| position.limits = limits);
            Decision::fact(Fact::LimitChanged(LimitChanged { at, participant: key, currency, position, note }))
        }
    }
}

fn changed(participant: &Participant, currency: Currency, change: impl FnOnce(&mut Position)) -> Position {
    let mut position = participant.position(currency).copied().unwrap_or_default();
    change(&mut position);
    position
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, table};

    fn check(script: &str) {
        table::run(Rules::default(), script);
    }

    #[test]
    fn what_operators_are_refused_is_told_in_their_words() {
        assert_eq!(meaning(Reason::AM13), "The position would be above what the books can hold.");
        assert_eq!(meaning(Reason::S947), Reason::S947.explanation().unwrap().meaning);
    }

    #[test]
    fn money_in_and_out() {
        check(
            "
            fund   A 50                     -> position 150         | A 150/0
            fund   A 0                      -> refused AM01
            fund   A -5                     -> refused AM01
            submit P1 A B 100               -> reserved
            defund A 51                     -> refused AM04         | A 150/100
            defund A 50                     -> position 100         | A 100/100
            defund A 0                      -> refused AM01
            answer P1 yes                                           | A 0/0  B 100/0
            defund B 100                    -> position 0           | A 0/0  B 0/0
            defund B 1                      -> refused AM04
            defund A 1 USD                  -> refused AM04
            fund   A 5 USD                  -> position 5
            ",
        );
    }

    #[test]
    fn a_sum_never_leaves_its_bounds() {
        check(
            "
            fund   A 9223372036854775807    -> refused AM13         | A 100/0
            fund   A 1152921504606846977    -> refused AM13
            fund   A 1152921504606846876    -> position 1152921504606846976
            fund   A 1                      -> refused AM13
            fund   B 9223372036854775807 USD -> refused AM13
            fund   B 1152921504606846977 USD -> refused AM13
            fund   B 1152921504606846976 USD -> position 1152921504606846976
            ",
        );
    }

    #[test]
    fn a_currency_is_held_once_it_was_funded() {
        check(
            "
            fund   A 50 USD                 -> position 50
            submit P1 A B 10 USD            -> rejected CURR
            limit  B max=1 USD              -> limited
            submit P2 A B 10 USD            -> reserved             | A 100/0  B 0/0
            answer P2 yes                   -> settled 2026-11-23   | A 100/0  B 0/0
            defund B 10 USD                 -> position 0
            ",
        );
    }

    #[test]
    fn sign_on_and_off() {
        check(
            "
            sign-on A                       -> nothing
            sign-off A                      -> signed off
            sign-off A                      -> nothing
            submit P1 A B 10                -> reserved
            fund   B 10
            submit P2 B A 10                -> rejected AB08
            sign-on A                       -> signed on
            submit P3 B A 10                -> reserved
            ",
        );
    }

    #[test]
    fn suspension() {
        check(
            "
            suspend B send                  -> suspended
            fund    B 10                    -> position 10
            submit  P1 B A 10               -> rejected S946
            submit  P2 A B 10               -> reserved
            suspend B receive               -> suspended
            submit  P3 A B 10               -> rejected S947
            sign-on B                       -> refused S947
            answer  P2 yes                  -> settled 2026-11-23   | B 20/0
            resume  B receive               -> resumed
            submit  P4 A B 10               -> rejected AB08
            sign-on B                       -> signed on
            submit  P5 A B 10               -> reserved
            submit  P6 B A 10               -> rejected S946
            resume  B                       -> resumed
            submit  P7 B A 10               -> reserved
            ",
        );
    }

    #[test]
    fn a_note_has_bounds() {
        let table = table::run(Rules::default(), "");
        let decide = |bytes: usize| {
            let note = "n".repeat(bytes);
            let view = View { now: table::START, rules: &table.rules, scheme: table.book.scheme(), refusing: None };
            let operation = Operation::Fund { currency: Currency::EUR, amount_minor: 1, note: &note };
            decide(table.book.participant(crate::Key(0)).unwrap(), operation, &view).fact.is_some()
        };
        assert!(decide(NOTE_BYTES_MAX) && !decide(NOTE_BYTES_MAX + 1));
    }
}
