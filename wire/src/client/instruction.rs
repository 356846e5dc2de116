//! What a participant sends, with owned data: transfers, returns, replies. The library adds sender, time and message id.

use crate::frame::{Kind, encode};
use crate::message::{Answer, CreditTransfer, Party, PaymentReturn};
use crate::{MessageId, Money, ParticipantId, Reason, Status, Timestamp, Uetr};

/// Who sends, when, and under which message id.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub participant: ParticipantId,
    pub at: Timestamp,
    pub message_id: MessageId,
}

impl Stamp {
    pub fn new(participant: ParticipantId, at: Timestamp, number: u64) -> Self {
        Stamp { participant, at, message_id: MessageId::compose(at.date(), participant, number) }
    }
}

/// A payment or a return: [`Transfer`] and [`Return`] with owned data, or the messages themselves, which are sent as
/// they are.
pub trait Instruction {
    fn uetr(&self) -> Uetr;
    /// Checks it and appends its frame.
    fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) -> crate::Result<()>;
}

/// The customer of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// 1 to 140 characters.
    pub name: String,
    /// 1 to 34 characters.
    pub account: String,
}

impl Customer {
    fn view(&self) -> Party<'_> {
        Party { name: &self.name, account: &self.account }
    }
}

/// A credit transfer to be made. Its UETR is random unless you set it; set it when your own journal must know the
/// payment before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub uetr: Uetr,
    pub creditor_agent: ParticipantId,
    pub amount: Money,
    /// The customer's reference, 1 to 35 characters; `NOTPROVIDED` where there is none.
    pub end_to_end_id: String,
    pub instruction_id: Option<String>,
    pub debtor: Customer,
    pub creditor: Customer,
    pub remittance_information: Option<String>,
    /// When the payment's clock started; at sending where it is not set.
    pub created_at: Option<Timestamp>,
}

impl Transfer {
    pub fn new(creditor_agent: ParticipantId, amount: Money) -> Self {
        let unknown = || Customer { name: String::new(), account: String::new() };
        Transfer {
            uetr: Uetr::random(),
            creditor_agent,
            amount,
            end_to_end_id: "NOTPROVIDED".into(),
            instruction_id: None,
            debtor: unknown(),
            creditor: unknown(),
            remittance_information: None,
            created_at: None,
        }
    }

    /// The debtor: name and account.
    #[must_use]
    pub fn from(mut self, name: impl Into<String>, account: impl Into<String>) -> Self {
        self.debtor = Customer { name: name.into(), account: account.into() };
        self
    }

    /// The creditor: name and account.
    #[must_use]
    pub fn to(mut self, name: impl Into<String>, account: impl Into<String>) -> Self {
        self.creditor = Customer { name: name.into(), account: account.into() };
        self
    }

    #[must_use]
    pub fn uetr(mut self, uetr: Uetr) -> Self {
        self.uetr = uetr;
        self
    }

    #[must_use]
    pub fn end_to_end_id(mut self, reference: impl Into<String>) -> Self {
        self.end_to_end_id = reference.into();
        self
    }

    #[must_use]
    pub fn instruction_id(mut self, reference: impl Into<String>) -> Self {
        self.instruction_id = Some(reference.into());
        self
    }

    #[must_use]
    pub fn remittance_information(mut self, text: impl Into<String>) -> Self {
        self.remittance_information = Some(text.into());
        self
    }

    #[must_use]
    pub fn created_at(mut self, at: Timestamp) -> Self {
        self.created_at = Some(at);
        self
    }

    /// As a message.
    pub fn view<'a>(&'a self, stamp: &'a Stamp) -> CreditTransfer<'a> {
        CreditTransfer {
            message_id: stamp.message_id.as_str(),
            created_at: self.created_at.unwrap_or(stamp.at),
            uetr: self.uetr,
            debtor_agent: stamp.participant,
            creditor_agent: self.creditor_agent,
            amount_minor: self.amount.minor,
            currency: self.amount.currency,
            end_to_end_id: &self.end_to_end_id,
            instruction_id: self.instruction_id.as_deref(),
            debtor: self.debtor.view(),
            creditor: self.creditor.view(),
            remittance_information: self.remittance_information.as_deref(),
        }
    }
}

impl Instruction for Transfer {
    fn uetr(&self) -> Uetr {
        self.uetr
    }

    fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) -> crate::Result<()> {
        self.view(stamp).write(stamp, out)
    }
}

impl Instruction for CreditTransfer<'_> {
    fn uetr(&self) -> Uetr {
        self.uetr
    }

    fn write(&self, _: &Stamp, out: &mut Vec<u8>) -> crate::Result<()> {
        self.check()?;
        encode(Kind::CreditTransfer, self, out);
        Ok(())
    }
}

/// Money to be given back, wholly or in part. A payment of its own, with its own UETR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    pub uetr: Uetr,
    /// The payment that is returned.
    pub original_uetr: Uetr,
    /// Its debtor agent, who gets the money back.
    pub creditor_agent: ParticipantId,
    pub amount: Money,
    pub reason: Reason,
    pub additional_information: Option<String>,
    pub created_at: Option<Timestamp>,
}

impl Return {
    /// Gives back the whole of a transfer.
    pub fn of(transfer: &CreditTransfer<'_>, reason: Reason) -> Self {
        Return {
            uetr: Uetr::random(),
            original_uetr: transfer.uetr,
            creditor_agent: transfer.debtor_agent,
            amount: transfer.money(),
            reason,
            additional_information: None,
            created_at: None,
        }
    }

    /// As a message.
    pub fn view<'a>(&'a self, stamp: &'a Stamp) -> PaymentReturn<'a> {
        PaymentReturn {
            message_id: stamp.message_id.as_str(),
            created_at: self.created_at.unwrap_or(stamp.at),
            uetr: self.uetr,
            debtor_agent: stamp.participant,
            creditor_agent: self.creditor_agent,
            amount_minor: self.amount.minor,
            currency: self.amount.currency,
            original_uetr: self.original_uetr,
            reason: self.reason,
            additional_information: self.additional_information.as_deref(),
        }
    }
}

impl Instruction for Return {
    fn uetr(&self) -> Uetr {
        self.uetr
    }

    fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) -> crate::Result<()> {
        self.view(stamp).write(stamp, out)
    }
}

impl Instruction for PaymentReturn<'_> {
    fn uetr(&self) -> Uetr {
        self.uetr
    }

    fn write(&self, _: &Stamp, out: &mut Vec<u8>) -> crate::Result<()> {
        self.check()?;
        encode(Kind::PaymentReturn, self, out);
        Ok(())
    }
}

/// The creditor agent's word on a payment that was offered to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub uetr: Uetr,
    pub debtor_agent: ParticipantId,
    pub status: Status,
    /// With RJCT only.
    pub reason: Reason,
    pub additional_information: Option<String>,
}

impl Reply {
    /// Any word on the payment known by debtor agent and UETR.
    pub fn new(debtor_agent: ParticipantId, uetr: Uetr, status: Status) -> Self {
        Reply { uetr, debtor_agent, status, reason: Reason::NONE, additional_information: None }
    }

    /// Yes: settle it, it will be posted at once.
    pub fn yes(debtor_agent: ParticipantId, uetr: Uetr) -> Self {
        Self::new(debtor_agent, uetr, Status::ACTC)
    }

    /// Yes: settle it, it will be posted later or returned.
    pub fn yes_without_posting(debtor_agent: ParticipantId, uetr: Uetr) -> Self {
        Self::new(debtor_agent, uetr, Status::ACWP)
    }

    pub fn no(debtor_agent: ParticipantId, uetr: Uetr, reason: Reason) -> Self {
        Reply { reason, ..Self::new(debtor_agent, uetr, Status::RJCT) }
    }

    #[must_use]
    pub fn additional_information(mut self, text: impl Into<String>) -> Self {
        self.additional_information = Some(text.into());
        self
    }

    /// Whether the switch will tell an outcome: after a yes it does; a no and the words after settlement get none.
    pub(super) fn is_yes(&self) -> bool {
        matches!(self.status, Status::ACTC | Status::ACWP)
    }

    pub(super) fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) -> crate::Result<()> {
        let answer = Answer {
            message_id: stamp.message_id.as_str(),
            created_at: stamp.at,
            uetr: self.uetr,
            debtor_agent: self.debtor_agent,
            status: self.status,
            reason: self.reason,
            additional_information: self.additional_information.as_deref(),
        };
        answer.check()?;
        encode(Kind::Answer, &answer, out);
        Ok(())
    }
}
