//! Which reports a node can give: of each position the business dates with movements that its book keeps.

use serde::{Deserialize, Serialize};
use settlement::{Book, Key};
use wire::{BusinessDate, Currency, ParticipantId, Timestamp};

use super::desk::Begins;
use crate::admin::Desk;
use crate::admin::desk::wrong;
use crate::admin::protocol::Problem;

/// In one answer.
const LISTED_MAX: usize = 100_000;
/// Participants whose dates the ledger reads before it goes on with payments: some 8 KiB each.
const PARTICIPANTS_AT_A_TIME: usize = 100;

/// A business date of a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub participant: String,
    pub currency: String,
    pub date: String,
    /// Of the statement, see [`settlement::Day::number`].
    pub number: u64,
    /// The business date is over.
    pub is_final: bool,
    /// The archive of this node has the payments: there is a statement, and not only totals.
    pub has_payments: bool,
}

struct Found {
    key: Key,
    currency: Currency,
    date: BusinessDate,
    number: u64,
    first_at: Timestamp,
}

impl Desk {
    /// Of a participant or of all, on a date or on all dates; in the order of registration, then of time.
    pub async fn reports(&self, id: Option<&str>, date: Option<&str>) -> Result<Vec<Listed>, Problem> {
        let date = date.map(|date| date.parse::<BusinessDate>().map_err(wrong)).transpose()?;
        let keys: Vec<Key> = match id {
            Some(id) => vec![self.key_of(id)?],
            None => (0..self.switch.scheme().listings().len() as u32).map(Key).collect(),
        };
        let mut found = Vec::new();
        for part in keys.chunks(PARTICIPANTS_AT_A_TIME) {
            let part = part.to_vec();
            found.extend(
                self.query(move |book| part.iter().flat_map(|key| of(book, *key, date)).collect::<Vec<_>>()).await?,
            );
            if found.len() > LISTED_MAX {
                return Err(wrong(format!(
                    "there are more than {LISTED_MAX}: name a participant, or a date by --date"
                )));
            }
        }
        let (ids, today): (Vec<ParticipantId>, _) = {
            let scheme = self.switch.scheme();
            (scheme.listings().iter().map(|listing| listing.id).collect(), scheme.business_date())
        };
        let begins = Begins::of(&self.switch.archive);
        let listed = found.iter().map(|own| Listed {
            participant: ids[own.key.place()].to_string(),
            currency: own.currency.to_string(),
            date: own.date.to_string(),
            number: own.number,
            is_final: own.date < today,
            has_payments: begins.before(own.first_at),
        });
        Ok(listed.collect())
    }
}

fn of(book: &Book, key: Key, date: Option<BusinessDate>) -> Vec<Found> {
    let currencies = book.participant(key).into_iter().flat_map(|own| own.positions()).map(|(currency, _)| *currency);
    let days = currencies.filter_map(|currency| Some((currency, book.diary(key)?.of(currency)?)));
    let each = days.flat_map(|(currency, days)| days.all().map(move |day| (currency, day)));
    let asked = each.filter(|(_, day)| date.is_none_or(|date| date == day.date));
    let found = asked.map(|(currency, day)| Found {
        key,
        currency,
        date: day.date,
        number: day.number,
        first_at: day.first_at,
    });
    found.collect()
}
