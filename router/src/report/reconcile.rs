//! A participant's own list of a business date against the switch's, payment by payment.
//!
//! The list is CSV with a heading; the columns are known by their names, in any order and any case: `uetr` and `amount` must be
//! there; `currency`, `direction` (debit, credit), `counterparty`, `state` and `date` are compared where they are. Others are
//! left alone. A statement of the switch's own is such a list: its rows that are no payments are left out.
//!
//! A payment is known by its debtor agent and UETR, so a participant may well have several of the same UETR: one that it sent
//! and one that it was sent, or two by different debtor agents. Of those of one UETR, rows and payments that are equal belong
//! together, then those that differ least; what is left of either side is there alone. (A return has a UETR of its own.)

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use wire::{Currency, Money, Uetr};

use super::statement::{Line, Sum};
use super::table::NO_PAYMENTS;

pub const FILE_BYTES_MAX: u64 = 512 << 20;
const ROWS_MAX: usize = 5_000_000;
/// Differences that are told one by one; all are counted.
pub const TOLD_MAX: usize = 10_000;

/// A row of the participant's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    uetr: Uetr,
    /// The heading is 1.
    row: u64,
    amount: String,
    currency: Option<String>,
    direction: Option<String>,
    counterparty: Option<String>,
    state: Option<String>,
    date: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In the participant's list, and not settled at the switch on this date.
    OnlyInFile,
    /// In the participant's list once more than at the switch.
    Duplicate,
    /// Settled at the switch, and not in the list.
    OnlyAtSwitch,
    Amount,
    Currency,
    Direction,
    Counterparty,
    State,
    Date,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub kind: Kind,
    pub uetr: String,
    /// Row of the file, the heading being 1.
    pub row: Option<u64>,
    pub in_file: Option<String>,
    pub at_switch: Option<String>,
}

/// How the two compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub participant: String,
    pub date: String,
    pub in_file: u64,
    pub at_switch: u64,
    pub equal: u64,
    /// The switch's, by direction and currency: `debit EUR`.
    pub switch_sums: std::collections::BTreeMap<String, Sum>,
    pub counts: std::collections::BTreeMap<Kind, u64>,
    pub differences: Vec<Difference>,
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        self.counts.is_empty()
    }
}

/// Reads the list, row by row. What cannot be right is told with its row, and nothing is compared.
pub fn read(bytes: &[u8]) -> Result<Vec<Own>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("the file is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|error| error.to_string())?.clone();
    let column = |name: &str| heading.iter().position(|own| own.eq_ignore_ascii_case(name));
    let needed = |name| {
        column(name).ok_or_else(|| {
            format!("the heading has no column {name:?}: it is {:?}", heading.iter().take(20).collect::<Vec<_>>())
        })
    };
    let (uetr, amount) = (needed("uetr")?, needed("amount")?);
    const OPTIONAL: [&str; 5] = ["currency", "direction", "counterparty", "state", "date"];
    let is_twice = |name: &&&str| heading.iter().filter(|own| own.eq_ignore_ascii_case(name)).count() > 1;
    if let Some(name) = ["uetr", "amount"].iter().chain(&OPTIONAL).find(is_twice) {
        return Err(format!("the heading has more than one column {name:?}: leave one of them"));
    }
    let (optional, kind) = (OPTIONAL.map(column), column("kind"));
    let mut all = Vec::new();
    for (record, row) in reader.records().zip(2..) {
        let record = record.map_err(|error| format!("row {row}: {error}"))?;
        if all.len() >= ROWS_MAX {
            return Err(format!("the file has more than {ROWS_MAX} rows: divide it"));
        }
        let cell = |at: usize| record.get(at).unwrap_or("");
        // A statement of the switch's own.
        if cell(uetr).is_empty() && kind.is_some_and(|at| NO_PAYMENTS.contains(&cell(at))) {
            continue;
        }
        let text = cell(uetr);
        let uetr: Uetr = text.parse().map_err(|error| format!("row {row}, uetr {}: {error}", shown(text)))?;
        let [currency, direction, counterparty, state, date] =
            optional.map(|at| at.map(cell).filter(|text| !text.is_empty()).map(String::from));
        let amount = cell(amount).into();
        let own = Own { uetr, row, amount, currency, direction, counterparty, state, date };
        let is_known = |own: &&str| ["debit", "credit"].iter().any(|known| known.eq_ignore_ascii_case(own));
        if let Some(wrong) = own.direction.as_deref().filter(|own| !is_known(own)) {
            return Err(format!("row {row}: direction {} is neither debit nor credit", shown(wrong)));
        }
        all.push(own);
    }
    Ok(all)
}

/// Text of a file in a message: not all of it, and nothing that a terminal obeys.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}

/// Compares what both have of `date`.
pub fn compare(participant: &str, date: &str, own: &[Own], lines: &[Line]) -> Comparison {
    let mut result = Comparison {
        participant: participant.into(),
        date: date.into(),
        in_file: own.len() as u64,
        at_switch: lines.len() as u64,
        ..Comparison::default()
    };
    let mut rows = Rows::new(own, date);
    let equal: Vec<Option<&Own>> = lines.iter().map(|line| rows.take_equal(line)).collect();
    for (line, equal) in lines.iter().zip(equal) {
        let sum = result.switch_sums.entry(format!("{} {}", line.direction, line.currency)).or_default();
        (sum.count, sum.amount_minor) = (sum.count + 1, sum.amount_minor + line.amount_minor);
        if equal.is_some() {
            result.equal += 1;
            continue;
        }
        let row = rows.take_nearest(line);
        let differing = row.map_or_else(
            || vec![(Kind::OnlyAtSwitch, None, Some(line.amount.clone()))],
            |row| differing(row, line, date),
        );
        for (kind, in_file, at_switch) in differing {
            let row = row.map(|row| row.row);
            tell(&mut result, Difference { kind, uetr: line.uetr.clone(), row, in_file, at_switch });
        }
    }
    for (name, sum) in &mut result.switch_sums {
        let currency = name.rsplit(' ').next().and_then(|code| code.parse::<Currency>().ok());
        sum.amount = currency.map_or_else(String::new, |own| Money::new(sum.amount_minor, own).decimal().to_string());
    }
    let settled: HashSet<&String> = lines.iter().map(|line| &line.uetr).collect();
    for own in rows.rest() {
        let (uetr, row, in_file) = (own.uetr.to_string(), Some(own.row), Some(own.amount.clone()));
        let kind = if settled.contains(&uetr) { Kind::Duplicate } else { Kind::OnlyInFile };
        tell(&mut result, Difference { kind, uetr, row, in_file, at_switch: None });
    }
    result
}

/// The rows that belong to no payment yet, by UETR.
struct Rows<'a> {
    by_uetr: HashMap<Uetr, Vec<&'a Own>>,
    date: &'a str,
}

impl<'a> Rows<'a> {
    fn new(own: &'a [Own], date: &'a str) -> Rows<'a> {
        let mut by_uetr = HashMap::<_, Vec<_>>::with_capacity(own.len());
        own.iter().for_each(|row| by_uetr.entry(row.uetr).or_default().push(row));
        Rows { by_uetr, date }
    }

    fn take_equal(&mut self, line: &Line) -> Option<&'a Own> {
        let (rows, date) = (self.by_uetr.get_mut(&line.uetr.parse().ok()?)?, self.date);
        let place = rows.iter().position(|row| differing(row, line, date).is_empty())?;
        Some(rows.remove(place))
    }

    fn take_nearest(&mut self, line: &Line) -> Option<&'a Own> {
        let (rows, date) = (self.by_uetr.get_mut(&line.uetr.parse().ok()?)?, self.date);
        let place = (0..rows.len()).min_by_key(|place| differing(rows[*place], line, date).len())?;
        Some(rows.remove(place))
    }

    /// In the order of the file.
    fn rest(self) -> Vec<&'a Own> {
        let mut rest: Vec<&Own> = self.by_uetr.into_values().flatten().collect();
        rest.sort_unstable_by_key(|own| own.row);
        rest
    }
}

fn tell(result: &mut Comparison, difference: Difference) {
    *result.counts.entry(difference.kind).or_default() += 1;
    if result.differences.len() < TOLD_MAX {
        result.differences.push(difference);
    }
}

fn differing(own: &Own, line: &Line, date: &str) -> Vec<(Kind, Option<String>, Option<String>)> {
    let mut all = Vec::new();
    let same_amount =
        line.currency.parse::<Currency>().ok().and_then(|currency| Money::parse(&own.amount, currency).ok());
    if same_amount.is_none_or(|money| money.minor != line.amount_minor) {
        all.push((Kind::Amount, Some(own.amount.clone()), Some(line.amount.clone())));
    }
    let mut compare = |kind, own: &Option<String>, there: &str| {
        if let Some(own) = own.as_ref().filter(|own| !own.eq_ignore_ascii_case(there)) {
            all.push((kind, Some(own.clone()), Some(there.into())));
        }
    };
    compare(Kind::Currency, &own.currency, &line.currency);
    compare(Kind::Direction, &own.direction, &line.direction);
    compare(Kind::Counterparty, &own.counterparty, &line.counterparty);
    compare(Kind::State, &own.state, &line.state);
    compare(Kind::Date, &own.date, date);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f";
    const TWO: &str = "8b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f";
    const DATE: &str = "2026-11-23";

    fn line(uetr: &str, amount: &str, minor: i64) -> Line {
        Line {
            uetr: uetr.into(),
            direction: "debit".into(),
            kind: "payment".into(),
            amount: amount.into(),
            amount_minor: minor,
            currency: "EUR".into(),
            state: "settled".into(),
            ..Line::default()
        }
    }

    fn compared(file: &str, lines: &[Line]) -> Vec<(Kind, Option<u64>)> {
        let comparison = compare("BANK-A", DATE, &read(file.as_bytes()).unwrap(), lines);
        assert_eq!(comparison.counts.values().sum::<u64>(), comparison.differences.len() as u64);
        comparison.differences.into_iter().map(|own| (own.kind, own.row)).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let lines = [line(ONE, "12.00", 1200)];
        let none: [(Kind, Option<u64>); 0] = [];
        assert_eq!(compared(&format!("uetr,amount\n{ONE},12.00\n"), &lines), none);
        assert_eq!(
            compared(&format!("\u{feff}Amount,note,UETR\n12,\"a, b\",{}\n", ONE.replace('-', "")), &lines),
            none
        );
        assert_eq!(compared("uetr,amount\n", &lines), [(Kind::OnlyAtSwitch, None)]);
        assert_eq!(compared(&format!("uetr,amount\n{ONE},12.01\n"), &lines), [(Kind::Amount, Some(2))]);
        assert_eq!(compared(&format!("uetr,amount\n{ONE},=1+1\n"), &lines), [(Kind::Amount, Some(2))]);
        assert_eq!(compared(&format!("uetr,amount\n{TWO},1\n{ONE},12.00\n"), &lines), [(Kind::OnlyInFile, Some(2))]);
        let all = format!("uetr,amount,currency,direction,state,date\n{ONE},12.00,USD,credit,rejected,2026-11-24\n");
        let kinds: Vec<Kind> = compared(&all, &lines).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Currency, Kind::Direction, Kind::State, Kind::Date]);
    }

    /// What it sent, and what others sent it under the same UETR.
    #[test]
    fn payments_of_one_uetr_are_told_apart() {
        let from = |counterparty: &str, direction: &str, amount: &str, minor: i64| Line {
            counterparty: counterparty.into(),
            direction: direction.into(),
            ..line(ONE, amount, minor)
        };
        let lines = [
            from("BANK-B", "debit", "12.00", 1200),
            from("BANK-B", "credit", "7.00", 700),
            from("BANK-C", "credit", "7.00", 700),
        ];
        let none: [(Kind, Option<u64>); 0] = [];
        assert_eq!(compared(&format!("uetr,amount\n{ONE},7\n{ONE},12\n{ONE},7\n"), &lines), none);
        let heading = "uetr,amount,direction,counterparty";
        let all = format!("{heading}\n{ONE},7,credit,BANK-C\n{ONE},12,debit,BANK-B\n{ONE},7,credit,BANK-B\n");
        assert_eq!(compared(&all, &lines), none);
        // One amount is wrong, and the one it belongs to is known by the rest.
        let all = format!("{heading}\n{ONE},12,debit,BANK-B\n{ONE},8,credit,BANK-C\n{ONE},7,credit,BANK-B\n");
        assert_eq!(compared(&all, &lines), [(Kind::Amount, Some(3))]);
        let all = format!("{heading}\n{ONE},12,debit,BANK-B\n{ONE},7,credit,BANK-D\n{ONE},7,credit,BANK-B\n");
        assert_eq!(compared(&all, &lines), [(Kind::Counterparty, Some(3))]);
        assert_eq!(
            compared(&format!("uetr,amount\n{ONE},7\n{ONE},12\n"), &lines),
            [(Kind::OnlyAtSwitch, None)],
            "one is missing in the list"
        );
        // Booked twice: the second is the participant's own.
        let twice = format!("uetr,amount\n{ONE},12\n{ONE},12\n");
        assert_eq!(compared(&twice, &lines[..1]), [(Kind::Duplicate, Some(3))]);
    }

    #[test]
    fn a_list_that_cannot_be_right_is_refused_with_its_row() {
        for (file, part) in [
            ("", "no column \"uetr\""),
            ("uetr;amount\n", "no column \"uetr\""),
            ("uetr,sum\n", "no column \"amount\""),
            ("uetr,amount,Amount\n", "more than one column \"amount\""),
            ("uetr,amount\nnot-one,1\n", "row 2, uetr \"not-one\""),
            ("uetr,amount\n\x1b[2J,1\n", "\\u{1b}[2J"),
            ("uetr,amount\n7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f,1,2\n", "row 2"),
            ("uetr,amount,direction\n7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f,1,both\n", "neither debit nor credit"),
        ] {
            let refused = read(file.as_bytes()).unwrap_err();
            assert!(refused.contains(part), "{file:?}: {refused}");
        }
        assert!(read(b"uetr,amount\n\xff\xfe").unwrap_err().contains("not UTF-8 from byte 12"));
    }
}
