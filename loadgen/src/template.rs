//! Frames are prepared once and patched per payment: a copy and a handful of stores instead of an encoding.
//!
//! A payment's content depends on the run and its index alone, so that sending it again sends the same payment; only
//! message id and timestamp differ, as the protocol allows.

use wire::frame::{self, Kind};
use wire::message::{Answer, CreditTransfer, Party};
use wire::{Currency, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use crate::uetr::mix;

const VARIANTS: usize = 16;
/// Places in a CreditTransfer frame: header, length of the message id, its 30 characters, then fixed fields.
const MESSAGE_ID: usize = 16;
const CREATED_AT: usize = MESSAGE_ID + 30;
const UETR: usize = CREATED_AT + 8;
const DEBTOR_AGENT: usize = UETR + 16;
const CREDITOR_AGENT: usize = DEBTOR_AGENT + 16;
const AMOUNT: usize = CREDITOR_AGENT + 16;
/// Places in an Answer frame; the first ones are the same.
const ANSWER_STATUS: usize = CREDITOR_AGENT;
const ANSWER_REASON: usize = ANSWER_STATUS + 4;
/// Within a message id: nine characters of the sender, one for the attempt, then the index.
const SENDER: std::ops::Range<usize> = MESSAGE_ID + 8..MESSAGE_ID + 17;
const ATTEMPT: usize = MESSAGE_ID + 17;
const SEQUENCE: usize = MESSAGE_ID + 18;

/// What tells one payment from another.
pub(crate) struct Patch<'a> {
    pub(crate) uetr: [u8; 16],
    pub(crate) debtor: &'a ParticipantId,
    pub(crate) creditor: &'a ParticipantId,
    pub(crate) amount_minor: i64,
    pub(crate) index: u64,
    /// Chooses the variant and fills the account numbers.
    pub(crate) hash: u64,
    /// 0 at first, another digit each time it is sent again.
    pub(crate) attempt: u8,
    pub(crate) created_at: Timestamp,
}

pub(crate) struct Templates {
    transfers: Vec<Variant>,
    answer: Vec<u8>,
}

struct Variant {
    bytes: Vec<u8>,
    end_to_end_id: usize,
    debtor_account: usize,
    creditor_account: usize,
}

impl Templates {
    pub(crate) fn new(currency: Currency, seed: u64) -> Self {
        let transfers =
            (0..VARIANTS).map(|variant| Variant::new(currency, mix(seed ^ (variant as u64) << 32))).collect();
        let (id, mut answer) = (message_id(), Vec::new());
        let body = Answer {
            message_id: id.as_str(),
            created_at: Timestamp(0),
            uetr: Uetr::from_random([0; 16]),
            debtor_agent: ParticipantId::NONE,
            status: Status::ACTC,
            reason: Reason::NONE,
            additional_information: None,
        };
        frame::encode(Kind::Answer, &body, &mut answer);
        Templates { transfers, answer }
    }

    pub(crate) fn credit_transfer(&self, patch: &Patch<'_>, out: &mut Vec<u8>) {
        let variant = &self.transfers[patch.hash as usize % VARIANTS];
        let start = out.len();
        out.extend_from_slice(&variant.bytes);
        let frame = &mut out[start..];
        stamp(frame, patch.debtor, patch.index, b'0' + patch.attempt % 10, patch.created_at);
        frame[UETR..UETR + 16].copy_from_slice(&patch.uetr);
        frame[DEBTOR_AGENT..DEBTOR_AGENT + 16].copy_from_slice(patch.debtor.bytes());
        frame[CREDITOR_AGENT..CREDITOR_AGENT + 16].copy_from_slice(patch.creditor.bytes());
        frame[AMOUNT..AMOUNT + 8].copy_from_slice(&patch.amount_minor.to_le_bytes());
        put(frame, variant.end_to_end_id, &hexadecimal(patch.index as u32));
        put(frame, variant.debtor_account, &hexadecimal((patch.hash >> 32) as u32));
        put(frame, variant.creditor_account, &hexadecimal((patch.hash >> 12) as u32));
    }

    /// `answering` is who answers; its letters stand in the message id.
    pub(crate) fn answer(
        &self,
        patch: &Patch<'_>,
        answering: &ParticipantId,
        status: Status,
        reason: Reason,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(&self.answer);
        let frame = &mut out[start..];
        stamp(frame, answering, patch.index, b'A' + patch.attempt % 10, patch.created_at);
        frame[UETR..UETR + 16].copy_from_slice(&patch.uetr);
        frame[DEBTOR_AGENT..DEBTOR_AGENT + 16].copy_from_slice(patch.debtor.bytes());
        put(frame, ANSWER_STATUS, status.as_str().as_bytes().first_chunk().unwrap_or(b"RJCT"));
        if status == Status::RJCT {
            put(frame, ANSWER_REASON, reason.as_str().as_bytes().first_chunk().unwrap_or(b"NARR"));
        }
    }
}

fn put<const N: usize>(frame: &mut [u8], place: usize, bytes: &[u8; N]) {
    frame[place..place + N].copy_from_slice(bytes);
}

/// Message id and timestamp.
fn stamp(frame: &mut [u8], sender: &ParticipantId, index: u64, attempt: u8, created_at: Timestamp) {
    let letters = &mut frame[SENDER];
    let name = sender.bytes();
    for (place, letter) in letters.iter_mut().enumerate() {
        // From the end of the name, where the names of a series differ; hyphens and padding are no letters of a message id.
        let byte = name[15 - place];
        *letter = if byte.is_ascii_alphanumeric() { byte } else { b'0' };
    }
    frame[ATTEMPT] = attempt;
    let high = hexadecimal((index >> 32) as u32);
    frame[SEQUENCE..SEQUENCE + 4].copy_from_slice(&high[4..]);
    put(frame, SEQUENCE + 4, &hexadecimal(index as u32));
    put(frame, CREATED_AT, &created_at.nanoseconds().to_le_bytes());
}

/// Eight hexadecimal digits, capital.
fn hexadecimal(value: u32) -> [u8; 8] {
    let mut spread = u64::from(value);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let above_nine = ((spread + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + above_nine * 7).to_be_bytes()
}

fn message_id() -> MessageId {
    MessageId::compose(Timestamp::now().date(), ParticipantId::NONE, 0)
}

impl Variant {
    fn new(currency: Currency, seed: u64) -> Self {
        const FIRST: [&str; 8] = ["Ada", "Bela", "Chidi", "Dolores", "Émile", "Fatoumata", "Gürkan", "Hyun-woo"];
        const LAST: [&str; 8] =
            ["Ito", "Jansen", "Kowalczyk", "Lindqvist", "Mendoza", "Nakamura", "Okonkwo", "Papadopoulos"];
        const ABOUT: [&str; 6] = [
            "Invoice 2026-1174",
            "Rent, November",
            "Order 88-1205, two bicycles and a lamp",
            "Thanks!",
            "Salary",
            "Refund of deposit, contract 5531-B, flat on the third floor",
        ];
        let pick = |shift: u32, from: &[&'static str]| from[(seed >> shift) as usize % from.len()];
        let debtor_name = format!("{} {}", pick(0, &FIRST), pick(3, &LAST));
        let creditor_name = format!("{} {}", pick(6, &FIRST), pick(9, &LAST));
        let id = message_id();
        let transfer = CreditTransfer {
            message_id: id.as_str(),
            created_at: Timestamp(0),
            uetr: Uetr::from_random([0; 16]),
            debtor_agent: ParticipantId::NONE,
            creditor_agent: ParticipantId::NONE,
            amount_minor: 0,
            currency,
            end_to_end_id: "E2E-########",
            instruction_id: (seed >> 20).is_multiple_of(4).then_some("INSTRUCTION-7"),
            debtor: Party { name: &debtor_name, account: "DE5021012090<<<<<<<<" },
            creditor: Party { name: &creditor_name, account: "FR7630006000>>>>>>>>01" },
            remittance_information: (!(seed >> 24).is_multiple_of(3)).then_some(pick(12, &ABOUT)),
        };
        let mut bytes = Vec::new();
        frame::encode(Kind::CreditTransfer, &transfer, &mut bytes);
        let find = |digits: &[u8; 8]| {
            bytes.windows(8).position(|window| window == digits).expect("every variant has its three marks")
        };
        let (end_to_end_id, debtor_account, creditor_account) =
            (find(b"########"), find(b"<<<<<<<<"), find(b">>>>>>>>"));
        Variant { bytes, end_to_end_id, debtor_account, creditor_account }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Message;
    use wire::frame::HEADER_BYTES;

    fn decode(bytes: &[u8]) -> Message<'_> {
        frame::decode(u16::from_le_bytes([bytes[4], bytes[5]]), &bytes[HEADER_BYTES..]).unwrap()
    }

    #[test]
    fn patched_frames_are_valid_and_carry_what_was_asked() {
        let templates = Templates::new(Currency::USD, 42);
        let (debtor, creditor) = ("BANK-0001".parse().unwrap(), "021000021".parse().unwrap());
        let uetrs = crate::uetr::Uetrs::new(3);
        for index in [0, 1, 77, u64::from(u32::MAX), 1 << 39] {
            let patch = Patch {
                uetr: uetrs.bytes(index),
                debtor: &debtor,
                creditor: &creditor,
                amount_minor: 12_345,
                index,
                hash: mix(index),
                attempt: 0,
                created_at: Timestamp(99),
            };
            let mut bytes = Vec::new();
            templates.credit_transfer(&patch, &mut bytes);
            let Message::CreditTransfer(transfer) = decode(&bytes) else { panic!("another kind") };
            assert_eq!((transfer.debtor_agent, transfer.creditor_agent), (debtor, creditor));
            assert_eq!((transfer.amount_minor, transfer.created_at), (12_345, Timestamp(99)));
            assert_eq!(transfer.uetr.bytes(), &uetrs.bytes(index));
            assert_eq!(transfer.end_to_end_id, format!("E2E-{:08X}", index as u32));

            let mut bytes = Vec::new();
            templates.answer(&patch, &creditor, Status::RJCT, Reason::AC04, &mut bytes);
            let Message::Answer(answer) = decode(&bytes) else { panic!("another kind") };
            assert_eq!((answer.debtor_agent, answer.status, answer.reason), (debtor, Status::RJCT, Reason::AC04));
            let mut bytes = Vec::new();
            templates.answer(&patch, &creditor, Status::ACTC, Reason::NONE, &mut bytes);
            assert!(matches!(
                decode(&bytes),
                Message::Answer(Answer { status: Status::ACTC, reason: Reason::NONE, .. })
            ));
        }
    }

    #[test]
    fn the_same_payment_sent_again_differs_in_message_id_and_time_alone() {
        let templates = Templates::new(Currency::USD, 42);
        let (debtor, creditor) = ("BANK-0001".parse().unwrap(), "BANK-0002".parse().unwrap());
        let patch = |attempt, created_at| Patch {
            uetr: [7; 16],
            debtor: &debtor,
            creditor: &creditor,
            amount_minor: 5,
            index: 9,
            hash: 11,
            attempt,
            created_at,
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        templates.credit_transfer(&patch(0, Timestamp(1)), &mut first);
        templates.credit_transfer(&patch(1, Timestamp(2)), &mut second);
        assert_ne!(first, second);
        assert_eq!((&first[..MESSAGE_ID], &first[UETR..]), (&second[..MESSAGE_ID], &second[UETR..]));
    }

    #[test]
    fn digits() {
        for value in [0, 1, 9, 10, 15, 0xdead_beef, u32::MAX, 0x0123_4567, 0x89ab_cdef] {
            assert_eq!(std::str::from_utf8(&hexadecimal(value)), Ok(format!("{value:08X}").as_str()));
        }
    }
}
