//! What moved on each business date, by participant and currency: statements begin with what the one before ended with,
//! and nobody has to add up a year to write one.
//!
//! The book keeps it, for it alone knows on which date a fact without one falls. A fact about a payment names its own
//! settlement date, and may come some moments after the roll that ended it.

use std::sync::Arc;

use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, Timestamp};

use crate::fact::{Fact, PositionMoved, Settled};
use crate::{Key, Scheme};

/// Dates with movements that are kept of each position.
pub const DAYS_MAX: usize = 35;
/// Fundings that a date keeps one by one; those beyond are in its sums only.
pub const FUNDINGS_MAX: usize = 100;

/// So many, and what they come to in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Flow {
    pub count: u64,
    /// Turnover: unlike a balance it has no bound, for the same money may move any number of times.
    pub minor: i128,
}

impl Flow {
    fn add(&mut self, minor: i64) {
        self.count += 1;
        self.minor += i128::from(minor);
    }
}

/// Money that was brought in, or taken out if it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Funding {
    pub at: Timestamp,
    pub minor: i64,
}

/// One business date of one position.
#[derive(Clone, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Day {
    pub date: BusinessDate,
    /// Counts the dates with movements, from 1, in the order in which they were met: the number of the statement. It is
    /// counted by the book, so all nodes say the same as long as they have counted from the same date on. A snapshot of version
    /// 1 had no days: a node that began with one counts from that snapshot's date, which may be another than a neighbour's
    /// (`Days::unknown_until` tells). No hash that nodes compare covers it; the sums do not depend on it.
    pub number: u64,
    pub sent: Flow,
    pub received: Flow,
    pub returns_sent: Flow,
    pub returns_received: Flow,
    pub funded: Flow,
    pub defunded: Flow,
    pub fundings: Vec<Funding>,
    /// Stamps of its first and last movement.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

impl Day {
    /// What the balance changed by.
    pub fn net(&self) -> i64 {
        let incoming = self.received.minor + self.returns_received.minor + self.funded.minor;
        let net = incoming - self.sent.minor - self.returns_sent.minor - self.defunded.minor;
        // It is the difference of two balances.
        i64::try_from(net).expect("a balance within its bounds")
    }
}

/// The dates of one position, the oldest first.
///
/// A movement changes the last of them, at times the one before. The others are shared with frozen books whatever moves
/// meanwhile: to copy them on the first movement of each participant kept payments waiting, some milliseconds for an entry
/// that moves a thousand.
#[derive(Clone, Debug, Default)]
pub struct Days {
    /// The balance before the oldest date.
    pub opening: i64,
    /// Nothing is known of this date and those before, but what they came to. None when all is known.
    pub unknown_until: BusinessDate,
    /// Older than those in `recent`. The first `forgotten` of them count no more.
    past: Arc<Vec<Day>>,
    forgotten: usize,
    /// The last dates: [`RECENT_MAX`], and more only until `past` is shared with nobody.
    recent: Vec<Day>,
}

/// A payment may settle on the date before the last one, some moments after the roll.
const RECENT_MAX: usize = 2;

impl PartialEq for Days {
    fn eq(&self, other: &Days) -> bool {
        (self.opening, self.unknown_until) == (other.opening, other.unknown_until) && self.all().eq(other.all())
    }
}

impl Eq for Days {}

impl Days {
    /// Of a position about whose past nothing is known but its balance.
    pub(crate) fn from_now(balance: i64, today: BusinessDate) -> Days {
        Days { opening: balance, unknown_until: today, ..Days::default() }
    }

    pub(crate) fn restored(opening: i64, unknown_until: BusinessDate, mut days: Vec<Day>) -> Days {
        let recent = days.split_off(days.len().saturating_sub(RECENT_MAX));
        Days { opening, unknown_until, past: Arc::new(days), forgotten: 0, recent }
    }

    /// The dates with movements that are known, the oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Day> {
        self.past().iter().chain(&self.recent)
    }

    /// The first date on which there may have been a movement: before all others where its past is not known any more; `None`
    /// before anything has moved.
    fn begins(&self) -> Option<BusinessDate> {
        let first = || self.all().next().map(|day| day.date);
        if self.unknown_until.is_none() { first() } else { Some(BusinessDate::default()) }
    }

    /// The balance before this date, and what moved on it; `None` when that is not known any more.
    pub fn on(&self, date: BusinessDate) -> Option<(i64, Option<&Day>)> {
        if date <= self.unknown_until {
            return None;
        }
        let before: i64 = self.all().take_while(|day| day.date < date).map(Day::net).sum();
        Some((self.opening + before, self.all().find(|day| day.date == date)))
    }

    /// What all of it comes to: the balance.
    pub fn balance(&self) -> i64 {
        self.opening + self.all().map(Day::net).sum::<i64>()
    }

    fn past(&self) -> &[Day] {
        &self.past[self.forgotten..]
    }

    fn day(&mut self, date: BusinessDate, at: Timestamp) -> &mut Day {
        if self.recent.len() > RECENT_MAX {
            self.put_past();
        }
        // Nearly always the last.
        let place = match self.recent.iter().rposition(|day| day.date == date) {
            Some(place) => place,
            None => self.open(date, at),
        };
        let day = &mut self.recent[place];
        day.first_at = day.first_at.min(at);
        day.last_at = day.last_at.max(at);
        day
    }

    /// Makes a date one of the recent ones; gives its place there.
    fn open(&mut self, date: BusinessDate, at: Timestamp) -> usize {
        if self.past().last().is_some_and(|last| date <= last.date) {
            // A fact that comes very late.
            self.recent.splice(..0, self.past[self.forgotten..].iter().cloned());
            (self.past, self.forgotten) = Default::default();
        }
        let place = self.recent.partition_point(|day| day.date < date);
        if self.recent.get(place).is_some_and(|day| day.date == date) {
            return place;
        }
        let number = self.all().map(|day| day.number).max().unwrap_or(0) + 1;
        self.recent.insert(place, Day { date, number, first_at: at, ..Day::default() });
        self.forget(place)
    }

    /// Leaves the oldest date out if there are too many; gives the new place of the recent one at `place`.
    fn forget(&mut self, place: usize) -> usize {
        let is_oldest = self.past().is_empty() && place == 0;
        if self.past().len() + self.recent.len() <= DAYS_MAX || is_oldest {
            return place;
        }
        let (oldest, place) = match self.past().first() {
            Some(oldest) => (oldest, place),
            None => (&self.recent[0], place - 1),
        };
        (self.opening, self.unknown_until) = (self.opening + oldest.net(), oldest.date);
        match self.past().is_empty() {
            true => _ = self.recent.remove(0),
            false => self.forgotten += 1,
        }
        place
    }

    /// Puts all but the last dates with those that are over, unless a frozen book still looks at these.
    fn put_past(&mut self) {
        let Some(past) = Arc::get_mut(&mut self.past) else { return };
        past.drain(..std::mem::take(&mut self.forgotten));
        past.extend(self.recent.drain(..self.recent.len() - RECENT_MAX));
    }
}

/// The dates of one participant, by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diary(pub(crate) Vec<(Currency, Days)>);

impl Diary {
    pub fn of(&self, currency: Currency) -> Option<&Days> {
        self.0.iter().find(|(own, _)| *own == currency).map(|(_, days)| days)
    }

    pub fn all(&self) -> impl Iterator<Item = &Days> {
        self.0.iter().map(|(_, days)| days)
    }

    /// On the dates before this one it had no position: the first movement, or before all others where its past is not known any
    /// more. `None` before anything has moved.
    pub fn begins(&self) -> Option<BusinessDate> {
        self.all().filter_map(Days::begins).min()
    }

    fn hold(&mut self, currency: Currency) -> &mut Days {
        let place = self.0.iter().position(|(own, _)| *own == currency).unwrap_or_else(|| {
            self.0.push((currency, Days::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

/// Enters what a fact moves.
pub(crate) fn enter(diaries: &mut [Arc<Diary>], fact: &Fact<'_>, scheme: &Scheme) {
    match fact {
        Fact::Settled(settled) | Fact::Returned(settled) => {
            let Settled { at, payment, settlement_date: date, .. } = settled;
            let is_return = payment.original.is_some();
            if let Some(days) = hold(diaries, payment.debtor, payment.currency) {
                let day = days.day(*date, *at);
                let flow = if is_return { &mut day.returns_sent } else { &mut day.sent };
                flow.add(payment.amount_minor);
            }
            if let Some(days) = hold(diaries, payment.creditor, payment.currency) {
                let day = days.day(*date, *at);
                let flow = if is_return { &mut day.returns_received } else { &mut day.received };
                flow.add(payment.amount_minor);
            }
        }
        Fact::Funded(moved) => fund(hold(diaries, moved.participant, moved.currency), moved, true, scheme),
        Fact::Defunded(moved) => fund(hold(diaries, moved.participant, moved.currency), moved, false, scheme),
        _ => {}
    }
}

fn hold(diaries: &mut [Arc<Diary>], key: Key, currency: Currency) -> Option<&mut Days> {
    diaries.get_mut(key.place()).map(|diary| Arc::make_mut(diary).hold(currency))
}

fn fund(days: Option<&mut Days>, moved: &PositionMoved<'_>, is_in: bool, scheme: &Scheme) {
    let Some(days) = days else { return };
    let day = days.day(scheme.business_date(), moved.at);
    if is_in { &mut day.funded } else { &mut day.defunded }.add(moved.amount_minor);
    if day.fundings.len() < FUNDINGS_MAX {
        let minor = if is_in { moved.amount_minor } else { -moved.amount_minor };
        day.fundings.push(Funding { at: moved.at, minor });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Book, Rules, table};

    fn date(day: u32) -> BusinessDate {
        BusinessDate::new(2026, 11, day).unwrap()
    }

    fn days(book: &Book, place: usize) -> &Days {
        book.diary(Key(place as u32)).and_then(|diary| diary.of(Currency::EUR)).unwrap()
    }

    #[test]
    fn each_date_begins_where_the_one_before_ended() {
        let book = table::run(
            Rules::default(),
            "
            fund   A 50
            submit P1 A B 30                -> reserved
            answer P1 yes                   -> settled 2026-11-23
            submit P2 A B 5                 -> reserved
            answer P2 no                    -> rejected AC04
            submit P3 A B 7                 -> reserved
            roll
            answer P3 yes                   -> settled 2026-11-24
            submit R1 B A 30 returns=P1     -> reserved
            answer R1 yes                   -> returned
            ",
        )
        .book;
        let (a, b) = (days(&book, 0), days(&book, 1));
        let (opening, first) = a.on(date(23)).unwrap();
        let first = first.unwrap();
        let (second_opening, second) = a.on(date(24)).unwrap();
        let second = second.unwrap();
        assert_eq!((first.sent, first.number), (Flow { count: 1, minor: 30 }, 1));
        assert_eq!(second_opening, opening + first.net());
        assert_eq!((second.sent, second.returns_received), (Flow { count: 1, minor: 7 }, Flow { count: 1, minor: 30 }));
        assert_eq!(a.on(date(25)).unwrap(), (second_opening + second.net(), None), "a quiet date");
        assert_eq!(b.on(date(24)).unwrap().1.unwrap().returns_sent, Flow { count: 1, minor: 30 });
        for (place, participant) in book.participants().iter().enumerate() {
            for (currency, position) in participant.positions() {
                let balance =
                    book.diary(Key(place as u32)).and_then(|diary| diary.of(*currency)).map_or(0, Days::balance);
                assert_eq!(balance, position.balance(), "{place} {currency}");
            }
        }
    }

    #[test]
    fn old_dates_come_to_one_balance() {
        let mut days = Days::default();
        let at = Timestamp(1);
        for day in 0..DAYS_MAX as u32 + 3 {
            let date = BusinessDate::new(2026, 1 + day / 28, 1 + day % 28).unwrap();
            days.day(date, at).received.add(1 + i64::from(day));
        }
        let all: i64 = (1..=DAYS_MAX as i64 + 3).sum();
        assert_eq!((days.all().count(), days.balance(), days.opening), (DAYS_MAX, all, 6));
        assert_eq!(days.on(BusinessDate::new(2026, 1, 3).unwrap()), None, "it is not known any more");
        let (opening, day) = days.on(BusinessDate::new(2026, 1, 4).unwrap()).unwrap();
        assert_eq!((opening, day.unwrap().number), (6, 4));
        // A fact that comes after the roll.
        let late = BusinessDate::new(2026, 2, 1).unwrap();
        days.day(late, at).sent.add(5);
        assert_eq!(days.on(BusinessDate::new(2026, 2, 2).unwrap()).unwrap().0, 6 + (4..=29).sum::<i64>() - 5);
    }

    /// As plain as can be, and copied whole.
    #[derive(Default)]
    struct Plain {
        opening: i64,
        unknown_until: BusinessDate,
        days: Vec<Day>,
    }

    impl Plain {
        fn day(&mut self, date: BusinessDate, at: Timestamp) -> &mut Day {
            let mut place = self.days.partition_point(|day| day.date < date);
            if self.days.get(place).is_none_or(|day| day.date != date) {
                let number = self.days.iter().map(|day| day.number).max().unwrap_or(0) + 1;
                self.days.insert(place, Day { date, number, first_at: at, ..Day::default() });
                if self.days.len() > DAYS_MAX && place > 0 {
                    let oldest = self.days.remove(0);
                    (self.opening, self.unknown_until) = (self.opening + oldest.net(), oldest.date);
                    place -= 1;
                }
            }
            let day = &mut self.days[place];
            (day.first_at, day.last_at) = (day.first_at.min(at), day.last_at.max(at));
            day
        }

        fn restored(&self) -> Days {
            Days::restored(self.opening, self.unknown_until, self.days.clone())
        }
    }

    /// Movements of today, of yesterday, of long ago, on new dates; now and then somebody shares the days for a while.
    #[test]
    fn shared_or_not_they_are_what_moved() {
        for seed in 1..40_u64 {
            let (mut state, mut today, mut shared) = (seed, date(23), Vec::new());
            let mut roll = |sides: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % sides
            };
            let (mut days, mut plain) = (Days::default(), Plain::default());
            for step in 1..400 {
                if roll(4) == 0 {
                    (0..=roll(2)).for_each(|_| today = today.next());
                }
                if roll(9) == 0 {
                    shared.push((days.clone(), plain.restored()));
                }
                if roll(12) == 0 {
                    shared.clear();
                }
                let back = [0, 0, 0, 0, 0, 0, 1, 1, 2, 20][roll(10) as usize];
                let late = plain.days.iter().rev().nth(back).map(|day| day.date);
                let on = match late {
                    Some(late) if back > 0 && roll(2) == 0 => late.next(),
                    Some(late) if back > 0 => late,
                    _ => today,
                };
                let (at, minor) = (Timestamp(1_000 - step), step as i64);
                days.day(on, at).received.add(minor);
                plain.day(on, at).received.add(minor);
                assert_eq!(days, plain.restored(), "seed {seed}, step {step}");
                assert!(shared.iter().all(|(days, before)| days == before), "what is shared stands still");
            }
            assert!(days.all().count() == DAYS_MAX && days.opening > 0);
        }
    }

    #[test]
    fn fundings_are_kept_one_by_one_up_to_a_bound() {
        let mut script = String::new();
        (0..FUNDINGS_MAX + 2).for_each(|_| script += "fund C 1\n");
        let book = table::run(Rules::default(), &script).book;
        let (_, day) = days(&book, 2).on(date(23)).unwrap();
        let day = day.unwrap();
        assert_eq!(day.fundings.len(), FUNDINGS_MAX);
        assert!(day.funded.count as usize >= FUNDINGS_MAX + 2, "the sums have all");
    }

    #[test]
    fn of_a_past_that_is_not_known_nothing_is_told() {
        let days = Days::from_now(70, date(23));
        assert_eq!((days.on(date(23)), days.on(date(24))), (None, Some((70, None))));
    }
}
