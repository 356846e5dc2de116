//! Rates and lengths of time as people write them: `10000/s`, `10k/s`, `600/min`, `250ms`, `1.5s`, `2m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Events per second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub f64);

impl Rate {
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Distance of two events, nanoseconds.
    pub fn gap_ns(self) -> f64 {
        1e9 / self.0
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate such as 10000/s, 10k/s or 600/min");
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => 1.0,
            "min" | "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let count = count.trim().replace('_', "");
        let (digits, factor) = match count.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1e3),
            None => (count.strip_suffix('M').unwrap_or(&count), if count.ends_with('M') { 1e6 } else { 1.0 }),
        };
        let count: f64 = digits.parse().map_err(|_| wrong())?;
        let rate = count * factor / seconds;
        if !(0.0..=1e8).contains(&rate) || digits.starts_with(['-', '+']) {
            return Err(wrong());
        }
        Ok(Rate(rate))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/s", thousands(self.0.round() as u64))
    }
}

/// `1234567` as `1 234 567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Parses `250us`, `10ms`, `1.5s`, `2m`, `1h`. A bare `0` is zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time such as 250us, 10ms, 1.5s, 2m or 1h");
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let split = trimmed.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (digits, unit) = trimmed.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong());
    }
    let count: f64 = digits.parse().map_err(|_| wrong())?;
    let length = count * seconds;
    if !length.is_finite() || length > 366.0 * 86_400.0 {
        return Err(wrong());
    }
    Ok(Duration::from_nanos((length * 1e9).round() as u64))
}

/// Milliseconds with as many digits as help: `0.612`, `4.87`, `12.4`, `310`.
pub fn milliseconds(nanoseconds: u64) -> String {
    let value = nanoseconds as f64 / 1e6;
    match value {
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let table = [
            ("10000/s", 10_000.0),
            ("10k/s", 10_000.0),
            ("10k", 10_000.0),
            ("0.5M/s", 500_000.0),
            ("600/min", 10.0),
            ("2_000/s", 2000.0),
            ("36/h", 0.01),
            ("0", 0.0),
        ];
        for (text, rate) in table {
            assert_eq!(text.parse::<Rate>(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "/s", "ten/s", "10/x", "-1/s", "1e99/s", "nan/s", "inf", "10/s/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        let table = [
            ("250us", 250_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0", 0),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1 d", "1.1.1s", "9999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([612_000, 4_870_000, 12_440_000, 310_000_000].map(milliseconds), ["0.612", "4.87", "12.4", "310"]);
    }
}
