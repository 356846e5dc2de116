//! One participant: its standing, its positions, the payments it sent and those offered to it.

use hashbrown::HashMap;
use wire::{Currency, Reason, Timestamp, Uetr};

use crate::answer::{self, Answer};
use crate::fact::{Fact, Payment, Rejected, Reserved, Settled, Stage};
use crate::operate::{self, Operation};
use crate::payments::{Payments, Record, State};
use crate::position::Position;
use crate::submit::{self, Submit};
use crate::{Key, Listing, Rules, Scheme, expire};

/// What is asked of a participant's actor.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// The debtor agent sends a credit transfer or a return; `body` is the message as it came.
    Submit { submit: &'a Submit, body: &'a [u8] },
    /// The creditor agent answers.
    Answer(Answer<'a>),
    /// Time asks: is this payment over?
    Expire { debtor: Key, uetr: Uetr },
    /// A payment has arrived (its letter was applied): may it stay?
    Arrive { debtor: Key, uetr: Uetr },
    /// A party asks what became of a payment.
    Inquire { debtor: Key, uetr: Uetr },
    /// An operator, or the participant about itself.
    Operate(Operation<'a>),
}

/// What `decide` may read besides the participant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub now: Timestamp,
    pub rules: &'a Rules,
    pub scheme: &'a Scheme,
    /// Set while the node takes no new payments: FULL or DRAN.
    pub refusing: Option<Reason>,
}

/// What was decided: at most one fact, and what the asker hears at once. The letter is the fact's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Decision<'a> {
    pub fact: Option<Fact<'a>>,
    pub reply: Option<Reply>,
}

impl<'a> Decision<'a> {
    pub(crate) fn fact(fact: Fact<'a>) -> Self {
        Decision { fact: Some(fact), reply: None }
    }

    pub(crate) fn refused(reason: Reason) -> Self {
        Decision { fact: None, reply: Some(Reply::Refused(reason)) }
    }

    pub(crate) fn inquire(debtor: Key, uetr: Uetr, purpose: Purpose) -> Self {
        Decision { fact: None, reply: Some(Reply::Inquire(Inquiry { debtor, uetr, purpose })) }
    }

    pub(crate) fn with_reply(mut self, reason: Reason) -> Self {
        self.reply = Some(Reply::Refused(reason));
        self
    }
}

/// What the asker is told besides the notices; leaves only after everything decided before it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Refused; nothing is recorded of it.
    Refused(Reason),
    /// Read it from the book.
    Inquire(Inquiry),
}

/// A question to the book about one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inquiry {
    pub debtor: Key,
    pub uetr: Uetr,
    pub purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The same instruction came again: tell its outcome.
    Repeat,
    /// A party asked.
    Request,
    /// An answer came for a payment that is not in process here: too late, a repeat, or unknown.
    Answer { yes: bool },
}

/// A payment offered to this participant, not yet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, wincode::SchemaRead, wincode::SchemaWrite)]
pub(crate) struct Incoming {
    pub(crate) payment: Payment,
    pub(crate) deadline: Timestamp,
}

type ByPayment<T> = HashMap<(Key, u128), T, foldhash::fast::RandomState>;

/// See the file's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    pub(crate) key: Key,
    pub(crate) listing: Listing,
    pub(crate) positions: Vec<(Currency, Position)>,
    pub(crate) payments: Payments,
    pub(crate) incoming: ByPayment<Incoming>,
    /// Settled to this participant, accepted without posting, not yet resolved.
    pub(crate) unposted: ByPayment<Payment>,
}

impl Participant {
    /// One that has just been registered.
    pub fn new(key: Key, listing: Listing) -> Self {
        let positions = listing.currencies.iter().map(|currency| (*currency, Position::default())).collect();
        Participant {
            key,
            listing,
            positions,
            payments: Payments::default(),
            incoming: HashMap::default(),
            unposted: HashMap::default(),
        }
    }

    pub fn key(&self) -> Key {
        self.key
    }

    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    pub fn positions(&self) -> &[(Currency, Position)] {
        &self.positions
    }

    pub fn position(&self, currency: Currency) -> Option<&Position> {
        self.positions.iter().find(|(own, _)| *own == currency).map(|(_, position)| position)
    }

    /// The payments it sent.
    pub fn payments(&self) -> &Payments {
        &self.payments
    }

    pub fn payment(&self, uetr: Uetr) -> Option<Record> {
        self.payments.get(uetr)
    }

    /// The payments offered to it and their deadlines, in no particular order.
    pub fn incoming(&self) -> impl Iterator<Item = (&Payment, Timestamp)> {
        self.incoming.values().map(|incoming| (&incoming.payment, incoming.deadline))
    }

    pub fn incoming_count(&self) -> usize {
        self.incoming.len()
    }

    /// Deadline of a payment that is offered to it.
    pub fn deadline(&self, debtor: Key, uetr: Uetr) -> Option<Timestamp> {
        self.offered(debtor, uetr).map(|(_, deadline)| deadline)
    }

    /// A payment that is offered to it, and its deadline.
    pub fn offered(&self, debtor: Key, uetr: Uetr) -> Option<(&Payment, Timestamp)> {
        self.incoming.get(&(debtor, uetr.number())).map(|incoming| (&incoming.payment, incoming.deadline))
    }

    /// True when it accepted this payment without posting and has not said since what became of it.
    pub fn owes_word(&self, debtor: Key, uetr: Uetr) -> bool {
        self.unposted.contains_key(&(debtor, uetr.number()))
    }

    /// Reads only. Everything that can be refused is refused here.
    pub fn decide<'a>(&self, command: Command<'a>, view: &View<'a>) -> Decision<'a> {
        match command {
            Command::Submit { submit, body } => submit::decide(self, submit, body, view),
            Command::Answer(answer) => answer::decide(self, answer, view),
            Command::Expire { debtor, uetr } => expire::decide(self, debtor, uetr, view),
            Command::Arrive { debtor, uetr } => answer::arrive(self, debtor, uetr, view),
            Command::Inquire { debtor, uetr } => Decision::inquire(debtor, uetr, Purpose::Request),
            Command::Operate(operation) => operate::decide(self, operation, view),
        }
    }

    /// Changes only, and only this participant's leg. Never fails: a fact is already true. The debtor says when the payment
    /// was decided on that the fact ended, if it remembers it.
    pub fn apply(&mut self, fact: &Fact<'_>) -> Option<Timestamp> {
        match fact {
            Fact::Reserved(reserved) if reserved.payment.debtor == self.key => self.set_aside(reserved),
            Fact::Reserved(reserved) => self.offer(reserved),
            Fact::Rejected(rejected) if rejected.stage == Stage::Submit => self.remember_refusal(rejected),
            Fact::Rejected(rejected) => {
                return self.release(&rejected.payment, |record| {
                    (record.state, record.reasons, record.ended_at) = (State::Rejected, rejected.reasons, rejected.at);
                });
            }
            Fact::Expired(expired) => {
                return self.release(&expired.payment, |record| {
                    (record.state, record.reasons, record.ended_at) = (State::Expired, expired.reasons, expired.at);
                });
            }
            Fact::Settled(settled) | Fact::Returned(settled) => return self.settle(settled),
            Fact::Annotated(annotated) => {
                if annotated.payment.creditor == self.key && annotated.status != wire::Status::PDNG {
                    self.unposted.remove(&identity(&annotated.payment));
                }
            }
            Fact::SignedOn(_) => self.listing.signed_on = true,
            Fact::SignedOff(_) => self.listing.signed_on = false,
            Fact::Suspended(standing) => self.listing.suspend(standing.direction, true),
            Fact::Resumed(standing) => self.listing.suspend(standing.direction, false),
            Fact::Funded(moved) => self.hold(moved.currency).fund(moved.amount_minor),
            Fact::Defunded(moved) => self.hold(moved.currency).fund(-moved.amount_minor),
            Fact::LimitChanged(changed) => self.hold(changed.currency).limits = changed.position.limits,
            Fact::Registered { .. } | Fact::DayRolled { .. } | Fact::Audited(_) => {}
        }
        None
    }

    fn set_aside(&mut self, fact: &Reserved<'_>) {
        let Payment { uetr, amount_minor, currency, creditor, original, .. } = fact.payment;
        self.hold(currency).reserve(amount_minor);
        self.payments.insert(Record {
            uetr,
            content: fact.content,
            amount_minor,
            returned_minor: 0,
            at: fact.at,
            ended_at: fact.at,
            creditor,
            settlement_date: wire::BusinessDate::NONE,
            reasons: wire::Reasons::NONE,
            currency,
            state: State::Reserved,
            is_return: original.is_some(),
        });
        self.payments.forget(fact.horizon, 2);
    }

    fn remember_refusal(&mut self, fact: &Rejected<'_>) {
        let Payment { uetr, amount_minor, currency, creditor, original, .. } = fact.payment;
        self.payments.insert(Record {
            uetr,
            content: fact.content,
            amount_minor,
            returned_minor: 0,
            at: fact.at,
            ended_at: fact.at,
            creditor,
            settlement_date: wire::BusinessDate::NONE,
            reasons: fact.reasons,
            currency,
            state: State::Rejected,
            is_return: original.is_some(),
        });
        self.payments.forget(fact.horizon, 2);
    }

    fn offer(&mut self, fact: &Reserved<'_>) {
        let payment = fact.payment;
        self.incoming.insert(identity(&payment), Incoming { payment, deadline: fact.deadline });
        if let Some(original) = payment.original {
            // Claimed while the return is in process, so that two returns cannot exceed the original together.
            self.claim(original, &payment, payment.amount_minor);
        }
    }

    fn release(&mut self, payment: &Payment, end: impl FnOnce(&mut Record)) -> Option<Timestamp> {
        if payment.debtor == self.key {
            self.hold(payment.currency).release(payment.amount_minor);
            return self.payments.change(payment.uetr, end);
        }
        self.incoming.remove(&identity(payment));
        if let Some(original) = payment.original {
            self.claim(original, payment, -payment.amount_minor);
        }
        None
    }

    /// Counts a return against its original, if it comes from the agent that was paid; all others are rejected anyway.
    fn claim(&mut self, original: Uetr, payment: &Payment, amount_minor: i64) {
        self.payments.change(original, |record| {
            if record.creditor == payment.debtor && record.currency == payment.currency {
                record.returned_minor += amount_minor;
            }
        });
    }

    fn settle(&mut self, fact: &Settled) -> Option<Timestamp> {
        let payment = fact.payment;
        let without_posting = fact.status == wire::Status::ACWP;
        if payment.debtor == self.key {
            self.hold(payment.currency).debit(payment.amount_minor);
            let decided_at = self.payments.change(payment.uetr, |record| {
                record.state = if without_posting { State::SettledWithoutPosting } else { State::Settled };
                record.settlement_date = fact.settlement_date;
                record.ended_at = fact.at;
            });
            self.resolve_returned(&payment);
            return decided_at;
        }
        self.incoming.remove(&identity(&payment));
        self.hold(payment.currency).credit(payment.amount_minor);
        if without_posting {
            self.unposted.insert(identity(&payment), payment);
        }
        None
    }

    /// A payment that was accepted without posting and is given back wholly needs no further word.
    fn resolve_returned(&mut self, payment: &Payment) {
        let Some(original) = payment.original else { return };
        let identity = (payment.creditor, original.number());
        if self.unposted.get(&identity).is_some_and(|unposted| unposted.amount_minor <= payment.amount_minor) {
            self.unposted.remove(&identity);
        }
    }

    /// The position in `currency`, opened if there is none yet.
    fn hold(&mut self, currency: Currency) -> &mut Position {
        let place = self.positions.iter().position(|(own, _)| *own == currency).unwrap_or_else(|| {
            self.listing.hold(currency);
            self.positions.push((currency, Position::default()));
            self.positions.len() - 1
        });
        &mut self.positions[place].1
    }
}

pub(crate) fn identity(payment: &Payment) -> (Key, u128) {
    (payment.debtor, payment.uetr.number())
}
