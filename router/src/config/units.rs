//! Lengths of time and amounts of bytes as text: a whole number and its unit, `250ms`, `64MiB`.

use std::time::Duration;

/// Smallest first, in nanoseconds.
const LENGTHS: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Smallest first.
const BYTES: [(&str, u128); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

pub fn parse_length(text: &str) -> Result<Duration, String> {
    let nanoseconds = parse(text, &LENGTHS, "10s")?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| format!("{text:?} is longer than 500 years"))
}

pub(super) fn show_length(length: Duration) -> String {
    show(length.as_nanos(), &LENGTHS, "us")
}

pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    u64::try_from(parse(text, &BYTES, "64MiB")?).map_err(|_| format!("{text:?} is more than 64 bits can count"))
}

pub(super) fn show_bytes(bytes: u64) -> String {
    show(u128::from(bytes), &BYTES, "B")
}

fn parse(text: &str, units: &[(&str, u128)], example: &str) -> Result<u128, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let known = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if number.is_empty() {
        return Err(format!("{text:?} does not begin with a whole number; write for example {example:?}"));
    }
    if unit.is_empty() && number != "0" {
        return Err(format!("{text:?} has no unit; write for example {example:?} (units: {})", known()));
    }
    let scale = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => 1,
        None => return Err(format!("{text:?} has the unknown unit {unit:?}; use one of {}", known())),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is too large"))?;
    Ok(u128::from(number) * scale)
}

/// In the largest unit that divides it.
fn show(number: u128, units: &[(&str, u128)], smallest: &str) -> String {
    let exact = |(_, scale): &&(&str, u128)| number >= *scale && number.is_multiple_of(*scale);
    match units.iter().rev().find(exact) {
        Some((name, scale)) => format!("{}{name}", number / scale),
        None => format!("{}{smallest}", number / units[0].1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let check = |text: &str, expected: Result<u64, &str>| match (parse_length(text), expected) {
            (Ok(length), Ok(nanoseconds)) => {
                assert_eq!(length.as_nanos(), u128::from(nanoseconds), "{text}");
                assert_eq!(parse_length(&show_length(length)), Ok(length), "{text}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (parsed, expected) => panic!("{text}: {parsed:?}, expected {expected:?}"),
        };
        check("10s", Ok(10_000_000_000));
        check("250ms", Ok(250_000_000));
        check("50us", Ok(50_000));
        check("1m", Ok(60_000_000_000));
        check("48h", Ok(172_800_000_000_000));
        check("30d", Ok(2_592_000_000_000_000));
        check("0", Ok(0));
        check("0s", Ok(0));
        check("10", Err("no unit"));
        check("10sec", Err("unknown unit \"sec\""));
        check("10 s", Err("unknown unit"));
        check("10S", Err("unknown unit"));
        check("1.5s", Err("unknown unit \".5s\""));
        check("-1s", Err("whole number"));
        check("", Err("whole number"));
        check("s", Err("whole number"));
        check("99999999999999999999s", Err("too large"));
        check("9999999999999999d", Err("500 years"));
    }

    #[test]
    fn bytes() {
        let check = |text: &str, expected: Result<u64, &str>| match (parse_bytes(text), expected) {
            (Ok(bytes), Ok(expected)) => {
                assert_eq!(bytes, expected, "{text}");
                assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes), "{text}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (parsed, expected) => panic!("{text}: {parsed:?}, expected {expected:?}"),
        };
        check("64MiB", Ok(64 << 20));
        check("4096B", Ok(4096));
        check("1KiB", Ok(1024));
        check("0", Ok(0));
        check("64", Err("no unit"));
        check("64MB", Err("unknown unit \"MB\"; use one of B, KiB"));
        check("64mib", Err("unknown unit"));
        check("99999999TiB", Err("64 bits"));
        assert_eq!(show_bytes(1536), "1536B");
        assert_eq!(show_bytes(4 << 30), "4GiB");
    }
}
