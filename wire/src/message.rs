//! The messages of the native protocol, one struct each. Names follow ISO 20022, so that the XML dialect is a codec.
//!
//! Text is borrowed from the frame it came in: decoding allocates nothing. [`crate::frame::decode`] gives only messages
//! whose every field was checked; [`Message::check`] is that check.

use wincode::{SchemaRead, SchemaWrite};

use crate::identifiers::{MessageId, ParticipantId, Uetr};
use crate::money::{Currency, Money};
use crate::reason::{Reason, Reasons, Status};
use crate::text::{check as text, check_optional as optional_text};
use crate::time::{BusinessDate, Timestamp};
use crate::{Error, Result};

/// The protocol versions that this library speaks.
pub const PROTOCOL_MIN: u16 = 1;
pub const PROTOCOL_MAX: u16 = 1;

/// As a last notice number in [`SignOn`]: begin behind the present end of the feed. For tools that are not interested in
/// what was before; a participant says its own number.
pub const FROM_NOW: u64 = u64::MAX;

/// Name of a debtor or creditor (ISO `Max140Text`).
pub const NAME_LENGTH_MAX: usize = 140;
/// Account identification (ISO `Max34Text`).
pub const ACCOUNT_LENGTH_MAX: usize = 34;
/// Customer and instruction references (ISO `Max35Text`).
pub const REFERENCE_LENGTH_MAX: usize = 35;
/// Unstructured remittance information (ISO `Max140Text`).
pub const REMITTANCE_LENGTH_MAX: usize = 140;
/// Additional information of a reason (ISO `Max105Text`).
pub const ADDITIONAL_LENGTH_MAX: usize = 105;

/// First message on a connection: who speaks, which versions, and where its feeds stopped.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SignOn<'a> {
    pub protocol_min: u16,
    pub protocol_max: u16,
    pub participant: ParticipantId,
    /// Number of the last notice that was processed; 0 for none, or [`FROM_NOW`]. The switch goes on after it.
    pub last_notice: u64,
    /// The same for the shared system feed.
    pub last_system_notice: u64,
    /// Name and version of the client, for the operator's eyes (1 to 64 characters).
    pub software: &'a str,
}

/// Ends taking part: payments to this participant are rejected until it signs on again. Its sent payments go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SignOff {
    pub sent_at: Timestamp,
}

/// Says "I am here" and how far the feeds are processed. Answered by [`HeartbeatReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Heartbeat {
    pub sent_at: Timestamp,
    pub last_notice: u64,
    pub last_system_notice: u64,
}

/// Debtor or creditor: the customer behind an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Party<'a> {
    pub name: &'a str,
    pub account: &'a str,
}

/// pacs.008: move money from the debtor agent to the creditor agent.
///
/// `message_id` and `created_at` stand first because they alone may differ when the same payment is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct CreditTransfer<'a> {
    /// `GrpHdr/MsgId`
    pub message_id: &'a str,
    /// `GrpHdr/CreDtTm`: starts the payment's clock.
    pub created_at: Timestamp,
    /// `PmtId/UETR`
    pub uetr: Uetr,
    /// `InstgAgt`
    pub debtor_agent: ParticipantId,
    /// `InstdAgt`
    pub creditor_agent: ParticipantId,
    /// `IntrBkSttlmAmt` in minor units, positive.
    pub amount_minor: i64,
    /// `IntrBkSttlmAmt/@Ccy`
    pub currency: Currency,
    /// `PmtId/EndToEndId`, 1 to 35 characters.
    pub end_to_end_id: &'a str,
    /// `PmtId/InstrId`, 1 to 35 characters.
    pub instruction_id: Option<&'a str>,
    /// `Dbtr/Nm`, `DbtrAcct/Id`
    pub debtor: Party<'a>,
    /// `Cdtr/Nm`, `CdtrAcct/Id`
    pub creditor: Party<'a>,
    /// `RmtInf/Ustrd`, 1 to 140 characters.
    pub remittance_information: Option<&'a str>,
}

/// pacs.004: the creditor agent of a settled payment (or, of a return, nobody) gives money back, wholly or in part.
/// A payment of its own: asked, settled and told like a credit transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct PaymentReturn<'a> {
    pub message_id: &'a str,
    pub created_at: Timestamp,
    /// The return's own reference.
    pub uetr: Uetr,
    /// The agent that returns: creditor agent of the original.
    pub debtor_agent: ParticipantId,
    /// The agent that gets the money back: debtor agent of the original.
    pub creditor_agent: ParticipantId,
    /// `RtrdIntrBkSttlmAmt` in minor units, positive.
    pub amount_minor: i64,
    pub currency: Currency,
    /// `OrgnlUETR`
    pub original_uetr: Uetr,
    /// `RtrRsnInf/Rsn/Cd`
    pub reason: Reason,
    /// `RtrRsnInf/AddtlInf`, 1 to 105 characters.
    pub additional_information: Option<&'a str>,
}

/// pacs.002 from the creditor agent: accept (ACTC), accept without posting (ACWP) or reject (RJCT with its reason);
/// after settlement of an ACWP also ACCC, PDNG, BLCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Answer<'a> {
    pub message_id: &'a str,
    pub created_at: Timestamp,
    /// `OrgnlUETR`
    pub uetr: Uetr,
    /// Debtor agent of the payment that is answered: a payment is known by (debtor agent, UETR).
    pub debtor_agent: ParticipantId,
    pub status: Status,
    /// With RJCT: why. All zero otherwise.
    pub reason: Reason,
    pub additional_information: Option<&'a str>,
}

/// pacs.028: what became of this payment? Debtor and creditor agent may ask. Answered by [`StatusReport`] or [`Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct StatusRequest {
    pub uetr: Uetr,
    pub debtor_agent: ParticipantId,
}

/// The switch's answer to [`SignOn`], with the rules of the session.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SignedOn<'a> {
    /// The version spoken from here on.
    pub protocol: u16,
    /// Name of the node.
    pub node: &'a str,
    /// Number of the next notice that will come, normally the last processed plus one.
    pub next_notice: u64,
    pub next_system_notice: u64,
    /// Instructions that may be outstanding before the switch stops reading.
    pub window: u32,
    /// Largest frame accepted, bytes.
    pub frame_bytes_max: u32,
    /// A connection that is silent for longer is closed.
    pub silence_max_ms: u32,
    /// The scheme clock: from the timestamp of the credit transfer to the end.
    pub payment_timeout_ms: u32,
    /// Of that, what must be left for the creditor agent when it is asked.
    pub creditor_share_ms: u32,
    /// How far in the future a timestamp may lie.
    pub skew_max_ms: u32,
    pub business_date: BusinessDate,
    pub sent_at: Timestamp,
}

/// The switch ends the session. What to do next stands in the text.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct GoAway<'a> {
    pub reason: Reason,
    /// Wait so long before connecting to this node again.
    pub retry_after_ms: u32,
    pub text: &'a str,
    /// Other nodes that take this participant at once: see [`crate::nodes`].
    pub nodes: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct HeartbeatReply {
    /// `sent_at` of the heartbeat.
    pub echo: Timestamp,
    pub sent_at: Timestamp,
}

/// admi.002: a message was refused and nothing was recorded of it. The payment it speaks of, if any, is untouched.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Refused<'a> {
    /// Kind of the refused message; 0 when it could not be told.
    pub kind: u16,
    /// The payment it speaks of; sixteen zero bytes when it could not be told.
    pub uetr: [u8; 16],
    pub reason: Reason,
    /// What is wrong, in a sentence.
    pub text: &'a str,
}

/// pacs.002 on request, or because a payment was sent again: what became of it. Unnumbered, and not a new outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct StatusReport {
    pub uetr: Uetr,
    pub debtor_agent: ParticipantId,
    pub status: Status,
    pub reasons: Reasons,
    pub amount_minor: i64,
    pub currency: Currency,
    /// Set when settled.
    pub settlement_date: BusinessDate,
    /// When it got this status.
    pub at: Timestamp,
}

/// Notice to the creditor agent: a payment is offered, answer before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct TransferNotice<'a> {
    pub number: u64,
    /// When the funds were set aside.
    pub at: Timestamp,
    /// An answer decided later than this never settles.
    pub deadline: Timestamp,
    pub transfer: CreditTransfer<'a>,
}

/// Notice to the debtor agent of the original payment: money is offered back, answer before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct ReturnNotice<'a> {
    pub number: u64,
    pub at: Timestamp,
    pub deadline: Timestamp,
    pub payment_return: PaymentReturn<'a>,
}

/// pacs.002 as a notice: the one final outcome of a payment, told to its debtor agent and, if it had been asked, to its
/// creditor agent. Also relays ACCC, PDNG and BLCK, which change no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct StatusNotice<'a> {
    pub number: u64,
    pub at: Timestamp,
    pub uetr: Uetr,
    pub debtor_agent: ParticipantId,
    /// None (sixteen zero bytes) when the payment named a creditor agent that is not registered.
    pub creditor_agent: ParticipantId,
    pub amount_minor: i64,
    pub currency: Currency,
    /// ACSC settled, ACWP settled without posting, RJCT rejected or expired; ACCC, PDNG, BLCK afterwards.
    pub status: Status,
    pub reasons: Reasons,
    /// `FctvIntrBkSttlmDt`, when settled.
    pub settlement_date: BusinessDate,
    /// `OrgnlMsgId`
    pub original_message_id: &'a str,
    pub additional_information: Option<&'a str>,
}

/// admi.004 998 as a notice: the position was funded, defunded or a limit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct PositionNotice {
    pub number: u64,
    pub at: Timestamp,
    pub currency: Currency,
    pub funded_minor: i64,
    pub net_minor: i64,
    pub reserved_minor: i64,
    /// Negative: no cap.
    pub net_debit_cap_minor: i64,
}

/// admi.004 as a notice of the shared system feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SystemNotice {
    pub number: u64,
    pub at: Timestamp,
    pub event: SystemEvent,
    /// Whom it concerns; none for the whole system.
    pub participant: ParticipantId,
    pub business_date: BusinessDate,
}

/// Event codes of admi.004: four ASCII letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct SystemEvent([u8; 4]);

impl SystemEvent {
    /// The business date rolled.
    pub const ROLL: SystemEvent = SystemEvent(*b"ROLL");
    /// A participant signed on.
    pub const FPON: SystemEvent = SystemEvent(*b"FPON");
    /// A participant signed off.
    pub const FPOF: SystemEvent = SystemEvent(*b"FPOF");
    /// A participant was suspended, in one direction or both.
    pub const SUSP: SystemEvent = SystemEvent(*b"SUSP");
    /// A participant's suspension ended.
    pub const RESU: SystemEvent = SystemEvent(*b"RESU");
    /// A participant joined.
    pub const JOIN: SystemEvent = SystemEvent(*b"JOIN");

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("????")
    }

    fn check(&self, field: &'static str) -> Result<()> {
        if self.0.iter().all(u8::is_ascii_uppercase) { Ok(()) } else { Err(Error::field_is(field, "is no event code")) }
    }
}

impl std::fmt::Debug for SystemEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Any message, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    SignOn(SignOn<'a>),
    SignOff(SignOff),
    Heartbeat(Heartbeat),
    CreditTransfer(CreditTransfer<'a>),
    PaymentReturn(PaymentReturn<'a>),
    Answer(Answer<'a>),
    StatusRequest(StatusRequest),
    SignedOn(SignedOn<'a>),
    GoAway(GoAway<'a>),
    HeartbeatReply(HeartbeatReply),
    Refused(Refused<'a>),
    StatusReport(StatusReport),
    TransferNotice(TransferNotice<'a>),
    ReturnNotice(ReturnNotice<'a>),
    StatusNotice(StatusNotice<'a>),
    PositionNotice(PositionNotice),
    SystemNotice(SystemNotice),
}

fn amount(minor: i64, currency: &Currency) -> Result<()> {
    // Zero and negative amounts are business, not syntax: they are rejected with AM01 and the rejection is recorded.
    if minor.unsigned_abs() > Money::MINOR_MAX as u64 {
        return Err(Error::field_is("amount_minor", "has more than 18 digits"));
    }
    currency.check("currency")
}

fn optional_date(date: BusinessDate, field: &'static str) -> Result<()> {
    if date.is_none() {
        return Ok(());
    }
    BusinessDate::from_number(date.number()).map(|_| ()).map_err(|error| Error::field_is(field, error.to_string()))
}

impl Party<'_> {
    fn check(&self, name: &'static str, account: &'static str) -> Result<()> {
        text(self.name, NAME_LENGTH_MAX, name)?;
        text(self.account, ACCOUNT_LENGTH_MAX, account)
    }
}

impl CreditTransfer<'_> {
    pub fn check(&self) -> Result<()> {
        MessageId::check_text(self.message_id, "message_id")?;
        self.uetr.check("uetr")?;
        self.debtor_agent.check("debtor_agent")?;
        self.creditor_agent.check("creditor_agent")?;
        amount(self.amount_minor, &self.currency)?;
        text(self.end_to_end_id, REFERENCE_LENGTH_MAX, "end_to_end_id")?;
        optional_text(self.instruction_id, REFERENCE_LENGTH_MAX, "instruction_id")?;
        self.debtor.check("debtor.name", "debtor.account")?;
        self.creditor.check("creditor.name", "creditor.account")?;
        optional_text(self.remittance_information, REMITTANCE_LENGTH_MAX, "remittance_information")
    }

    pub fn money(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

impl PaymentReturn<'_> {
    pub fn check(&self) -> Result<()> {
        MessageId::check_text(self.message_id, "message_id")?;
        self.uetr.check("uetr")?;
        self.debtor_agent.check("debtor_agent")?;
        self.creditor_agent.check("creditor_agent")?;
        amount(self.amount_minor, &self.currency)?;
        self.original_uetr.check("original_uetr")?;
        self.reason.check("reason")?;
        optional_text(self.additional_information, ADDITIONAL_LENGTH_MAX, "additional_information")
    }
}

impl Answer<'_> {
    pub fn check(&self) -> Result<()> {
        MessageId::check_text(self.message_id, "message_id")?;
        self.uetr.check("uetr")?;
        self.debtor_agent.check("debtor_agent")?;
        let allowed = [Status::ACTC, Status::ACWP, Status::RJCT, Status::ACCC, Status::PDNG, Status::BLCK];
        if !allowed.contains(&self.status) {
            return Err(Error::field_is("status", "must be ACTC, ACWP, RJCT, ACCC, PDNG or BLCK"));
        }
        if self.status == Status::RJCT {
            self.reason.check("reason")?;
        } else if !self.reason.is_none() {
            return Err(Error::field_is("reason", "may stand only with RJCT"));
        }
        optional_text(self.additional_information, ADDITIONAL_LENGTH_MAX, "additional_information")
    }
}

impl Message<'_> {
    /// Checks every field that its type alone does not keep right, in the order of the body.
    pub fn check(&self) -> Result<()> {
        match self {
            Message::SignOn(sign_on) => {
                if sign_on.protocol_min == 0 || sign_on.protocol_min > sign_on.protocol_max {
                    return Err(Error::field_is("protocol_min", "must be at least 1 and not above protocol_max"));
                }
                sign_on.participant.check("participant")?;
                text(sign_on.software, 64, "software")
            }
            Message::SignOff(_) | Message::Heartbeat(_) | Message::HeartbeatReply(_) => Ok(()),
            Message::CreditTransfer(transfer) => transfer.check(),
            Message::PaymentReturn(payment_return) => payment_return.check(),
            Message::Answer(answer) => answer.check(),
            Message::StatusRequest(request) => {
                request.uetr.check("uetr")?;
                request.debtor_agent.check("debtor_agent")
            }
            Message::SignedOn(signed_on) => {
                text(signed_on.node, 64, "node")?;
                optional_date(signed_on.business_date, "business_date")
            }
            Message::GoAway(go_away) => {
                go_away.reason.check("reason")?;
                text(go_away.text, 512, "text")?;
                crate::nodes::check(go_away.nodes, "nodes")
            }
            Message::Refused(refused) => {
                refused.reason.check("reason")?;
                text(refused.text, 512, "text")
            }
            Message::StatusReport(report) => {
                report.uetr.check("uetr")?;
                report.debtor_agent.check("debtor_agent")?;
                report.status.check("status")?;
                report.reasons.check("reasons")?;
                amount(report.amount_minor, &report.currency)?;
                optional_date(report.settlement_date, "settlement_date")
            }
            Message::TransferNotice(notice) => notice.transfer.check(),
            Message::ReturnNotice(notice) => notice.payment_return.check(),
            Message::StatusNotice(notice) => {
                notice.uetr.check("uetr")?;
                notice.debtor_agent.check("debtor_agent")?;
                if !notice.creditor_agent.is_none() {
                    notice.creditor_agent.check("creditor_agent")?;
                }
                amount(notice.amount_minor, &notice.currency)?;
                notice.status.check("status")?;
                notice.reasons.check("reasons")?;
                optional_date(notice.settlement_date, "settlement_date")?;
                MessageId::check_text(notice.original_message_id, "original_message_id")?;
                optional_text(notice.additional_information, ADDITIONAL_LENGTH_MAX, "additional_information")
            }
            Message::PositionNotice(notice) => notice.currency.check("currency"),
            Message::SystemNotice(notice) => {
                notice.event.check("event")?;
                if !notice.participant.is_none() {
                    notice.participant.check("participant")?;
                }
                optional_date(notice.business_date, "business_date")
            }
        }
    }
}
