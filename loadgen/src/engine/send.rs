//! Out: payments when they are due, answers when they are thought through, both again after a reconnect.

use std::cmp::Reverse;

use wire::{Reason, Status};

use super::{Engine, Timer};
use crate::ledger::{Record, state};
use crate::mix::{AnswerTime, Plan};
use crate::template::Patch;

impl Engine<'_> {
    /// Makes the payment that is due at this time. A debtor is given in a closed loop and drawn otherwise.
    pub(super) fn offer(&mut self, due_ns: u64, debtor: Option<u16>) {
        let index = self.audit.ledger.count();
        let drawn = self.draw.draw(index, debtor);
        let step = self.steps.len() - 1;
        let record = Record {
            due_ns,
            sent_ns: 0,
            amount_minor: drawn.amount_minor,
            debtor: drawn.debtor,
            creditor: drawn.creditor,
            state: 0,
            step: step as u8,
            plan: drawn.plan,
        };
        self.audit.ledger.push(record);
        self.steps[step].counts.due += 1;
        self.interval.counts.due += 1;
        self.in_flight += 1;
        let debtor = usize::from(drawn.debtor);
        self.connections[debtor].in_flight += 1;
        if self.connections[debtor].is_ready() {
            self.submit(index, &record);
            self.connections[debtor].unflushed.push(index);
        }
    }

    /// In a closed loop: every bank gets as many payments as it may have in flight.
    pub(super) fn fill_up(&mut self, now: u64) {
        for bank in 0..self.connections.len() {
            while self.connections[bank].in_flight < self.options.in_flight_max {
                self.offer(now, Some(bank as u16));
            }
        }
    }

    fn submit(&mut self, index: u64, record: &Record) {
        let (debtor, creditor) = (usize::from(record.debtor), usize::from(record.creditor));
        let created_at = self.timestamp(self.turn_ns);
        let creditor = self.connections[creditor].id;
        let connection = &mut self.connections[debtor];
        let patch = Patch {
            uetr: self.audit.uetrs.bytes(index),
            debtor: &connection.id,
            creditor: &creditor,
            amount_minor: record.amount_minor,
            index,
            hash: self.draw.hash(index),
            attempt: connection.sessions,
            created_at,
        };
        self.templates.credit_transfer(&patch, &mut connection.out);
        if let Some(journal) = &mut self.journal {
            journal.write(
                created_at,
                "sent",
                &patch.uetr,
                &format!("{} {} {}", connection.id, creditor, record.amount_minor),
            );
        }
        self.mark_dirty(debtor);
    }

    pub(super) fn mark_dirty(&mut self, bank: usize) {
        if !self.connections[bank].dirty {
            self.connections[bank].dirty = true;
            self.dirty.push(bank);
        }
    }

    /// The creditor agent was asked: it answers now, later or never, as planned.
    pub(super) fn plan_answer(&mut self, index: u64, bank: usize, now: u64) {
        let Some(record) = self.audit.ledger.get_mut(index).map(|record| *record) else { return };
        if self.draw.plan(record.plan) == Plan::Never {
            return;
        }
        let time: AnswerTime = self.options.banks[bank].answer_time.unwrap_or(self.options.answer_time);
        if time.is_zero() {
            self.answer(index);
        } else {
            let at = now + time.draw_ns(&mut self.think_rng);
            self.timers.push(Reverse((at, index, Timer::Answer)));
        }
    }

    fn answer(&mut self, index: u64) {
        let Some(record) = self.audit.ledger.get_mut(index) else { return };
        record.state |= state::ANSWERED;
        let record = *record;
        let (status, reason) = match self.draw.plan(record.plan) {
            Plan::Accept => (Status::ACTC, Reason::NONE),
            Plan::AcceptWithoutPosting => (Status::ACWP, Reason::NONE),
            Plan::Reject(reason) => (Status::RJCT, reason),
            Plan::Never => return,
        };
        let bank = usize::from(record.creditor);
        if !self.connections[bank].is_ready() {
            return; // It will be sent when the bank is back.
        }
        let created_at = self.timestamp(self.turn_ns);
        let debtor = self.connections[usize::from(record.debtor)].id;
        let connection = &mut self.connections[bank];
        let patch = Patch {
            uetr: self.audit.uetrs.bytes(index),
            debtor: &debtor,
            creditor: &connection.id,
            amount_minor: record.amount_minor,
            index,
            hash: 0,
            attempt: connection.sessions,
            created_at,
        };
        self.templates.answer(&patch, &connection.id, status, reason, &mut connection.out);
        if let Some(journal) = &mut self.journal {
            journal.write(created_at, "answered", &patch.uetr, status.as_str());
        }
        self.mark_dirty(bank);
    }

    pub(super) fn fire_timers(&mut self, now: u64) {
        while let Some(Reverse((at, index, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Answer => self.answer(index),
                Timer::SendAgain => self.send_again(index),
            }
        }
    }

    fn send_again(&mut self, index: u64) {
        let Some(record) = self.audit.ledger.get_mut(index) else { return };
        if !record.is(state::POSTPONED) || record.is(state::DEBTOR_TOLD | state::REFUSED) {
            return;
        }
        let debtor = usize::from(record.debtor);
        if self.connections[debtor].is_ready() {
            record.state &= !state::POSTPONED;
            let record = *record;
            self.submit(index, &record);
        }
    }

    /// After reconnects: what was not sent yet, what has no outcome, what was answered and may not have arrived.
    pub(super) fn resend(&mut self, now: u64) {
        self.resend_due = false;
        let back = |bank: u16| self.connections[usize::from(bank)].resend_due;
        let wanted = |record: &Record| {
            let pays = back(record.debtor);
            let answers = back(record.creditor) && record.is(state::ANSWERED);
            (pays || answers) && !record.is(state::DEBTOR_TOLD | state::REFUSED)
        };
        let found: Vec<(u64, Record)> = self
            .audit
            .ledger
            .open()
            .filter(|(_, record)| wanted(record))
            .map(|(index, record)| (index, *record))
            .collect();
        for (index, mut record) in found {
            if self.connections[usize::from(record.debtor)].resend_due {
                self.submit(index, &record);
                if !record.is(state::SENT) {
                    record.sent_ns = now;
                    self.steps[usize::from(record.step)].counts.sent += 1;
                    self.interval.counts.sent += 1;
                }
                if let Some(kept) = self.audit.ledger.get_mut(index) {
                    kept.sent_ns = record.sent_ns;
                    kept.state = (kept.state | state::SENT) & !state::POSTPONED;
                }
            }
            if self.connections[usize::from(record.creditor)].resend_due && record.is(state::ANSWERED) {
                self.answer(index);
            }
        }
        self.connections.iter_mut().for_each(|connection| connection.resend_due = false);
    }

    /// One write per connection that has something to say.
    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for bank in dirty.drain(..) {
            self.connections[bank].dirty = false;
            let now = self.now_ns();
            self.write(bank, now);
        }
        self.dirty = dirty;
    }

    /// The payments in the buffer count as sent at this moment, whether or not the socket takes them all at once.
    pub(super) fn note_sent(&mut self, bank: usize, now: u64) {
        let mut unflushed = std::mem::take(&mut self.connections[bank].unflushed);
        for index in unflushed.drain(..) {
            let Some(record) = self.audit.ledger.get_mut(index) else { continue };
            record.sent_ns = now;
            record.state |= state::SENT;
            let step = &mut self.steps[usize::from(record.step)];
            step.counts.sent += 1;
            self.interval.counts.sent += 1;
            if !step.phase.closed_loop {
                let lag = now.saturating_sub(record.due_ns);
                step.latencies.lag.saturating_record(lag);
                self.interval.latencies.lag.saturating_record(lag);
            }
        }
        self.connections[bank].unflushed = unflushed;
    }
}
