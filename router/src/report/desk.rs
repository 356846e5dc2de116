//! Asks the switch for what a report is made of. The archive is read on a thread of its own, by one reader at a time.

use std::collections::HashMap;

use actors::archive::{self, Archive, Entry, Latest, Search};
use settlement::{Book, Key, Scheme};
use wire::{BusinessDate, Money, Timestamp};

use super::standing::Standing;
use super::statement::{Flows, Line, Lines, Pages, SelfCheck, Totals};
use crate::admin::Desk;
use crate::admin::desk::{problem, unavailable, wrong};
use crate::admin::protocol::{Problem, ProblemKind};
use crate::story::{PATIENCE, aside, state_name};

/// Lines in one answer: so few that writing it keeps no payment waiting.
const LINES_MAX: usize = 1_000;
/// Payments that a self-check adds up at a time.
const CHECKED_AT_A_TIME: usize = 20_000;
/// Payments looked at for one answer.
const EXAMINED_MAX: usize = 200_000;

impl Desk {
    /// The sums of all positions of a participant on a date, or on the present one. Not found is a date that has not begun,
    /// and one on which it had no position yet: nothing is no sum of 0.00.
    pub async fn totals(&self, id: &str, date: Option<&str>) -> Result<Vec<Totals>, Problem> {
        let key = self.key_of(id)?;
        let date = date.map(|date| date.parse::<BusinessDate>().map_err(wrong)).transpose()?;
        let id = id.to_string();
        self.query(move |book| totals(book, key, &id, date)).await?
    }

    /// Payments of a participant that settled on a date, the latest first, of those that ended before `until_ns` or at it.
    pub async fn lines(&self, id: &str, date: &str, until_ns: Option<u64>) -> Result<Lines, Problem> {
        let key = self.key_of(id)?;
        let own = self.totals(id, Some(date)).await?;
        let Some(span) = Span::of(key, date, &own)? else { return Ok(Lines::default()) };
        let scheme = self.switch.scheme().clone();
        let read = move |archive: &Archive| {
            let (entries, reached_ns) = span.part(archive, until_ns, LINES_MAX)?;
            let lines = entries.iter().map(|entry| line(entry, key, &scheme)).collect();
            Ok(Lines { lines, reached_ns, is_partial: !span.is_covered(archive) })
        };
        self.read_archive(read).await
    }

    /// Reads the archive once it has everything that has ended so far; one reader at a time.
    async fn read_archive<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Archive) -> Result<T, archive::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let _one_at_a_time = self.reading.lock().await;
        // Whatever the ledger still holds of ended payments goes to the archive before it is asked.
        self.query(|_| ()).await?;
        let archive = self.switch.archive.clone();
        let found = aside(move || archive.wait(PATIENCE).and_then(|()| read(&archive)));
        found.await?.map_err(unavailable)
    }

    /// Adds up every position again from the payments of a date that is over: the archive's, which the book never reads. Due
    /// is the last date with movements, so that one unless another is named.
    /// Takes as long as the archive needs, on a thread that yields to payments.
    pub async fn self_check(&self, date: Option<&str>) -> Result<SelfCheck, Problem> {
        let asked = date.map(|date| date.parse::<BusinessDate>().map_err(wrong)).transpose()?;
        let today = self.switch.scheme().business_date();
        let Standing { faults, due, begins } = self.standing(today).await?;
        let Some(date) = asked.or(due) else {
            self.logbook.self_checked(SelfCheck::default().noted(self.switch.clock().now()));
            return Err(not_found("no business date with movements is over yet"));
        };
        begun(date, today)?;
        if date == today {
            return Err(wrong(format!("{date} is not over: the business date is {today}")));
        }
        let mut check = SelfCheck { date: date.to_string(), faults, ..SelfCheck::default() };
        for (id, _) in begins.iter().filter(|(_, begins)| *begins <= date) {
            match self.check_one(id, &mut check).await {
                Ok(()) => check.participants += 1,
                Err(Problem { kind: ProblemKind::NotFound, message, .. }) => check.unchecked.push(message),
                Err(problem) => return Err(problem),
            }
        }
        if check.participants == 0 && check.unchecked.is_empty() {
            let first = begins.iter().map(|(_, begins)| *begins).min();
            return Err(unknown_date("the switch", date, first));
        }
        let at = self.switch.clock().now();
        check.at = at.to_string();
        let SelfCheck { positions, payments, unchecked, .. } = &check;
        match check.faults.first() {
            None => {
                tracing::info!(
                    event = "self_check",
                    date = check.date,
                    positions,
                    payments,
                    unchecked = unchecked.len(),
                    "what could be checked adds up"
                );
            }
            Some(first) => {
                tracing::error!(
                    event = "self_check_failed",
                    date = check.date,
                    faults = check.faults.len(),
                    first,
                    "positions and payments do not add up: crosstie report self-check tells all"
                );
            }
        }
        match Some(date) == due {
            true => self.logbook.self_checked(check.noted(at)),
            false => self.logbook.checked_again(&check.noted(at)),
        }
        Ok(check)
    }

    async fn check_one(&self, id: &str, check: &mut SelfCheck) -> Result<(), Problem> {
        let key = self.key_of(id)?;
        let all = self.totals(id, Some(&check.date)).await?;
        let mut flows = HashMap::new();
        if let Some(span) = Span::of(key, &check.date, &all)? {
            let add_up = move |archive: &Archive| match span.is_covered(archive) {
                true => span.add_up(archive).map(Some),
                false => Ok(None),
            };
            let Some((own, payments)) = self.read_archive(add_up).await? else {
                check.unchecked.push(format!("{id}: the archive of this node does not go back to {}", check.date));
                return Ok(());
            };
            (flows, check.payments) = (own, check.payments + payments);
        }
        for own in &all {
            let found = flows.remove(&own.currency).unwrap_or_default().faults(own);
            check.faults.extend(found.iter().map(|fault| format!("{id} {}: {fault}", own.currency)));
        }
        check.positions += all.len() as u64;
        Ok(())
    }
}

/// The payments of a participant on a date, and the time in which they ended.
#[derive(Clone, Copy)]
struct Span {
    key: Key,
    date: BusinessDate,
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    /// `None` when nothing moved.
    fn of(key: Key, date: &str, own: &[Totals]) -> Result<Option<Span>, Problem> {
        let date: BusinessDate = date.parse().map_err(wrong)?;
        let first = own.iter().filter(|totals| totals.first_ns > 0).map(|totals| Timestamp(totals.first_ns)).min();
        let last = own.iter().map(|totals| Timestamp(totals.last_ns)).max().unwrap_or_default();
        Ok(first.map(|first| Span { key, date, first, last }))
    }

    /// Whether the archive has all of that time.
    fn is_covered(&self, archive: &Archive) -> bool {
        Begins::of(archive).before(self.first)
    }

    /// The latest `limit` of those that ended at `until_ns` or before, and the time down to which they are all.
    fn part(
        &self,
        archive: &Archive,
        until_ns: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<u64>), archive::Error> {
        let last = self.last.nanoseconds();
        let until = Timestamp(until_ns.unwrap_or(last).min(last).saturating_add(1));
        let search = Search { from: self.first, until, state: None, limit, examined_max: EXAMINED_MAX };
        let Latest { entries, reached } =
            archive.latest(&[self.key], &search, |entry| entry.settlement_date == self.date)?;
        let oldest = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.ended_at);
        // Of what lies before either, there may be more.
        let reached = reached.max(oldest).map(|reached| reached.nanoseconds());
        Ok((entries, reached))
    }

    /// All of them, by currency, and how many were sent.
    fn add_up(&self, archive: &Archive) -> Result<(HashMap<String, Flows>, u64), archive::Error> {
        let (mut flows, mut sent): (HashMap<String, Flows>, u64) = Default::default();
        let mut pages = Pages::default();
        loop {
            let (entries, reached_ns) = self.part(archive, pages.until_ns, CHECKED_AT_A_TIME)?;
            let mark = |entry: &Entry| (entry.ended_at.nanoseconds(), (entry.debtor, entry.uetr, entry.index));
            let (fresh, more) = pages.take(entries, reached_ns, mark).map_err(|_| archive::Error::Behind)?;
            for entry in fresh {
                let is_credit = entry.debtor != self.key;
                sent += u64::from(!is_credit);
                let own = flows.entry(entry.currency.to_string()).or_default();
                own.add(is_credit, entry.original.is_some(), entry.amount_minor);
            }
            if !more {
                return Ok((flows, sent));
            }
        }
    }
}

/// Since when an archive has everything.
pub(super) enum Begins {
    FromTheFirst,
    /// With a payment that ended then, if it has any.
    At(Option<Timestamp>),
}

impl Begins {
    pub(super) fn of(archive: &Archive) -> Begins {
        if archive.is_whole() { Begins::FromTheFirst } else { Begins::At(archive.begins_at()) }
    }

    pub(super) fn before(&self, at: Timestamp) -> bool {
        match self {
            Begins::FromTheFirst => true,
            Begins::At(begins) => begins.is_some_and(|begins| begins < at),
        }
    }
}

fn not_found(message: impl Into<String>) -> Problem {
    problem(ProblemKind::NotFound, message)
}

fn begun(date: BusinessDate, today: BusinessDate) -> Result<(), Problem> {
    match date > today {
        true => Err(not_found(format!("{date} has not begun: the business date is {today}"))),
        false => Ok(()),
    }
}

/// `first`: the date with the first movement, if anything has moved.
fn unknown_date(of: &str, date: BusinessDate, first: Option<BusinessDate>) -> Problem {
    let begins = first.map_or("nothing has moved yet".into(), |first| format!("the first movement was on {first}"));
    let next = Some("crosstie report list tells the dates with movements".into());
    Problem { next, ..not_found(format!("nothing is known of {of} on {date}: {begins}")) }
}

fn totals(book: &Book, key: Key, id: &str, date: Option<BusinessDate>) -> Result<Vec<Totals>, Problem> {
    let today = book.scheme().business_date();
    let date = date.unwrap_or(today);
    begun(date, today)?;
    let diary = book.diary(key);
    let listing = book.scheme().listing(key).map(|listing| listing.currencies.clone()).unwrap_or_default();
    let totals = |currency| {
        let days = diary.and_then(|diary| diary.of(currency));
        let on = days.map_or(Some((0, None)), |days| days.on(date));
        on.map(|(opening, day)| Totals::new(id.into(), currency, date, today, opening, day)).ok_or_else(|| {
            let unknown = days.map(|days| days.unknown_until.to_string()).unwrap_or_default();
            let message = format!(
                "the sums of {id} on {date} are not kept any more: the book has those after {unknown} ({} dates with movements)",
                settlement::DAYS_MAX
            );
            let next = Some(format!("crosstie payment find {id} since:{date} finds the payments of that time"));
            Problem { next, ..not_found(message) }
        })
    };
    let all: Vec<Totals> = listing.into_iter().map(totals).collect::<Result<_, _>>()?;
    let begins = diary.and_then(|diary| diary.begins());
    match date == today || begins.is_some_and(|begins| begins <= date) {
        true => Ok(all),
        false => Err(unknown_date(id, date, begins)),
    }
}

fn line(entry: &Entry, own: Key, scheme: &Scheme) -> Line {
    let is_debit = entry.debtor == own;
    let other = if is_debit { entry.creditor } else { entry.debtor };
    Line {
        at: entry.ended_at.to_string(),
        at_ns: entry.ended_at.nanoseconds(),
        uetr: entry.uetr.to_string(),
        direction: if is_debit { "debit" } else { "credit" }.into(),
        kind: if entry.original.is_some() { "return" } else { "payment" }.into(),
        original: entry.original.map(|original| original.to_string()),
        counterparty: scheme.id(other).to_string(),
        amount: Money::new(entry.amount_minor, entry.currency).decimal().to_string(),
        amount_minor: entry.amount_minor,
        currency: entry.currency.to_string(),
        state: state_name(entry.state).into(),
        entry: entry.index,
    }
}
