//! One bank's own book: every payment it sent with its outcome, every payment it was offered with its answer and
//! outcome, and its own idea of its positions. Written from what the bank did and was told, never from the switch's data.

use std::collections::HashMap;

use wire::message::StatusNotice;
use wire::{Reason, Reasons, Status, Uetr};

use super::characters::{CURRENCIES, place_of};

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Settled,
    WithoutPosting,
    Rejected(Reasons),
    /// Refused before anything was recorded of it.
    Refused(Reason),
}

impl Ending {
    pub(super) fn of(status: Status, reasons: Reasons) -> Option<Ending> {
        match status {
            Status::ACSC => Some(Ending::Settled),
            Status::ACWP => Some(Ending::WithoutPosting),
            Status::RJCT => Some(Ending::Rejected(reasons)),
            _ => None,
        }
    }

    /// True when money moved.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Ending::Settled | Ending::WithoutPosting)
    }
}

/// A payment this bank sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) to: u8,
    pub(super) currency: u8,
    pub(super) is_return: bool,
    pub(super) amount_minor: i64,
    /// Which of its payments it is; 0 for a return.
    pub(super) number: u32,
    /// When it was due, since the demo began.
    pub(super) due_us: u64,
    pub(super) ending: Option<Ending>,
    pub(super) times_told: u8,
    /// The creditor agent has said that it is posted.
    pub(super) posted: bool,
}

/// What it said to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Yes,
    No(Reason),
}

/// A payment this bank was offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    pub(super) from: u8,
    pub(super) currency: u8,
    pub(super) amount_minor: i64,
    pub(super) said: Said,
    pub(super) ending: Option<Ending>,
    pub(super) times_offered: u8,
    pub(super) times_told: u8,
}

/// What a status notice was to this bank.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    /// The outcome of a payment it sent, as it now stands.
    OutcomeOfSent(Sent),
    /// The outcome of a payment it was offered.
    OutcomeOfOffered(Offered),
    /// ACCC, PDNG or BLCK about a payment it sent.
    SecondWord,
    /// It knows of no such payment.
    Unknown,
}

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) sent: HashMap<Uetr, Sent>,
    pub(super) offered: HashMap<Uetr, Offered>,
    /// Money brought in, of each currency.
    pub(super) funded: [i64; CURRENCIES.len()],
    /// Received less sent, of each currency.
    pub(super) net: [i64; CURRENCIES.len()],
    /// Sent and without an outcome.
    pub(super) open: usize,
    /// Offered, not refused, and without an outcome.
    pub(super) waiting: usize,
    pub(super) last_notice: u64,
    pub(super) last_system_notice: u64,
    /// Notices whose number was not the next one.
    pub(super) gaps: u64,
    /// Notices about payments it knows nothing of.
    pub(super) unknown: u64,
    /// Payments it sent once more after their outcome, and how many of these heard something else than before.
    pub(super) repeats: u64,
    pub(super) repeats_contradicted: u64,
}

impl Book {
    pub(super) fn new(funded: [i64; CURRENCIES.len()]) -> Book {
        Book { funded, ..Book::default() }
    }

    pub(super) fn balance(&self, currency: usize) -> i64 {
        self.funded[currency] + self.net[currency]
    }

    /// A notice of its own feed came.
    pub(super) fn number(&mut self, number: u64) {
        self.gaps += u64::from(number != self.last_notice + 1);
        self.last_notice = number;
    }

    /// A notice of the system feed came.
    pub(super) fn system_number(&mut self, number: u64) {
        self.gaps += u64::from(number != self.last_system_notice + 1);
        self.last_system_notice = number;
    }

    /// Before it is sent.
    pub(super) fn pay(&mut self, uetr: Uetr, sent: Sent) {
        self.open += 1;
        let before = self.sent.insert(uetr, sent);
        assert!(before.is_none(), "{uetr} was sent before");
    }

    /// It could not be handed over after all.
    pub(super) fn unpay(&mut self, uetr: Uetr) {
        self.open -= usize::from(self.sent.remove(&uetr).is_some());
    }

    /// The switch refused it; nothing is recorded of it there.
    pub(super) fn refused(&mut self, uetr: Uetr, reason: Reason) {
        if let Some(sent) = self.sent.get_mut(&uetr)
            && sent.ending.is_none()
        {
            sent.ending = Some(Ending::Refused(reason));
            self.open -= 1;
        }
    }

    pub(super) fn offer(&mut self, uetr: Uetr, from: usize, currency: usize, amount_minor: i64) {
        let mut is_new = false;
        let offered = self.offered.entry(uetr).or_insert_with(|| {
            is_new = true;
            Offered {
                from: from as u8,
                currency: currency as u8,
                amount_minor,
                said: Said::Nothing,
                ending: None,
                times_offered: 0,
                times_told: 0,
            }
        });
        offered.times_offered = offered.times_offered.saturating_add(1);
        self.waiting += usize::from(is_new);
    }

    pub(super) fn said(&mut self, uetr: Uetr, said: Said) {
        if let Some(offered) = self.offered.get_mut(&uetr) {
            let counted = offered.ending.is_none() && !matches!(offered.said, Said::No(_));
            offered.said = said;
            self.waiting -= usize::from(counted && matches!(said, Said::No(_)));
        }
    }

    /// Told of a status by a notice. Money is posted here, each time it is told: a notice too many makes the book wrong.
    pub(super) fn told(&mut self, own: usize, notice: &StatusNotice<'_>) -> Heard {
        let ending = Ending::of(notice.status, notice.reasons);
        if place_of(notice.debtor_agent) == Some(own) {
            let Some(sent) = self.sent.get_mut(&notice.uetr) else { return self.stranger() };
            let Some(ending) = ending else {
                sent.posted |= notice.status == Status::ACCC;
                return Heard::SecondWord;
            };
            self.open -= usize::from(sent.ending.is_none());
            sent.times_told = sent.times_told.saturating_add(1);
            sent.ending = Some(ending);
            if ending.is_settled() {
                self.net[usize::from(sent.currency)] -= notice.amount_minor;
            }
            return Heard::OutcomeOfSent(*sent);
        }
        let (Some(offered), Some(ending)) = (self.offered.get_mut(&notice.uetr), ending) else {
            return self.stranger();
        };
        let counted = offered.ending.is_none() && !matches!(offered.said, Said::No(_));
        self.waiting -= usize::from(counted);
        offered.times_told = offered.times_told.saturating_add(1);
        offered.ending = Some(ending);
        if ending.is_settled() {
            self.net[usize::from(offered.currency)] += notice.amount_minor;
        }
        Heard::OutcomeOfOffered(*offered)
    }

    fn stranger(&mut self) -> Heard {
        self.unknown += 1;
        Heard::Unknown
    }

    /// A payment was sent once more and this was the answer.
    pub(super) fn repeated(&mut self, uetr: Uetr, answer: Option<Ending>) {
        self.repeats += 1;
        let known = self.sent.get(&uetr).and_then(|sent| sent.ending);
        self.repeats_contradicted += u64::from(answer.is_none() || answer != known);
    }
}
