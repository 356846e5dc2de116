//! Reads the few fields the generator needs from a frame's body, at fixed places and without decoding the rest.
//!
//! Every access is checked: bytes that are too short give `None`. `--verify` decodes each frame in full besides.

/// A field at a fixed place; the place is a constant, so the bound is checked once per body.
fn field<const N: usize>(body: &[u8], place: usize) -> Option<[u8; N]> {
    body.get(place..place + N)?.try_into().ok()
}

fn number(body: &[u8], place: usize) -> Option<u64> {
    field(body, place).map(u64::from_le_bytes)
}

/// Of a `TransferNotice`.
pub(crate) struct Transfer {
    pub(crate) number: u64,
    pub(crate) uetr: [u8; 16],
    pub(crate) debtor_agent: [u8; 16],
    pub(crate) creditor_agent: [u8; 16],
    pub(crate) amount_minor: i64,
}

impl Transfer {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        // number, at, deadline, then the transfer, which begins with its message id: a length and so many bytes.
        let id_length = usize::try_from(number(body, 24)?).ok().filter(|length| *length <= 35)?;
        let rest: &[u8; 56] = body.get(40 + id_length..)?.first_chunk()?;
        Some(Transfer {
            number: number(body, 0)?,
            uetr: field(rest, 0)?,
            debtor_agent: field(rest, 16)?,
            creditor_agent: field(rest, 32)?,
            amount_minor: number(rest, 48)? as i64,
        })
    }
}

/// Of a `StatusNotice`.
pub(crate) struct Status {
    pub(crate) number: u64,
    pub(crate) uetr: [u8; 16],
    pub(crate) amount_minor: i64,
    pub(crate) status: [u8; 4],
    pub(crate) reason: [u8; 4],
}

impl Status {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let body: &[u8; 95] = body.first_chunk()?;
        Some(Status {
            number: number(body, 0)?,
            uetr: field(body, 16)?,
            amount_minor: number(body, 64)? as i64,
            status: field(body, 75)?,
            reason: field(body, 79)?,
        })
    }
}

/// The number of any notice.
pub(crate) fn notice_number(body: &[u8]) -> Option<u64> {
    number(body, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::frame::{self, HEADER_BYTES, Kind};
    use wire::message::StatusNotice;
    use wire::{BusinessDate, Currency, ParticipantId, Reason, Reasons, Timestamp, Uetr};

    #[test]
    fn a_status_notice_is_read_as_it_was_written() {
        let mut reasons = Reasons::one(Reason::AC04);
        reasons.add(Reason::AM04);
        let notice = StatusNotice {
            number: 7,
            at: Timestamp(1),
            uetr: Uetr::from_random([9; 16]),
            debtor_agent: "BANK-1".parse().unwrap(),
            creditor_agent: "BANK-2".parse().unwrap(),
            amount_minor: 1234,
            currency: Currency::EUR,
            status: wire::Status::RJCT,
            reasons,
            settlement_date: BusinessDate::NONE,
            original_message_id: "20261123BANK000010000000000001",
            additional_information: None,
        };
        let mut bytes = Vec::new();
        frame::encode(Kind::StatusNotice, &notice, &mut bytes);
        let read = Status::read(&bytes[HEADER_BYTES..]).unwrap();
        assert_eq!((read.number, read.amount_minor), (7, 1234));
        assert_eq!((&read.uetr, read.status, read.reason), (notice.uetr.bytes(), *b"RJCT", *b"AC04"));
        (0..95).for_each(|length| assert!(Status::read(&bytes[HEADER_BYTES..][..length]).is_none()));
    }

    #[test]
    fn a_transfer_notice_is_read_as_it_was_written() {
        let templates = crate::template::Templates::new(Currency::EUR, 1);
        let (debtor, creditor): (ParticipantId, ParticipantId) = ("BANK-1".parse().unwrap(), "BANK-2".parse().unwrap());
        let mut transfer = Vec::new();
        let patch = crate::template::Patch {
            uetr: [5; 16],
            debtor: &debtor,
            creditor: &creditor,
            amount_minor: 77,
            index: 3,
            hash: 8,
            attempt: 0,
            created_at: Timestamp(5),
        };
        templates.credit_transfer(&patch, &mut transfer);
        let mut bytes = Vec::new();
        let start = frame::begin(Kind::TransferNotice, &mut bytes);
        bytes.extend_from_slice(&11u64.to_le_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&transfer[HEADER_BYTES..]);
        frame::finish(start, &mut bytes);
        let read = Transfer::read(&bytes[HEADER_BYTES..]).unwrap();
        assert_eq!((read.number, read.amount_minor, read.uetr), (11, 77, [5; 16]));
        assert_eq!((&read.debtor_agent, &read.creditor_agent), (debtor.bytes(), creditor.bytes()));
        let fixed = 40 + 30 + 56;
        (0..fixed).for_each(|length| assert!(Transfer::read(&bytes[HEADER_BYTES..][..length]).is_none()));
    }
}
