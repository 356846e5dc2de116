//! The book: the fold of all committed facts. Everything a participant is ever told is read from it.

use wire::message::{Refused, StatusReport};
use wire::{Currency, Kind, Message, ParticipantId, Reason, Status};

use crate::fact::{Fact, LimitChanged, PositionMoved};
use crate::notice::{self, Told};
use crate::participant::{Inquiry, Participant, Purpose};
use crate::payments::{Record, State};
use crate::{Key, Scheme};

/// Whose feed a notice goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    Participant(Key),
    /// The shared system feed.
    Everyone,
}

/// Where notices go. `write` appends one whole frame.
pub trait Sink {
    fn notice(&mut self, to: Recipient, number: u64, write: impl FnOnce(&mut Vec<u8>));
}

/// For folds that tell nobody.
impl Sink for () {
    fn notice(&mut self, _: Recipient, _: u64, _: impl FnOnce(&mut Vec<u8>)) {}
}

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    pub(crate) scheme: Scheme,
    pub(crate) participants: Vec<Participant>,
    /// Number of the last notice in each participant's feed.
    pub(crate) notices: Vec<u64>,
    pub(crate) system_notices: u64,
}

impl Book {
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    pub fn participant(&self, key: Key) -> Option<&Participant> {
        self.participants.get(key.place())
    }

    pub fn find(&self, id: ParticipantId) -> Option<&Participant> {
        self.participant(self.scheme.key(id)?)
    }

    /// Number of the last notice in a participant's feed; 0 when there is none yet.
    pub fn last_notice(&self, key: Key) -> u64 {
        self.notices.get(key.place()).copied().unwrap_or(0)
    }

    pub fn last_system_notice(&self) -> u64 {
        self.system_notices
    }

    /// Folds one committed fact in and writes the notices it makes.
    pub fn apply(&mut self, fact: &Fact<'_>, sink: &mut impl Sink) {
        self.scheme.apply(fact);
        match fact {
            Fact::Registered { key, .. } => {
                let listing = self.scheme.listing(*key).cloned();
                self.participants.extend(listing.map(|listing| Participant::new(*key, listing)));
                self.notices.push(0);
            }
            Fact::SignedOn(standing)
            | Fact::SignedOff(standing)
            | Fact::Suspended(standing)
            | Fact::Resumed(standing) => {
                self.apply_to(standing.participant, fact);
            }
            Fact::Funded(PositionMoved { participant, currency, at, .. })
            | Fact::Defunded(PositionMoved { participant, currency, at, .. })
            | Fact::LimitChanged(LimitChanged { participant, currency, at, .. }) => {
                self.apply_to(*participant, fact);
                let number = self.number(*participant);
                if let Some(own) = self.participants.get(participant.place()) {
                    let write = |out: &mut Vec<u8>| notice::write_position(own, *currency, *at, number, out);
                    sink.notice(Recipient::Participant(*participant), number, write);
                }
            }
            Fact::Reserved(reserved) => {
                self.apply_to(reserved.payment.debtor, fact);
                self.apply_to(reserved.payment.creditor, fact);
                let to = reserved.payment.creditor;
                let number = self.number(to);
                sink.notice(Recipient::Participant(to), number, |out| notice::write_offer(reserved, number, out));
            }
            Fact::Rejected(_) | Fact::Settled(_) | Fact::Returned(_) | Fact::Expired(_) | Fact::Annotated(_) => {
                self.end(fact, sink);
            }
            Fact::DayRolled { .. } => {}
        }
        if let Some((event, about)) = notice::system_event(fact) {
            self.system_notices += 1;
            let number = self.system_notices;
            let write = |out: &mut Vec<u8>| notice::write_system(event, about, fact.at(), &self.scheme, number, out);
            sink.notice(Recipient::Everyone, number, write);
        }
    }

    fn end(&mut self, fact: &Fact<'_>, sink: &mut impl Sink) {
        let (Some(payment), Some(told)) = (fact.payment(), Told::of(fact)) else { return };
        self.apply_to(payment.debtor, fact);
        // A payment refused on submission never concerned its creditor agent.
        if fact.letter().is_some() || matches!(fact, Fact::Annotated(_)) {
            self.apply_to(payment.creditor, fact);
        }
        let number = self.number(payment.debtor);
        sink.notice(Recipient::Participant(payment.debtor), number, |out| told.write(number, &self.scheme, out));
        if told.to_creditor {
            let number = self.number(payment.creditor);
            sink.notice(Recipient::Participant(payment.creditor), number, |out| told.write(number, &self.scheme, out));
        }
    }

    fn apply_to(&mut self, key: Key, fact: &Fact<'_>) {
        if let Some(participant) = self.participants.get_mut(key.place()) {
            participant.apply(fact);
        }
    }

    fn number(&mut self, key: Key) -> u64 {
        self.notices.get_mut(key.place()).map_or(0, |last| {
            *last += 1;
            *last
        })
    }

    /// What `asker` is told about a payment; `None` when the book does not (or no longer) remember it.
    pub fn answer(&self, asker: Key, inquiry: &Inquiry) -> Option<Message<'static>> {
        let record = self.participant(inquiry.debtor)?.payment(inquiry.uetr)?;
        let concerns_asker = asker == inquiry.debtor || asker == record.creditor;
        let late = match inquiry.purpose {
            Purpose::Repeat | Purpose::Request => false,
            Purpose::Answer { yes } => {
                let settled = matches!(record.state, State::Settled | State::SettledWithoutPosting);
                !(yes && settled) && record.state != State::Reserved
            }
        };
        let asked_by_creditor = !matches!(inquiry.purpose, Purpose::Answer { .. }) || asker == record.creditor;
        if !concerns_asker || !asked_by_creditor {
            return None;
        }
        if late {
            return Some(refusal(Kind::Answer, inquiry, Reason::LATE));
        }
        Some(Message::StatusReport(self.report(inquiry.debtor, record)))
    }

    /// A record as a status report.
    pub fn report(&self, debtor: Key, record: &Record) -> StatusReport {
        StatusReport {
            uetr: record.uetr,
            debtor_agent: self.scheme.id(debtor),
            status: status_of(record.state),
            reasons: record.reasons,
            amount_minor: record.amount_minor,
            currency: record.currency,
            settlement_date: record.settlement_date,
            at: record.ended_at,
        }
    }

    /// Sum of all net positions in a currency: zero, always, for money only moves.
    pub fn imbalance(&self, currency: Currency) -> i128 {
        self.participants.iter().filter_map(|own| own.position(currency)).map(|position| i128::from(position.net)).sum()
    }

    /// Every currency that anyone holds, once.
    pub fn currencies(&self) -> Vec<Currency> {
        let mut all: Vec<Currency> =
            self.participants.iter().flat_map(|own| own.positions().iter().map(|(currency, _)| *currency)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

pub(crate) fn status_of(state: State) -> Status {
    match state {
        State::Reserved => Status::ACSP,
        State::Settled => Status::ACSC,
        State::SettledWithoutPosting => Status::ACWP,
        State::Rejected | State::Expired => Status::RJCT,
    }
}

fn refusal(kind: Kind, inquiry: &Inquiry, reason: Reason) -> Message<'static> {
    let text = reason.explanation().map_or("", |explanation| explanation.meaning);
    Message::Refused(Refused { kind: kind as u16, uetr: *inquiry.uetr.bytes(), reason, text })
}
