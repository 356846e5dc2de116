//! Carries out a search: payments in process from the book, those that have ended from the archive, the latest first.

use std::collections::HashSet;

use actors::archive::{Entry, Search};
use actors::trace::by_message;
use serde::{Deserialize, Serialize};
use settlement::{Book, Key, State};
use wire::{MessageId, Money, ParticipantId, Timestamp};

use super::Payment;
use super::desk::{PATIENCE, aside};
use super::known::Known;
use super::query::Query;
use crate::admin::Desk;
use crate::admin::desk::{unavailable, wrong};
use crate::admin::protocol::{FIND_LIMIT, FIND_LIMIT_MAX, Problem};

/// Ended payments looked at for one answer.
const EXAMINED_MAX: usize = 300_000;
/// Payments in process looked at for one answer; the ledger waits meanwhile.
const IN_PROCESS_EXAMINED_MAX: usize = 10_000;

/// Of the log, read for one message id.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

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
        Found { payments: known.iter().map(|known| known.payment(now)).collect(), more }
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
        let (mut known, mut more): Answer = (Vec::new(), None);
        if query.state.is_none_or(|state| state == State::Reserved) && query.reason.is_none() {
            let (query, parties) = (query.clone(), parties.clone());
            // Whatever the ledger still holds of ended payments goes to the archive before this is answered.
            let found = self.query(move |book| in_process(book, &query, &parties)).await?;
            known = found.known;
            more = found.gave_up.then(|| "too many are in process to look at all: name a participant".into());
        } else {
            self.query(|_| ()).await?;
        }
        if query.state != Some(State::Reserved) {
            let (ended, reached) = self.ended(query, parties, limit + 1).await?;
            // What ended between the two looks is told of as ended.
            known.retain(|one: &Known| !ended.iter().any(|other| one.is(other)));
            known.extend(ended);
            more = more.or(reached.map(|at| {
                format!("those that ended before {at} were not looked at: go on with until:{at}, or name a participant")
            }));
        }
        aside(move || Found::of((known, more), limit, now)).await
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

    async fn ended(
        &self,
        query: Query,
        parties: Parties,
        limit: usize,
    ) -> Result<(Vec<Known>, Option<Timestamp>), Problem> {
        let everyone = || (0..self.switch.scheme().listings().len() as u32).map(Key).collect();
        let among: Vec<Key> = parties.narrowest().map_or_else(everyone, |key| vec![key]);
        let archive = self.switch.archive.clone();
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
            Ok::<_, actors::archive::Error>((entries, reached))
        });
        let (entries, reached) = found.await?.map_err(unavailable)?;
        let scheme = self.switch.scheme();
        Ok((entries.iter().map(|entry| Known::in_archive(&scheme, entry)).collect(), reached))
    }
}

struct InProcess {
    known: Vec<Known>,
    gave_up: bool,
}

/// The latest first. Every payment in process is offered to its creditor agent.
fn in_process(book: &Book, query: &Query, parties: &Parties) -> InProcess {
    // Whoever is known to be the creditor agent has them all.
    let creditors: HashSet<Key> = match (parties.creditor, parties.debtor, &parties.either[..]) {
        (Some(creditor), ..) => HashSet::from([creditor]),
        (None, Some(debtor), [other]) if *other != debtor => HashSet::from([*other]),
        (None, None, [one, other]) => HashSet::from([*one, *other]),
        _ => book.participants().iter().map(settlement::Participant::key).collect(),
    };
    let offers = creditors.iter().filter_map(|key| book.participant(*key)).flat_map(settlement::Participant::incoming);
    let mut offers = offers.map(|(payment, _)| payment);
    let mut known = Vec::new();
    for payment in offers.by_ref().take(IN_PROCESS_EXAMINED_MAX) {
        let fits = parties.fit(payment.debtor, payment.creditor)
            && query.fits(Money::new(payment.amount_minor, payment.currency), wire::Reasons::NONE)
            && query.uetrs.as_ref().is_none_or(|range| range.contains(&payment.uetr.number()));
        let record = || book.participant(payment.debtor)?.payment(payment.uetr);
        if let Some(record) = fits.then(record).flatten()
            && record.at >= query.since
            && record.at < query.until
        {
            known.push(Known::in_book(book, payment.debtor, record));
        }
    }
    known.sort_by_key(|known| std::cmp::Reverse(known.record.at));
    InProcess { known, gave_up: offers.next().is_some() }
}
