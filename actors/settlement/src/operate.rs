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

/// A refusal is not recorded: the operator hears it and may ask again. What is so already changes nothing.
pub(crate) fn decide<'a>(participant: &Participant, operation: Operation<'a>, view: &View<'_>) -> Decision<'a> {
    let at = view.now;
    let key = participant.key;
    let standing = |direction, note| Standing { at, participant: key, direction, note };
    let listing = &participant.listing;
    match operation {
        Operation::SignOn if listing.suspended_receiving => Decision::refused(Reason::S947),
        Operation::SignOn if listing.signed_on => Decision::default(),
        Operation::SignOn => Decision::fact(Fact::SignedOn(standing(Direction::Both, ""))),
        Operation::SignOff if !listing.signed_on => Decision::default(),
        Operation::SignOff => Decision::fact(Fact::SignedOff(standing(Direction::Both, ""))),
        Operation::Suspend { direction, note } => Decision::fact(Fact::Suspended(standing(direction, note))),
        Operation::Resume { direction, note } => Decision::fact(Fact::Resumed(standing(direction, note))),
        Operation::Fund { currency, amount_minor, note } => {
            let room = participant.position(currency).is_none_or(|position| position.can_take(amount_minor));
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
