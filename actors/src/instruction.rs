//! What a session hands to an actor: the instructions of one socket read, decoded and checked for form.
//!
//! Text stays in the bytes that were read; an instruction only knows where. The node that leads decodes the same bytes
//! again with the same function, so both count the same instructions.

use std::ops::Range;
use std::sync::Arc;

use settlement::{Answer, Command, Operation, Scheme, Submit, content_of};
use wire::frame::{Frame, decode};
use wire::message::{CreditTransfer, Heartbeat, PaymentReturn};
use wire::{Frames, Kind, Message, ParticipantId, Reason, Status, Uetr};

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

/// The instructions of one socket read, in order, and the bytes they came in: whole frames.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub items: Vec<Instruction>,
}

/// Instructions on their way to the actor of their participant, and the connection that they came on. Those before `from`
/// are done already.
pub(crate) struct Instructions {
    pub(crate) line: Arc<Line>,
    pub(crate) batch: Arc<Batch>,
    pub(crate) from: usize,
}

/// A frame that holds no instruction.
pub enum Other<'a> {
    Heartbeat(Heartbeat),
    /// To be refused; the error says more than the reason, where there is one.
    Wrong {
        frame: Frame<'a>,
        reason: Reason,
        error: Option<wire::Error>,
    },
}

impl Batch {
    /// The one that a connection begins with: it came in the frame that opened it.
    pub fn sign_on() -> Batch {
        Batch { bytes: Vec::new(), items: vec![Instruction::SignOn] }
    }

    pub(crate) fn is_sign_on(&self) -> bool {
        matches!(self.items[..], [Instruction::SignOn])
    }

    /// Takes the instructions out of the bytes; `other` hears of the frames that hold none. True after a sign-off: what
    /// comes behind it is not looked at.
    pub fn decode(&mut self, participant: ParticipantId, mut other: impl FnMut(Other<'_>)) -> bool {
        let Batch { bytes, items } = self;
        for frame in Frames::new(bytes).map_while(Result::ok) {
            match instruction_in(&frame, bytes, participant) {
                Ok(instruction) => {
                    let signs_off = matches!(instruction, Instruction::SignOff);
                    items.push(instruction);
                    if signs_off {
                        return true;
                    }
                }
                Err(none) => other(none),
            }
        }
        false
    }

    /// The bytes of the instructions from number `from` on, and how many these are, in pieces of about `bytes_max`.
    pub(crate) fn pieces(
        &self,
        from: usize,
        participant: ParticipantId,
        bytes_max: usize,
    ) -> Vec<(Range<usize>, usize)> {
        if from == 0 && self.bytes.len() <= bytes_max {
            return vec![(0..self.bytes.len(), self.items.len())];
        }
        let (mut pieces, mut at, mut number) = (Vec::<(Range<usize>, usize)>::new(), 0, 0);
        for frame in Frames::new(&self.bytes).map_while(Result::ok) {
            let end = place_of(frame.body, &self.bytes).end;
            let holds_one = number < self.items.len() && instruction_in(&frame, &self.bytes, participant).is_ok();
            if holds_one {
                number += 1;
                if number > from {
                    match pieces.last_mut() {
                        Some((piece, count)) if end - piece.start <= bytes_max => {
                            (piece.end, *count) = (end, *count + 1)
                        }
                        _ => pieces.push((at..end, 1)),
                    }
                }
            }
            at = end;
        }
        pieces
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }
}

fn place_of(part: &[u8], bytes: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
    start..start + part.len()
}

fn instruction_in<'a>(frame: &Frame<'a>, bytes: &[u8], participant: ParticipantId) -> Result<Instruction, Other<'a>> {
    let wrong = |reason, error| Other::Wrong { frame: *frame, reason, error };
    let message = decode(frame.kind, frame.body).map_err(|error| wrong(Reason::FORM, Some(error)))?;
    if let Message::Heartbeat(heartbeat) = message {
        return Err(Other::Heartbeat(heartbeat));
    }
    match Instruction::take(&message, place_of(frame.body, bytes), bytes, participant) {
        Err(reason) => Err(wrong(reason, None)),
        Ok(Some(Instruction::SignOn)) => {
            let what = "this connection has signed on already".into();
            Err(wrong(Reason::FORM, Some(wire::Error::Field { field: "kind", what })))
        }
        Ok(None) => Err(wrong(Reason::FORM, Some(wire::Error::UnknownKind(frame.kind)))),
        Ok(Some(instruction)) => Ok(instruction),
    }
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
