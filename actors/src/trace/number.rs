//! Which number a notice has in its feed. A feed keeps the numbers of its parts' first notices only; within a part they
//! are counted: in memory, where it still lies there, or else in the log, from whichever end of the part is nearer.

use std::path::Path;

use persistence::{Error, Index, Reader};
use settlement::{Fact, Facts, Recipient, Scheme, notices};
use wire::{Frames, Message, Status, frame};

use super::{Notice, Sought, Step};
use crate::feed::{Cursor, Feed, Part, Progress};
use crate::ledger::Feeds;

/// Counted over so much of the log at most.
const COUNT_BYTES_MAX: u64 = 64 << 20;
const MEMORY_STEP_BYTES: usize = 64 << 10;

pub(super) fn notices_of(
    directory: &Path,
    feeds: &Feeds,
    sought: &Sought,
    step: &Step,
    up_to: Index,
) -> Result<Vec<Notice>, Error> {
    let mut told = Vec::new();
    // Counted, never written: for that nobody's name is needed.
    notices(&step.fact, &Scheme::default(), |to, _| {
        if let Recipient::Participant(key) = to {
            told.push(Notice { to: key, number: None });
        }
    });
    for notice in &mut told {
        let Some(feed) = feeds.of(notice.to) else { continue };
        let Some(part) = feed.part_of(step.index) else { continue };
        notice.number = match part.in_memory.then(|| in_memory(&feed, part, sought, step)).flatten() {
            Some(number) => Some(number),
            None => in_log(directory, Recipient::Participant(notice.to), part, step, up_to)?,
        };
    }
    Ok(told)
}

/// Looks at the frames of the part. The lock of the feed is held for the copies alone, as by a session.
fn in_memory(feed: &Feed, part: Part, sought: &Sought, step: &Step) -> Option<u64> {
    let mut cursor = Cursor::after(part.first.0 - 1);
    let mut number = part.first.0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let progress = feed.read(&mut cursor, MEMORY_STEP_BYTES, &mut bytes);
        for frame in Frames::new(&bytes) {
            let frame = frame.ok()?;
            if is_about(frame.kind, frame.body, sought, step) {
                return Some(number);
            }
            number += 1;
            if part.next.is_some_and(|(next, _)| number >= next) {
                return None;
            }
        }
        if progress != Progress::More {
            return None;
        }
    }
}

fn is_about(kind: u16, body: &[u8], sought: &Sought, step: &Step) -> bool {
    let (uetr, debtor_agent, at, status) = match frame::decode(kind, body) {
        Ok(Message::TransferNotice(offer)) => (offer.transfer.uetr, offer.transfer.debtor_agent, offer.at, None),
        Ok(Message::ReturnNotice(offer)) => {
            (offer.payment_return.uetr, offer.payment_return.debtor_agent, offer.at, None)
        }
        Ok(Message::StatusNotice(notice)) => (notice.uetr, notice.debtor_agent, notice.at, Some(notice.status)),
        _ => return false,
    };
    (uetr, debtor_agent, at, status) == (sought.uetr, sought.debtor_agent, step.fact.at(), status_told(&step.fact))
}

/// What the notices of a fact say; `None` for an offer.
fn status_told(fact: &Fact<'_>) -> Option<Status> {
    match fact {
        Fact::Settled(fact) | Fact::Returned(fact) => Some(fact.status),
        Fact::Annotated(fact) => Some(fact.status),
        Fact::Rejected(_) | Fact::Expired(_) => Some(Status::RJCT),
        _ => None,
    }
}

fn in_log(directory: &Path, to: Recipient, part: Part, step: &Step, up_to: Index) -> Result<Option<u64>, Error> {
    let ((first, begin), next) = (part.first, part.next);
    let from_the_end = next.filter(|(_, next)| next - step.index < step.index - begin);
    let counted = match from_the_end {
        Some((number, next)) => {
            count(directory, to, step, (step.index, next - 1), up_to)?.map(|(_, rest)| number - rest)
        }
        None => count(directory, to, step, (begin, step.index), up_to)?.map(|(before, _)| first + before),
    };
    Ok(counted)
}

/// How many notices the entries `from..=last` made for `to` before the one of `step`, and how many from it on. `None` when
/// that is too much to read, or no longer there.
fn count(
    directory: &Path,
    to: Recipient,
    step: &Step,
    (from, last): (Index, Index),
    up_to: Index,
) -> Result<Option<(u64, u64)>, Error> {
    let mut reader = match Reader::open(directory, from) {
        Err(Error::Gone { .. }) => return Ok(None),
        reader => reader?,
    };
    let (mut before, mut rest, mut bytes) = (0, 0, 0);
    while reader.position() <= last {
        let Some(entry) = reader.next(up_to)? else { return Ok(None) };
        bytes += entry.payload.len() as u64;
        if bytes > COUNT_BYTES_MAX {
            return Ok(None);
        }
        for fact in Facts::new(entry.payload).flatten() {
            let is_ours = entry.index == step.index && is_same(&fact, &step.fact);
            notices(&fact, &Scheme::default(), |recipient, _| {
                if recipient == to {
                    if is_ours || rest > 0 { rest += 1 } else { before += 1 }
                }
            });
        }
    }
    Ok((rest > 0).then_some((before, rest)))
}

/// One entry may hold several facts about a payment, of different kinds.
fn is_same(one: &Fact<'_>, other: &Fact<'_>) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
        && one.at() == other.at()
        && one.payment() == other.payment()
}
