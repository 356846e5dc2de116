//! Money: `i64` minor units with a currency inside, decimal text only at the edge.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use wincode::{SchemaRead, SchemaWrite};

use crate::{Error, Result};

/// A currency of ISO 4217, known here with its exponent (the number of decimals of its minor unit).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct Currency([u8; 3]);

/// ISO 4217 active codes whose exponent is not 2.
const OTHER_EXPONENTS: [(&[u8; 3], u32); 23] = [
    (b"BIF", 0),
    (b"CLP", 0),
    (b"DJF", 0),
    (b"GNF", 0),
    (b"ISK", 0),
    (b"JPY", 0),
    (b"KMF", 0),
    (b"KRW", 0),
    (b"PYG", 0),
    (b"RWF", 0),
    (b"UGX", 0),
    (b"VND", 0),
    (b"VUV", 0),
    (b"XAF", 0),
    (b"XOF", 0),
    (b"XPF", 0),
    (b"BHD", 3),
    (b"IQD", 3),
    (b"JOD", 3),
    (b"KWD", 3),
    (b"LYD", 3),
    (b"OMR", 3),
    (b"TND", 3),
];

/// ISO 4217 active codes whose exponent is 2, in alphabetical order.
const TWO_DECIMALS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD \
    CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF \
    IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN \
    MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD \
    SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG";

impl Currency {
    pub const USD: Currency = Currency(*b"USD");
    pub const EUR: Currency = Currency(*b"EUR");

    /// As it came; [`Currency::check`] must follow.
    pub(crate) fn unchecked(bytes: [u8; 3]) -> Self {
        Currency(bytes)
    }

    pub fn from_bytes(bytes: [u8; 3]) -> Result<Self> {
        let currency = Currency(bytes);
        currency.check("currency")?;
        Ok(currency)
    }

    pub(crate) fn check(&self, field: &'static str) -> Result<()> {
        match self.lookup() {
            Some(_) => Ok(()),
            None => Err(Error::field_is(
                field,
                format!("{:?} is no active currency of ISO 4217", String::from_utf8_lossy(&self.0)),
            )),
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    pub fn bytes(&self) -> &[u8; 3] {
        &self.0
    }

    /// Decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(&self) -> u32 {
        self.lookup().unwrap_or(2)
    }

    fn lookup(&self) -> Option<u32> {
        if is_in(&TWO_DECIMALS_SET, &self.0) {
            return Some(2);
        }
        OTHER_EXPONENTS.iter().find(|(code, _)| **code == self.0).map(|(_, exponent)| *exponent)
    }
}

/// One bit for each of the 26 x 26 x 26 codes: a payment's currency is checked by one look.
type Set = [u64; (26 * 26 * 26_usize).div_ceil(64)];

static TWO_DECIMALS_SET: Set = {
    let mut set = [0; _];
    let (codes, mut start) = (TWO_DECIMALS.as_bytes(), 0);
    while start < codes.len() {
        let place = place(&[codes[start], codes[start + 1], codes[start + 2]]).expect("a code of capital letters");
        set[place / 64] |= 1 << (place % 64);
        start += 4;
    }
    set
};

const fn place(code: &[u8; 3]) -> Option<usize> {
    let (mut place, mut index) = (0, 0);
    while index < 3 {
        if !code[index].is_ascii_uppercase() {
            return None;
        }
        place = place * 26 + (code[index] - b'A') as usize;
        index += 1;
    }
    Some(place)
}

fn is_in(set: &Set, code: &[u8; 3]) -> bool {
    place(code).is_some_and(|place| set[place / 64] >> (place % 64) & 1 == 1)
}

impl FromStr for Currency {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = <[u8; 3]>::try_from(text.as_bytes())
            .map_err(|_| Error::field_is("currency", format!("{text:?} is no three-letter code of ISO 4217")))?;
        Currency::from_bytes(bytes)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// An amount of one currency in its minor units. May be negative where it is a balance; a payment's never is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// The most that fits the wire: 18 digits (ISO 20022 `ActiveCurrencyAndAmount`, totalDigits 18).
    pub const MINOR_MAX: i64 = 999_999_999_999_999_999;

    pub fn new(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }

    /// Parses decimal text such as `12.04` exactly: no rounding, no more decimals than the currency has, no sign, no
    /// exponent, no grouping.
    pub fn parse(text: &str, currency: Currency) -> Result<Self> {
        let wrong = |what: String| Err(Error::field_is("amount", what));
        let shape = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && text.bytes().filter(|byte| *byte == b'.').count() <= 1
            && !text.starts_with('.')
            && !text.ends_with('.');
        if !shape {
            return wrong(format!("{text:?} is no amount such as 12.04: digits and at most one point"));
        }
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len()) as u32;
        if decimals > currency.exponent() {
            return wrong(format!("{text:?} has {decimals} decimals, {currency} has {}", currency.exponent()));
        }
        let too_large = || Error::field_is("amount", format!("{text:?} is above the limit of 18 digits"));
        let mut decimal = Decimal::from_str_exact(text).map_err(|_| too_large())?;
        if decimal.mantissa() > i128::from(Self::MINOR_MAX) {
            return Err(too_large());
        }
        decimal.rescale(currency.exponent());
        let minor =
            i64::try_from(decimal.mantissa()).ok().filter(|minor| *minor <= Self::MINOR_MAX).ok_or_else(too_large)?;
        Ok(Money { minor, currency })
    }

    /// The number alone, with all decimals of the currency: `12.04`.
    pub fn decimal(&self) -> Decimal {
        Decimal::new(self.minor, self.currency.exponent())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} {}", self.decimal(), self.currency))
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let check = |text: &str, currency: &str, expected: Option<i64>| {
            let parsed = Money::parse(text, currency.parse().unwrap());
            assert_eq!(parsed.as_ref().ok().map(|money| money.minor), expected, "{text} {currency}: {parsed:?}");
        };
        check("12.04", "EUR", Some(1204));
        check("12", "EUR", Some(1200));
        check("12.4", "EUR", Some(1240));
        check("0", "EUR", Some(0));
        check("0.00", "EUR", Some(0));
        check("007.10", "EUR", Some(710));
        check("1500", "JPY", Some(1500));
        check("1.234", "KWD", Some(1234));
        check("9999999999999999.99", "EUR", Some(999_999_999_999_999_999));
        for refused in
            ["-1", "+1", "", ".", "1.", ".5", "1.234", "1e3", "1,000", " 1", "1 ", "1.2.3", "0x10", "١", "NaN", "inf"]
        {
            check(refused, "EUR", None);
        }
        check("1.5", "JPY", None);
        check("1.2345", "KWD", None);
        check("10000000000000000.00", "EUR", None);
        check("99999999999999999999999999999999999999", "EUR", None);
        check("92233720368547758.08", "EUR", None);
        assert_eq!(Money::new(-5, Currency::EUR).to_string(), "-0.05 EUR");
        assert_eq!(Money::new(1500, "JPY".parse().unwrap()).to_string(), "1500 JPY");
    }

    #[test]
    fn the_set_of_currencies_is_the_list() {
        let mut known = 0;
        for number in 0..=0xff_ffff_u32 {
            let [_, code @ ..] = number.to_be_bytes();
            known += usize::from(is_in(&TWO_DECIMALS_SET, &code));
        }
        let listed: Vec<&str> = TWO_DECIMALS.split_ascii_whitespace().collect();
        assert_eq!(known, listed.len());
        assert!(listed.iter().all(|code| code.parse::<Currency>().unwrap().exponent() == 2));
        assert!(OTHER_EXPONENTS.iter().all(|(code, exponent)| Currency(**code).lookup() == Some(*exponent)));
    }

    #[test]
    fn currencies() {
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("USD", 2), ("ZWG", 2)] {
            assert_eq!(code.parse::<Currency>().unwrap().exponent(), exponent);
        }
        for code in ["eur", "EU", "EURO", "XXX", "AAA", "", "E R"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }
}
