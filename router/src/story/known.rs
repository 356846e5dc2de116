//! What book and archive have of a payment, in one form.

use actors::archive::Entry;
use settlement::{Book, Key, Record, Scheme, State};
use wire::{Money, ParticipantId, Timestamp, Uetr};

use super::evidence::Evidence;
use super::sentence;
use super::{Link, Payment};

/// See the file's head.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) debtor: Key,
    pub(super) debtor_agent: ParticipantId,
    pub(super) creditor_agent: ParticipantId,
    pub(super) record: Record,
    /// While it is in process and its creditor agent has been asked.
    pub(super) deadline: Option<Timestamp>,
    /// Of a return, where the source tells it: the book does while it is in process.
    pub(super) original: Option<Uetr>,
    /// Accepted without posting: whether the creditor agent has still to say what became of it; the archive does not tell.
    pub(super) owes_word: Option<bool>,
    /// The log entry that holds its end; the book does not tell.
    pub(super) ended_index: Option<u64>,
    pub(super) source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Book,
    Archive,
}

impl Known {
    pub(super) fn in_book(book: &Book, debtor: Key, record: Record) -> Known {
        let offered = || book.participant(record.creditor)?.offered(debtor, record.uetr);
        let (original, deadline) = match record.state {
            State::Reserved => offered().map_or((None, None), |(payment, deadline)| (payment.original, Some(deadline))),
            _ => (None, None),
        };
        let scheme = book.scheme();
        Known {
            debtor,
            debtor_agent: scheme.id(debtor),
            creditor_agent: scheme.id(record.creditor),
            record,
            deadline,
            original,
            owes_word: book.participant(record.creditor).map(|creditor| creditor.owes_word(debtor, record.uetr)),
            ended_index: None,
            source: Source::Book,
        }
    }

    pub(super) fn in_archive(scheme: &Scheme, entry: &Entry) -> Known {
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
        Known {
            debtor: entry.debtor,
            debtor_agent: scheme.id(entry.debtor),
            creditor_agent: scheme.id(entry.creditor),
            record,
            deadline: None,
            original: entry.original,
            owes_word: None,
            ended_index: Some(entry.index),
            source: Source::Archive,
        }
    }

    /// The payments with this UETR that the book remembers of these debtor agents: one of each that used it.
    pub(super) fn all_in_book(book: &Book, uetr: Uetr, debtors: impl Iterator<Item = Key>) -> Vec<Known> {
        let record = |debtor: Key| Some((debtor, book.participant(debtor)?.payment(uetr)?));
        debtors.filter_map(record).map(|(debtor, record)| Known::in_book(book, debtor, record)).collect()
    }

    /// Of the same payment the same, whatever became of it.
    pub(super) fn identity(&self) -> (Key, Uetr, Timestamp) {
        (self.debtor, self.record.uetr, self.record.at)
    }

    pub(super) fn in_process(&self) -> bool {
        self.record.state == State::Reserved
    }

    /// True when it was refused when it was submitted, as far as its times tell: nothing was set aside.
    pub(super) fn is_refused_at_once(&self) -> bool {
        self.record.state == State::Rejected && self.record.at == self.record.ended_at
    }

    pub(super) fn decided_at(&self) -> Option<Timestamp> {
        Some(self.record.at).filter(|at| *at != Timestamp(0))
    }

    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        (!self.in_process()).then_some(self.record.ended_at)
    }

    pub(super) fn amount(&self, minor: i64) -> String {
        Money::new(minor, self.record.currency).decimal().to_string()
    }

    pub(super) fn id(&self, key: Key) -> ParticipantId {
        if key == self.debtor { self.debtor_agent } else { self.creditor_agent }
    }

    pub(super) fn payment(&self, evidence: &Evidence, now: Timestamp) -> Payment {
        let record = &self.record;
        let (summary, must_act) = sentence::summary(self, evidence, now);
        Payment {
            uetr: record.uetr.to_string(),
            debtor_agent: self.debtor_agent.to_string(),
            creditor_agent: self.creditor_agent.to_string(),
            is_return: record.is_return,
            amount: self.amount(record.amount_minor),
            currency: record.currency.to_string(),
            returned: (self.source == Source::Book).then(|| self.amount(record.returned_minor)),
            state: state_name(record.state).into(),
            status: record.state.status().to_string(),
            reasons: record.reasons.iter().map(|reason| reason.to_string()).collect(),
            decided_at: self.decided_at().map(|at| at.to_string()),
            ended_at: self.ended_at().map(|at| at.to_string()),
            deadline: self.deadline.map(|deadline| deadline.to_string()),
            settlement_date: (!record.settlement_date.is_none()).then(|| record.settlement_date.to_string()),
            summary,
            must_act,
        }
    }

    pub(super) fn link(&self) -> Link {
        Link {
            uetr: self.record.uetr.to_string(),
            debtor_agent: self.debtor_agent.to_string(),
            amount: self.amount(self.record.amount_minor),
            currency: self.record.currency.to_string(),
            state: state_name(self.record.state).into(),
            ended_at: self.ended_at().map(|at| at.to_string()),
        }
    }
}

const STATES: [(&str, State); 5] = [
    ("in_process", State::Reserved),
    ("settled", State::Settled),
    ("settled_without_posting", State::SettledWithoutPosting),
    ("rejected", State::Rejected),
    ("timed_out", State::Expired),
];

/// As it is written everywhere.
pub(crate) fn state_name(state: State) -> &'static str {
    STATES.iter().find(|(_, own)| *own == state).map_or("", |(name, _)| name)
}

pub(super) fn state_of(text: &str) -> Result<State, String> {
    let known = STATES.iter().find(|(name, _)| *name == text).map(|(_, state)| *state);
    known.ok_or_else(|| {
        let names: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
        format!("{text:?} is no state: {}", names.join(", "))
    })
}
