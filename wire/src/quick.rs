//! A shorter way to decode the messages that carry customers' texts, for they are most of what a switch reads.
//!
//! The general decoder asks of each of up to eight short texts whether it is UTF-8. Here the question is asked once, of
//! everything from `end_to_end_id` to the end: the lengths in between are small numbers, whose bytes are ASCII too. What
//! is cut out of valid UTF-8 at the borders of characters is valid. Where this does not work out (a text of 128 bytes or
//! more, or anything wrong) the answer is `None`, and the general decoder has the word; the tests hold the two together.

use crate::frame::Kind;
use crate::message::{CreditTransfer, Party, TransferNotice};
use crate::{Currency, Message, ParticipantId, Timestamp, Uetr};

/// The message, not yet checked; `None` says nothing about the body.
#[inline(always)]
pub(crate) fn decode(kind: u16, body: &[u8]) -> Option<Message<'_>> {
    if kind == Kind::CreditTransfer as u16 {
        return credit_transfer(body).map(Message::CreditTransfer);
    }
    if kind == Kind::TransferNotice as u16 {
        let (number, rest) = body.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (deadline, rest) = rest.split_first_chunk()?;
        return Some(Message::TransferNotice(TransferNotice {
            number: u64::from_le_bytes(*number),
            at: timestamp(at),
            deadline: timestamp(deadline),
            transfer: credit_transfer(rest)?,
        }));
    }
    None
}

#[inline(always)] // into the place of the result: three copies of the message less
fn credit_transfer(body: &[u8]) -> Option<CreditTransfer<'_>> {
    let (length, rest) = body.split_first_chunk()?;
    let (message_id, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (created_at, rest) = rest.split_first_chunk()?;
    let (uetr, rest) = rest.split_first_chunk()?;
    let (debtor_agent, rest) = rest.split_first_chunk()?;
    let (creditor_agent, rest) = rest.split_first_chunk()?;
    let (amount_minor, rest) = rest.split_first_chunk()?;
    let (currency, rest) = rest.split_first_chunk()?;
    let mut texts = Texts { rest: std::str::from_utf8(rest).ok()? };
    let transfer = CreditTransfer {
        message_id: std::str::from_utf8(message_id).ok()?,
        created_at: timestamp(created_at),
        uetr: Uetr::unchecked(*uetr),
        debtor_agent: ParticipantId::unchecked(*debtor_agent),
        creditor_agent: ParticipantId::unchecked(*creditor_agent),
        amount_minor: i64::from_le_bytes(*amount_minor),
        currency: Currency::unchecked(*currency),
        end_to_end_id: texts.text()?,
        instruction_id: texts.optional()?,
        debtor: Party { name: texts.text()?, account: texts.text()? },
        creditor: Party { name: texts.text()?, account: texts.text()? },
        remittance_information: texts.optional()?,
    };
    texts.rest.is_empty().then_some(transfer)
}

fn timestamp(bytes: &[u8; 8]) -> Timestamp {
    Timestamp(u64::from_le_bytes(*bytes))
}

/// Lengths and texts, seen as one text.
struct Texts<'a> {
    rest: &'a str,
}

impl<'a> Texts<'a> {
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let length = u64::from_le_bytes(*self.rest.as_bytes().first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let (_, rest) = self.rest.split_at_checked(8)?;
        let (text, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    #[inline]
    fn optional(&mut self) -> Option<Option<&'a str>> {
        let tag = *self.rest.as_bytes().first()?;
        let (_, rest) = self.rest.split_at_checked(1)?;
        self.rest = rest;
        match tag {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generally(kind: u16, body: &[u8]) -> Option<Message<'_>> {
        match kind {
            8 => wincode::deserialize_exact(body).ok().map(Message::CreditTransfer),
            _ => wincode::deserialize_exact(body).ok().map(Message::TransferNotice),
        }
    }

    fn transfer<'a>(name: &'a str, remittance_information: Option<&'a str>) -> CreditTransfer<'a> {
        CreditTransfer {
            message_id: "20261123NORTHBANK1",
            created_at: Timestamp(u64::MAX),
            uetr: Uetr::unchecked([0xff; 16]),
            debtor_agent: ParticipantId::unchecked([0x80; 16]),
            creditor_agent: ParticipantId::NONE,
            amount_minor: -1,
            currency: Currency::EUR,
            end_to_end_id: "1",
            instruction_id: remittance_information,
            debtor: Party { name, account: "2" },
            creditor: Party { name: "", account: name },
            remittance_information,
        }
    }

    fn body(transfer: CreditTransfer<'_>, notice: bool) -> (u16, Vec<u8>) {
        let (number, at) = (1, Timestamp(2));
        let message = match notice {
            false => Message::CreditTransfer(transfer),
            true => Message::TransferNotice(TransferNotice { number, at, deadline: at, transfer }),
        };
        let mut frame = Vec::new();
        message.encode(&mut frame);
        (message.kind() as u16, frame.split_off(crate::frame::HEADER_BYTES))
    }

    #[test]
    fn usual_messages_go_the_short_way() {
        for name in ["Ada Adler", "Zoë Brückner", "王芳", ""] {
            for notice in [false, true] {
                let (kind, body) = body(transfer(name, Some("Invoice")), notice);
                assert!(decode(kind, &body).is_some(), "{name}");
                assert_eq!(decode(kind, &body), generally(kind, &body));
            }
        }
        let long = "x".repeat(128);
        let (kind, body) = body(transfer(&long, None), false);
        assert_eq!(decode(kind, &body), None, "the length 128 is no ASCII byte");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever is changed: where the short way has an answer, it is that of the general decoder.
        #[test]
        fn the_short_way_never_says_anything_else(
            name in ".{0,40}", remittance in proptest::option::of(".{0,100}"), notice: bool, cut in 0usize..8,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![0u8..4, any::<u8>()]), 0..4),
        ) {
            let (kind, mut body) = body(transfer(&name, remittance.as_deref()), notice);
            for (place, byte) in changes {
                let place = place.index(body.len());
                body[place] = byte;
            }
            body.truncate(body.len() - cut.saturating_sub(4));
            if let Some(message) = decode(kind, &body) {
                prop_assert_eq!(Some(message), generally(kind, &body));
            }
        }
    }
}
