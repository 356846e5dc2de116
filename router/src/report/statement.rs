//! A statement: one position on one business date. It begins with what the one before ended with.

use std::collections::HashSet;
use std::hash::Hash;

use serde::{Deserialize, Serialize};
use settlement::{Day, Flow};
use wire::{BusinessDate, Currency, Timestamp};

/// How many, and what they come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub count: u64,
    pub amount_minor: i64,
    /// Decimal text.
    pub amount: String,
}

impl Sum {
    /// Minor units beyond what a number of JSON holds are cut off there; the text has them all.
    fn of(flow: &Flow, currency: Currency) -> Sum {
        Sum { count: flow.count, amount_minor: cut_off(flow.minor), amount: text(flow.minor, currency) }
    }
}

fn cut_off(minor: i128) -> i64 {
    minor.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Decimal text of any number of minor units.
fn text(minor: i128, currency: Currency) -> String {
    let decimals = currency.exponent();
    let (unit, sign) = (10_u128.pow(decimals), if minor < 0 { "-" } else { "" });
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:0>width$}", width = decimals as usize)
    }
}

/// The sums of a position on a business date, as the book has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub participant: String,
    pub date: String,
    pub currency: String,
    /// Counts the dates with movements; none on a date without.
    pub number: Option<u64>,
    /// The business date is over: nothing is added but what was decided in the moment of its end.
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

impl Line {
    /// When it ended, and what tells it from others: a participant may have several of one UETR.
    pub fn mark(&self) -> (u64, impl Eq + Hash + use<>) {
        (self.at_ns, (self.uetr.clone(), self.entry, self.direction.clone(), self.counterparty.clone()))
    }
}

/// A part of the lines, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub lines: Vec<Line>,
    /// Those that ended before this time are not among them, nanoseconds since 1970.
    pub reached_ns: Option<u64>,
    /// The archive of the node does not go back to the beginning of the date, or has a gap.
    #[serde(default)]
    pub is_partial: bool,
}

/// Goes through what ended on a date, the latest first, part by part. Parts overlap where payments ended in the same moment;
/// `I` tells them apart.
pub struct Pages<I> {
    /// What the next part is asked for.
    pub until_ns: Option<u64>,
    /// Those of that moment that were taken.
    edge: HashSet<I>,
}

impl<I> Default for Pages<I> {
    fn default() -> Self {
        Pages { until_ns: None, edge: HashSet::new() }
    }
}

impl<I: Eq + Hash> Pages<I> {
    /// Those of a part that were not in one before, and whether there is another part. `mark` gives when one ended.
    pub fn take<T>(
        &mut self,
        mut part: Vec<T>,
        reached_ns: Option<u64>,
        mark: impl Fn(&T) -> (u64, I),
    ) -> Result<(Vec<T>, bool), String> {
        // What lies before comes again, with the next part.
        let from = reached_ns.unwrap_or_default();
        part.retain(|own| {
            let (at_ns, identity) = mark(own);
            at_ns >= from && !self.edge.contains(&identity)
        });
        let Some(reached) = reached_ns else { return Ok((part, false)) };
        if Some(reached) == self.until_ns && part.is_empty() {
            return Err("the list does not come on: too many payments ended in one moment".into());
        }
        if Some(reached) != self.until_ns {
            self.edge.clear();
        }
        let at_edge = part.iter().map(mark).filter(|(at_ns, _)| *at_ns == reached);
        self.edge.extend(at_edge.map(|(_, identity)| identity));
        self.until_ns = Some(reached);
        Ok((part, true))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(flatten)]
    pub totals: Totals,
    /// In the order of time.
    pub lines: Vec<Line>,
    /// SHA-256 of the statement as CSV.
    pub csv_sha256: String,
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
        let text = |minor: i64| text(minor.into(), currency);
        let none = Day::default();
        let own = day.unwrap_or(&none);
        let sum = |flow: &Flow| Sum::of(flow, currency);
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

impl Totals {
    /// What operators moved: each of those that are kept one by one, and the rest of the sums in one.
    pub fn moved_by_operators(&self) -> Vec<Funding> {
        let all = self.funded.amount_minor - self.defunded.amount_minor;
        let rest = all - self.fundings.iter().map(|own| own.amount_minor).sum::<i64>();
        let amount = self.currency.parse().map_or_else(|_| String::new(), |currency| text(rest.into(), currency));
        let rest = (rest != 0).then(|| Funding { at: String::new(), amount, amount_minor: rest });
        self.fundings.iter().cloned().chain(rest).collect()
    }
}

impl Statement {
    /// Of the totals and the lines that the archive has, in any order.
    pub fn new(totals: Totals, mut lines: Vec<Line>) -> Statement {
        lines.retain(|line| line.currency == totals.currency);
        let place = |line: &Line| {
            (line.at_ns, line.entry, line.uetr.clone(), line.direction.clone(), line.counterparty.clone())
        };
        lines.sort_by_cached_key(place);
        let faults = Flows::of(&lines).faults(&totals);
        let csv_sha256 = super::table::sha256(&super::table::statement_csv(&totals, &lines));
        Statement { totals, lines, csv_sha256, faults }
    }
}

/// The four flows of payments of a position, added up one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows([(u64, i128); 4]);

impl Flows {
    const NAMES: [&str; 4] = ["payments sent", "payments received", "returns sent", "returns received"];

    pub fn of(lines: &[Line]) -> Flows {
        let mut flows = Flows::default();
        lines.iter().for_each(|line| flows.add(line.direction == "credit", line.kind == "return", line.amount_minor));
        flows
    }

    pub fn add(&mut self, is_credit: bool, is_return: bool, amount_minor: i64) {
        let (count, minor) = &mut self.0[usize::from(is_credit) + 2 * usize::from(is_return)];
        (*count, *minor) = (*count + 1, *minor + i128::from(amount_minor));
    }

    /// What they and the sums of the book do not agree on.
    pub fn faults(&self, totals: &Totals) -> Vec<String> {
        let sums = [&totals.sent, &totals.received, &totals.returns_sent, &totals.returns_received];
        let differing = self.0.iter().zip(sums).zip(Self::NAMES);
        let differing =
            differing.filter(|(((count, minor), sum), _)| (*count, cut_off(*minor)) != (sum.count, sum.amount_minor));
        let tell = |(((count, minor), sum), name): ((&(u64, i128), &Sum), &str)| {
            let Sum { count: booked, amount_minor, .. } = sum;
            format!(
                "{name}: the book counts {booked} over {amount_minor} minor units, the archive has {count} over {minor}"
            )
        };
        differing.map(tell).collect()
    }
}

/// Whether every position is what the payments of a date made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheck {
    pub date: String,
    /// When it ended.
    pub at: String,
    pub participants: u64,
    pub positions: u64,
    pub payments: u64,
    /// What does not add up.
    pub faults: Vec<String>,
    /// What cannot be said here, and why: another node may be asked.
    pub unchecked: Vec<String>,
}

impl SelfCheck {
    /// As the snapshot tells it.
    pub fn noted(&self, at: Timestamp) -> watch::SelfCheck {
        watch::SelfCheck {
            at_ms: at.milliseconds(),
            date: Some(self.date.clone()).filter(|date| !date.is_empty()),
            positions: self.positions,
            payments: self.payments,
            differences: self.faults.len() as u64,
            first: self.faults.first().cloned(),
            unchecked: self.unchecked.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, at_ns: u64) -> Line {
        Line {
            uetr: number.to_string(),
            at_ns,
            entry: number,
            direction: "debit".into(),
            kind: "payment".into(),
            currency: "EUR".into(),
            amount_minor: 5,
            ..Line::default()
        }
    }

    #[test]
    fn parts_that_overlap_give_every_line_once() {
        // 9 lines in 3 moments, 4 in a part.
        let all: Vec<Line> = (0..9).map(|number| line(number, 100 - number / 3)).collect();
        let (mut pages, mut taken, mut asked) = (Pages::default(), Vec::new(), 0);
        loop {
            asked += 1;
            assert!(asked < 10);
            let until = pages.until_ns.unwrap_or(u64::MAX);
            let lines: Vec<Line> = all.iter().filter(|line| line.at_ns <= until).take(4).cloned().collect();
            let reached_ns = (lines.len() == 4).then(|| lines[3].at_ns);
            let (lines, more) = pages.take(lines, reached_ns, Line::mark).unwrap();
            taken.extend(lines);
            if !more {
                break;
            }
        }
        assert_eq!(taken, all);
        let mut pages = Pages::default();
        let mut stuck = || pages.take((0..4).map(|number| line(number, 7)).collect(), Some(7), Line::mark);
        assert!(stuck().is_ok() && stuck().is_err());
    }

    #[test]
    fn a_statement_says_what_is_missing() {
        let sent = Sum { count: 2, amount_minor: 10, amount: "0.10".into() };
        let totals = Totals { currency: "EUR".into(), sent, ..Totals::default() };
        let whole = Statement::new(totals.clone(), vec![line(2, 9), line(1, 8)]);
        assert!(whole.faults.is_empty(), "{:?}", whole.faults);
        assert_eq!(whole.lines[0].at_ns, 8, "in the order of time");
        let lacking = Statement::new(totals, vec![line(2, 9)]);
        assert_eq!(lacking.faults, ["payments sent: the book counts 2 over 10 minor units, the archive has 1 over 5"]);
        assert_ne!(whole.csv_sha256, lacking.csv_sha256);
    }
}
