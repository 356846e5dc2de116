//! `[[participants]]`: who is taken in at the first start of a sandbox.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wire::{Currency, Money, ParticipantId};

use super::file::File;
use super::{Loading, did_you_mean};

/// A participant with one position, for the first start. One that is registered already is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    pub id: ParticipantId,
    pub currency: Currency,
    pub funded_minor: i64,
    pub limits: settlement::Limits,
}

const KEYS: [&str; 6] = ["id", "currency", "funded", "net_debit_cap", "payment_max", "count"];

pub(super) fn read(loading: &mut Loading, file: &File<'_>, value: &Spanned<DeValue<'_>>) {
    let DeValue::Array(entries) = value.get_ref() else {
        return loading.refuse(file.at(value), "participants is a list: write [[participants]] with two brackets");
    };
    for entry in entries.iter() {
        let DeValue::Table(table) = entry.get_ref() else {
            loading.refuse(file.at(entry), "an entry of participants is a table: write [[participants]]");
            continue;
        };
        for (key, _) in table.iter().filter(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
            let known = KEYS.map(String::from);
            let what = format!("[[participants]] has no {:?}{}", key.get_ref(), did_you_mean(key.get_ref(), &known));
            loading.refuse(file.at(key), what);
        }
        match seeds(table) {
            Ok(seeds) => {
                for seed in seeds {
                    let same = |other: &Seed| other.id == seed.id && other.currency == seed.currency;
                    if loading.config.participants.iter().any(same) {
                        let what = format!("{} stands here twice with a position in {}", seed.id, seed.currency);
                        loading.refuse(file.at(entry), what);
                        break;
                    }
                    loading.config.participants.push(seed);
                }
            }
            Err(what) => loading.refuse(file.at(entry), what),
        }
    }
}

fn seeds(table: &DeTable<'_>) -> Result<Vec<Seed>, String> {
    let text = |key: &str| match table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| value.get_ref()) {
        None => Ok(None),
        Some(DeValue::String(text)) => Ok(Some(text.to_string())),
        Some(_) => Err(format!("{key} is text: write it in quotes")),
    };
    let count = match table.iter().find(|(own, _)| own.get_ref() == "count").map(|(_, value)| value.get_ref()) {
        None => 1,
        Some(DeValue::Integer(number)) => number
            .as_str()
            .parse()
            .ok()
            .filter(|count| (1..=65_535).contains(count))
            .ok_or("count is a whole number from 1 to 65535")?,
        Some(_) => return Err("count is a whole number: write it without quotes".into()),
    };
    let id = text("id")?.ok_or("id is missing: who takes part, for example id = \"BANK-0001\"")?;
    let currency = text("currency")?.ok_or("currency is missing: for example currency = \"EUR\"")?;
    let currency: Currency = currency.parse().map_err(|error: wire::Error| error.to_string())?;
    let amount = |key: &str, absent: i64| match text(key)? {
        None => Ok(absent),
        Some(text) => Money::parse(&text, currency).map(|money| money.minor).map_err(|error| format!("{key}: {error}")),
    };
    let limits =
        settlement::Limits { net_debit_cap: amount("net_debit_cap", -1)?, payment_max: amount("payment_max", -1)? };
    let funded_minor = amount("funded", 0)?;
    series(&id, count)?.into_iter().map(|id| Ok(Seed { id, currency, funded_minor, limits })).collect()
}

/// `BANK-0001`, `BANK-0002`, …: `count` names that go on from the digits at the end of the first.
fn series(first: &str, count: u32) -> Result<Vec<ParticipantId>, String> {
    let parse = |text: &str| text.parse::<ParticipantId>().map_err(|error| error.to_string());
    if count == 1 {
        return Ok(vec![parse(first)?]);
    }
    let stem = first.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let digits = &first[stem.len()..];
    let start: u32 =
        digits.parse().map_err(|_| format!("{first:?} does not end in digits that count could go on from"))?;
    (start..start + count).map(|number| parse(&format!("{stem}{number:0width$}", width = digits.len()))).collect()
}
