//! Points in time and business dates. A length of time is a `std::time::Duration`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wincode::{SchemaRead, SchemaWrite};

use crate::{Error, Result};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z. Good until the year 2554.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, SchemaRead, SchemaWrite)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn now() -> Self {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64))
    }

    pub fn nanoseconds(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since 1970.
    pub fn milliseconds(self) -> u64 {
        self.0 / 1_000_000
    }

    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Timestamp(self.0.saturating_add(length.as_nanos().min(u128::from(u64::MAX)) as u64))
    }

    #[must_use]
    pub fn minus(self, length: Duration) -> Self {
        Timestamp(self.0.saturating_sub(length.as_nanos().min(u128::from(u64::MAX)) as u64))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The calendar date in UTC.
    pub fn date(self) -> BusinessDate {
        BusinessDate::from_days((self.0 / 1_000_000_000 / 86_400) as i64)
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC with microseconds: `2026-11-23T14:02:11.000310Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000;
        let (date, of_day) = (self.date(), seconds % 86_400);
        let (hour, minute, second, micro) = (of_day / 3600, of_day / 60 % 60, of_day % 60, self.0 / 1000 % 1_000_000);
        write!(formatter, "{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// An accounting date of the switch, as the number `CCYYMMDD`. It rolls once a day and is assigned at settlement.
/// Zero stands for "none" where a field is optional.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, SchemaRead, SchemaWrite)]
pub struct BusinessDate(u32);

impl BusinessDate {
    pub const NONE: BusinessDate = BusinessDate(0);

    pub fn new(year: u32, month: u32, day: u32) -> Result<Self> {
        if !is_date(year, month, day) {
            return Err(Error::field_is("date", format!("{year:04}-{month:02}-{day:02} is no date")));
        }
        Ok(BusinessDate(year * 10_000 + month * 100 + day))
    }

    pub(crate) fn is_number_of_date(number: u32) -> bool {
        is_date(number / 10_000, number / 100 % 100, number % 100)
    }

    /// `CCYYMMDD`, checked.
    pub fn from_number(number: u32) -> Result<Self> {
        Self::new(number / 10_000, number / 100 % 100, number % 100)
    }

    /// Eight digits, as they stand in a message id.
    pub fn from_compact(text: &str) -> Result<Self> {
        let wrong = || Error::field_is("date", format!("{text:?} is no date CCYYMMDD"));
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        Self::from_number(text.parse().map_err(|_| wrong())?)
    }

    pub fn compact(self) -> String {
        format!("{:08}", self.0)
    }

    pub fn number(self) -> u32 {
        self.0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    pub fn next(self) -> Self {
        Self::from_days(self.days() + 1)
    }

    /// Days since 1970-01-01 to a date (Howard Hinnant's `civil_from_days`).
    fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_shifted + 2) / 5 + 1;
        let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        BusinessDate((year * 10_000 + month * 100 + day) as u32)
    }

    fn days(self) -> i64 {
        let (year, month, day) = (i64::from(self.0 / 10_000), i64::from(self.0 / 100 % 100), i64::from(self.0 % 100));
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let of_era = shifted.rem_euclid(400);
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

/// The Gregorian calendar from 1970 to 9999.
fn is_date(year: u32, month: u32, day: u32) -> bool {
    let days = match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day)
}

impl FromStr for BusinessDate {
    type Err = Error;
    /// `2026-11-23`.
    fn from_str(text: &str) -> Result<Self> {
        let hyphens = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        if !hyphens {
            return Err(Error::field_is("date", format!("{text:?} is no date such as 2026-11-23")));
        }
        Self::from_compact(&text.replace('-', ""))
    }
}

impl fmt::Display for BusinessDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl fmt::Debug for BusinessDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_agree() {
        for (date, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-23", 20_780), ("2100-03-01", 47_541)]
        {
            let date: BusinessDate = date.parse().unwrap();
            assert_eq!((date.days(), BusinessDate::from_days(days)), (days, date));
        }
        let mut date: BusinessDate = "1999-12-31".parse().unwrap();
        for _ in 0..200_000 {
            assert_eq!(BusinessDate::from_number(date.next().number()), Ok(date.next()));
            assert_eq!(date.next().days(), date.days() + 1);
            date = date.next();
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "20261123", "2026-1-23", "", "2026-11-3x", "0000-00-00"]
        {
            assert!(text.parse::<BusinessDate>().is_err(), "{text}");
        }
        assert_eq!(Timestamp(1_795_442_531_000_310_000).to_string(), "2026-11-23T14:02:11.000310Z");
    }
}
