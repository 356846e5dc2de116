//! Messages to test with, and how each reads as JSON: the form that PROTOCOL.md calls the JSON of a vector.
#![allow(dead_code, clippy::unwrap_used)] // each test takes what it needs; a panic is how a test fails

use serde_json::{Value, json};
use wire::message::*;
use wire::*;

/// Two of each field type: the small one and the large one.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) large: bool,
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) reference: String,
    pub(crate) remittance: String,
    pub(crate) additional: String,
    pub(crate) text: String,
    pub(crate) nodes: Option<String>,
    pub(crate) software: String,
    pub(crate) message_id: String,
    pub(crate) participants: [ParticipantId; 2],
    pub(crate) uetrs: [Uetr; 2],
    pub(crate) number: u64,
    pub(crate) amount_minor: i64,
    pub(crate) at: Timestamp,
    pub(crate) currency: Currency,
    pub(crate) date: BusinessDate,
    pub(crate) reasons: Reasons,
}

pub(crate) fn small() -> Sample {
    Sample {
        large: false,
        name: "A".into(),
        account: "1".into(),
        reference: "R".into(),
        remittance: "I".into(),
        additional: "x".into(),
        text: "t".into(),
        nodes: None,
        software: "s".into(),
        message_id: "20261123NORTHBANK1".into(),
        participants: ["N".parse().unwrap(), "021000021".parse().unwrap()],
        uetrs: [Uetr::from_random([0; 16]), Uetr::from_random([1; 16])],
        number: 1,
        amount_minor: 1,
        at: Timestamp(0),
        currency: Currency::EUR,
        date: BusinessDate::NONE,
        reasons: Reasons::NONE,
    }
}

/// Sixteen of them, with commas between, are as long as a list may be.
fn longest_address(number: usize) -> String {
    format!("{}.example:{}", "n".repeat(if number == 0 { 50 } else { 49 }), 65_520 + number)
}

/// Everything as long and as large as it may be, and text that is not ASCII.
pub(crate) fn large() -> Sample {
    let mut reasons = Reasons::NONE;
    [Reason::AM04, Reason::AM02, Reason::CURR, Reason::E996].into_iter().for_each(|reason| reasons.add(reason));
    Sample {
        large: true,
        name: "€".repeat(140),
        account: "Ä".repeat(34),
        reference: "9".repeat(35),
        remittance: "𝄞".repeat(140),
        additional: "ß".repeat(105),
        text: "~".repeat(512),
        nodes: Some((0..16).map(longest_address).collect::<Vec<_>>().join(",")),
        software: "client/1 ".repeat(8)[..64].into(),
        message_id: "M20261123NORTHBANK01B00012345678901".into(),
        participants: ["ABCDEFGH-1234567".parse().unwrap(), "DEUTDEFF500".parse().unwrap()],
        uetrs: [Uetr::from_random([0xff; 16]), Uetr::from_random([0xab; 16])],
        number: u64::MAX,
        amount_minor: Money::MINOR_MAX,
        at: Timestamp(u64::MAX),
        currency: "KWD".parse().unwrap(),
        date: "9999-12-31".parse().unwrap(),
        reasons,
    }
}

impl Sample {
    fn optional<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.large.then_some(text)
    }

    pub(crate) fn transfer(&self) -> CreditTransfer<'_> {
        CreditTransfer {
            message_id: &self.message_id,
            created_at: self.at,
            uetr: self.uetrs[0],
            debtor_agent: self.participants[0],
            creditor_agent: self.participants[1],
            amount_minor: self.amount_minor,
            currency: self.currency,
            end_to_end_id: &self.reference,
            instruction_id: self.optional(&self.reference),
            debtor: Party { name: &self.name, account: &self.account },
            creditor: Party { name: &self.name, account: &self.account },
            remittance_information: self.optional(&self.remittance),
        }
    }

    pub(crate) fn payment_return(&self) -> PaymentReturn<'_> {
        PaymentReturn {
            message_id: &self.message_id,
            created_at: self.at,
            uetr: self.uetrs[0],
            debtor_agent: self.participants[0],
            creditor_agent: self.participants[1],
            amount_minor: self.amount_minor,
            currency: self.currency,
            original_uetr: self.uetrs[1],
            reason: Reason::FOCR,
            additional_information: self.optional(&self.additional),
        }
    }

    /// One message of each kind.
    pub(crate) fn messages(&self) -> Vec<Message<'_>> {
        let Sample { large, number, amount_minor, at, currency, date, .. } = *self;
        let ([uetr, _], [debtor_agent, creditor_agent]) = (self.uetrs, self.participants);
        let four = if large { u32::MAX } else { 0 };
        vec![
            Message::SignOn(SignOn {
                protocol_min: 1,
                protocol_max: if large { u16::MAX } else { 1 },
                participant: debtor_agent,
                last_notice: number - 1,
                last_system_notice: number,
                software: &self.software,
            }),
            Message::SignOff(SignOff { sent_at: at }),
            Message::Heartbeat(Heartbeat { sent_at: at, last_notice: number, last_system_notice: number - 1 }),
            Message::CreditTransfer(self.transfer()),
            Message::Answer(Answer {
                message_id: &self.message_id,
                created_at: at,
                uetr,
                debtor_agent,
                status: if large { Status::RJCT } else { Status::ACTC },
                reason: if large { Reason::AC04 } else { Reason::NONE },
                additional_information: self.optional(&self.additional),
            }),
            Message::PaymentReturn(self.payment_return()),
            Message::StatusRequest(StatusRequest { uetr, debtor_agent }),
            Message::SignedOn(SignedOn {
                protocol: 1,
                node: &self.software,
                next_notice: number,
                next_system_notice: number - 1,
                window: four,
                frame_bytes_max: 4096,
                silence_max_ms: four,
                payment_timeout_ms: 10_000,
                creditor_share_ms: 5_000,
                skew_max_ms: four,
                business_date: date,
                sent_at: at,
            }),
            Message::GoAway(GoAway {
                reason: Reason::DRAN,
                retry_after_ms: four,
                text: &self.text,
                nodes: self.nodes.as_deref(),
            }),
            Message::HeartbeatReply(HeartbeatReply { echo: at, sent_at: Timestamp(1) }),
            Message::Refused(Refused {
                kind: if large { u16::MAX } else { 0 },
                uetr: if large { *uetr.bytes() } else { [0; 16] },
                reason: Reason::FORM,
                text: &self.text,
            }),
            Message::StatusReport(StatusReport {
                uetr,
                debtor_agent,
                status: if large { Status::RJCT } else { Status::ACSP },
                reasons: self.reasons,
                amount_minor,
                currency,
                settlement_date: date,
                at,
            }),
            Message::TransferNotice(TransferNotice { number, at, deadline: at, transfer: self.transfer() }),
            Message::StatusNotice(StatusNotice {
                number,
                at,
                uetr,
                debtor_agent,
                creditor_agent,
                amount_minor,
                currency,
                status: if large { Status::RJCT } else { Status::ACSC },
                reasons: self.reasons,
                settlement_date: date,
                original_message_id: &self.message_id,
                additional_information: self.optional(&self.additional),
            }),
            Message::ReturnNotice(ReturnNotice { number, at, deadline: at, payment_return: self.payment_return() }),
            Message::PositionNotice(PositionNotice {
                number,
                at,
                currency,
                funded_minor: if large { i64::MAX } else { 0 },
                net_minor: if large { i64::MIN } else { 0 },
                reserved_minor: amount_minor,
                net_debit_cap_minor: -1,
            }),
            Message::SystemNotice(SystemNotice {
                number,
                at,
                event: if large { SystemEvent::FPOF } else { SystemEvent::ROLL },
                participant: if large { debtor_agent } else { ParticipantId::NONE },
                business_date: date,
            }),
        ]
    }
}

fn id(participant: ParticipantId) -> Value {
    if participant.is_none() { Value::Null } else { json!(participant.as_str()) }
}

fn code(reason: Reason) -> Value {
    if reason.is_none() { Value::Null } else { json!(reason.as_str()) }
}

fn party(party: &Party<'_>) -> Value {
    json!({ "name": party.name, "account": party.account })
}

fn transfer(it: &CreditTransfer<'_>) -> Value {
    json!({
        "message_id": it.message_id, "created_at": it.created_at.0, "uetr": it.uetr.to_string(),
        "debtor_agent": id(it.debtor_agent), "creditor_agent": id(it.creditor_agent),
        "amount_minor": it.amount_minor, "currency": it.currency.as_str(), "end_to_end_id": it.end_to_end_id,
        "instruction_id": it.instruction_id, "debtor": party(&it.debtor), "creditor": party(&it.creditor),
        "remittance_information": it.remittance_information,
    })
}

fn payment_return(it: &PaymentReturn<'_>) -> Value {
    json!({
        "message_id": it.message_id, "created_at": it.created_at.0, "uetr": it.uetr.to_string(),
        "debtor_agent": id(it.debtor_agent), "creditor_agent": id(it.creditor_agent),
        "amount_minor": it.amount_minor, "currency": it.currency.as_str(),
        "original_uetr": it.original_uetr.to_string(), "reason": code(it.reason),
        "additional_information": it.additional_information,
    })
}

/// The fields of a message, by the names of the protocol.
pub(crate) fn fields(message: &Message<'_>) -> Value {
    let reasons = |reasons: &Reasons| json!(reasons.iter().map(|reason| reason.to_string()).collect::<Vec<_>>());
    match message {
        Message::SignOn(it) => json!({
            "protocol_min": it.protocol_min, "protocol_max": it.protocol_max, "participant": id(it.participant),
            "last_notice": it.last_notice, "last_system_notice": it.last_system_notice, "software": it.software,
        }),
        Message::SignOff(it) => json!({ "sent_at": it.sent_at.0 }),
        Message::Heartbeat(it) => json!({
            "sent_at": it.sent_at.0, "last_notice": it.last_notice, "last_system_notice": it.last_system_notice,
        }),
        Message::CreditTransfer(it) => transfer(it),
        Message::PaymentReturn(it) => payment_return(it),
        Message::Answer(it) => json!({
            "message_id": it.message_id, "created_at": it.created_at.0, "uetr": it.uetr.to_string(),
            "debtor_agent": id(it.debtor_agent), "status": it.status.as_str(), "reason": code(it.reason),
            "additional_information": it.additional_information,
        }),
        Message::StatusRequest(it) => json!({ "uetr": it.uetr.to_string(), "debtor_agent": id(it.debtor_agent) }),
        Message::SignedOn(it) => json!({
            "protocol": it.protocol, "node": it.node, "next_notice": it.next_notice,
            "next_system_notice": it.next_system_notice, "window": it.window, "frame_bytes_max": it.frame_bytes_max,
            "silence_max_ms": it.silence_max_ms, "payment_timeout_ms": it.payment_timeout_ms,
            "creditor_share_ms": it.creditor_share_ms, "skew_max_ms": it.skew_max_ms,
            "business_date": it.business_date.number(), "sent_at": it.sent_at.0,
        }),
        Message::GoAway(it) => {
            json!({
                "reason": code(it.reason), "retry_after_ms": it.retry_after_ms, "text": it.text, "nodes": it.nodes,
            })
        }
        Message::HeartbeatReply(it) => json!({ "echo": it.echo.0, "sent_at": it.sent_at.0 }),
        Message::Refused(it) => json!({
            "kind": it.kind,
            "uetr": if it.uetr == [0; 16] { Value::Null } else { json!(Uetr::from_bytes(it.uetr).unwrap().to_string()) },
            "reason": code(it.reason), "text": it.text,
        }),
        Message::StatusReport(it) => json!({
            "uetr": it.uetr.to_string(), "debtor_agent": id(it.debtor_agent), "status": it.status.as_str(),
            "reasons": reasons(&it.reasons), "amount_minor": it.amount_minor, "currency": it.currency.as_str(),
            "settlement_date": it.settlement_date.number(), "at": it.at.0,
        }),
        Message::TransferNotice(it) => json!({
            "number": it.number, "at": it.at.0, "deadline": it.deadline.0, "transfer": transfer(&it.transfer),
        }),
        Message::ReturnNotice(it) => json!({
            "number": it.number, "at": it.at.0, "deadline": it.deadline.0,
            "payment_return": payment_return(&it.payment_return),
        }),
        Message::StatusNotice(it) => json!({
            "number": it.number, "at": it.at.0, "uetr": it.uetr.to_string(), "debtor_agent": id(it.debtor_agent),
            "creditor_agent": id(it.creditor_agent), "amount_minor": it.amount_minor,
            "currency": it.currency.as_str(), "status": it.status.as_str(), "reasons": reasons(&it.reasons),
            "settlement_date": it.settlement_date.number(), "original_message_id": it.original_message_id,
            "additional_information": it.additional_information,
        }),
        Message::PositionNotice(it) => json!({
            "number": it.number, "at": it.at.0, "currency": it.currency.as_str(), "funded_minor": it.funded_minor,
            "net_minor": it.net_minor, "reserved_minor": it.reserved_minor,
            "net_debit_cap_minor": it.net_debit_cap_minor,
        }),
        Message::SystemNotice(it) => json!({
            "number": it.number, "at": it.at.0, "event": it.event.as_str(), "participant": id(it.participant),
            "business_date": it.business_date.number(),
        }),
    }
}
