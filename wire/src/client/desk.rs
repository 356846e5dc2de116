//! The desk: what was asked and has no outcome yet, and the bytes to be written. Plain data, no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::{Error, Finished, Outcome, Report, Result};
use crate::frame::{Kind, encode};
use crate::message::{Refused, SignOff, StatusNotice, StatusReport};
use crate::{ParticipantId, Reason, Timestamp, Uetr};

/// What an instruction is about. A participant may pay and answer the same payment, when it pays itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Matter {
    Payment,
    Answer,
    Enquiry,
}

impl Matter {
    fn of_kind(kind: u16) -> Option<Self> {
        match Kind::from_number(kind).ok()? {
            Kind::CreditTransfer | Kind::PaymentReturn => Some(Matter::Payment),
            Kind::Answer => Some(Matter::Answer),
            Kind::StatusRequest => Some(Matter::Enquiry),
            _ => None,
        }
    }
}

/// Ordered so that all of one UETR lie together: a refusal does not name the debtor agent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) matter: Matter,
    pub(super) uetr: Uetr,
    pub(super) debtor_agent: ParticipantId,
}

/// Who waits for the outcome.
pub(super) enum Waiter {
    Handle(oneshot::Sender<Result<Report>>),
    Queue(mpsc::UnboundedSender<Finished>),
}

/// An instruction whose outcome is not known.
pub(super) struct Pending {
    /// Kept to be sent again.
    pub(super) frame: Box<[u8]>,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) waiter: Waiter,
    pub(super) place: OwnedSemaphorePermit,
}

impl Pending {
    fn finish(self, uetr: Uetr, result: Result<Report>) {
        match self.waiter {
            // Who dropped the handle does not want to know.
            Waiter::Handle(sender) => drop(sender.send(result)),
            Waiter::Queue(sender) => {
                let result = result.map(|report| match report {
                    Report::Final(outcome) => outcome,
                    Report::InProcess { .. } => unreachable!("a payment is finished only by a final status"),
                });
                let _ = sender.send(Finished { uetr, result, place: self.place });
            }
        }
    }
}

/// A no, or a word after settlement: the switch confirms neither, so it is sent again after a reconnect for as long as
/// the payment can still be waiting for it.
struct Unconfirmed {
    sequence: u64,
    until: Instant,
    frame: Box<[u8]>,
}

pub(super) struct Desk {
    pending: BTreeMap<Key, (u64, Pending)>,
    unconfirmed: VecDeque<Unconfirmed>,
    unconfirmed_max: usize,
    /// Order of asking, kept when things are sent again.
    sequence: u64,
    signed_on: bool,
    signing_off: bool,
    ended: Option<Error>,
    outgoing: Vec<u8>,
    /// Places of unconfirmed instructions among the outgoing bytes: free as soon as these are handed to the socket.
    riding: Vec<OwnedSemaphorePermit>,
}

impl Desk {
    pub(super) fn new(unconfirmed_max: usize) -> Self {
        Desk {
            pending: BTreeMap::new(),
            unconfirmed: VecDeque::new(),
            unconfirmed_max,
            sequence: 0,
            signed_on: false,
            signing_off: false,
            ended: None,
            outgoing: Vec::new(),
            riding: Vec::new(),
        }
    }

    /// Keeps an instruction until its outcome is known. True when the writer must be woken.
    pub(super) fn put(&mut self, key: Key, pending: Pending) -> Result<bool> {
        self.open()?;
        if self.pending.contains_key(&key) {
            return Err(Error::InFlight { uetr: key.uetr });
        }
        let wake = self.write(&pending.frame);
        self.sequence += 1;
        self.pending.insert(key, (self.sequence, pending));
        Ok(wake)
    }

    /// Keeps an instruction that will not be confirmed. True when the writer must be woken.
    pub(super) fn put_unconfirmed(
        &mut self,
        frame: Box<[u8]>,
        until: Instant,
        place: OwnedSemaphorePermit,
    ) -> Result<bool> {
        self.open()?;
        let wake = self.write(&frame);
        self.sequence += 1;
        if self.unconfirmed.len() == self.unconfirmed_max {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back(Unconfirmed { sequence: self.sequence, until, frame });
        if self.signed_on {
            self.riding.push(place);
        }
        Ok(wake)
    }

    /// Asks to sign off after everything asked before. True when the writer must be woken.
    pub(super) fn sign_off(&mut self) -> Result<bool> {
        self.open()?;
        if std::mem::replace(&mut self.signing_off, true) || !self.signed_on {
            return Ok(false);
        }
        let was_empty = self.outgoing.is_empty();
        encode(Kind::SignOff, &SignOff { sent_at: Timestamp::now() }, &mut self.outgoing);
        Ok(was_empty)
    }

    pub(super) fn is_signing_off(&self) -> bool {
        self.signing_off
    }

    fn open(&self) -> Result<()> {
        self.ended.as_ref().map_or(Ok(()), |why| Err(why.clone()))
    }

    pub(super) fn ended(&self) -> Error {
        self.ended.clone().unwrap_or(Error::Closed)
    }

    fn write(&mut self, frame: &[u8]) -> bool {
        let was_empty = self.outgoing.is_empty();
        if self.signed_on {
            self.outgoing.extend_from_slice(frame);
        }
        was_empty && self.signed_on
    }

    pub(super) fn forget(&mut self, key: &Key) {
        self.pending.remove(key);
    }

    /// A session has begun: everything without an outcome is sent again, in the order in which it was asked.
    pub(super) fn signed_on(&mut self, now: Instant) {
        self.signed_on = true;
        self.unconfirmed.retain(|unconfirmed| unconfirmed.until > now);
        let mut again: Vec<(u64, &[u8])> =
            self.pending.values().map(|(sequence, pending)| (*sequence, &*pending.frame)).collect();
        again.extend(self.unconfirmed.iter().map(|unconfirmed| (unconfirmed.sequence, &*unconfirmed.frame)));
        again.sort_unstable_by_key(|(sequence, _)| *sequence);
        for (_, frame) in again {
            self.outgoing.extend_from_slice(frame);
        }
        if self.signing_off {
            encode(Kind::SignOff, &SignOff { sent_at: Timestamp::now() }, &mut self.outgoing);
        }
    }

    pub(super) fn signed_off_or_lost(&mut self) {
        self.signed_on = false;
        self.outgoing.clear();
        self.riding.clear();
    }

    /// Swaps the bytes to be written into `empty`.
    pub(super) fn take_outgoing(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.outgoing, empty);
        self.riding.clear();
    }

    pub(super) fn hear_notice(&mut self, notice: &StatusNotice<'_>) {
        let (uetr, debtor_agent) = (notice.uetr, notice.debtor_agent);
        for matter in [Matter::Payment, Matter::Answer] {
            if let Some(outcome) =
                self.awaited(matter, uetr, debtor_agent).then(|| Outcome::of_notice(notice)).flatten()
            {
                self.finish(Key { matter, uetr, debtor_agent }, Ok(Report::Final(outcome)));
            }
        }
    }

    pub(super) fn hear_report(&mut self, heard: &StatusReport) {
        let report = Report::of(heard);
        let (uetr, debtor_agent) = (heard.uetr, heard.debtor_agent);
        if matches!(report, Report::Final(_)) {
            self.finish(Key { matter: Matter::Payment, uetr, debtor_agent }, Ok(report.clone()));
            self.finish(Key { matter: Matter::Answer, uetr, debtor_agent }, Ok(report.clone()));
        }
        self.finish(Key { matter: Matter::Enquiry, uetr, debtor_agent }, Ok(report));
    }

    /// True when someone waited for this answer.
    pub(super) fn hear_refused(&mut self, refused: &Refused<'_>) -> bool {
        let (Some(matter), Ok(uetr)) = (Matter::of_kind(refused.kind), Uetr::from_bytes(refused.uetr)) else {
            return false;
        };
        let range = Key { matter, uetr, debtor_agent: ParticipantId::NONE }..;
        let same = |key: &Key| key.matter == matter && key.uetr == uetr;
        let Some(key) = self.pending.range(range).next().map(|(key, _)| *key).filter(same) else { return false };
        // A node that is being stopped ends the session soon; the next one gets the instruction again.
        if refused.reason != Reason::DRAN {
            self.finish(key, Err(Error::Refused { reason: refused.reason, text: refused.text.to_owned() }));
        }
        true
    }

    fn awaited(&self, matter: Matter, uetr: Uetr, debtor_agent: ParticipantId) -> bool {
        self.pending.contains_key(&Key { matter, uetr, debtor_agent })
    }

    fn finish(&mut self, key: Key, result: Result<Report>) {
        if let Some((_, pending)) = self.pending.remove(&key) {
            pending.finish(key.uetr, result);
        }
    }

    /// Gives up what is past its deadline.
    pub(super) fn sweep(&mut self, now: Instant, standing: impl Fn() -> String) {
        let late: Vec<Key> =
            self.pending.iter().filter(|(_, (_, pending))| pending.deadline <= now).map(|(key, _)| *key).collect();
        for key in late {
            if let Some((_, pending)) = self.pending.remove(&key) {
                let after = pending.timeout;
                pending.finish(key.uetr, Err(Error::Deadline { uetr: Some(key.uetr), after, standing: standing() }));
            }
        }
        while self.unconfirmed.front().is_some_and(|unconfirmed| unconfirmed.until <= now) {
            self.unconfirmed.pop_front();
        }
    }

    pub(super) fn end(&mut self, why: &Error) {
        self.ended = Some(why.clone());
        self.signed_off_or_lost();
        self.unconfirmed.clear();
        for (key, (_, pending)) in std::mem::take(&mut self.pending) {
            pending.finish(key.uetr, Err(why.clone()));
        }
    }
}
