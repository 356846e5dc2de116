//! What the book says by itself, without the payments: money only moves, and positions are what moved. The ledger is visited
//! for moments, for it has payments to see to; what was taken from it is added up elsewhere.

use std::sync::Arc;

use settlement::{Book, Diary, Key};
use wire::{BusinessDate, Currency, ParticipantId};

use crate::admin::Desk;
use crate::admin::protocol::Problem;
use crate::story::{PARTICIPANTS_AT_A_TIME, aside};
use crate::verify::imbalance_fault;

/// What the book says by itself.
pub(super) struct Standing {
    /// What is wrong with it.
    pub(super) faults: Vec<String>,
    /// The last business date with movements before the present one.
    pub(super) due: Option<BusinessDate>,
    /// Of those with movements, in the order of registration: the first date on which there may have been one.
    pub(super) begins: Vec<(String, BusinessDate)>,
}

/// One participant's balances and what moved them, of the same moment.
struct Moved {
    id: ParticipantId,
    balances: Vec<(Currency, i64)>,
    diary: Arc<Diary>,
}

impl Desk {
    pub(super) async fn standing(&self, today: BusinessDate) -> Result<Standing, Problem> {
        // Of all at one moment, or they would not come to zero.
        let nets = self.query(Book::imbalances).await?;
        let keys: Vec<Key> = (0..self.switch.scheme().listings().len() as u32).map(Key).collect();
        let mut moved = Vec::with_capacity(keys.len());
        for part in keys.chunks(PARTICIPANTS_AT_A_TIME) {
            let part = part.to_vec();
            moved.extend(self.query(move |book| moved_of(book, &part)).await?);
        }
        aside(move || {
            let mut faults: Vec<String> =
                nets.into_iter().filter_map(|(currency, sum)| imbalance_fault(currency, sum)).collect();
            moved.iter().for_each(|own| own.faults(&mut faults));
            let due = moved.iter().filter_map(|own| own.last_date_before(today)).max();
            let begins = moved.iter().filter_map(|own| Some((own.id.to_string(), own.diary.begins()?))).collect();
            Standing { faults, due, begins }
        })
        .await
    }
}

impl Moved {
    fn of(book: &Book, key: Key) -> Option<Moved> {
        let participant = book.participant(key)?;
        let balances = participant.positions().iter().map(|(currency, position)| (*currency, position.balance()));
        Some(Moved { id: participant.listing().id, balances: balances.collect(), diary: book.diary(key)?.clone() })
    }

    fn faults(&self, faults: &mut Vec<String>) {
        let Moved { id, balances, diary } = self;
        for (currency, balance) in balances {
            let moved = diary.of(*currency).map_or(0, |days| days.balance());
            if moved != *balance {
                faults
                    .push(format!("{id} {currency}: its dates come to {moved} minor units, its balance is {balance}"));
            }
        }
    }

    fn last_date_before(&self, today: BusinessDate) -> Option<BusinessDate> {
        let dates = self.diary.all().filter_map(|days| days.all().rev().map(|day| day.date).find(|date| *date < today));
        dates.max()
    }
}

fn moved_of(book: &Book, keys: &[Key]) -> Vec<Moved> {
    keys.iter().filter_map(|key| Moved::of(book, *key)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use settlement::{Fact, Position, PositionMoved};
    use wire::Timestamp;

    use super::*;

    fn funded(minor: i64, funded: i64) -> Fact<'static> {
        let (at, participant, currency) = (Timestamp(1_795_442_531_000_000_000), Key(0), Currency::EUR);
        let position = Position { funded, ..Position::default() };
        Fact::Funded(PositionMoved { at, participant, currency, amount_minor: minor, position, note: "a test" })
    }

    #[test]
    fn a_balance_that_is_not_what_moved_is_told() {
        let (at, key, currency) = (Timestamp(1_795_442_531_000_000_000), Key(0), Currency::EUR);
        let mut book = Book::default();
        book.apply(&Fact::Registered { at, key, id: "BANK-A".parse().unwrap(), currency }, &mut ());
        book.apply(&funded(70, 70), &mut ());
        let told = |standing: &Moved| {
            let mut faults = Vec::new();
            standing.faults(&mut faults);
            faults
        };
        let mut standing = moved_of(&book, &[key, Key(1)]).pop().unwrap();
        assert_eq!((standing.balances.clone(), told(&standing)), (vec![(currency, 70)], vec![]));
        assert_eq!(book.imbalances(), BTreeMap::from([(currency, 0)]));

        let date = book.scheme().business_date();
        assert_eq!(standing.diary.begins(), Some(date));
        assert_eq!((standing.last_date_before(date), standing.last_date_before(date.next())), (None, Some(date)));
        book.apply(&funded(5, 75), &mut ());
        assert_eq!(told(&standing), Vec::<String>::new(), "it is of one moment, whatever moves since");
        standing.balances[0].1 = 71;
        assert_eq!(told(&standing), ["BANK-A EUR: its dates come to 70 minor units, its balance is 71"]);
    }
}
