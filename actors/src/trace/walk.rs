//! Finds the facts of one payment in the log by the times at which they happened.

use std::path::Path;
use std::time::Duration;

use persistence::{Error, Index, Reader, Term};
use settlement::{Fact, Facts, Key, Rejected, Stage};
use wire::{Kind, Message, MessageId, ParticipantId, Timestamp, frame};

use super::{LeaderChange, Named, Sought, Step, Trace};

/// The log is read on for so long behind a time: a book tells times in microseconds, a log in nanoseconds, and facts that
/// share an entry need not be in the order of time.
const SLACK: Duration = Duration::from_secs(1);
/// Read at most from the start of a segment for one of the times.
const READ_BYTES_MAX: u64 = 1 << 30;
/// Read at most behind the end of a payment for what its creditor agent said afterwards.
const AFTERWARDS_BYTES_MAX: u64 = 64 << 20;
/// Changes of leader that are kept, the latest: a payment lives for seconds.
const LEADER_CHANGES_MAX: usize = 8;
/// Payments of one message id; more are not told of at once.
const NAMED_MAX: usize = 32;

/// A reader, and the last fact that it came by.
struct Reading {
    reader: Reader,
    last: Option<(Term, Timestamp)>,
}

pub(super) fn walk(directory: &Path, sought: &Sought, up_to: Index) -> Result<Trace, Error> {
    let mut trace = Trace::default();
    let first_known = sought.decided_at.or(sought.ended_at).unwrap_or_default();
    let oldest = Reader::oldest(directory)?;
    if oldest > 1
        && let Some(begins) = first_stamp(directory, oldest, up_to)?
        && begins > first_known
    {
        trace.log_begins = Some((oldest, begins));
    }
    let mut reading: Option<Reading> = None;
    for at in [sought.decided_at, sought.ended_at].into_iter().flatten() {
        if trace.steps.iter().any(|step| is_end(&step.fact)) {
            break;
        }
        let sought_for = seek(directory, at, up_to)?;
        // What has been read is not read again.
        let reading = match &mut reading {
            Some(reading) if reading.reader.position() >= sought_for.position() => reading,
            place => place.insert(Reading { reader: sought_for, last: None }),
        };
        read(reading, sought, up_to, Some(at.plus(SLACK)), READ_BYTES_MAX, &mut trace)?;
    }
    if let (true, Some(reading)) = (sought.may_be_annotated, &mut reading) {
        let read_to = read(reading, sought, up_to, None, AFTERWARDS_BYTES_MAX, &mut trace)?;
        trace.annotated_up_to = Some(read_to).filter(|read_to| *read_to < up_to);
    }
    Ok(trace)
}

/// Finds whose instructions carried a message id; their debtor agents chose it, and may have chosen it twice. The log alone
/// has message ids, and is read from `from` on: about `bytes_max` of it, up to `until`. Blocks on the disk.
pub fn by_message(
    directory: &Path,
    message_id: MessageId,
    (from, until): (Timestamp, Timestamp),
    bytes_max: u64,
    up_to: Index,
) -> Result<Named, Error> {
    let mut reader = seek(directory, from, up_to)?;
    let (mut named, mut bytes) = (Named::default(), 0);
    while let Some(entry) = reader.next(up_to)? {
        bytes += entry.payload.len() as u64;
        let mut last = None;
        for fact in Facts::new(entry.payload).flatten() {
            last = Some(fact.at());
            let is_first = matches!(fact, Fact::Reserved(_) | Fact::Rejected(Rejected { stage: Stage::Submit, .. }));
            let own = fact.payment().filter(|payment| is_first && payment.message_id == message_id);
            if let Some(payment) = own.filter(|_| fact.at() >= from && fact.at() < until) {
                named.payments.push((payment.debtor, payment.uetr));
            }
        }
        match last {
            Some(last) if last >= until.plus(SLACK) => break,
            Some(last) if bytes >= bytes_max || named.payments.len() >= NAMED_MAX => {
                named.reached = Some(last);
                break;
            }
            _ => {}
        }
    }
    Ok(named)
}

/// A reader at the start of the segment in which the facts of `at` are, or of the oldest.
fn seek(directory: &Path, at: Timestamp, up_to: Index) -> Result<Reader, Error> {
    let segments = Reader::segments(directory)?;
    let (mut low, mut high) = (0, segments.partition_point(|first| *first <= up_to));
    while low < high {
        let middle = (low + high) / 2;
        let is_before = first_stamp(directory, segments[middle], up_to)?.is_some_and(|begins| begins < at);
        if is_before { low = middle + 1 } else { high = middle }
    }
    Reader::open(directory, segments.get(low.saturating_sub(1)).copied().unwrap_or(1))
}

/// The time of the first fact in or behind an entry.
fn first_stamp(directory: &Path, from: Index, up_to: Index) -> Result<Option<Timestamp>, Error> {
    let mut reader = Reader::open(directory, from)?;
    while let Some(entry) = reader.next(up_to)? {
        // Entries about the members of a cluster hold no facts.
        if let Some(fact) = Facts::new(entry.payload).flatten().next() {
            return Ok(Some(fact.at()));
        }
    }
    Ok(None)
}

/// Adds what is about the payment, up to the entry that ends it, or the first of which a fact is later than `until`; without
/// that, what was said after the end. Gives back the last entry read.
fn read(
    reading: &mut Reading,
    sought: &Sought,
    up_to: Index,
    until: Option<Timestamp>,
    bytes_max: u64,
    trace: &mut Trace,
) -> Result<Index, Error> {
    let Reading { reader, last } = reading;
    let (mut bytes, mut is_over) = (0, false);
    while !is_over && bytes < bytes_max {
        let Some(entry) = reader.next(up_to)? else { break };
        bytes += entry.payload.len() as u64;
        for fact in Facts::new(entry.payload).flatten() {
            let before = last.replace((entry.term, fact.at()));
            if let Some((term, at)) = before.filter(|(term, _)| *term != entry.term && until.is_some()) {
                if trace.leader_changes.len() == LEADER_CHANGES_MAX {
                    trace.leader_changes.remove(0);
                }
                trace.leader_changes.push(LeaderChange { terms: (term, entry.term), between: (at, fact.at()) });
            }
            is_over |= until.is_some_and(|until| fact.at() > until);
            let is_ours =
                |payment: &settlement::Payment| (payment.debtor, payment.uetr) == (sought.debtor, sought.uetr);
            if !fact.payment().is_some_and(is_ours) {
                continue;
            }
            // A UETR may be used again when the duplicate window is over.
            let is_another = match fact {
                Fact::Reserved(_) => sought.decided_at.is_some_and(|decided_at| fact.at() != decided_at),
                Fact::Annotated(_) => false,
                _ => until.is_none(),
            };
            if is_another {
                continue;
            }
            is_over |= is_end(&fact) && until.is_some();
            let (index, term) = (entry.index, entry.term);
            let (created_at, addressed_to) = (created_at(&fact), addressed_to(&fact));
            trace.steps.push(Step { index, term, created_at, addressed_to, fact: bare(&fact), notices: Vec::new() });
        }
    }
    Ok(reader.position() - 1)
}

fn is_end(fact: &Fact<'_>) -> bool {
    matches!(fact, Fact::Rejected(_) | Fact::Settled(_) | Fact::Returned(_) | Fact::Expired(_))
}

/// From the instruction's body, which the log keeps as it came.
fn created_at(fact: &Fact<'_>) -> Option<Timestamp> {
    let Fact::Reserved(reserved) = fact else { return None };
    let kind = if reserved.payment.original.is_some() { Kind::PaymentReturn } else { Kind::CreditTransfer };
    match frame::decode(kind as u16, reserved.body).ok()? {
        Message::CreditTransfer(transfer) => Some(transfer.created_at),
        Message::PaymentReturn(payment_return) => Some(payment_return.created_at),
        _ => None,
    }
}

/// Of a payment to nobody who is registered; logs of before do not have it.
fn addressed_to(fact: &Fact<'_>) -> Option<ParticipantId> {
    match fact {
        Fact::Rejected(Rejected { stage: Stage::Submit, payment, additional_information, .. })
            if payment.creditor == Key::NONE =>
        {
            additional_information.and_then(|id| id.parse().ok())
        }
        _ => None,
    }
}

/// The fact without what was borrowed from the log.
fn bare(fact: &Fact<'_>) -> Fact<'static> {
    match *fact {
        Fact::Reserved(fact) => Fact::Reserved(settlement::Reserved {
            at: fact.at,
            payment: fact.payment,
            content: fact.content,
            deadline: fact.deadline,
            horizon: fact.horizon,
            body: &[],
        }),
        Fact::Rejected(Rejected { at, payment, content, horizon, stage, reasons, .. }) => {
            Fact::Rejected(Rejected { at, payment, content, horizon, stage, reasons, additional_information: None })
        }
        Fact::Settled(fact) => Fact::Settled(fact),
        Fact::Returned(fact) => Fact::Returned(fact),
        Fact::Expired(fact) => Fact::Expired(fact),
        Fact::Annotated(fact) => Fact::Annotated(fact),
        _ => unreachable!("only facts about a payment are taken"),
    }
}
