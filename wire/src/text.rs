//! What may stand in a text, asked eight bytes at a time: these checks sit on the path of every payment.
//!
//! A word of eight bytes is judged by one arithmetic operation on all of them; the answer of each byte is its highest
//! bit (Lamport 1975; "SIMD within a register"). The tests compare every answer with the plain loop.

use crate::{Error, Result};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// 1 to `length_max` characters, none of them a control character (U+0000 to U+001F, U+007F).
#[inline]
pub(crate) fn check(value: &str, length_max: usize, field: &'static str) -> Result<()> {
    let length = value.len();
    if length == 0 || (length > length_max && value.chars().count() > length_max) {
        return Err(wrong_length(length_max, field));
    }
    if !all_words(value.as_bytes(), b' ', |word| high_if_control(word) == 0) {
        return Err(Error::field_is(field, "has a control character"));
    }
    Ok(())
}

#[cold]
fn wrong_length(length_max: usize, field: &'static str) -> Error {
    Error::field_is(field, format!("must have 1 to {length_max} characters"))
}

#[inline]
pub(crate) fn check_optional(value: Option<&str>, length_max: usize, field: &'static str) -> Result<()> {
    value.map_or(Ok(()), |value| check(value, length_max, field))
}

/// Only ASCII letters and digits.
pub(crate) fn is_alphanumeric(bytes: &[u8]) -> bool {
    all_words(bytes, b'0', |word| {
        high_if_between(word | (0x20 * ONES), b'a', b'z') | high_if_between(word, b'0', b'9') == HIGH
    })
}

/// `CCYYMMDD` as a number, when these are eight digits; whether it is a date is another question.
pub(crate) fn eight_digits(bytes: &[u8; 8]) -> Option<u32> {
    let word = u64::from_le_bytes(*bytes);
    if high_if_between(word, b'0', b'9') != HIGH {
        return None;
    }
    // Neighbours join: digits to pairs, pairs to fours, fours to eight.
    let digits = word & (0x0f * ONES);
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours * 10_000 + (fours >> 32)) & 0xffff_ffff) as u32)
}

/// Length of a participant in its sixteen bytes: capital letters, digits and inner hyphens, then zeros, and not digits
/// alone. `None` where it is anything else, or needs a closer look.
#[inline]
pub(crate) fn participant_length(bytes: &[u8; 16]) -> Option<usize> {
    let [low, high] = halves(bytes);
    let digits = join(high_if_between(low, b'0', b'9'), high_if_between(high, b'0', b'9'));
    let letters = join(high_if_between(low, b'A', b'Z'), high_if_between(high, b'A', b'Z'));
    let hyphens = join(high_if_between(low, b'-', b'-'), high_if_between(high, b'-', b'-'));
    let allowed = digits | letters | hyphens;
    let length = (allowed.trailing_ones_of_bytes()) as usize;
    let value = u128::from_le_bytes(*bytes);
    let rest_is_zero = length == 16 || value >> (8 * length) == 0;
    let inner = length > 0 && bytes[0] != b'-' && bytes[length - 1] != b'-';
    (rest_is_zero && inner && digits != allowed).then_some(length)
}

fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let value = u128::from_le_bytes(*bytes);
    [value as u64, (value >> 64) as u64]
}

fn join(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

trait Bytes {
    /// How many bytes from the first on have their highest bit set, when no other bit is.
    fn trailing_ones_of_bytes(self) -> u32;
}

impl Bytes for u128 {
    fn trailing_ones_of_bytes(self) -> u32 {
        (!self & join(HIGH, HIGH)).trailing_zeros() / 8
    }
}

/// True when every word passes. The last one overlaps the one before it, or is filled up with `filler`.
#[inline]
fn all_words(bytes: &[u8], filler: u8, passes: impl Fn(u64) -> bool) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        let mut word = [filler; 8];
        word.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        return passes(u64::from_le_bytes(word));
    };
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().all(|word| passes(u64::from_le_bytes(*word))) && passes(u64::from_le_bytes(*last))
}

/// Each byte's highest bit says whether it lies between `least` and `most`, both below 128.
fn high_if_between(word: u64, least: u8, most: u8) -> u64 {
    let seven = word & !HIGH;
    let at_least = seven + ONES * u64::from(128 - least);
    let above = seven + ONES * u64::from(127 - most);
    at_least & !above & !word & HIGH
}

/// Not zero when a byte is below 0x20 or is 0x7f.
fn high_if_control(word: u64) -> u64 {
    let seven = word & !HIGH;
    let from_space = seven + ONES * (128 - 0x20);
    let delete = seven + ONES;
    (!from_space | delete) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for length in 1..=20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(is_alphanumeric(&bytes), byte.is_ascii_alphanumeric(), "{byte} at {place} of {length}");
                    if let Ok(text) = std::str::from_utf8(&bytes) {
                        assert_eq!(check(text, 35, "text").is_ok(), byte >= 0x20 && byte != 0x7f, "{byte} at {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn eight_digits_are_a_number() {
        for (text, number) in [(b"20261123", Some(20_261_123)), (b"00000000", Some(0)), (b"99999999", Some(99_999_999))]
        {
            assert_eq!(eight_digits(text), number);
        }
        for text in [b"2026112x", b"/0261123", b"2026:123", b"2026112\xb3"] {
            assert_eq!(eight_digits(text), None);
        }
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(check(&"é".repeat(35), 35, "text").is_ok());
        assert!(check(&"é".repeat(36), 35, "text").is_err());
        assert!(check(&"é".repeat(20), 35, "text").is_ok());
        assert!(check("", 35, "text").is_err());
        assert!(check("a\u{85}b", 35, "text").is_ok(), "U+0085 is outside ASCII");
    }

    proptest! {
        #[test]
        fn alphanumeric_as_the_plain_loop_says(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(is_alphanumeric(&bytes), bytes.iter().all(u8::is_ascii_alphanumeric));
        }

        #[test]
        fn the_fast_look_at_a_participant_never_contradicts_the_closer_one(
            text in "[A-Z0-9-]{0,15}|[0-9]{0,15}|[ -~]{0,15}", tail in any::<[u8; 2]>(), place in 0usize..16
        ) {
            let mut bytes = [0; 16];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            if tail[0] < 64 {
                bytes[place] = tail[1];
            }
            if let Some(length) = participant_length(&bytes) {
                let text = std::str::from_utf8(&bytes[..length]).unwrap();
                prop_assert_eq!(text.parse::<crate::ParticipantId>().map(|id| *id.bytes()), Ok(bytes));
            }
        }
    }
}
