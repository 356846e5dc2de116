//! A statement: one position on one business date. It begins with what the one before ended with.

use serde::{Deserialize, Serialize};
use settlement::{Day, Flow};
use wire::{BusinessDate, Currency, Money};

/// How many, and what they come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub count: u64,
    pub amount_minor: i64,
    /// Decimal text.
    pub amount: String,
}

/// The sums of a position on a business date, as the book has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub participant: String,
    pub date: String,
    pub currency: String,
    /// Counts the dates with movements; none on a date without.
    pub number: Option<u64>,
    /// The business date is over: no more will be added.
    pub is_final: bool,
    pub opening: String,
    pub closing: String,
    pub opening_minor: i64,
    pub closing_minor: i64,
    pub sent: Sum,
    pub received: Sum,
    pub returns_sent: Sum,
    pub returns_received: Sum,
    pub funded: Sum,
    pub defunded: Sum,
    pub fundings: Vec<Funding>,
    /// Stamps of the first and the last movement, nanoseconds since 1970; 0 without one.
    pub first_ns: u64,
    pub last_ns: u64,
}

/// Money that an operator brought in or took out; why is in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funding {
    pub at: String,
    pub amount: String,
    pub amount_minor: i64,
}

/// A payment or return on a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub at: String,
    pub at_ns: u64,
    pub uetr: String,
    /// `debit` or `credit`, as the participant sees it.
    pub direction: String,
    /// `payment` or `return`.
    pub kind: String,
    /// UETR of what is returned.
    pub original: Option<String>,
    pub counterparty: String,
    pub amount: String,
    pub amount_minor: i64,
    pub currency: String,
    /// `settled` or `settled_without_posting`.
    pub state: String,
    /// The log entry that holds its end.
    pub entry: u64,
}

/// A part of the lines, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub lines: Vec<Line>,
    /// Those that ended before this time are not among them, nanoseconds since 1970.
    pub reached_ns: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(flatten)]
    pub totals: Totals,
    /// In the order of time.
    pub lines: Vec<Line>,
    /// SHA-256 of the lines as CSV.
    pub lines_sha256: String,
    /// What does not add up; empty when the statement is whole.
    pub faults: Vec<String>,
}

impl Totals {
    pub(super) fn new(
        participant: String,
        currency: Currency,
        date: BusinessDate,
        today: BusinessDate,
        opening_minor: i64,
        day: Option<&Day>,
    ) -> Totals {
        let text = |minor| Money::new(minor, currency).decimal().to_string();
        let none = Day::default();
        let own = day.unwrap_or(&none);
        let sum = |flow: &Flow| Sum { count: flow.count, amount_minor: flow.minor, amount: text(flow.minor) };
        let closing_minor = opening_minor + own.net();
        let funding = |funding: &settlement::Funding| Funding {
            at: funding.at.to_string(),
            amount: text(funding.minor),
            amount_minor: funding.minor,
        };
        Totals {
            participant,
            date: date.to_string(),
            currency: currency.to_string(),
            number: day.map(|day| day.number),
            is_final: date < today,
            opening: text(opening_minor),
            closing: text(closing_minor),
            opening_minor,
            closing_minor,
            sent: sum(&own.sent),
            received: sum(&own.received),
            returns_sent: sum(&own.returns_sent),
            returns_received: sum(&own.returns_received),
            funded: sum(&own.funded),
            defunded: sum(&own.defunded),
            fundings: own.fundings.iter().map(funding).collect(),
            first_ns: own.first_at.nanoseconds(),
            last_ns: own.last_at.nanoseconds(),
        }
    }
}

impl Statement {
    /// Of the totals and the lines that the archive has, in any order.
    pub fn new(totals: Totals, mut lines: Vec<Line>) -> Statement {
        lines.retain(|line| line.currency == totals.currency);
        lines.sort_by(|one, other| (one.at_ns, one.entry, &one.uetr).cmp(&(other.at_ns, other.entry, &other.uetr)));
        let faults = faults(&totals, &lines);
        let lines_sha256 = super::table::sha256(&super::table::lines_csv(&lines));
        Statement { totals, lines, lines_sha256, faults }
    }
}

/// What the book and the archive do not agree on.
fn faults(totals: &Totals, lines: &[Line]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut compare = |name: &str, sum: &Sum, direction: &str, kind: &str| {
        let own = lines.iter().filter(|line| line.direction == direction && line.kind == kind);
        let (count, minor) = own.fold((0, 0), |(count, minor), line| (count + 1, minor + line.amount_minor));
        if (count, minor) != (sum.count, sum.amount_minor) {
            faults.push(format!(
                "{name}: the book counts {} over {} minor units, the archive has {count} over {minor}",
                sum.count, sum.amount_minor
            ));
        }
    };
    compare("payments sent", &totals.sent, "debit", "payment");
    compare("payments received", &totals.received, "credit", "payment");
    compare("returns sent", &totals.returns_sent, "debit", "return");
    compare("returns received", &totals.returns_received, "credit", "return");
    faults
}
