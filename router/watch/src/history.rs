//! The last hour, second by second: the few figures that charts need, and what happened meanwhile.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{Outcomes, Snapshot};

/// An hour of seconds: some 500 KiB.
pub const MOMENTS_MAX: usize = 3600;
/// Marks of one moment; what is more than that on one second is left out.
const MARKS_MAX: usize = 8;

/// One second. Rates are per second over it, percentiles those of payments that settled lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    pub started_per_second: f64,
    pub settled_per_second: f64,
    pub rejected_per_second: f64,
    pub timed_out_per_second: f64,
    pub returned_per_second: f64,
    /// None when nothing settled lately.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
    pub p999_us: Option<u64>,
    pub in_flight: u64,
    /// Messages in all mailboxes.
    pub queued: u64,
    /// Of the node with a vote that is furthest behind; none when this node does not lead or is alone.
    pub lag_ms: Option<u64>,
    /// What happened in this second.
    pub marks: Vec<Mark>,
}

/// Something that charts show as a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub kind: MarkKind,
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// Another node leads, or none.
    Leader,
    /// A participant was suspended, resumed, or signed off.
    Participant,
    /// This node ceased to serve participants, or serves them again.
    Serving,
    /// An actor was restarted.
    Restart,
    /// The business date rolled.
    Day,
}

/// Moments, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Moment>);

impl History {
    pub fn add(&mut self, moment: Moment) {
        if self.0.len() == MOMENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(moment);
    }

    pub fn moments(&self) -> impl DoubleEndedIterator<Item = &Moment> + ExactSizeIterator {
        self.0.iter()
    }

    pub fn last(&self) -> Option<&Moment> {
        self.0.back()
    }
}

impl Moment {
    /// What happened from one snapshot to the next.
    pub fn between(before: &Snapshot, now: &Snapshot) -> Moment {
        let seconds = now.at_ms.saturating_sub(before.at_ms).max(1) as f64 / 1000.0;
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let (ended, before_ended) = (now.payments.outcomes, before.payments.outcomes);
        let by = |of: fn(Outcomes) -> u64| rate(of(ended), of(before_ended));
        let settled = &now.payments.settled;
        let percentile = |us: u64| (settled.recent > 0).then_some(us);
        Moment {
            at_ms: now.at_ms,
            started_per_second: rate(now.payments.started, before.payments.started),
            settled_per_second: by(|outcomes| outcomes.settled),
            rejected_per_second: by(|outcomes| outcomes.rejected),
            timed_out_per_second: by(|outcomes| outcomes.timed_out),
            returned_per_second: by(|outcomes| outcomes.returned),
            p50_us: percentile(settled.p50_us),
            p99_us: percentile(settled.p99_us),
            p999_us: percentile(settled.p999_us),
            in_flight: now.payments.in_flight,
            queued: now.actors.iter().map(|kind| kind.queued).sum(),
            lag_ms: now.peers.iter().filter(|peer| peer.id != now.node.id).filter_map(|peer| peer.lag_ms).max(),
            marks: marks(before, now),
        }
    }
}

fn marks(before: &Snapshot, now: &Snapshot) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut mark = |kind, sentence: String| {
        if marks.len() < MARKS_MAX {
            marks.push(Mark { kind, sentence });
        }
    };
    if before.node.leader != now.node.leader {
        mark(
            MarkKind::Leader,
            match &now.node.leader {
                Some(leader) => format!("{leader} leads, term {}", now.node.term),
                None => "nobody leads, as far as this node knows".into(),
            },
        );
    }
    if before.node.closed != now.node.closed {
        let sentence = now.node.closed.as_ref().map(|why| format!("serves no participants: {}", why.replace('_', " ")));
        mark(MarkKind::Serving, sentence.unwrap_or_else(|| "serves participants again".into()));
    }
    if before.node.business_date != now.node.business_date {
        mark(MarkKind::Day, format!("business date {}", now.node.business_date));
    }
    for kind in &now.actors {
        let earlier = before.actors.iter().find(|own| own.kind == kind.kind).map_or(0, |own| own.restarts);
        if kind.restarts > earlier {
            mark(MarkKind::Restart, format!("{} actors of kind {} restarted", kind.restarts - earlier, kind.kind));
        }
    }
    let states: BTreeMap<_, _> = before.participants.iter().map(|own| (&own.id, &own.state)).collect();
    for participant in &now.participants {
        if states.get(&participant.id).is_some_and(|state| **state != participant.state) {
            let state = participant.state.replace('_', " ");
            mark(MarkKind::Participant, format!("{} is now {state}", participant.id));
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Latency, Participant};

    #[test]
    fn rates_are_differences_over_the_time_between() {
        let mut before = Snapshot { at_ms: 1_000, ..Snapshot::default() };
        before.payments.outcomes.settled = 10;
        let mut now = Snapshot { at_ms: 3_000, ..Snapshot::default() };
        now.payments.outcomes.settled = 50;
        let moment = Moment::between(&before, &now);
        assert_eq!((moment.settled_per_second, moment.p50_us), (20.0, None));
        now.payments.settled = Latency { recent: 40, p50_us: 7, ..Latency::default() };
        assert_eq!(Moment::between(&before, &now).p50_us, Some(7));
    }

    #[test]
    fn what_changed_is_marked() {
        let mut before = Snapshot::default();
        let own = |state: &str| Participant { id: "BANK-0001".into(), state: state.into(), ..Participant::default() };
        before.participants.push(own("active"));
        before.node.leader = Some("n1".into());
        let mut now = before.clone();
        assert_eq!(Moment::between(&before, &now).marks, []);
        now.participants[0] = own("suspended_sending");
        now.node.leader = None;
        let marks = Moment::between(&before, &now).marks;
        let sentences: Vec<_> = marks.iter().map(|mark| mark.sentence.as_str()).collect();
        assert_eq!(sentences, ["nobody leads, as far as this node knows", "BANK-0001 is now suspended sending"]);
    }

    #[test]
    fn an_hour_and_no_more() {
        let mut history = History::default();
        for at_ms in 0..MOMENTS_MAX as u64 + 5 {
            history.add(Moment { at_ms, ..Moment::default() });
        }
        assert_eq!(history.moments().len(), MOMENTS_MAX);
        assert_eq!(history.moments().next().map(|moment| moment.at_ms), Some(5));
    }
}
