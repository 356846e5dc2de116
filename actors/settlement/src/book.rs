//! The book: the fold of all committed facts. Everything a participant is ever told is read from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::message::{Refused, StatusReport};
use wire::{Currency, Kind, Message, ParticipantId, Reason, Timestamp};

use crate::days::{self, Diary};
use crate::fact::{Fact, LimitChanged, PositionMoved, Stage, Standing};
use crate::notice::{self, Recipient};
use crate::participant::{Inquiry, Participant, Purpose};
use crate::payments::{Record, State};
use crate::{Key, Scheme, Trail};

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
    pub(crate) trail: Trail,
    /// What moved on each business date, by participant; shared with a frozen book until it changes.
    pub(crate) diaries: Vec<Arc<Diary>>,
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

    /// What operators changed.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Number of the last notice in a participant's feed; 0 when there is none yet.
    pub fn last_notice(&self, key: Key) -> u64 {
        self.notices.get(key.place()).copied().unwrap_or(0)
    }

    pub fn last_system_notice(&self) -> u64 {
        self.system_notices
    }

    /// What moved on each business date. Whoever keeps it keeps it as it stands.
    pub fn diary(&self, key: Key) -> Option<&Arc<Diary>> {
        self.diaries.get(key.place())
    }

    /// Folds one committed fact in and writes the notices it makes. Says when the payment was decided on that the fact
    /// ended, if it ended one that is remembered.
    pub fn apply(&mut self, fact: &Fact<'_>, sink: &mut impl Sink) -> Option<Timestamp> {
        self.scheme.apply(fact);
        let mut decided_at = None;
        match fact {
            Fact::Registered { key, .. } => {
                let listing = self.scheme.listing(*key).cloned();
                self.participants.extend(listing.map(|listing| Participant::new(*key, listing)));
                self.notices.push(0);
                self.diaries.push(Arc::default());
            }
            Fact::SignedOn(Standing { participant, .. })
            | Fact::SignedOff(Standing { participant, .. })
            | Fact::Suspended(Standing { participant, .. })
            | Fact::Resumed(Standing { participant, .. })
            | Fact::Funded(PositionMoved { participant, .. })
            | Fact::Defunded(PositionMoved { participant, .. })
            | Fact::LimitChanged(LimitChanged { participant, .. }) => {
                self.apply_to(*participant, fact);
            }
            // A payment refused on submission never concerned its creditor agent.
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => {
                self.apply_to(rejected.payment.debtor, fact);
            }
            Fact::Reserved(_)
            | Fact::Rejected(_)
            | Fact::Settled(_)
            | Fact::Returned(_)
            | Fact::Expired(_)
            | Fact::Annotated(_) => {
                if let Some(payment) = fact.payment() {
                    decided_at = self.apply_to(payment.debtor, fact);
                    self.apply_to(payment.creditor, fact);
                }
            }
            Fact::DayRolled { .. } => {}
            Fact::Audited(audited) => self.trail.append(*audited),
        }
        days::enter(&mut self.diaries, fact, &self.scheme);
        let Book { scheme, notices, system_notices, .. } = self;
        notice::notices(fact, scheme, |to, write| {
            let last = match to {
                Recipient::Participant(key) => notices.get_mut(key.place()),
                Recipient::Everyone => Some(&mut *system_notices),
            };
            if let Some(last) = last {
                *last += 1;
                let number = *last;
                sink.notice(to, number, |out| write(number, out));
            }
        });
        decided_at
    }

    fn apply_to(&mut self, key: Key, fact: &Fact<'_>) -> Option<Timestamp> {
        self.participants.get_mut(key.place())?.apply(fact)
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
        Some(Message::StatusReport(self.report(inquiry.debtor, &record)))
    }

    /// A record as a status report.
    pub fn report(&self, debtor: Key, record: &Record) -> StatusReport {
        StatusReport {
            uetr: record.uetr,
            debtor_agent: self.scheme.id(debtor),
            status: record.state.status(),
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

    /// [`Self::imbalance`] of every currency that anyone holds.
    pub fn imbalances(&self) -> BTreeMap<Currency, i128> {
        let mut sums = BTreeMap::new();
        for (currency, position) in self.participants.iter().flat_map(Participant::positions) {
            *sums.entry(*currency).or_default() += i128::from(position.net);
        }
        sums
    }
}

fn refusal(kind: Kind, inquiry: &Inquiry, reason: Reason) -> Message<'static> {
    let text = reason.explanation().map_or("", |explanation| explanation.meaning);
    Message::Refused(Refused { kind: kind as u16, uetr: *inquiry.uetr.bytes(), reason, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, table};

    fn check(script: &str) {
        table::run(Rules::default(), script);
    }

    #[test]
    fn only_the_parties_are_told() {
        check(
            "
            submit P1 A B 10                -> reserved
            ask    A P1                     -> told ACSP
            ask    B P1                     -> told ACSP
            ask    C P1                     -> refused AG09
            answer P1 yes                   -> settled 2026-11-23
            ask    A P1                     -> told ACSC
            ask    B P1                     -> told ACSC
            ask    C P1                     -> refused AG09
            ask    A P9                     -> refused AG09
            ",
        );
    }

    /// Who is told what: number and kind of each notice, feed by feed.
    #[derive(Default)]
    struct Told(Vec<(Recipient, u64, u16)>);

    impl Sink for Told {
        fn notice(&mut self, to: Recipient, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
            let mut frame = Vec::new();
            write(&mut frame);
            let kind = u16::from_le_bytes([frame[4], frame[5]]);
            let message = wire::frame::decode(kind, &frame[wire::frame::HEADER_BYTES..]);
            // The table's instructions have no real body; all other notices can be read.
            assert!(message.is_ok() || kind == Kind::TransferNotice as u16, "{message:?}");
            self.0.push((to, number, kind));
        }
    }

    #[test]
    fn who_is_told_what() {
        let table = table::run(
            Rules::default(),
            "
            submit P1 A B 10                -> reserved
            answer P1 yes                   -> settled 2026-11-23
            submit P2 A B 10                -> reserved
            answer P2 no                    -> rejected AC04
            submit P3 A B 0                 -> rejected AM01
            submit P4 A B 10                -> reserved
            wait   10s
            expire P4                       -> expired AB05
            ",
        );
        let (mut told, mut book) = (Told::default(), Book::default());
        for fact in crate::Facts::new(&table.facts) {
            book.apply(&fact.unwrap(), &mut told);
        }
        assert_eq!(book, table.book);
        let of = |who: Recipient| -> Vec<(u64, u16)> {
            told.0.iter().filter(|(to, ..)| *to == who).map(|(_, number, kind)| (*number, *kind)).collect()
        };
        let (transfer, status, position) = (128, 129, 131);
        let a = [(1, position), (2, status), (3, status), (4, status), (5, status)];
        let b = [(1, transfer), (2, status), (3, transfer), (4, transfer), (5, status)];
        assert_eq!(of(Recipient::Participant(Key(0))), a);
        assert_eq!(of(Recipient::Participant(Key(1))), b);
        assert_eq!(of(Recipient::Everyone).len(), 1 + 4 + 3);
        assert_eq!((book.last_notice(Key(0)), book.last_notice(Key(3)), book.last_system_notice()), (5, 0, 8));
    }
}
