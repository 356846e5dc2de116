//! What a session hands to an actor: the instructions of one socket read, decoded and checked for form.
//!
//! Text stays in the bytes that were read; an instruction only knows where.

use std::ops::Range;
use std::sync::Arc;

use settlement::{Answer, Command, Operation, Scheme, Submit, content_of};
use wire::message::{CreditTransfer, PaymentReturn};
use wire::{Kind, Message, ParticipantId, Reason, Status, Uetr};

use crate::Line;

type Place = Range<u32>;

/// See the file's head.
#[derive(Clone, Debug)]
pub enum Instruction {
    Submit { submit: Submit, body: Place, kind: Kind },
    Answer { debtor_agent: ParticipantId, uetr: Uetr, status: Status, reason: Reason, text: Option<Place> },
    Inquire { debtor_agent: ParticipantId, uetr: Uetr },
    SignOn,
    SignOff,
}

/// The instructions of one socket read, in order, and the connection that they came on. When they are done, their memory
/// goes back to the connection for its next read.
pub struct Instructions {
    pub line: Arc<Line>,
    pub bytes: Vec<u8>,
    pub items: Vec<Instruction>,
}

impl Instruction {
    /// Takes an instruction from a checked message of `participant`. `body` is where the message's body lies in
    /// `bytes`. `None` for messages that are no instructions; an error when it speaks for somebody else.
    pub fn take(
        message: &Message<'_>,
        body: Range<usize>,
        bytes: &[u8],
        participant: ParticipantId,
    ) -> Result<Option<Instruction>, Reason> {
        let place = body.start as u32..body.end as u32;
        let own = |debtor_agent: ParticipantId| if debtor_agent == participant { Ok(()) } else { Err(Reason::AGNT) };
        Ok(Some(match message {
            Message::CreditTransfer(transfer) => {
                own(transfer.debtor_agent)?;
                Instruction::Submit {
                    submit: of_transfer(transfer, &bytes[body])?,
                    body: place,
                    kind: Kind::CreditTransfer,
                }
            }
            Message::PaymentReturn(payment_return) => {
                own(payment_return.debtor_agent)?;
                let submit = of_return(payment_return, &bytes[body])?;
                Instruction::Submit { submit, body: place, kind: Kind::PaymentReturn }
            }
            Message::Answer(answer) => Instruction::Answer {
                debtor_agent: answer.debtor_agent,
                uetr: answer.uetr,
                status: answer.status,
                reason: answer.reason,
                text: answer.additional_information.map(|text| {
                    let start = (text.as_ptr() as usize - bytes.as_ptr() as usize) as u32;
                    start..start + text.len() as u32
                }),
            },
            Message::StatusRequest(request) => {
                Instruction::Inquire { debtor_agent: request.debtor_agent, uetr: request.uetr }
            }
            Message::SignOn(_) => Instruction::SignOn,
            Message::SignOff(_) => Instruction::SignOff,
            _ => return Ok(None),
        }))
    }

    /// The message it came as and the payment it speaks of, for a refusal.
    pub(crate) fn subject(&self) -> (Kind, Option<Uetr>) {
        match self {
            Instruction::Submit { submit, kind, .. } => (*kind, Some(submit.uetr)),
            Instruction::Answer { uetr, .. } => (Kind::Answer, Some(*uetr)),
            Instruction::Inquire { uetr, .. } => (Kind::StatusRequest, Some(*uetr)),
            Instruction::SignOn => (Kind::SignOn, None),
            Instruction::SignOff => (Kind::SignOff, None),
        }
    }

    /// The command for the pure core; a refusal when it names an agent that does not exist.
    pub(crate) fn command<'a>(&'a self, bytes: &'a [u8], scheme: &Scheme) -> Result<Command<'a>, Reason> {
        Ok(match self {
            Instruction::Submit { submit, body, .. } => Command::Submit { submit, body: slice(bytes, body) },
            Instruction::Answer { debtor_agent, uetr, status, reason, text } => Command::Answer(Answer {
                debtor_agent: *debtor_agent,
                uetr: *uetr,
                status: *status,
                reason: *reason,
                additional_information: text.as_ref().and_then(|text| std::str::from_utf8(slice(bytes, text)).ok()),
            }),
            Instruction::Inquire { debtor_agent, uetr } => {
                let debtor = scheme.key(*debtor_agent).ok_or(Reason::AG09)?;
                Command::Inquire { debtor, uetr: *uetr }
            }
            Instruction::SignOn => Command::Operate(Operation::SignOn),
            Instruction::SignOff => Command::Operate(Operation::SignOff),
        })
    }
}

fn slice<'a>(bytes: &'a [u8], place: &Place) -> &'a [u8] {
    bytes.get(place.start as usize..place.end as usize).unwrap_or_default()
}

fn of_transfer(transfer: &CreditTransfer<'_>, body: &[u8]) -> Result<Submit, Reason> {
    Ok(Submit {
        message_id: transfer.message_id.parse().map_err(|_| Reason::FORM)?,
        created_at: transfer.created_at,
        uetr: transfer.uetr,
        creditor_agent: transfer.creditor_agent,
        amount_minor: transfer.amount_minor,
        currency: transfer.currency,
        content: content_of(body, transfer.message_id),
        original: None,
    })
}

fn of_return(payment_return: &PaymentReturn<'_>, body: &[u8]) -> Result<Submit, Reason> {
    Ok(Submit {
        message_id: payment_return.message_id.parse().map_err(|_| Reason::FORM)?,
        created_at: payment_return.created_at,
        uetr: payment_return.uetr,
        creditor_agent: payment_return.creditor_agent,
        amount_minor: payment_return.amount_minor,
        currency: payment_return.currency,
        content: content_of(body, payment_return.message_id),
        original: Some(payment_return.original_uetr),
    })
}
