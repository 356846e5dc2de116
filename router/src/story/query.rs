//! What payments somebody looks for, as one line of words. All of them must fit.
//!
//! | word | |
//! |---|---|
//! | a UETR, with or without hyphens; `uetr:0f3c1c52` | that payment; those whose UETR begins so, eight digits at least |
//! | a message id | of the instruction; looked for in the log, as far as that goes back |
//! | `BANK-A` | it sent the payment or was offered it; two such words: the payments between the two |
//! | `from:BANK-A`, `to:BANK-B` | debtor agent, creditor agent |
//! | `state:timed_out` | in_process, settled, settled_without_posting, rejected, timed_out |
//! | `reason:AC04` | one of its reasons |
//! | `amount:120.00`, `amount:100..200`, `amount:100..`, `amount:-5` | exactly, or both ends included |
//! | `currency:EUR` | |
//! | `since:2h`, `until:2026-11-23T14:02:11Z` | ended then or later, ended before; those in process by when they were reserved |

use std::ops::RangeInclusive;
use std::time::Duration;

use settlement::State;
use wire::{BusinessDate, Currency, MessageId, Money, ParticipantId, Reason, Timestamp, Uetr};

use super::known::state_of;
use super::when::{midnight, point};

pub(super) const QUERY_BYTES_MAX: usize = 500;
const PREFIX_DIGITS_MIN: usize = 8;

/// What `crosstie payment find --help` and a wrong word say.
pub(crate) const WORDS: &str = "a UETR or uetr:FIRST-DIGITS, a message id, a participant, from:, to:, state:, reason:, amount:120.00 \
     or amount:100..200, currency:, since:2h, until:2026-11-23";

/// See the file's head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// As numbers.
    pub(super) uetrs: Option<RangeInclusive<u128>>,
    pub(super) message_id: Option<MessageId>,
    /// Each of them sent the payment or was offered it.
    pub(super) parties: Vec<ParticipantId>,
    pub(super) debtor: Option<ParticipantId>,
    pub(super) creditor: Option<ParticipantId>,
    pub(super) state: Option<State>,
    pub(super) reason: Option<Reason>,
    /// In thousandths, whatever decimals the currency has.
    pub(super) amount: Option<RangeInclusive<i128>>,
    pub(super) currency: Option<Currency>,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Query {
    /// Why not, in words, when it cannot be understood.
    pub(super) fn parse(text: &str, now: Timestamp) -> Result<Query, String> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(format!("a search has at most {QUERY_BYTES_MAX} bytes, this one {}", text.len()));
        }
        let mut query = Query {
            uetrs: None,
            message_id: None,
            parties: Vec::new(),
            debtor: None,
            creditor: None,
            state: None,
            reason: None,
            amount: None,
            currency: None,
            since: Timestamp(0),
            until: Timestamp(u64::MAX),
        };
        let mut keys: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            let Some((key, value)) = word.split_once(':') else {
                query.bare(word)?;
                continue;
            };
            if keys.contains(&key) {
                return Err(format!("{key}: stands there twice"));
            }
            keys.push(key);
            query.keyed(key, value, now).map_err(|why| format!("{word:?}: {why}"))?;
        }
        if query.since >= query.until {
            return Err("nothing lies between since: and until:, for it is not before it".into());
        }
        Ok(query)
    }

    fn bare(&mut self, word: &str) -> Result<(), String> {
        if let Ok(uetr) = word.parse::<Uetr>() {
            if self.uetrs.is_some() {
                return Err("one UETR at a time".into());
            }
            self.uetrs = Some(uetr.number()..=uetr.number());
            return Ok(());
        }
        // Eighteen characters at least, more than a participant has.
        if let Ok(message_id) = word.parse::<MessageId>() {
            if self.message_id.is_some() {
                return Err("one message id at a time".into());
            }
            self.message_id = Some(message_id);
            return Ok(());
        }
        let party = word.parse::<ParticipantId>().map_err(|_| format!("{word:?} is none of {WORDS}"))?;
        if self.parties.len() == 2 {
            return Err("a payment has two parties: more than two participants fit none".into());
        }
        self.parties.push(party);
        Ok(())
    }

    fn keyed(&mut self, key: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let id = || value.parse::<ParticipantId>().map_err(|error| error.to_string());
        match key {
            "uetr" if self.uetrs.is_some() => return Err("one UETR at a time".into()),
            "uetr" => self.uetrs = Some(uetrs(value)?),
            "from" => self.debtor = Some(id()?),
            "to" => self.creditor = Some(id()?),
            "state" => self.state = Some(state_of(value)?),
            "reason" => self.reason = Some(value.parse().map_err(|error: wire::Error| error.to_string())?),
            "amount" => self.amount = Some(amounts(value)?),
            "currency" => self.currency = Some(value.parse().map_err(|error: wire::Error| error.to_string())?),
            "since" => self.since = point(value, now)?,
            "until" => self.until = point(value, now)?,
            _ => return Err(format!("{key}: is none of {WORDS}")),
        }
        Ok(())
    }

    /// Since when a payment of this message id may be there: most message ids begin with their day.
    pub(super) fn message_since(&self, message_id: &MessageId) -> Timestamp {
        let text = message_id.as_str();
        let day = |text: Option<&str>| BusinessDate::from_compact(text?).ok();
        let day = day(text.get(..8)).or_else(|| day(text.get(1..9)));
        // The day may be counted in another time zone.
        let earliest = day.map_or(Timestamp(0), |day| midnight(day).minus(Duration::from_secs(86_400)));
        self.since.max(earliest)
    }

    /// Whether a payment of this amount and these reasons is looked for; who and when is looked at elsewhere.
    pub(super) fn fits(&self, amount: Money, reasons: wire::Reasons) -> bool {
        self.currency.is_none_or(|currency| currency == amount.currency)
            && self.reason.is_none_or(|reason| reasons.has(reason))
            && self.amount.as_ref().is_none_or(|range| range.contains(&thousandths(amount)))
    }
}

/// Those that begin with the digits.
fn uetrs(text: &str) -> Result<RangeInclusive<u128>, String> {
    let digits = text.replace('-', "");
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || digits.len() < PREFIX_DIGITS_MIN || digits.len() > 32 {
        return Err(format!("write {PREFIX_DIGITS_MIN} to 32 hexadecimal digits, the first of the UETR"));
    }
    let rest = 128 - 4 * digits.len() as u32;
    let start = u128::from_str_radix(&digits, 16).map_err(|error| error.to_string())?.checked_shl(rest).unwrap_or(0);
    Ok(start..=start | u128::MAX.checked_shr(128 - rest).unwrap_or(0))
}

/// The most decimals that a currency has.
const WIDEST: &str = "KWD";

fn thousandths(amount: Money) -> i128 {
    i128::from(amount.minor) * 10_i128.pow(3 - amount.currency.exponent().min(3))
}

fn amounts(text: &str) -> Result<RangeInclusive<i128>, String> {
    let widest: Currency = WIDEST.parse().map_err(|error: wire::Error| error.to_string())?;
    // What was rejected may have been below zero.
    let one = |text: &str| {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let amount = Money::parse(digits, widest).map(thousandths).map_err(|error| error.to_string());
        amount.map(|amount| sign * amount)
    };
    let Some((low, high)) = text.split_once("..") else { return one(text).map(|amount| amount..=amount) };
    if (low, high) == ("", "") {
        return Err("name at least one end of the range".into());
    }
    let low = if low.is_empty() { i128::MIN } else { one(low)? };
    let high = if high.is_empty() { i128::MAX } else { one(high)? };
    if low > high {
        return Err("the range ends before it begins".into());
    }
    Ok(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_442_531_000_000_000);

    fn parse(text: &str) -> Query {
        Query::parse(text, NOW).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn words_that_are_understood() {
        let uetr: Uetr = "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f".parse().unwrap();
        for text in [
            "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f",
            "7b0e0d4c52f34a3e9c7e0a1b2c3d4e5f",
            "uetr:7b0e0d4c-52f34a3e9c7e0a1b2c3d4e5f",
        ] {
            assert_eq!(parse(text).uetrs, Some(uetr.number()..=uetr.number()), "{text}");
        }
        let range = parse("uetr:7b0e0d4c").uetrs.unwrap();
        assert!(range.contains(&uetr.number()) && range.start() >> 96 == range.end() >> 96);
        let query = parse(" BANK-A  from:BANK-B state:timed_out reason:AB05 currency:EUR since:2h until:1h ");
        assert_eq!(query.parties, ["BANK-A".parse().unwrap()]);
        assert_eq!((query.debtor, query.creditor), (Some("BANK-B".parse().unwrap()), None));
        assert_eq!((query.state, query.reason), (Some(State::Expired), Some(Reason::AB05)));
        assert_eq!(query.since.to_string(), "2026-11-23T12:02:11.000000Z");
        assert_eq!(parse(""), parse("  "));
        let id = "20261123BANKA00010000000000001";
        assert_eq!(parse(id).message_id.unwrap().as_str(), id);
        let since = |text: &str| parse(text).message_since(&id.parse().unwrap()).to_string();
        assert_eq!(since(id), "2026-11-22T00:00:00.000000Z");
        assert_eq!(since(&format!("{id} since:1h")), "2026-11-23T13:02:11.000000Z");
    }

    #[test]
    fn amounts_are_compared_in_any_currency() {
        let fits = |text: &str, amount: &str, currency: &str| {
            let money = Money::parse(amount, currency.parse().unwrap()).unwrap();
            parse(text).fits(money, wire::Reasons::NONE)
        };
        assert!(fits("amount:120", "120.00", "EUR") && fits("amount:120.00", "120", "JPY"));
        assert!(fits("amount:0.001", "0.001", "KWD") && !fits("amount:120", "120.01", "EUR"));
        assert!(fits("amount:100..120", "120.00", "EUR") && fits("amount:120..", "120.00", "EUR"));
        assert!(!fits("amount:..119.999", "120.00", "EUR") && !fits("amount:1 currency:USD", "1.00", "EUR"));
        assert!(!fits("amount:1 reason:AC04", "1.00", "EUR"));
        let below_zero = |text: &str| parse(text).fits(Money::new(-500, Currency::EUR), wire::Reasons::NONE);
        assert!(below_zero("amount:-5") && below_zero("amount:-5.00..-1") && below_zero("amount:-10..10"));
        assert!(below_zero("amount:..0") && !below_zero("amount:5") && !below_zero("amount:-4.99.."));
    }

    #[test]
    fn wrong_words_are_refused_with_what_would_be_right() {
        for (text, part) in [
            ("bank", "a participant, from:"),
            ("20261123BANKA00010000000000001 20261123BANKA00010000000000001", "one message id"),
            ("colour:red", "is none of a UETR"),
            ("state:lost", "in_process, settled"),
            ("reason:AC", "four characters"),
            ("amount:1e9", "no amount such as 12.04"),
            ("amount:--5", "no amount such as 12.04"),
            ("amount:..", "at least one end"),
            ("amount:9..8", "ends before it begins"),
            ("amount:99999999999999999999", "18 digits"),
            ("since:soon", "2h for two hours ago"),
            ("since:1h until:2h", "nothing lies between"),
            ("state:settled state:timed_out", "stands there twice"),
            ("BANK-A BANK-B BANK-C", "two parties"),
            ("uetr:7b0e", "8 to 32"),
            ("uetr:7b0e0d4c 7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f", "one UETR"),
            ("uetr:zzzzzzzzzz", "hexadecimal"),
            ("from:", "is empty"),
            ("currency:XXX", "no active currency"),
            (":", "is none of"),
            ("\u{1F4B8}", "is none of"),
            (&"x".repeat(501), "at most 500 bytes"),
        ] {
            let why = Query::parse(text, NOW).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
