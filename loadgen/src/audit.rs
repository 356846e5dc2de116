//! The money check: what every bank was told is held against what was sent and answered, notice by notice.
//!
//! It knows no sockets. A violation is counted and the first few are kept in words; none is ever an assert, for they are
//! what the check is there to find.

use serde::{Deserialize, Serialize};
use wire::Uetr;

use crate::draw::Draw;
use crate::ledger::{Ledger, Record, state};
use crate::mix::Plan;
use crate::outcome::FeedEnd;
use crate::peek;
use crate::uetr::Uetrs;

const EXAMPLES_MAX: usize = 20;

/// What the check found. All counts are of the whole run, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Payments made, and of them sent.
    pub due: u64,
    pub sent: u64,
    pub settled: u64,
    pub rejected: u64,
    /// Refused for good, nothing recorded.
    pub refused: u64,
    /// Due while the bank was not connected, and never sent.
    pub unsent: u64,
    /// Sent, and no outcome came.
    pub lost: u64,
    /// More than one outcome.
    pub doubled: u64,
    /// Settled as the debtor agent was told; the creditor agent was not told.
    pub creditor_untold: u64,
    pub debited_minor: i64,
    pub credited_minor: i64,
    /// Notices with the number of one that had been processed, after a reconnect; passed over.
    pub repeats: u64,
    /// Payments of others: of an earlier run, or of someone else on the same switch.
    pub foreign: u64,
    pub violations: u64,
    /// The first violations, in words.
    pub examples: Vec<String>,
}

impl Check {
    pub fn holds(&self) -> bool {
        self.violations == 0 && self.lost == 0 && self.doubled == 0 && self.debited_minor == self.credited_minor
    }
}

/// Where one bank's feeds stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    /// Number of the last notice that was processed.
    pub(crate) last: u64,
    /// Number that the next notice of this session must have.
    expected: u64,
    /// False until the switch first says where it begins; notices before that are of a past that nobody here knows.
    known: bool,
}

impl Feed {
    pub(crate) fn new(last: u64) -> Self {
        Feed { last, expected: last + 1, known: last > 0 }
    }
}

/// The payment whose outcome the debtor agent has just heard for the first time.
pub(crate) struct Final {
    pub(crate) record: Record,
    pub(crate) settled: bool,
}

/// What a creditor agent that was asked has to do.
pub(crate) enum Asked {
    Answer(u64),
    Foreign,
    Nothing,
}

pub(crate) struct Audit {
    pub(crate) ledger: Ledger,
    pub(crate) uetrs: Uetrs,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) system_feeds: Vec<Feed>,
    /// Reasons of rejected and refused payments.
    pub(crate) reasons: Vec<([u8; 4], u64)>,
    pub(crate) check: Check,
    names: Vec<wire::ParticipantId>,
}

impl Audit {
    pub(crate) fn new(uetrs: Uetrs, banks: &[crate::options::Bank]) -> Self {
        Audit {
            ledger: Ledger::default(),
            uetrs,
            feeds: banks.iter().map(|bank| Feed::new(bank.last_notice)).collect(),
            system_feeds: banks.iter().map(|bank| Feed::new(bank.last_system_notice)).collect(),
            reasons: Vec::new(),
            check: Check::default(),
            names: banks.iter().map(|bank| bank.id).collect(),
        }
    }

    #[cold]
    pub(crate) fn violation(&mut self, bank: usize, what: impl FnOnce() -> String) {
        self.check.violations += 1;
        if self.check.examples.len() < EXAMPLES_MAX {
            self.check.examples.push(format!("{}: {}", self.names[bank], what()));
        }
    }

    /// The switch says where the feed goes on.
    pub(crate) fn resumed(&mut self, bank: usize, next: u64, next_system: u64) {
        for (feeds, next, name) in [(0, next, "notice"), (1, next_system, "system notice")] {
            let feed = if feeds == 0 { &mut self.feeds[bank] } else { &mut self.system_feeds[bank] };
            feed.expected = next;
            if !std::mem::replace(&mut feed.known, true) {
                feed.last = next.saturating_sub(1);
            }
            let last = feed.last;
            if next > last + 1 {
                self.violation(bank, || format!("the feed goes on with {name} {next}, the last one was {last}"));
            }
        }
    }

    /// True when the notice is new; false for a repeat, which is passed over.
    pub(crate) fn number(&mut self, bank: usize, number: u64, system: bool) -> bool {
        let feed = if system { &mut self.system_feeds[bank] } else { &mut self.feeds[bank] };
        let (expected, last) = (feed.expected, feed.last);
        feed.expected = number.saturating_add(1);
        feed.last = last.max(number);
        if number != expected {
            let kind = if number > expected { "skips a notice" } else { "repeats a notice" };
            self.violation(bank, || format!("the feed {kind}: {number} came where {expected} was due"));
        }
        if number <= last {
            self.check.repeats += 1;
        }
        number > last
    }

    fn text(&self, index: u64) -> String {
        Uetr::from_bytes(self.uetrs.bytes(index)).map_or_else(|_| index.to_string(), |uetr| uetr.to_string())
    }

    /// A new TransferNotice at this bank.
    pub(crate) fn asked(&mut self, bank: usize, notice: &peek::Transfer) -> Asked {
        let Some(index) = self.uetrs.index(&notice.uetr).filter(|index| *index < self.ledger.count()) else {
            self.check.foreign += 1;
            return Asked::Foreign;
        };
        let Some(record) = self.ledger.get_mut(index) else {
            self.violation(bank, || format!("asked again about payment {index}, which is over"));
            return Asked::Nothing;
        };
        let before = *record;
        record.state |= state::ASKED;
        let agents = (self.names[usize::from(before.debtor)], self.names[usize::from(before.creditor)]);
        if usize::from(before.creditor) != bank
            || (agents.0.bytes(), agents.1.bytes()) != (&notice.debtor_agent, &notice.creditor_agent)
        {
            let text = self.text(index);
            self.violation(bank, || format!("asked about {text}, which is between {} and {}", agents.0, agents.1));
            return Asked::Nothing;
        }
        if before.amount_minor != notice.amount_minor {
            let text = self.text(index);
            let (sent, told) = (before.amount_minor, notice.amount_minor);
            self.violation(bank, || format!("asked about {text} with amount {told}, sent was {sent}"));
        }
        if before.is(state::ASKED) {
            let text = self.text(index);
            self.violation(bank, || format!("asked twice about {text}"));
            return Asked::Nothing;
        }
        let was_over = before.is(state::DEBTOR_TOLD) && !before.is(state::EXPIRED);
        if was_over || !before.is(state::SENT) {
            let text = self.text(index);
            self.violation(bank, || format!("asked about {text}, which was over or had not been sent"));
        }
        self.ledger.complete(index);
        Asked::Answer(index)
    }

    /// A new StatusNotice at this bank.
    pub(crate) fn told(&mut self, bank: usize, notice: &peek::Status, draw: &Draw) -> Option<Final> {
        let Some(index) = self.uetrs.index(&notice.uetr).filter(|index| *index < self.ledger.count()) else {
            self.check.foreign += 1;
            return None;
        };
        let settled = match &notice.status {
            b"ACSC" | b"ACWP" => true,
            b"RJCT" => false,
            _ => return None, // ACCC, PDNG, BLCK change no money.
        };
        let Some(record) = self.ledger.get_mut(index) else {
            self.check.doubled += 1;
            self.violation(bank, || format!("told again about payment {index}, which was over for both"));
            return None;
        };
        let before = *record;
        let (is_debtor, is_creditor) = (usize::from(before.debtor) == bank, usize::from(before.creditor) == bank);
        let (told, as_settled) = match is_debtor {
            true => (state::DEBTOR_TOLD, state::DEBTOR_SETTLED),
            false => (state::CREDITOR_TOLD, state::CREDITOR_SETTLED),
        };
        let again = before.is(told);
        if (is_debtor || is_creditor) && !again {
            record.state |= told;
            if settled {
                record.state |= as_settled;
            } else if notice.reason == *b"AB05" && is_debtor {
                record.state |= state::EXPIRED;
            }
        }
        let record = *record;
        if let Some(what) = fault(&before, &record, is_debtor || is_creditor, again, settled, notice, draw) {
            let text = self.text(index);
            self.check.doubled += u64::from(again);
            self.violation(bank, || format!("{text}: {what}"));
        }
        if again || !(is_debtor || is_creditor) {
            return None;
        }
        match (settled, is_debtor) {
            (true, true) => self.check.debited_minor += notice.amount_minor,
            (true, false) => self.check.credited_minor += notice.amount_minor,
            (false, _) => {}
        }
        if is_debtor {
            self.check.settled += u64::from(settled);
            self.check.rejected += u64::from(!settled);
            if !settled {
                self.reason(notice.reason);
            }
        }
        self.ledger.complete(index);
        is_debtor.then_some(Final { record, settled })
    }

    pub(crate) fn feed_ends(&self) -> Vec<FeedEnd> {
        let feeds = self.names.iter().zip(&self.feeds).zip(&self.system_feeds);
        feeds
            .map(|((bank, feed), system)| FeedEnd {
                bank: *bank,
                last_notice: feed.last,
                last_system_notice: system.last,
            })
            .collect()
    }

    pub(crate) fn reason(&mut self, reason: [u8; 4]) {
        match self.reasons.iter_mut().find(|(code, _)| *code == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
    }

    /// An unnumbered report of a payment that was sent again: no new outcome, but it may not contradict the one there is.
    pub(crate) fn reported(&mut self, bank: usize, uetr: &[u8; 16], status: wire::Status) {
        let Some(index) = self.uetrs.index(uetr).filter(|index| *index < self.ledger.count()) else { return };
        let Some(record) = self.ledger.get_mut(index) else { return };
        let bit = match status.as_str() {
            "ACSC" | "ACWP" => state::REPORTED_SETTLED,
            "RJCT" => state::REPORTED_REJECTED,
            _ => return,
        };
        record.state |= bit;
        let record = *record;
        if contradicts(&record) {
            let text = self.text(index);
            self.violation(bank, || format!("{text}: reported {status}, and told otherwise"));
        }
    }

    /// The run is over: what is not complete now will not become so.
    pub(crate) fn finish(&mut self) -> Check {
        let mut open = Vec::new();
        self.check.due = self.ledger.count();
        self.check.sent = self.check.due;
        for (index, record) in self.ledger.open() {
            if !record.is(state::SENT) {
                self.check.unsent += 1;
                self.check.sent -= 1;
            } else if record.is(state::POSTPONED) && !record.is(state::DEBTOR_TOLD) {
                self.check.refused += 1;
            } else if !record.is(state::DEBTOR_TOLD) {
                self.check.lost += 1;
                open.push((index, usize::from(record.debtor), "sent, and no outcome came"));
            } else {
                self.check.creditor_untold += 1;
                open.push((
                    index,
                    usize::from(record.creditor),
                    "its debtor agent was told, its creditor agent was not",
                ));
            }
        }
        for (index, bank, what) in open {
            let text = self.text(index);
            self.violation(bank, || format!("{text}: {what}"));
        }
        if self.check.debited_minor != self.check.credited_minor {
            let (debited, credited) = (self.check.debited_minor, self.check.credited_minor);
            self.violation(0, || format!("over all banks {debited} was debited and {credited} credited"));
        }
        self.check.clone()
    }
}

fn contradicts(record: &Record) -> bool {
    let told_settled = record.is(state::DEBTOR_SETTLED) || record.is(state::CREDITOR_SETTLED);
    let told_rejected = record.is(state::DEBTOR_TOLD) && !record.is(state::DEBTOR_SETTLED);
    (told_settled && record.is(state::REPORTED_REJECTED))
        || (told_rejected && record.is(state::REPORTED_SETTLED))
        || (record.is(state::REPORTED_SETTLED) && record.is(state::REPORTED_REJECTED))
}

/// What is wrong with a status notice, if anything is.
fn fault(
    before: &Record,
    after: &Record,
    party: bool,
    again: bool,
    settled: bool,
    notice: &peek::Status,
    draw: &Draw,
) -> Option<String> {
    let status = || String::from_utf8_lossy(&notice.status).into_owned();
    if !party {
        return Some(format!("{} told to a bank that is no party to it", status()));
    }
    if again {
        return Some(format!("a second outcome, {}", status()));
    }
    if notice.amount_minor != before.amount_minor {
        return Some(format!("{} with amount {}, sent was {}", status(), notice.amount_minor, before.amount_minor));
    }
    if !before.is(state::SENT) {
        return Some(format!("{}, and it had not been sent", status()));
    }
    let said_yes =
        before.is(state::ANSWERED) && matches!(draw.plan(before.plan), Plan::Accept | Plan::AcceptWithoutPosting);
    if settled && !said_yes {
        return Some("settled without the creditor agent's yes".to_string());
    }
    let both = after.is(state::DEBTOR_TOLD) && after.is(state::CREDITOR_TOLD);
    if both && after.is(state::DEBTOR_SETTLED) != after.is(state::CREDITOR_SETTLED) {
        return Some("the two agents were told different outcomes".to_string());
    }
    contradicts(after).then(|| format!("{}, and reported otherwise", status()))
}
