//! What the log adds to what book and archive have of a payment: who refused it, and whether the switch itself held it up.

use std::time::Duration;

use actors::trace::{LeaderChange, Step, Trace};
use settlement::{Fact, Reserved, Rules, Stage};
use wire::{ParticipantId, Reason, Timestamp};

use super::known::Known;
use super::page::length;

/// A timer that is so late is not a timer's lateness: the switch could not decide.
pub(super) const LATE: Duration = Duration::from_secs(1);

/// See the file's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Of a rejection.
    pub(super) stage: Option<Stage>,
    /// A payment to nobody who is registered.
    pub(super) addressed_to: Option<ParticipantId>,
    /// It was refused at once for its clock, of which this was over, at least.
    pub(super) clock_used: Option<Duration>,
    /// Reservation and end were found in the log, so it would be known if the switch held it up.
    pub(super) is_whole: bool,
    pub(super) held: Held,
    /// Settled and in process, minor units, where all its returns are known.
    pub(super) returned: Option<(i64, i64)>,
}

/// What the switch did while somebody waited: its leader changed, or it decided late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// From the deadline until the end was decided, or until now; [`LATE`] at least.
    pub(super) late: Option<Duration>,
    /// Of several the one that took longest.
    pub(super) change: Option<LeaderChange>,
}

impl Evidence {
    pub(super) fn of(known: &Known, trace: &Trace, rules: &Rules, now: Timestamp) -> Evidence {
        let (reservation, end) = (reservation(trace), end(trace));
        let stage = match end.map(|step| &step.fact) {
            Some(Fact::Rejected(rejected)) => Some(rejected.stage),
            Some(_) => None,
            None => known.is_refused_at_once().then_some(Stage::Submit),
        };
        let reasons = known.record.reasons;
        let clock_used = match stage {
            Some(Stage::Submit) if reasons.has(Reason::AB03) => Some(rules.payment_timeout),
            Some(Stage::Submit) if reasons.has(Reason::E996) => {
                Some(rules.payment_timeout.saturating_sub(rules.creditor_share))
            }
            _ => None,
        };
        let until = known.ended_at().unwrap_or(now);
        let (from, deadline) = match reservation {
            Some((_, reserved)) => (reserved.at, Some(reserved.deadline)),
            None if clock_used.is_some() => (until.minus(rules.payment_timeout), None),
            None => (until, None),
        };
        Evidence {
            stage,
            addressed_to: trace.steps.iter().find_map(|step| step.addressed_to),
            clock_used,
            is_whole: reservation.is_some() && (end.is_some() || known.in_process()),
            held: Held {
                late: deadline.map(|deadline| until.since(deadline)).filter(|late| *late >= LATE),
                change: longest(trace, from, until).or_else(|| between(reservation?.0, end?)),
            },
            returned: None,
        }
    }
}

pub(super) fn reservation(trace: &Trace) -> Option<(&Step, &Reserved<'static>)> {
    trace.steps.iter().find_map(|step| match &step.fact {
        Fact::Reserved(reserved) => Some((step, reserved)),
        _ => None,
    })
}

pub(super) fn end(trace: &Trace) -> Option<&Step> {
    let is_end = |fact: &Fact<'_>| !matches!(fact, Fact::Reserved(_) | Fact::Annotated(_)) && fact.payment().is_some();
    trace.steps.iter().find(|step| is_end(&step.fact))
}

/// The changes of leader in this time.
pub(super) fn changes(trace: &Trace, from: Timestamp, until: Timestamp) -> impl Iterator<Item = &LeaderChange> {
    trace.leader_changes.iter().filter(move |change| change.between.1 > from && change.between.1 <= until)
}

fn longest(trace: &Trace, from: Timestamp, until: Timestamp) -> Option<LeaderChange> {
    let changes = changes(trace, from, until);
    changes.max_by_key(|change| change.between.1.since(change.between.0)).copied()
}

/// Where so much lies between two steps that the log was not read through.
fn between(first: &Step, second: &Step) -> Option<LeaderChange> {
    let at = second.fact.at();
    (first.term != second.term).then_some(LeaderChange { terms: (first.term, second.term), between: (at, at) })
}

/// `the leader changed (term 5 to 6) and nothing was decided from … to …`. A node alone that starts anew leads in a new term.
pub(super) fn change_in_words(change: &LeaderChange) -> String {
    let LeaderChange { terms: (from, to), between: (last, first) } = change;
    let silence = if first > last { format!(" and nothing was decided from {last} to {first}") } else { String::new() };
    format!("the leader changed or started anew (term {from} to {to}){silence}")
}

impl Held {
    pub(super) fn is_held(&self) -> bool {
        self.late.is_some() || self.change.is_some()
    }

    /// As a sentence, if there is anything to say.
    pub(super) fn in_words(&self) -> Option<String> {
        let change = self.change.as_ref().map(change_in_words);
        let late = self.late.map(|late| format!("decided {} after its deadline", length(late.as_micros() as u64)));
        Some(match (late, change) {
            (Some(late), Some(change)) => format!("It was {late}, for {change}."),
            (Some(late), None) => format!("It was {late}: nobody led, or the node that leads stood still."),
            (None, Some(change)) => format!("Before that, {change}."),
            (None, None) => return None,
        })
    }
}
