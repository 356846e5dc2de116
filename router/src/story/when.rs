//! Points in time as people write them.

use std::time::Duration;

use wire::{BusinessDate, Timestamp};

use crate::config::parse_length;

/// A point in time: `2026-11-23`, `2026-11-23T14:02:11Z` with or without decimals, or `2h`, which is two hours ago.
pub(crate) fn point(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time: write 2026-11-23, 2026-11-23T14:02:11Z, or 2h for two hours ago");
    let Some((date, rest)) = text.split_at_checked(10).filter(|(date, _)| date.parse::<BusinessDate>().is_ok()) else {
        return parse_length(text).map(|length| now.minus(length)).map_err(|_| wrong());
    };
    let midnight = midnight(date.parse().map_err(|_| wrong())?);
    if rest.is_empty() {
        return Ok(midnight);
    }
    let of_day = rest.strip_prefix('T').and_then(|rest| rest.strip_suffix('Z')).and_then(of_day);
    of_day.map(|of_day| midnight.plus(of_day)).ok_or_else(wrong)
}

/// `14:02:11` or `14:02:11.25`.
fn of_day(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let two = |text: &str, max: u64| {
        text.parse::<u64>().ok().filter(|number| digits(text) && text.len() == 2 && *number <= max)
    };
    let mut parts = whole.split(':');
    let seconds = two(parts.next()?, 23)? * 3600 + two(parts.next()?, 59)? * 60 + two(parts.next()?, 59)?;
    if parts.next().is_some() || fraction.is_empty() || fraction.len() > 9 || !digits(fraction) {
        return None;
    }
    let nanoseconds: u32 = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

pub(super) fn midnight(date: BusinessDate) -> Timestamp {
    let start = |day: u64| Timestamp(day * 86_400 * 1_000_000_000);
    // Timestamps reach to the year 2554.
    let (mut low, mut high) = (0, 213_000);
    while low < high {
        let day = (low + high) / 2;
        if start(day).date() < date { low = day + 1 } else { high = day }
    }
    start(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let now = Timestamp(1_795_442_531_000_310_000);
        assert_eq!(now.to_string(), "2026-11-23T14:02:11.000310Z");
        let at = |text| point(text, now).map(|at| at.to_string()).ok();
        let some = |text: &str| Some(text.to_string());
        assert_eq!(at("2026-11-23"), some("2026-11-23T00:00:00.000000Z"));
        assert_eq!(at("2024-02-29"), some("2024-02-29T00:00:00.000000Z"));
        assert_eq!(at("2026-11-23T14:02:11.000310Z"), some("2026-11-23T14:02:11.000310Z"));
        assert_eq!(at("2026-11-23T23:59:59Z"), some("2026-11-23T23:59:59.000000Z"));
        assert_eq!(at("2h"), some("2026-11-23T12:02:11.000310Z"));
        for wrong in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-11-23T",
            "2026-11-23T24:00:00Z",
            "2026-11-23T10:00:00",
            "2026-11-23T10:00Z",
            "2026-11-23T10:00:00.Z",
            "2026-11-23T+1:00:00Z",
            "5",
        ] {
            assert_eq!(at(wrong), None, "{wrong:?}");
        }
    }
}
