//! One outcome per (debtor agent, UETR), told to whoever is told, in whatever form, however often; it never changes.

use std::collections::HashMap;

use wire::{Message, ParticipantId, Reasons, Status, Uetr};

use super::Kept;

/// What was told so far.
#[derive(Default)]
pub struct Outcomes {
    told: HashMap<(ParticipantId, Uetr), (Status, Reasons)>,
    /// Notices of an outcome: each party gets one, not two.
    noticed: HashMap<(ParticipantId, ParticipantId, Uetr), u64>,
}

impl Outcomes {
    pub fn of(&self, debtor_agent: ParticipantId, uetr: Uetr) -> Option<Status> {
        self.told.get(&(debtor_agent, uetr)).map(|(status, _)| *status)
    }

    /// `to` is told something in its feed that nobody was told before.
    pub fn notice(&mut self, to: ParticipantId, message: &Message<'_>) -> Kept {
        let Message::StatusNotice(notice) = message else { return Ok(()) };
        if !is_outcome(notice.status) {
            return Ok(());
        }
        if let Some(first) = self.noticed.insert((to, notice.debtor_agent, notice.uetr), notice.number) {
            let (uetr, number) = (notice.uetr, notice.number);
            return Err(format!("one outcome per payment: {to} is told of {uetr} in notices {first} and {number}"));
        }
        self.hear(notice.debtor_agent, notice.uetr, notice.status, notice.reasons)
    }

    /// Somebody asked, or sent again, and is told.
    pub fn report(&mut self, message: &Message<'_>) -> Kept {
        match message {
            Message::StatusReport(report) if is_outcome(report.status) => {
                self.hear(report.debtor_agent, report.uetr, report.status, report.reasons)
            }
            _ => Ok(()),
        }
    }

    fn hear(&mut self, debtor_agent: ParticipantId, uetr: Uetr, status: Status, reasons: Reasons) -> Kept {
        let (first, why) = *self.told.entry((debtor_agent, uetr)).or_insert((status, reasons));
        if (first, why) == (status, reasons) {
            return Ok(());
        }
        Err(format!(
            "one outcome per payment: {uetr} of {debtor_agent} was {first} {why}, now it is {status} {reasons}"
        ))
    }
}

fn is_outcome(status: Status) -> bool {
    [Status::ACSC, Status::ACWP, Status::RJCT].contains(&status)
}
