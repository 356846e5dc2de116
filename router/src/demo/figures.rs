//! Numbers as people read them.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// Minor units of a currency with two decimals.
pub(super) fn amount(minor: i128) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let (units, cents) = (minor.unsigned_abs() / 100, minor.unsigned_abs() % 100);
    format!("{sign}{}.{cents:02}", grouped(&units.to_string()))
}

/// Microseconds as milliseconds, with the digits that matter.
pub(super) fn milliseconds(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.2}", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1}", us as f64 / 1e3),
        _ => count(us / 1000),
    }
}

pub(super) fn seconds(length: Duration) -> String {
    format!("{:.2} s", length.as_secs_f64())
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (minor, text) in [(0, "0.00"), (-5, "-0.05"), (123_456_789, "1,234,567.89"), (-100_000, "-1,000.00")] {
            assert_eq!(amount(minor), text);
        }
        for (us, text) in [(1, "0.00"), (1234, "1.23"), (12_345, "12.3"), (4_012_345, "4,012")] {
            assert_eq!(milliseconds(us), text);
        }
    }
}
