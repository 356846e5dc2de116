//! Asks a switch for the stories of a payment. The log and the archive are read on a thread of their own that yields to
//! everything a payment waits for, by one reader at a time.

use std::time::Duration;

use actors::archive::{self, Entry, Search};
use actors::trace::{Sought, Trace, trace};
use settlement::{Book, Key, State};
use tokio::sync::oneshot;
use wire::Uetr;

use super::known::{Known, Source};
use super::tell::{Links, tell};
use super::{Link, Story, UNKNOWN};
use crate::admin::Desk;
use crate::admin::desk::{problem, unavailable, wrong};
use crate::admin::protocol::{Problem, ProblemKind};
use crate::office::give_way;

/// How long the archive may take to come up to what has just ended.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Debtor agents that used the same UETR; more are not told of.
const STORIES_MAX: usize = 8;
const RETURNS_MAX: usize = 32;
/// Participants that the ledger looks through at a time, and payments in process for one answer: what takes it well under
/// a millisecond, for payments wait meanwhile.
pub(crate) const PARTICIPANTS_AT_A_TIME: usize = 1_000;
pub(super) const OFFERS_EXAMINED_MAX: usize = 10_000;
/// Payments of the creditor agent looked at for returns.
const RETURNS_EXAMINED_MAX: usize = 50_000;
/// UETRs that begin alike, told of when one is unknown.
const NEAREST_MAX: usize = 3;

impl Desk {
    /// The stories of all payments with this UETR, one for each debtor agent that used it, or of `debtor` alone.
    pub async fn stories(&self, uetr: &str, debtor: Option<&str>) -> Result<Vec<Story>, Problem> {
        let uetr: Uetr = uetr.parse().map_err(wrong)?;
        let debtor = debtor.map(|debtor| self.key_of(debtor)).transpose()?;
        let _one_at_a_time = self.reading.lock().await;
        let mut known = self.remembered(uetr, debtor).await?;
        if known.is_empty() {
            return Err(self.unknown(uetr, debtor).await);
        }
        known.truncate(STORIES_MAX);
        let mut stories = Vec::with_capacity(known.len());
        for known in known {
            stories.push(self.story(known).await?);
        }
        Ok(stories)
    }

    /// The key of the participant of this name.
    pub(crate) fn key_of(&self, id: &str) -> Result<Key, Problem> {
        let id = self.known(id)?;
        self.switch.scheme().key(id).ok_or_else(|| unavailable(format!("{id} is being registered")))
    }

    /// As the book has it, or else the archive.
    pub(super) async fn remembered(&self, uetr: Uetr, debtor: Option<Key>) -> Result<Vec<Known>, Problem> {
        let keys = match debtor {
            Some(debtor) => vec![debtor],
            None => (0..self.switch.scheme().listings().len() as u32).map(Key).collect(),
        };
        let mut found = Vec::new();
        for part in keys.chunks(PARTICIPANTS_AT_A_TIME) {
            let part = part.to_vec();
            found.extend(self.query(move |book| Known::all_in_book(book, uetr, part.into_iter())).await?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let archive = self.switch.archive.clone();
        let found = aside(move || {
            let came_up = archive.wait(PATIENCE);
            let found = archive.by_uetr(uetr, debtor)?;
            // What is found is true; that nothing was found would be a guess.
            if found.is_empty() { came_up.map(|()| found) } else { Ok::<_, archive::Error>(found) }
        });
        let found = found.await?.map_err(unavailable)?;
        let scheme = self.switch.scheme();
        Ok(found.iter().map(|entry| Known::in_archive(&scheme, entry)).collect())
    }

    async fn story(&self, known: Known) -> Result<Story, Problem> {
        let (switch, own) = (self.switch.clone(), known.clone());
        let up_to = switch.committed_index();
        let trace = aside(move || {
            let sought = Sought {
                uetr: own.record.uetr,
                debtor: own.debtor,
                debtor_agent: own.debtor_agent,
                decided_at: own.decided_at(),
                ended_at: own.ended_at(),
                may_be_annotated: own.record.state == State::SettledWithoutPosting,
            };
            trace(&switch.log_directory, &switch.feeds, &sought, up_to)
        });
        let trace = trace.await?.map_err(|error| error.to_string());
        let links = self.links(&known, trace.as_ref().ok()).await?;
        let (rules, now) = (self.switch.rules(), self.switch.clock().now());
        Ok(tell(&known, trace.as_ref().map_err(Clone::clone), links, rules, now))
    }

    async fn links(&self, known: &Known, trace: Option<&Trace>) -> Result<Links, Problem> {
        let mut links = Links::default();
        if known.record.is_return {
            let in_log = trace.and_then(|trace| trace.steps.iter().find_map(|step| step.fact.payment()?.original));
            match known.original.or(in_log) {
                Some(original) => {
                    let found = self.remembered(original, Some(known.record.creditor)).await?;
                    links.original = found.first().map(Known::link).or_else(|| Some(unseen(original, known)));
                }
                None => links.untold.push("What it returns: only the log tells, and does not have it.".into()),
            }
            return Ok(links);
        }
        let is_settled = matches!(known.record.state, State::Settled | State::SettledWithoutPosting);
        if !is_settled || (known.source == Source::Book && known.record.returned_minor == 0) {
            return Ok(links);
        }
        let (uetr, debtor, creditor) = (known.record.uetr, known.debtor, known.record.creditor);
        let (in_process, gave_up) = self.query(move |book| returns_in_process(book, uetr, debtor, creditor)).await?;
        if gave_up {
            links.untold.push(format!("Returns in process: too much is offered to {} just now.", known.debtor_agent));
        }
        let (archive, from) = (self.switch.archive.clone(), known.record.ended_at);
        let ended = aside(move || {
            archive.wait(PATIENCE)?;
            let limits = Search { from, examined_max: RETURNS_EXAMINED_MAX, ..Search::latest(RETURNS_MAX) };
            let is_its_return =
                |entry: &Entry| entry.original == Some(uetr) && (entry.debtor, entry.creditor) == (creditor, debtor);
            archive.latest(&[creditor], &limits, is_its_return)
        });
        match ended.await? {
            Ok(ended) => {
                links.returned = returned(known, &in_process, &ended.entries, gave_up || ended.reached.is_some());
                let scheme = self.switch.scheme();
                let ended_links = ended.entries.iter().map(|entry| Known::in_archive(&scheme, entry).link());
                links.returns = in_process.iter().map(Known::link).chain(ended_links).collect();
                if let Some(reached) = ended.reached {
                    let what =
                        format!("Returns that ended before {reached}: {} sends too much since.", known.creditor_agent);
                    links.untold.push(what);
                }
            }
            Err(error) => {
                links.returns = in_process.iter().map(Known::link).collect();
                links.untold.push(format!("Returns that have ended: the archive cannot be read: {error}."));
            }
        }
        Ok(links)
    }

    /// Why there is no story, and what may help.
    async fn unknown(&self, uetr: Uetr, debtor: Option<Key>) -> Problem {
        let archive = self.switch.archive.clone();
        let start = uetr.number() >> 96 << 96;
        let alike = aside(move || {
            let alike = archive.by_uetrs(start..=start | u128::MAX >> 32, NEAREST_MAX).unwrap_or_default();
            (alike, archive.is_whole(), archive.begins_at())
        });
        let (alike, is_whole, begins_at) = alike.await.unwrap_or_default();
        let mut message = format!("no payment {uetr} is known, neither in memory nor in the archive");
        if debtor.is_some() && self.remembered(uetr, None).await.is_ok_and(|found| !found.is_empty()) {
            message.push_str("; another debtor agent used this UETR, so leave --debtor out");
        }
        if !is_whole {
            let since = begins_at.map_or_else(|| "is empty".into(), |at| format!("begins with {at}"));
            message.push_str(&format!(
                "; the archive of this node {since}: what ended before that is found at a node that keeps more \
                 (archive.retained_bytes_max), or in a backup of its archive directory"
            ));
        }
        let next = match alike.is_empty() {
            true => "check the UETR; crosstie payment find searches by participant, amount and time".to_string(),
            false => {
                let alike: Vec<String> = alike.iter().map(|entry| entry.uetr.to_string()).collect();
                format!("these begin alike: {}", alike.join(", "))
            }
        };
        Problem { next: Some(next), ..problem(ProblemKind::NotFound, message) }
    }
}

/// The original of a return that was refused because nobody knows it.
pub(super) fn unseen(original: Uetr, known: &Known) -> Link {
    Link {
        uetr: original.to_string(),
        debtor_agent: known.creditor_agent.to_string(),
        amount: "-".into(),
        currency: known.record.currency.to_string(),
        state: UNKNOWN.into(),
        ended_at: None,
    }
}

/// Returns of a payment that its creditor agent is sending back just now: they are offered to its debtor agent. And whether
/// that has too much on offer to look at all of it.
fn returns_in_process(book: &Book, original: Uetr, debtor: Key, creditor: Key) -> (Vec<Known>, bool) {
    let Some(receiver) = book.participant(debtor) else { return Default::default() };
    let own = receiver.incoming().take(OFFERS_EXAMINED_MAX).map(|(payment, _)| payment);
    let own = own.filter(|payment| payment.original == Some(original) && payment.debtor == creditor);
    let record = |payment: &settlement::Payment| book.participant(creditor)?.payment(payment.uetr);
    let known = own.filter_map(|payment| Some(Known::in_book(book, creditor, record(payment)?)));
    (known.take(RETURNS_MAX).collect(), receiver.incoming_count() > OFFERS_EXAMINED_MAX)
}

/// How much of a payment was returned and is being returned, minor units; `None` when not all its returns are known.
fn returned(known: &Known, in_process: &[Known], ended: &[Entry], is_cut: bool) -> Option<(i64, i64)> {
    if is_cut || in_process.len() == RETURNS_MAX || ended.len() == RETURNS_MAX {
        return None;
    }
    let settled = ended.iter().filter(|entry| matches!(entry.state, State::Settled | State::SettledWithoutPosting));
    let settled: i64 = settled.map(|entry| entry.amount_minor).sum();
    // The book counts both, and was read at one moment; the archive counts neither.
    let in_process = match known.source {
        Source::Book => known.record.returned_minor.saturating_sub(settled).max(0),
        Source::Archive => in_process.iter().map(|own| own.record.amount_minor).sum(),
    };
    Some((settled, in_process))
}

/// Does what waits for the disk.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        give_way();
        _ = sender.send(work());
    };
    std::thread::Builder::new().name("story".into()).spawn(work).map_err(unavailable)?;
    receiver.await.map_err(|_| unavailable("reading was given up"))
}
