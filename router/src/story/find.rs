//! Carries out a search: payments in process from the book, those that have ended from the archive, the latest first.

use std::collections::HashSet;

use actors::archive::{Entry, Search};
use actors::trace::by_message;
use serde::{Deserialize, Serialize};
use settlement::{Book, Key, Participant, State};
use wire::{MessageId, Money, ParticipantId, Timestamp, Uetr};

use super::Payment;
use super::desk::{OFFERS_EXAMINED_MAX, PARTICIPANTS_AT_A_TIME, PATIENCE, aside};
use super::evidence::Evidence;
use super::known::Known;
use super::query::Query;
use crate::admin::Desk;
use crate::admin::desk::{unavailable, wrong};
use crate::admin::protocol::{FIND_LIMIT, FIND_LIMIT_MAX, Problem};

/// Ended payments looked at for one answer.
const EXAMINED_MAX: usize = 300_000;
/// Of the log, read for one message id.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;
/// Records of payments in process that the ledger looks up before it goes on with payments.
const RECORDS_AT_A_TIME: usize = 256;

/// Payments, and why there may be more.
type Answer = (Vec<Known>, Option<String>);

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Those in process first, then the latest.
    pub payments: Vec<Payment>,
    /// Why there may be more, and how to see it; absent when these are all.
    pub more: Option<String>,
}

impl Found {
    fn of((mut known, mut more): Answer, limit: usize, now: Timestamp) -> Found {
        if known.len() > limit {
            known.truncate(limit);
            more = Some(format!("there are more than {limit}: narrow the search, or raise --limit"));
        }
        Found { payments: known.iter().map(|known| known.payment(&Evidence::default(), now)).collect(), more }
    }
}

/// Whose payments are looked for, as keys.
#[derive(Clone)]
struct Parties {
    debtor: Option<Key>,
    creditor: Option<Key>,
    either: Vec<Key>,
}

impl Parties {
    fn fit(&self, debtor: Key, creditor: Key) -> bool {
        self.debtor.is_none_or(|own| own == debtor)
            && self.creditor.is_none_or(|own| own == creditor)
            && self.either.iter().all(|own| *own == debtor || *own == creditor)
    }

    /// To whom they may be offered; `None` when that may be anybody.
    fn creditors(&self) -> Option<Vec<Key>> {
        match (self.creditor, self.debtor, &self.either[..]) {
            (Some(creditor), ..) => Some(vec![creditor]),
            (None, Some(debtor), [other]) if *other != debtor => Some(vec![*other]),
            (None, None, [one, other]) if one != other => Some(vec![*one, *other]),
            _ => None,
        }
    }

    /// Among whose payments they all are, if anybody is named.
    fn narrowest(&self) -> Option<Key> {
        self.debtor.or(self.creditor).or(self.either.first().copied())
    }
}

impl Desk {
    /// Payments that fit the words of `text` (see `query`), at most `limit` of them.
    pub async fn find(&self, text: &str, limit: Option<usize>) -> Result<Found, Problem> {
        let limit = limit.unwrap_or(FIND_LIMIT);
        if limit == 0 || limit > FIND_LIMIT_MAX {
            return Err(wrong(format!("limit: from 1 to {FIND_LIMIT_MAX}")));
        }
        let now = self.switch.clock().now();
        let query = Query::parse(text, now).map_err(wrong)?;
        let key = |id: &ParticipantId| self.key_of(id.as_str());
        let parties = Parties {
            debtor: query.debtor.as_ref().map(key).transpose()?,
            creditor: query.creditor.as_ref().map(key).transpose()?,
            either: query.parties.iter().map(key).collect::<Result<_, _>>()?,
        };
        let _one_at_a_time = self.reading.lock().await;
        if let Some(message_id) = query.message_id {
            let known = self.by_message(&query, message_id, &parties).await?;
            return aside(move || Found::of(known, limit, now)).await;
        }
        let (mut in_process, mut more): Answer = (Vec::new(), None);
        if query.state.is_none_or(|state| state == State::Reserved) && query.reason.is_none() {
            (in_process, more) = self.offered(&query, &parties).await?;
        } else {
            // Whatever the ledger still holds of ended payments goes to the archive before this is answered.
            self.query(|_| ()).await?;
        }
        let mut ended = Vec::new();
        if query.state != Some(State::Reserved) {
            let reached;
            (ended, reached) = self.ended(query, parties, limit + 1).await?;
            more = more.or(reached.map(|at| {
                format!("those that ended before {at} were not looked at: go on with until:{at}, or name a participant")
            }));
        }
        aside(move || Found::of((merged(in_process, ended), more), limit, now)).await
    }

    /// Those in process, and why there may be more. Every payment in process is offered to its creditor agent. The ledger
    /// is visited many times for a moment, for it has payments to see to.
    async fn offered(&self, query: &Query, parties: &Parties) -> Result<Answer, Problem> {
        let everyone = || (0..self.switch.scheme().listings().len() as u32).map(Key).collect();
        let creditors: Vec<Key> = parties.creditors().unwrap_or_else(everyone);
        let mut offers = Offers::default();
        for part in creditors.chunks(PARTICIPANTS_AT_A_TIME) {
            let (part, query, parties) = (part.to_vec(), query.clone(), parties.clone());
            offers = self.query(move |book| offers.look(book, &part, &query, &parties)).await?;
        }
        let (since, until) = (query.since, query.until);
        let mut known = Vec::with_capacity(offers.fitting.len());
        for part in offers.fitting.chunks(RECORDS_AT_A_TIME) {
            let part = part.to_vec();
            known.extend(self.query(move |book| still_in_process(book, &part)).await?);
        }
        known.retain(|own: &Known| own.record.at >= since && own.record.at < until);
        let more = offers.gave_up.then(|| "too many are in process to look at all: name a participant".into());
        Ok((known, more))
    }

    /// Those of one message id, from the log, and why there may be more.
    async fn by_message(&self, query: &Query, message_id: MessageId, parties: &Parties) -> Result<Answer, Problem> {
        let time = (query.message_since(&message_id), query.until);
        let (switch, up_to) = (self.switch.clone(), self.switch.committed_index());
        let named =
            aside(move || by_message(&switch.log_directory, message_id, time, MESSAGE_BYTES_MAX, up_to)).await?;
        let named = named.map_err(unavailable)?;
        let mut all = Vec::new();
        for (debtor, uetr) in named.payments {
            let known = self.remembered(uetr, Some(debtor)).await?;
            let fits = |known: &Known| {
                let record = &known.record;
                parties.fit(debtor, record.creditor)
                    && query.state.is_none_or(|state| state == record.state)
                    && query.uetrs.as_ref().is_none_or(|range| range.contains(&uetr.number()))
                    && query.fits(Money::new(record.amount_minor, record.currency), record.reasons)
            };
            all.extend(known.into_iter().filter(fits));
        }
        let more = named.reached.map(|at| format!("the log was read up to {at} and no further: go on with since:{at}"));
        Ok((all, more))
    }

    /// Those that have ended, and down to which time all were looked at, if not to the end.
    async fn ended(
        &self,
        query: Query,
        parties: Parties,
        limit: usize,
    ) -> Result<(Vec<Known>, Option<Timestamp>), Problem> {
        let everyone = || (0..self.switch.scheme().listings().len() as u32).map(Key).collect();
        let among: Vec<Key> = parties.narrowest().map_or_else(everyone, |key| vec![key]);
        // The journal waits for whoever reads the scheme: no thread that yields to others may hold it.
        let (archive, scheme) = (self.switch.archive.clone(), self.switch.scheme().clone());
        let found = aside(move || {
            let came_up = archive.wait(PATIENCE);
            let Query { since: from, until, state, .. } = query;
            let fits = |entry: &Entry| {
                parties.fit(entry.debtor, entry.creditor)
                    && query.fits(Money::new(entry.amount_minor, entry.currency), entry.reasons)
            };
            let (entries, reached) = match &query.uetrs {
                Some(range) => {
                    let mut found = archive.by_uetrs(range.clone(), EXAMINED_MAX)?;
                    let in_time = |entry: &Entry| entry.ended_at >= from && entry.ended_at < until;
                    let is_state = |entry: &Entry| state.is_none_or(|state| state == entry.state);
                    found.retain(|entry| in_time(entry) && is_state(entry) && fits(entry));
                    found.truncate(limit);
                    (found, None)
                }
                None => {
                    let search = Search { from, until, state, limit, examined_max: EXAMINED_MAX };
                    let found = archive.latest(&among, &search, fits)?;
                    (found.entries, found.reached)
                }
            };
            // What is found is true; that nothing was found would be a guess.
            if entries.is_empty() {
                came_up?;
            }
            let known = entries.iter().map(|entry| Known::in_archive(&scheme, entry)).collect();
            Ok::<_, actors::archive::Error>((known, reached))
        });
        found.await?.map_err(unavailable)
    }
}

/// What the creditor agents are asked just now.
#[derive(Default)]
struct Offers {
    examined: usize,
    gave_up: bool,
    /// Debtor agent and UETR of those that fit, but for their time.
    fitting: Vec<(Key, Uetr)>,
}

impl Offers {
    fn look(mut self, book: &Book, creditors: &[Key], query: &Query, parties: &Parties) -> Offers {
        let offers = creditors.iter().filter_map(|key| book.participant(*key)).flat_map(Participant::incoming);
        for (payment, _) in offers {
            if self.examined == OFFERS_EXAMINED_MAX {
                self.gave_up = true;
                break;
            }
            self.examined += 1;
            if parties.fit(payment.debtor, payment.creditor)
                && query.fits(Money::new(payment.amount_minor, payment.currency), wire::Reasons::NONE)
                && query.uetrs.as_ref().is_none_or(|range| range.contains(&payment.uetr.number()))
            {
                self.fitting.push((payment.debtor, payment.uetr));
            }
        }
        self
    }
}

/// Of those that have ended since, the archive tells.
fn still_in_process(book: &Book, offers: &[(Key, Uetr)]) -> Vec<Known> {
    let record = |(debtor, uetr): &(Key, Uetr)| Some((*debtor, book.participant(*debtor)?.payment(*uetr)?));
    let still = offers.iter().filter_map(record).filter(|(_, record)| record.state == State::Reserved);
    still.map(|(debtor, record)| Known::in_book(book, debtor, record)).collect()
}

/// Those in process first, each of the two the latest first. What ended between the two looks is told of as ended.
fn merged(mut in_process: Vec<Known>, ended: Vec<Known>) -> Vec<Known> {
    let told: HashSet<_> = ended.iter().map(Known::identity).collect();
    in_process.retain(|own| !told.contains(&own.identity()));
    in_process.sort_by_key(|own| std::cmp::Reverse(own.record.at));
    in_process.extend(ended);
    in_process
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use settlement::Scheme;
    use wire::{BusinessDate, Currency, Reasons};

    use super::*;

    fn known(number: u64, state: State) -> Known {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let entry = Entry {
            uetr: Uetr::from_random(bytes),
            debtor: Key(0),
            creditor: Key(1),
            amount_minor: 1,
            currency: Currency::EUR,
            state,
            reasons: Reasons::NONE,
            settlement_date: BusinessDate::NONE,
            decided_at: Timestamp(number + 1),
            ended_at: Timestamp(number + 2),
            original: None,
            index: 1,
        };
        Known::in_archive(&Scheme::default(), &entry)
    }

    /// As many as one answer may hold, in process and ended: comparing each with each took seconds.
    #[test]
    fn what_ended_meanwhile_is_told_once_however_many_there_are() {
        let count = 2 * FIND_LIMIT_MAX as u64;
        let in_process: Vec<Known> = (0..count).map(|number| known(number << 20, State::Reserved)).collect();
        let ended: Vec<Known> = (count / 2..count).rev().map(|number| known(number << 20, State::Settled)).collect();
        let began = Instant::now();
        let all = merged(in_process, ended);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(all.len() as u64, count);
        let (first, last) = all.split_at(all.len() / 2);
        assert!(first.iter().all(Known::in_process) && !last.iter().any(Known::in_process));
        assert!([first, last].iter().all(|part| part.is_sorted_by(|one, other| one.record.at > other.record.at)));
    }
}
