//! What becomes of a payment. An [`Outcome`] is final by its type; what is merely accepted is [`Report::InProcess`].

use std::fmt;

use crate::message::{StatusNotice, StatusReport};
use crate::{BusinessDate, Money, ParticipantId, Reasons, Status, Timestamp, Uetr};

/// How a payment ended. There is no "accepted" here: until a payment has ended, it has no final status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinalStatus {
    /// ACSC: both positions have changed, finally.
    Settled,
    /// ACWP: settled just as finally; the creditor agent has not posted it to its customer yet.
    SettledWithoutPosting,
    /// RJCT: rejected or timed out, no money moved, and it stays so.
    Rejected,
}

impl FinalStatus {
    /// Final statuses only: ACSP, ACTC and the relayed ACCC, PDNG, BLCK are none.
    pub fn of(status: Status) -> Option<Self> {
        match status {
            Status::ACSC => Some(FinalStatus::Settled),
            Status::ACWP => Some(FinalStatus::SettledWithoutPosting),
            Status::RJCT => Some(FinalStatus::Rejected),
            _ => None,
        }
    }

    pub fn code(self) -> Status {
        match self {
            FinalStatus::Settled => Status::ACSC,
            FinalStatus::SettledWithoutPosting => Status::ACWP,
            FinalStatus::Rejected => Status::RJCT,
        }
    }
}

/// The one final outcome of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub uetr: Uetr,
    pub debtor_agent: ParticipantId,
    pub status: FinalStatus,
    /// Why it was rejected; empty when settled.
    pub reasons: Reasons,
    pub amount: Money,
    /// The business date it was settled on.
    pub settlement_date: Option<BusinessDate>,
    /// When it ended, by the clock of the switch.
    pub at: Timestamp,
    pub additional_information: Option<String>,
}

impl Outcome {
    /// True when money moved.
    pub fn is_settled(&self) -> bool {
        self.status != FinalStatus::Rejected
    }

    pub fn of_notice(notice: &StatusNotice<'_>) -> Option<Self> {
        Some(Outcome {
            uetr: notice.uetr,
            debtor_agent: notice.debtor_agent,
            status: FinalStatus::of(notice.status)?,
            reasons: notice.reasons,
            amount: Money::new(notice.amount_minor, notice.currency),
            settlement_date: Some(notice.settlement_date).filter(|date| !date.is_none()),
            at: notice.at,
            additional_information: notice.additional_information.map(str::to_owned),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.uetr, self.amount, self.status.code())?;
        for reason in self.reasons.iter() {
            let meaning = reason.explanation().map_or("", |explanation| explanation.meaning);
            write!(formatter, " {reason} {meaning}")?;
        }
        if let Some(date) = self.settlement_date {
            write!(formatter, " on {date}")?;
        }
        Ok(())
    }
}

/// Answer to an enquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// ACSP: funds are set aside and the creditor agent was asked. Not final: it may still be rejected.
    InProcess {
        uetr: Uetr,
        since: Timestamp,
    },
    Final(Outcome),
}

impl Report {
    pub(super) fn of(report: &StatusReport) -> Self {
        match FinalStatus::of(report.status) {
            None => Report::InProcess { uetr: report.uetr, since: report.at },
            Some(status) => Report::Final(Outcome {
                uetr: report.uetr,
                debtor_agent: report.debtor_agent,
                status,
                reasons: report.reasons,
                amount: Money::new(report.amount_minor, report.currency),
                settlement_date: Some(report.settlement_date).filter(|date| !date.is_none()),
                at: report.at,
                additional_information: None,
            }),
        }
    }
}
