//! Asks the switch for what a report is made of. The archive is read on a thread of its own, by one reader at a time.

use std::collections::HashMap;
use std::time::Duration;

use actors::archive::{Entry, Search};
use settlement::{Book, Key, Scheme, State};
use wire::{BusinessDate, Money, Timestamp};

use super::statement::{Flows, Line, Lines, Pages, SelfCheck, Totals};
use crate::admin::Desk;
use crate::admin::desk::{problem, unavailable, wrong};
use crate::admin::protocol::{Problem, ProblemKind};
use crate::story::aside;

/// Lines in one answer.
const LINES_MAX: usize = 20_000;
/// How often the business date is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// Payments looked at for one answer.
const EXAMINED_MAX: usize = 200_000;

impl Desk {
    /// The sums of all positions of a participant on a date, or on the present one.
    pub async fn totals(&self, id: &str, date: Option<&str>) -> Result<Vec<Totals>, Problem> {
        let key = self.key_of(id)?;
        let date = date.map(|date| date.parse::<BusinessDate>().map_err(wrong)).transpose()?;
        let id = id.to_string();
        self.query(move |book| totals(book, key, &id, date)).await?
    }

    /// Payments of a participant that settled on a date, the latest first, of those that ended before `until_ns` or at it.
    pub async fn lines(&self, id: &str, date: &str, until_ns: Option<u64>) -> Result<Lines, Problem> {
        let key = self.key_of(id)?;
        let date: BusinessDate = date.parse().map_err(wrong)?;
        let own = self.totals(id, Some(&date.to_string())).await?;
        let first = own.iter().filter(|totals| totals.first_ns > 0).map(|totals| totals.first_ns).min();
        let Some(first) = first else { return Ok(Lines::default()) };
        let last = own.iter().map(|totals| totals.last_ns).max().unwrap_or_default();
        let (from, until) = (Timestamp(first), Timestamp(until_ns.unwrap_or(last).min(last).saturating_add(1)));
        let _one_at_a_time = self.reading.lock().await;
        // Whatever the ledger still holds of ended payments goes to the archive before it is asked.
        self.query(|_| ()).await?;
        let archive = self.switch.archive.clone();
        let search = Search { from, until, state: None, limit: LINES_MAX, examined_max: EXAMINED_MAX };
        let found = aside(move || {
            archive.wait(crate::story::PATIENCE)?;
            archive.latest(&[key], &search, |entry| entry.settlement_date == date)
        });
        let found = found.await?.map_err(unavailable)?;
        let is_full = found.entries.len() == LINES_MAX;
        let oldest = found.entries.last().map(|entry| entry.ended_at.nanoseconds()).filter(|_| is_full);
        let scheme = self.switch.scheme();
        let reached_ns = found.reached.map(|reached| reached.nanoseconds()).or(oldest);
        Ok(Lines { lines: found.entries.iter().map(|entry| line(entry, key, &scheme)).collect(), reached_ns })
    }
}

impl Desk {
    /// Adds up every position again from the payments of a date: the archive's, which the book never reads. Takes as long
    /// as the archive needs, and yields to payments.
    pub async fn self_check(&self, date: Option<&str>) -> Result<SelfCheck, Problem> {
        let date = match date {
            Some(date) => date.parse::<BusinessDate>().map_err(wrong)?,
            None => self.date_before().await?,
        };
        let mut check =
            SelfCheck { date: date.to_string(), faults: self.query(standing_faults).await?, ..SelfCheck::default() };
        let ids: Vec<String> = self.switch.scheme().listings().iter().map(|listing| listing.id.to_string()).collect();
        for id in ids {
            let all = match self.totals(&id, Some(&check.date)).await {
                Ok(all) => all,
                Err(Problem { kind: ProblemKind::NotFound, message, .. }) => {
                    check.faults.push(message);
                    continue;
                }
                Err(problem) => return Err(problem),
            };
            let mut flows: HashMap<String, Flows> = HashMap::new();
            let mut pages = Pages::default();
            loop {
                let part = self.lines(&id, &check.date, pages.until_ns).await?;
                let (lines, more) = pages.take(part).map_err(unavailable)?;
                check.payments += lines.iter().filter(|line| line.direction == "debit").count() as u64;
                lines.iter().for_each(|line| flows.entry(line.currency.clone()).or_default().add(line));
                if !more {
                    break;
                }
            }
            for own in &all {
                let found = flows.remove(&own.currency).unwrap_or_default().faults(own);
                check.faults.extend(found.iter().map(|fault| format!("{id} {}: {fault}", own.currency)));
            }
            check.positions += all.len() as u64;
            check.participants += 1;
        }
        check.at = self.switch.clock().now().to_string();
        match check.faults.as_slice() {
            [] => tracing::info!(
                event = "self_check",
                date = check.date,
                positions = check.positions,
                payments = check.payments
            ),
            faults => {
                let first = &faults[0];
                tracing::error!(
                    event = "self_check_failed",
                    date = check.date,
                    faults = faults.len(),
                    first,
                    "positions and payments do not add up: crosstie report self-check tells all"
                );
            }
        }
        *self.checked.lock() = Some(check.clone());
        Ok(check)
    }

    /// The last business date with movements before the present one.
    async fn date_before(&self) -> Result<BusinessDate, Problem> {
        let last = self.query(|book| {
            let today = book.scheme().business_date();
            let keys = (0..book.participants().len()).map(|place| Key(place as u32));
            let days = keys.filter_map(|key| book.diary(key)).flat_map(|diary| diary.all()).flat_map(|days| &days.days);
            days.map(|day| day.date).filter(|date| *date < today).max()
        });
        let none = || problem(ProblemKind::NotFound, "no business date with movements is over yet: name one by --date");
        last.await?.ok_or_else(none)
    }

    /// After each roll, once what still came for the date that is over is in.
    pub async fn check_daily(self: std::sync::Arc<Self>) {
        let mut checked = self.switch.scheme().business_date();
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let today = self.switch.scheme().business_date();
            if today == checked {
                continue;
            }
            tokio::time::sleep(CHECK_EVERY).await;
            checked = today;
            match self.self_check(None).await {
                Ok(_) | Err(Problem { kind: ProblemKind::NotFound, .. }) => {}
                Err(problem) => tracing::warn!(event = "self_check_not_done", why = problem.message),
            }
        }
    }
}

/// What is wrong with the book by itself: money only moves, and positions are what moved.
fn standing_faults(book: &Book) -> Vec<String> {
    let mut faults = Vec::new();
    for currency in book.currencies() {
        let sum = book.imbalance(currency);
        if sum != 0 {
            faults.push(format!("the positions in {currency} add up to {sum} minor units instead of 0"));
        }
    }
    for (place, participant) in book.participants().iter().enumerate() {
        let (key, id) = (Key(place as u32), participant.listing().id);
        for (currency, position) in participant.positions() {
            let moved = book.diary(key).and_then(|diary| diary.of(*currency)).map_or(0, |days| days.balance());
            if moved != position.balance() {
                faults.push(format!(
                    "{id} {currency}: its dates come to {moved} minor units, its balance is {}",
                    position.balance()
                ));
            }
        }
    }
    faults
}

fn totals(book: &Book, key: Key, id: &str, date: Option<BusinessDate>) -> Result<Vec<Totals>, Problem> {
    let today = book.scheme().business_date();
    let date = date.unwrap_or(today);
    if date > today {
        return Err(wrong(format!("{date} has not begun: the business date is {today}")));
    }
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
            Problem { next, ..problem(ProblemKind::NotFound, message) }
        })
    };
    listing.into_iter().map(totals).collect()
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
        state: match entry.state {
            State::SettledWithoutPosting => "settled_without_posting",
            _ => "settled",
        }
        .into(),
        entry: entry.index,
    }
}
