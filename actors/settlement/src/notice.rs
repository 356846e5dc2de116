//! What participants are told of a fact, as the frames of the native protocol.
//!
//! | fact | debtor agent | creditor agent | everyone |
//! |---|---|---|---|
//! | Reserved | | TransferNotice, ReturnNotice | |
//! | Rejected on submit, by answer | StatusNotice RJCT | | |
//! | Rejected on arrival, Expired | StatusNotice RJCT | StatusNotice RJCT | |
//! | Settled, Returned | StatusNotice ACSC, ACWP | StatusNotice ACSC, ACWP | |
//! | Annotated | StatusNotice ACCC, PDNG, BLCK | | |
//! | Funded, Defunded, LimitChanged | PositionNotice | | |
//! | SignedOn, SignedOff, Suspended, Resumed, Registered, DayRolled | | | SystemNotice |

use wire::frame::{self, Kind};
use wire::message::{PositionNotice, StatusNotice, SystemEvent, SystemNotice};
use wire::{BusinessDate, Currency, Reasons, Status, Timestamp};

use crate::fact::{Fact, LimitChanged, Payment, PositionMoved, Reserved, Stage};
use crate::{Key, Position, Scheme};

/// Whose feed a notice goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    Participant(Key),
    /// The shared system feed.
    Everyone,
}

/// Calls `tell` for each notice that a fact makes, with its recipient and what writes its frame once it has a number.
/// Depends on the fact and on the identifiers in `scheme` alone, so a feed can be read again from the log.
pub fn notices(fact: &Fact<'_>, scheme: &Scheme, mut tell: impl FnMut(Recipient, &dyn Fn(u64, &mut Vec<u8>))) {
    match fact {
        Fact::Reserved(reserved) => {
            tell(Recipient::Participant(reserved.payment.creditor), &|number, out| write_offer(reserved, number, out));
        }
        Fact::Funded(PositionMoved { participant, currency, at, position, .. })
        | Fact::Defunded(PositionMoved { participant, currency, at, position, .. })
        | Fact::LimitChanged(LimitChanged { participant, currency, at, position, .. }) => {
            tell(Recipient::Participant(*participant), &|number, out| {
                write_position(position, *currency, *at, number, out)
            });
        }
        _ => {}
    }
    if let Some(told) = Told::of(fact) {
        tell(Recipient::Participant(told.payment.debtor), &|number, out| told.write(number, scheme, out));
        if told.to_creditor {
            tell(Recipient::Participant(told.payment.creditor), &|number, out| told.write(number, scheme, out));
        }
    }
    if let Some((event, about)) = system_event(fact) {
        tell(Recipient::Everyone, &|number, out| write_system(event, about, fact, scheme, number, out));
    }
}

/// A status as it is told to one or both agents of a payment.
struct Told<'a> {
    at: Timestamp,
    payment: &'a Payment,
    status: Status,
    reasons: Reasons,
    settlement_date: BusinessDate,
    additional_information: Option<&'a str>,
    to_creditor: bool,
}

impl<'a> Told<'a> {
    /// The status that a fact about an ended payment tells; `None` for all others.
    fn of(fact: &'a Fact<'_>) -> Option<Told<'a>> {
        let plain = |at, payment, status| Told {
            at,
            payment,
            status,
            reasons: Reasons::NONE,
            settlement_date: BusinessDate::NONE,
            additional_information: None,
            to_creditor: true,
        };
        Some(match fact {
            Fact::Settled(fact) | Fact::Returned(fact) => {
                Told { settlement_date: fact.settlement_date, ..plain(fact.at, &fact.payment, fact.status) }
            }
            Fact::Expired(fact) => Told { reasons: fact.reasons, ..plain(fact.at, &fact.payment, Status::RJCT) },
            Fact::Rejected(fact) => Told {
                reasons: fact.reasons,
                additional_information: fact.additional_information,
                to_creditor: fact.stage == Stage::Arrival,
                ..plain(fact.at, &fact.payment, Status::RJCT)
            },
            Fact::Annotated(fact) => Told { to_creditor: false, ..plain(fact.at, &fact.payment, fact.status) },
            _ => return None,
        })
    }

    fn write(&self, number: u64, scheme: &Scheme, out: &mut Vec<u8>) {
        let notice = StatusNotice {
            number,
            at: self.at,
            uetr: self.payment.uetr,
            debtor_agent: scheme.id(self.payment.debtor),
            creditor_agent: scheme.id(self.payment.creditor),
            amount_minor: self.payment.amount_minor,
            currency: self.payment.currency,
            status: self.status,
            reasons: self.reasons,
            settlement_date: self.settlement_date,
            original_message_id: self.payment.message_id.as_str(),
            additional_information: self.additional_information,
        };
        frame::encode(Kind::StatusNotice, &notice, out);
    }
}

/// The offer to the creditor agent: three numbers, then the instruction's body as it came.
fn write_offer(reserved: &Reserved<'_>, number: u64, out: &mut Vec<u8>) {
    let kind = if reserved.payment.original.is_some() { Kind::ReturnNotice } else { Kind::TransferNotice };
    let start = frame::begin(kind, out);
    for value in [number, reserved.at.nanoseconds(), reserved.deadline.nanoseconds()] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(reserved.body);
    frame::finish(start, out);
}

fn write_position(position: &Position, currency: Currency, at: Timestamp, number: u64, out: &mut Vec<u8>) {
    let notice = PositionNotice {
        number,
        at,
        currency,
        funded_minor: position.funded,
        net_minor: position.net,
        reserved_minor: position.reserved,
        net_debit_cap_minor: position.limits.net_debit_cap,
    };
    frame::encode(Kind::PositionNotice, &notice, out);
}

/// What everyone is told, if anything.
fn system_event(fact: &Fact<'_>) -> Option<(SystemEvent, Key)> {
    match fact {
        Fact::SignedOn(standing) => Some((SystemEvent::FPON, standing.participant)),
        Fact::SignedOff(standing) => Some((SystemEvent::FPOF, standing.participant)),
        Fact::Suspended(standing) => Some((SystemEvent::SUSP, standing.participant)),
        Fact::Resumed(standing) => Some((SystemEvent::RESU, standing.participant)),
        Fact::Registered { key, .. } => Some((SystemEvent::JOIN, *key)),
        Fact::DayRolled { .. } => Some((SystemEvent::ROLL, Key::NONE)),
        _ => None,
    }
}

pub(crate) fn write_system(
    event: SystemEvent,
    about: Key,
    fact: &Fact<'_>,
    scheme: &Scheme,
    number: u64,
    out: &mut Vec<u8>,
) {
    let business_date = if let Fact::DayRolled { date, .. } = fact { *date } else { BusinessDate::NONE };
    let (participant, at) = (scheme.id(about), fact.at());
    frame::encode(Kind::SystemNotice, &SystemNotice { number, at, event, participant, business_date }, out);
}
