//! Who and which: participants, payments, messages. Each is checked when it is made; after that it is known to be valid.

use std::fmt;
use std::str::FromStr;

use wincode::{SchemaRead, SchemaWrite};

use crate::{Error, Result};

/// A participant, by a registered name of 1 to 16 characters: capital letters, digits and inner hyphens. Digits alone are
/// a routing transit number and must have its nine digits and its checksum. A BIC (8 or 11 characters, ISO 9362) is a
/// name like any other: its form says nothing that the register of the switch does not say better.
///
/// Sixteen bytes, ASCII, zero-padded on the right: the form it has on the wire, in the log and in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct ParticipantId([u8; 16]);

impl ParticipantId {
    /// No participant: sixteen zero bytes, where a field is optional.
    pub const NONE: ParticipantId = ParticipantId([0; 16]);

    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(16);
        std::str::from_utf8(&self.0[..length]).unwrap_or("")
    }

    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub fn is_none(&self) -> bool {
        self.0 == [0; 16]
    }

    /// As it came; [`ParticipantId::check`] must follow.
    pub(crate) fn unchecked(bytes: [u8; 16]) -> Self {
        ParticipantId(bytes)
    }

    /// Checks the sixteen bytes of the wire form.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self> {
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(16);
        if bytes[length..].iter().any(|byte| *byte != 0) {
            return Err(Error::field_is("participant", "bytes after the padding began"));
        }
        check_participant(&bytes[..length])?;
        Ok(ParticipantId(bytes))
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        match crate::text::participant_length(&self.0) {
            Some(_) => Ok(()),
            None => self.check_closely(field),
        }
    }

    fn check_closely(&self, field: &'static str) -> Result<()> {
        if self.0[9..] == [0; 7] && is_routing_number(&self.0[..9]) {
            return Ok(());
        }
        match Self::from_bytes(self.0) {
            Ok(_) => Ok(()),
            Err(Error::Field { what, .. }) => Err(Error::field_is(field, what)),
            Err(other) => Err(other),
        }
    }
}

fn check_participant(text: &[u8]) -> Result<()> {
    let wrong = |what: &str| Err(Error::field_is("participant", format!("{:?} {what}", String::from_utf8_lossy(text))));
    if text.is_empty() {
        return wrong("is empty");
    }
    if text.len() > 16 {
        return wrong("is longer than 16 characters");
    }
    if !text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-') {
        return wrong("may hold only A-Z, 0-9 and hyphens");
    }
    if text[0] == b'-' || text[text.len() - 1] == b'-' {
        return wrong("may not begin or end with a hyphen");
    }
    if text.iter().all(u8::is_ascii_digit) && !is_routing_number(text) {
        return wrong(
            "has only digits but is no routing transit number: nine digits whose checksum (3, 7, 1) is a multiple of 10",
        );
    }
    Ok(())
}

/// ABA routing transit number: nine digits, weights 3 7 1, sum divisible by ten.
fn is_routing_number(digits: &[u8]) -> bool {
    let weights = [3u32, 7, 1, 3, 7, 1, 3, 7, 1];
    digits.len() == 9
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum::<u32>() % 10 == 0
}

impl FromStr for ParticipantId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        check_participant(text.as_bytes())?;
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(ParticipantId(bytes))
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(if self.is_none() { "-" } else { self.as_str() })
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Unique end-to-end transaction reference: a version 4 UUID (RFC 9562), unchanged along the whole chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct Uetr([u8; 16]);

impl Uetr {
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The same bytes as a number: what maps are keyed by.
    pub fn number(&self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Makes a UETR of sixteen random bytes by setting version and variant.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uetr(bytes)
    }

    /// A new one, from the thread's random generator.
    #[cfg(feature = "client")]
    pub fn random() -> Self {
        Uetr::from_random(rand::random())
    }

    /// As it came; [`Uetr::check`] must follow.
    pub(crate) fn unchecked(bytes: [u8; 16]) -> Self {
        Uetr(bytes)
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self> {
        let uetr = Uetr(bytes);
        uetr.check("uetr")?;
        Ok(uetr)
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        if self.0[6] >> 4 != 4 || self.0[8] >> 6 != 0b10 {
            return Err(Error::field_is(field, format!("{self} is not a version 4 UUID")));
        }
        Ok(())
    }
}

impl FromStr for Uetr {
    type Err = Error;
    /// Thirty-two hexadecimal digits, with or without the four hyphens of the canonical form.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::field_is("uetr", format!("{text:?} is not a UUID such as 7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f"));
        let hyphens = text.len() == 36;
        if !hyphens && text.len() != 32 {
            return Err(wrong());
        }
        let mut bytes = [0u8; 16];
        let mut digits = 0;
        for (place, byte) in text.bytes().enumerate() {
            if hyphens && matches!(place, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(wrong());
                }
                continue;
            }
            let digit = (byte as char).to_digit(16).ok_or_else(wrong)? as u8;
            bytes[digits / 2] = (bytes[digits / 2] << 4) | digit;
            digits += 1;
        }
        Uetr::from_bytes(bytes)
    }
}

impl fmt::Display for Uetr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uetr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Message identification (ISO 20022 `MsgId`, at most 35 characters) in one of the three forms of the rails:
///
/// | form | layout |
/// |---|---|
/// | FedNow | date `CCYYMMDD`, 9 characters of the connection party, 1 to 18 characters |
/// | RTP | `M`, date, 11 characters of the participant, `B`, 3 characters, 11 digits |
/// | Pix | `M`, 8 characters of the ISPB, 23 characters |
///
/// All characters are letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct MessageId {
    length: u8,
    text: [u8; 35],
}

impl MessageId {
    pub const LENGTH_MAX: usize = 35;

    pub fn as_str(&self) -> &str {
        self.text.get(..self.length as usize).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
    }

    /// The FedNow form from its three parts; `connection_party` is padded with zeros to, or cut at, nine characters.
    pub fn compose(date: crate::BusinessDate, connection_party: ParticipantId, sequence: u64) -> Self {
        let mut party = [b'0'; 9];
        let letters = connection_party.bytes().iter().filter(|byte| byte.is_ascii_alphanumeric());
        party.iter_mut().zip(letters).for_each(|(place, letter)| *place = *letter);
        let mut text = [0; 35];
        text[..8].copy_from_slice(date.compact().as_bytes());
        text[8..17].copy_from_slice(&party);
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
        for place in 0..13 {
            text[17 + place] = digits[(sequence >> (5 * (12 - place)) & 31) as usize];
        }
        MessageId { length: 30, text }
    }

    pub(crate) fn check_text(text: &str, field: &'static str) -> Result<()> {
        let bytes = text.as_bytes();
        #[cold]
        fn wrong(text: &str, field: &'static str, what: &str) -> Result<()> {
            Err(Error::field_is(field, format!("{text:?} {what}")))
        }
        if bytes.is_empty() || bytes.len() > Self::LENGTH_MAX {
            return wrong(text, field, "must have 1 to 35 characters");
        }
        if !crate::text::is_alphanumeric(bytes) {
            return wrong(text, field, "may hold only letters and digits");
        }
        let fednow = bytes.len() >= 18 && bytes.first_chunk().is_some_and(is_date);
        let rtp = bytes.len() == 35
            && bytes[0] == b'M'
            && bytes[1..].first_chunk().is_some_and(is_date)
            && bytes[20] == b'B'
            && bytes[24..].iter().all(u8::is_ascii_digit);
        let pix = bytes.len() == 32 && bytes[0] == b'M';
        if !(fednow || rtp || pix) {
            return wrong(
                text,
                field,
                "has none of the three known forms; the usual one is a date CCYYMMDD, nine characters of the sender and 1 to 18 more",
            );
        }
        Ok(())
    }
}

fn is_date(text: &[u8; 8]) -> bool {
    crate::text::eight_digits(text).is_some_and(crate::BusinessDate::is_number_of_date)
}

impl FromStr for MessageId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::check_text(text, "message_id")?;
        let mut bytes = [0; 35];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(MessageId { length: text.len() as u8, text: bytes })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
