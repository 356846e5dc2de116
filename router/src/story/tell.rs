//! Makes a story of what book or archive know, of the facts in the log, and of the payments it belongs to.

use actors::trace::{Step, Trace};
use settlement::{Fact, Key, Reserved, Rules, Stage, State};
use wire::{Money, Reasons, Timestamp};

use super::evidence::{self, Evidence, change_in_words, changes};
use super::known::{Known, Source};
use super::page::length;
use super::{Budget, Link, Moment, Notice, Posting, Story};

/// The payments that this one belongs to, and why some may be missing.
#[derive(Default)]
pub(super) struct Links {
    pub(super) original: Option<Link>,
    pub(super) returns: Vec<Link>,
    /// Settled and in process, minor units, when these are all.
    pub(super) returned: Option<(i64, i64)>,
    pub(super) untold: Vec<String>,
}

/// What is true of every payment: no fact is ever written about it.
const NEVER_KEPT: &str = "Repeats of the instruction and answers that came after the end: they change nothing, so the log \
     has no fact about them. Who sent them was told so at once (the same outcome again, DUPL, LATE).";

pub(super) fn tell(known: &Known, trace: Result<&Trace, String>, links: Links, rules: &Rules, now: Timestamp) -> Story {
    let nothing = Trace::default();
    let (trace, failure) = match trace {
        Ok(trace) => (trace, None),
        Err(failure) => (&nothing, Some(failure)),
    };
    let evidence = Evidence { returned: links.returned, ..Evidence::of(known, trace, rules, now) };
    let teller = Teller { known, trace, evidence, rules, now };
    let mut untold = teller.gaps(failure);
    untold.extend(links.untold);
    untold.push(NEVER_KEPT.into());
    Story {
        payment: known.payment(&evidence, now),
        message_id: trace.steps.iter().find_map(|step| Some(step.fact.payment()?.message_id.to_string())),
        told_by: if known.source == Source::Book { "book" } else { "archive" }.into(),
        budget: teller.budget(),
        timeline: teller.timeline(),
        postings: teller.postings(),
        original: links.original,
        returns: links.returns,
        untold,
    }
}

struct Teller<'a> {
    known: &'a Known,
    trace: &'a Trace,
    evidence: Evidence,
    rules: &'a Rules,
    now: Timestamp,
}

impl Teller<'_> {
    fn reservation(&self) -> Option<(&Step, &Reserved<'static>)> {
        evidence::reservation(self.trace)
    }

    fn end(&self) -> Option<&Step> {
        evidence::end(self.trace)
    }

    fn ended_index(&self) -> Option<u64> {
        self.end().map(|step| step.index).or(self.known.ended_index)
    }

    /// True when it was refused when it was submitted: nothing was set aside.
    fn is_refused_at_once(&self) -> bool {
        self.evidence.stage == Some(Stage::Submit)
    }

    fn budget(&self) -> Option<Budget> {
        if let Some(used) = self.evidence.clock_used {
            let (total_us, before_us) = (self.rules.payment_timeout.as_micros() as u64, used.as_micros() as u64);
            let left_us = total_us.saturating_sub(before_us);
            return Some(Budget {
                total_us,
                before_us,
                left_us,
                is_at_least: true,
                has_ended: true,
                ..Budget::default()
            });
        }
        let (step, reserved) = self.reservation()?;
        let created_at = step.created_at?;
        let until = self.known.ended_at().unwrap_or(self.now);
        let us = |to: Timestamp, from: Timestamp| to.since(from).as_micros() as u64;
        let (held, late_us) = (self.evidence.held, self.evidence.held.late.map_or(0, |late| late.as_micros() as u64));
        Some(Budget {
            total_us: us(reserved.deadline, created_at),
            before_us: us(reserved.at, created_at),
            is_at_least: false,
            waiting_us: us(until, reserved.at).saturating_sub(late_us),
            is_shared: held.is_held(),
            late_us,
            left_us: us(reserved.deadline, until),
            has_ended: self.known.ended_at().is_some(),
        })
    }

    fn timeline(&self) -> Vec<Moment> {
        let known = self.known;
        let first = known.decided_at().or(known.ended_at()).unwrap_or(self.now);
        let moment = |at: Timestamp, place: Option<&Step>, entry: Option<u64>, what: String| Moment {
            at: at.to_string(),
            after_us: (i128::from(at.nanoseconds()) - i128::from(first.nanoseconds())) as i64 / 1000,
            entry: place.map(|step| step.index).or(entry),
            term: place.map(|step| step.term),
            what,
            notices: place.map_or_else(Vec::new, |step| self.notices(step)),
        };
        let mut moments = Vec::new();
        if let Some((step, created_at)) = self.reservation().and_then(|(step, _)| Some((step, step.created_at?))) {
            let id = step.fact.payment().map_or_else(String::new, |payment| payment.message_id.to_string());
            moments.push(moment(created_at, None, None, format!("{} wrote the instruction {id}", known.debtor_agent)));
        }
        let until = known.ended_at().unwrap_or(self.now);
        let began = self.reservation().and_then(|(step, _)| step.created_at).unwrap_or(first);
        let from = if self.evidence.clock_used.is_some() { until.minus(self.rules.payment_timeout) } else { began };
        let mut changes = changes(self.trace, from, until).peekable();
        for step in &self.trace.steps {
            while let Some(change) = changes.next_if(|change| change.between.1 <= step.fact.at()) {
                moments.push(moment(change.between.1, None, None, change_in_words(change)));
            }
            moments.push(moment(step.fact.at(), Some(step), None, self.what(&step.fact)));
        }
        // What the log does not tell is known from book or archive, without its place.
        if let (Some(decided_at), None, false) = (known.decided_at(), self.reservation(), self.is_refused_at_once()) {
            moments.insert(0, moment(decided_at, None, None, self.reserved()));
        }
        if let (Some(ended_at), None) = (known.ended_at(), self.end()) {
            let what = self.ended(known.record.reasons, self.is_refused_at_once().then_some(Stage::Submit));
            moments.push(moment(ended_at, None, known.ended_index, what));
        }
        moments
    }

    fn notices(&self, step: &Step) -> Vec<Notice> {
        let told = step.notices.iter();
        told.map(|notice| Notice { to: self.known.id(notice.to).to_string(), number: notice.number }).collect()
    }

    fn what(&self, fact: &Fact<'_>) -> String {
        let Known { creditor_agent: to, .. } = self.known;
        match fact {
            Fact::Reserved(reserved) => {
                format!("{}; {to} is asked and must answer by {}", self.reserved(), reserved.deadline)
            }
            Fact::Rejected(rejected) => self.ended(rejected.reasons, Some(rejected.stage)),
            Fact::Annotated(annotated) => {
                let what = match annotated.status {
                    wire::Status::ACCC => "it has posted to its customer's account",
                    wire::Status::PDNG => "it is still checking",
                    _ => "it neither posts nor returns",
                };
                format!("{to} said {}: {what}", annotated.status)
            }
            _ => self.ended(self.known.record.reasons, None),
        }
    }

    fn reserved(&self) -> String {
        let Known { record, debtor_agent: from, .. } = self.known;
        format!("reserved: {} set aside at {from}", Money::new(record.amount_minor, record.currency))
    }

    fn ended(&self, reasons: Reasons, stage: Option<Stage>) -> String {
        let Known { record, creditor_agent: to, .. } = self.known;
        let date = record.settlement_date;
        match (record.state, stage) {
            (State::Settled, _) => format!("{to} said yes; settled on business date {date}"),
            (State::SettledWithoutPosting, _) => {
                format!("{to} said yes, without posting yet; settled on business date {date}")
            }
            (State::Expired, _) => match self.evidence.held.late {
                Some(late) => {
                    let late = length(late.as_micros() as u64);
                    format!("timed out with {reasons}, {late} after the deadline; the funds are released")
                }
                None => format!("timed out with {reasons}: no answer by the deadline; the funds are released"),
            },
            (_, Some(Stage::Submit)) => format!("rejected with {reasons}: nothing was set aside"),
            (_, Some(Stage::Answer)) => format!("{to} said no; rejected with {reasons}, the funds are released"),
            (_, Some(Stage::Arrival)) => {
                format!("rejected with {reasons} when it reached {to}; the funds are released")
            }
            _ => format!("rejected with {reasons}; the funds are released"),
        }
    }

    fn postings(&self) -> Vec<Posting> {
        let known = self.known;
        if self.is_refused_at_once() {
            return Vec::new();
        }
        let amount = known.record.amount_minor;
        let posting = |kind: &str, of: Key, minor: i64, entry: Option<u64>| Posting {
            kind: kind.into(),
            participant: known.id(of).to_string(),
            amount: format!("{}{}", if minor > 0 { "+" } else { "" }, known.amount(minor)),
            currency: known.record.currency.to_string(),
            entry,
        };
        let mut postings =
            vec![posting("reserve", known.debtor, -amount, self.reservation().map(|(step, _)| step.index))];
        match known.record.state {
            State::Reserved => {}
            State::Settled | State::SettledWithoutPosting => {
                postings.push(posting("debit", known.debtor, -amount, self.ended_index()));
                postings.push(posting("credit", known.record.creditor, amount, self.ended_index()));
            }
            State::Rejected | State::Expired => {
                postings.push(posting("release", known.debtor, amount, self.ended_index()));
            }
        }
        postings
    }

    /// What of this payment cannot be told.
    fn gaps(&self, failure: Option<String>) -> Vec<String> {
        let (known, mut gaps) = (self.known, Vec::new());
        let lacks_beginning = self.reservation().is_none() && !self.is_refused_at_once();
        let lacks_end = known.ended_at().is_some() && self.end().is_none();
        match (self.trace.log_begins, failure) {
            (Some((index, at)), _) => gaps.push(format!(
                "Its entries, terms and notices, as far as they are missing above: the log of this node begins with entry \
                 {index}, of {at}, later than this payment. A backup of the log of that day has them."
            )),
            (None, Some(failure)) => {
                gaps.push(format!("Its entries, terms and notices: the log cannot be read: {failure}."));
            }
            (None, None) if known.decided_at().is_none() => gaps.push(
                "When it was decided first: the archive was made anew from a log that began later.".into(),
            ),
            (None, None) if lacks_beginning || lacks_end => gaps.push(
                "Some of its entries: the log of this node does not have them where their times are. A node that took up \
                 the switch's state from a snapshot lacks what came before."
                    .into(),
            ),
            _ => {}
        }
        if self.trace.steps.iter().flat_map(|step| &step.notices).any(|notice| notice.number.is_none()) {
            gaps.push("Numbers of notices: they lie too far from where their feed can be counted from.".into());
        }
        if self.evidence.clock_used.is_some() {
            gaps.push(
                "When exactly the debtor agent wrote it: the log keeps no instruction that was refused at once. What is told \
                 above follows from its reason, with the clock that this node gives payments now."
                    .into(),
            );
        }
        if let Some(index) = self.trace.annotated_up_to {
            gaps.push(format!(
                "What {} said behind log entry {index}: that much later is not looked at.",
                known.creditor_agent
            ));
        }
        gaps
    }
}
