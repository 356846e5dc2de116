//! Reports as CSV: a heading, commas, decimal points, UTF-8. The cells are the switch's own identifiers, numbers and codes;
//! none is text that a participant made up, so none can be a formula.

use sha2::{Digest, Sha256};

use super::statement::{Line, Sum, Totals};

const LINES: [&str; 10] =
    ["at", "uetr", "direction", "kind", "original", "counterparty", "amount", "currency", "state", "entry"];

/// In hexadecimal.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Memory takes everything, and what goes in is text.
    let bytes = write(&mut writer).ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// Kinds of the rows of a statement that are no payments.
pub(super) const NO_PAYMENTS: [&str; 3] = ["opening_balance", "funding", "closing_balance"];

/// A statement, in the order of its table: opening balance, what operators moved, payments and returns, closing balance. Opening and
/// credits less debits come to the closing.
pub fn statement_csv(totals: &Totals, lines: &[Line]) -> String {
    let [opening, funding, closing] = NO_PAYMENTS;
    let currency = totals.currency.as_str();
    let balance = |kind, amount| ["", "", "", kind, "", "", amount, currency, "", ""];
    written(|writer| {
        writer.write_record(LINES)?;
        writer.write_record(balance(opening, totals.opening.as_str()))?;
        totals.moved_by_operators().iter().try_for_each(|own| {
            let direction = if own.amount_minor < 0 { "debit" } else { "credit" };
            let amount = own.amount.trim_start_matches('-');
            writer.write_record([own.at.as_str(), "", direction, funding, "", "", amount, currency, "", ""])
        })?;
        lines.iter().try_for_each(|line| {
            let Line { at, uetr, direction, kind, counterparty, amount, currency, state, .. } = line;
            let (original, entry) = (line.original.as_deref().unwrap_or(""), line.entry.to_string());
            writer.write_record([at, uetr, direction, kind, original, counterparty, amount, currency, state, &entry])
        })?;
        writer.write_record(balance(closing, totals.closing.as_str()))
    })
}

/// The totals of several positions, a row each.
pub fn totals_csv(all: &[Totals]) -> String {
    const SUMS: [&str; 6] = ["sent", "received", "returns_sent", "returns_received", "funded", "defunded"];
    written(|writer| {
        let mut heading: Vec<String> =
            ["participant", "date", "currency", "number", "final", "opening"].map(String::from).to_vec();
        SUMS.iter().for_each(|name| heading.extend([format!("{name}_count"), format!("{name}_amount")]));
        heading.push("closing".into());
        writer.write_record(&heading)?;
        all.iter().try_for_each(|totals| {
            let number = totals.number.map_or_else(String::new, |number| number.to_string());
            let mut row = vec![totals.participant.clone(), totals.date.clone(), totals.currency.clone(), number];
            row.extend([totals.is_final.to_string(), totals.opening.clone()]);
            let Totals { sent, received, returns_sent, returns_received, funded, defunded, .. } = totals;
            for Sum { count, amount, .. } in [sent, received, returns_sent, returns_received, funded, defunded] {
                row.extend([count.to_string(), amount.clone()]);
            }
            row.push(totals.closing.clone());
            writer.write_record(&row)
        })
    })
}
