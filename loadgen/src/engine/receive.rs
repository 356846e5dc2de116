//! In: every frame of the switch, most of them notices.

use std::cmp::Reverse;
use std::io::{ErrorKind, Read};

use wire::Message;
use wire::frame::{self, Frame, Frames, Kind};
use wire::message::{GoAway, Refused, SignedOn};

use super::sessions::{State, go_away_delay_ns, named};
use super::{Engine, Timer};
use crate::audit::{Asked, Final};
use crate::ledger::state;
use crate::peek;
use crate::{Error, Result};

const TRANSFER_NOTICE: u16 = Kind::TransferNotice as u16;
const STATUS_NOTICE: u16 = Kind::StatusNotice as u16;
const SYSTEM_NOTICE: u16 = Kind::SystemNotice as u16;
const SEND_AGAIN_NS: u64 = 100_000_000;

impl Engine<'_> {
    /// Reads the socket until it is empty; until its end when the poll says that it has one.
    ///
    /// Readiness is told once: the last bytes and the end behind them may come as one event, and no other follows.
    pub(super) fn receive(&mut self, bank: usize, has_end: bool) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.read);
        let result = self.receive_into(bank, has_end, &mut buffer);
        self.read = buffer;
        result
    }

    fn receive_into(&mut self, bank: usize, has_end: bool, buffer: &mut [u8]) -> Result<()> {
        loop {
            let connection = &mut self.connections[bank];
            let Some(stream) = connection.stream.as_mut() else { return Ok(()) };
            let start = connection.partial.len();
            buffer[..start].copy_from_slice(&connection.partial);
            let count = match stream.read(&mut buffer[start..]) {
                Ok(0) => return self.dropped(bank, "the switch closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.dropped(bank, &error.to_string()),
            };
            let now = self.now_ns();
            self.turn_ns = now;
            let mut frames = Frames::new(&buffer[..start + count]);
            for frame in frames.by_ref() {
                match frame {
                    Ok(frame) => self.handle(bank, frame, now)?,
                    Err(error) => {
                        self.audit.violation(bank, || format!("broken framing: {error}"));
                        return self.dropped(bank, "the frames of the switch cannot be followed");
                    }
                }
                if self.connections[bank].stream.is_none() {
                    return Ok(());
                }
            }
            let taken = frames.taken();
            let connection = &mut self.connections[bank];
            connection.partial.clear();
            connection.partial.extend_from_slice(&buffer[taken..start + count]);
            if start + count < buffer.len() && !has_end {
                return Ok(()); // A short read: the socket was empty, and an end that comes later is told.
            }
        }
    }

    fn handle(&mut self, bank: usize, frame: Frame<'_>, now: u64) -> Result<()> {
        if self.options.verify
            && let Err(error) = frame::decode(frame.kind, frame.body)
        {
            self.audit.violation(bank, || format!("a frame of kind {} cannot be decoded: {error}", frame.kind));
        }
        let readable = match frame.kind {
            TRANSFER_NOTICE => peek::Transfer::read(frame.body).map(|notice| self.transfer_notice(bank, &notice, now)),
            STATUS_NOTICE => peek::Status::read(frame.body).map(|notice| self.status_notice(bank, &notice, now)),
            kind if kind >= TRANSFER_NOTICE => peek::notice_number(frame.body).map(|number| {
                self.audit.number(bank, number, kind == SYSTEM_NOTICE);
            }),
            _ => return self.control(bank, frame, now),
        };
        if readable.is_none() {
            self.audit.violation(bank, || format!("a notice of kind {} is too short", frame.kind));
        }
        Ok(())
    }

    fn transfer_notice(&mut self, bank: usize, notice: &peek::Transfer, now: u64) {
        self.last_notice_ns = now;
        if !self.audit.number(bank, notice.number, false) {
            return;
        }
        if let Asked::Answer(index) = self.audit.asked(bank, notice) {
            self.plan_answer(index, bank, now);
        }
    }

    fn status_notice(&mut self, bank: usize, notice: &peek::Status, now: u64) {
        self.last_notice_ns = now;
        if !self.audit.number(bank, notice.number, false) {
            return;
        }
        let Some(Final { record, settled }) = self.audit.told(bank, notice, &self.draw) else { return };
        let at = self.timestamp(now);
        if let Some(journal) = &mut self.journal {
            journal.write(at, "final", &notice.uetr, std::str::from_utf8(&notice.status).unwrap_or("????"));
        }
        let step = &mut self.steps[usize::from(record.step)];
        for counts in [&mut step.counts, &mut self.interval.counts] {
            counts.settled += u64::from(settled);
            counts.rejected += u64::from(!settled);
        }
        let service = now.saturating_sub(record.sent_ns);
        let response = if step.phase.closed_loop { service } else { now.saturating_sub(record.due_ns) };
        for latencies in [&mut step.latencies, &mut self.interval.latencies] {
            latencies.response.saturating_record(response);
            if !step.phase.closed_loop {
                latencies.service.saturating_record(service);
            }
        }
        self.ended += 1;
        self.over(bank, now);
    }

    /// A payment of this bank needs no more waiting; in a closed loop the next one takes its place.
    fn over(&mut self, bank: usize, now: u64) {
        self.in_flight -= 1;
        self.connections[bank].in_flight -= 1;
        if self.closed_loop && self.connections[bank].in_flight < self.options.in_flight_max {
            self.offer(now, Some(bank as u16));
        }
    }

    #[cold]
    fn control(&mut self, bank: usize, frame: Frame<'_>, now: u64) -> Result<()> {
        match frame::decode(frame.kind, frame.body) {
            Ok(Message::SignedOn(signed_on)) => self.signed_on(bank, &signed_on, now),
            Ok(Message::GoAway(go_away)) => return self.go_away(bank, &go_away),
            Ok(Message::Refused(refused)) => self.refused(bank, &refused, now),
            Ok(Message::StatusReport(report)) => self.audit.reported(bank, report.uetr.bytes(), report.status),
            Ok(Message::HeartbeatReply(_)) => {}
            Ok(message) => self.audit.violation(bank, || format!("{:?} is not for a participant", message.kind())),
            Err(error) => {
                self.audit.violation(bank, || format!("a frame of kind {} cannot be decoded: {error}", frame.kind));
            }
        }
        Ok(())
    }

    fn signed_on(&mut self, bank: usize, signed_on: &SignedOn<'_>, now: u64) {
        self.audit.resumed(bank, signed_on.next_notice, signed_on.next_system_notice);
        let connection = &mut self.connections[bank];
        connection.state = State::Ready;
        connection.silence_ns = u64::from(signed_on.silence_max_ms) * 1_000_000;
        connection.backoff_ns = 0;
        connection.ready_ns = now;
        connection.sessions = connection.sessions.wrapping_add(1);
        connection.resend_due = true;
        self.resend_due = true;
    }

    fn go_away(&mut self, bank: usize, go_away: &GoAway<'_>) -> Result<()> {
        let signing_on = matches!(self.connections[bank].state, State::SigningOn);
        let last = self.audit.feeds[bank].last;
        if signing_on && go_away.reason == wire::Reason::FORM && last > 0 {
            self.audit.violation(bank, || {
                format!("notice {last} was processed and the switch does not know it: {}", go_away.text)
            });
        }
        self.connections[bank].named = named(go_away.nodes, bank);
        // Before the first payment a bank that nobody takes is a mistake of whoever asked for the run.
        if self.steps.is_empty() && self.connections[bank].named.is_empty() {
            let name = self.connections[bank].id;
            return Err(Error::Refused(format!("{name}: {} ({})", go_away.text, go_away.reason)));
        }
        self.connections[bank].backoff_ns = go_away_delay_ns(go_away);
        self.dropped(bank, go_away.text)
    }

    fn refused(&mut self, bank: usize, refused: &Refused<'_>, now: u64) {
        if refused.kind != Kind::CreditTransfer as u16 {
            return; // A late or second answer: its payment ended without it, and the notices say how.
        }
        let Some(index) = self.audit.uetrs.index(&refused.uetr) else { return };
        let Some(record) = self.audit.ledger.get_mut(index) else { return };
        if record.is(state::DEBTOR_TOLD | state::REFUSED) {
            return;
        }
        if matches!(refused.reason.as_str(), "BUSY" | "FULL" | "DRAN" | "SIGN") {
            record.state |= state::POSTPONED;
            self.timers.push(Reverse((now + SEND_AGAIN_NS, index, Timer::SendAgain)));
            return;
        }
        record.state |= state::REFUSED;
        let step = usize::from(record.step);
        self.steps[step].counts.refused += 1;
        self.interval.counts.refused += 1;
        self.audit.check.refused += 1;
        if let Some(code) = refused.reason.as_str().as_bytes().first_chunk() {
            self.audit.reason(*code);
        }
        if matches!(refused.reason.as_str(), "DUPL" | "FORM") {
            self.audit.violation(bank, || format!("payment {index} refused {}: {}", refused.reason, refused.text));
        }
        self.audit.ledger.complete(index);
        self.over(bank, now);
    }
}
