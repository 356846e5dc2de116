//! What the generator's journal tells of a run: when each payment was first sent, when and how it ended.

use std::collections::HashMap;
use std::path::Path;

use wire::Timestamp;

use super::Result;

const DAY_US: u64 = 86_400_000_000;

/// A moment in the journal's own clock: microseconds of its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

struct Ended {
    at: Moment,
    sent: Moment,
    is_settled: bool,
}

/// All payments that ended, in the order of their ends.
pub(super) struct Journal {
    ended: Vec<Ended>,
    /// Where the clock of [`Moment`] begins.
    first_day: String,
}

impl Journal {
    pub(super) fn read(file: &Path) -> Result<Journal> {
        Journal::parse(&std::fs::read_to_string(file)?)
            .ok_or_else(|| format!("{} is no journal", file.display()).into())
    }

    fn parse(text: &str) -> Option<Journal> {
        let mut journal = Journal { ended: Vec::new(), first_day: text.get(..10)?.into() };
        let mut sent = HashMap::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (at, event, uetr) = (journal.moment_of(words.next()?)?, words.next()?, words.next()?);
            match event {
                "sent" => _ = sent.entry(uetr).or_insert(at),
                "final" => {
                    let is_settled = matches!(words.next()?, "ACSC" | "ACWP");
                    journal.ended.push(Ended { at, sent: *sent.get(uetr)?, is_settled });
                }
                _ => {}
            }
        }
        journal.ended.sort_by_key(|ended| ended.at);
        Some(journal)
    }

    /// The run may go past midnight once.
    fn moment_of(&self, text: &str) -> Option<Moment> {
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
        let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        let later_day = if text.get(..10)? == self.first_day { 0 } else { DAY_US };
        Some(Moment(later_day + seconds * 1_000_000 + number(20, 26)?))
    }

    pub(super) fn moment(&self, at: Timestamp) -> Option<Moment> {
        self.moment_of(&at.to_string())
    }

    /// Seconds until the first payment was settled that had not been sent before.
    pub(super) fn first_new_settled_s(&self, after: Moment) -> Option<f64> {
        let new = self.ended.iter().find(|ended| ended.is_settled && ended.sent > after)?;
        Some((new.at.0 - after.0) as f64 / 1e6)
    }

    /// The longest time without an outcome that touches the time between the two, in milliseconds.
    pub(super) fn longest_gap_ms(&self, from: Moment, to: Moment) -> f64 {
        let gaps = self.ended.windows(2).filter(|pair| pair[1].at >= from && pair[0].at <= to);
        gaps.map(|pair| (pair[1].at.0 - pair[0].at.0) as f64 / 1e3).fold(0.0, f64::max)
    }

    /// Payments that ended between the two and were not settled.
    pub(super) fn failed(&self, from: Moment, to: Moment) -> usize {
        self.ended.iter().filter(|ended| ended.at >= from && ended.at <= to && !ended.is_settled).count()
    }
}

impl Moment {
    pub(super) fn plus_seconds(self, seconds: u64) -> Moment {
        Moment(self.0 + seconds * 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
2026-11-23T23:59:58.000000Z sent a BANK-0001 BANK-0002 1
2026-11-23T23:59:58.100000Z answered a ACTC
2026-11-23T23:59:58.200000Z final a ACSC
2026-11-23T23:59:58.300000Z sent b BANK-0001 BANK-0002 1
2026-11-23T23:59:59.500000Z sent c BANK-0001 BANK-0002 1
2026-11-23T23:59:59.600000Z sent d BANK-0001 BANK-0002 1
2026-11-24T00:00:00.900000Z final b ACSC
2026-11-24T00:00:01.000000Z final c RJCT
2026-11-24T00:00:01.100000Z sent b BANK-0001 BANK-0002 1
2026-11-24T00:00:01.200000Z final d ACSC
";

    #[test]
    fn a_payment_sent_before_is_not_new_and_a_rejected_one_not_settled() {
        let journal = Journal::parse(TEXT).unwrap();
        let killed = journal.moment_of("2026-11-23T23:59:59.000000Z").unwrap();
        assert_eq!(journal.first_new_settled_s(killed), Some(2.2));
        assert_eq!(journal.first_new_settled_s(killed.plus_seconds(1)), None);
    }

    #[test]
    fn gaps_and_failures_between_two_moments() {
        let journal = Journal::parse(TEXT).unwrap();
        let from = journal.moment_of("2026-11-23T23:59:59.000000Z").unwrap();
        assert!((journal.longest_gap_ms(from, from.plus_seconds(1)) - 2700.0).abs() < 1e-6);
        assert!((journal.longest_gap_ms(from.plus_seconds(2), from.plus_seconds(3)) - 200.0).abs() < 1e-6);
        assert_eq!((journal.failed(from, from.plus_seconds(1)), journal.failed(from, from.plus_seconds(3))), (0, 1));
    }
}
