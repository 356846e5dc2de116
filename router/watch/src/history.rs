//! The last hour, second by second: the few figures that charts need, and what happened meanwhile.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use meter::BANDS;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Ends, RECENT_MS};
use crate::{Exemplar, Outcomes, Payments, Snapshot};

/// An hour of seconds: 400 bytes each, 1.4 MiB in all, however many payments there are.
pub const MOMENTS_MAX: usize = 3600;
/// Of the slowest bands; a payment of a faster one is never looked for.
const EXEMPLARS_MAX: usize = 4;
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
    /// Ends since the start, within the objective of 10 s and not.
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// Ends in this second by [`meter::band`] of their time, of payments for which funds had been set aside.
    pub bands: [u32; BANDS],
    /// The slowest of those in each of the slowest bands, the slowest first.
    pub exemplars: [Option<Exemplar>; EXEMPLARS_MAX],
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

    /// What is left of the objective, by the ends between the first moment and one that is about to be added.
    pub fn budget(&self, now: &Moment) -> Budget {
        let since = |then: Option<&Moment>| {
            let then = then.unwrap_or(now);
            Ends {
                window_ms: now.at_ms.saturating_sub(then.at_ms),
                within: now.within_objective.saturating_sub(then.within_objective),
                beyond: now.beyond_objective.saturating_sub(then.beyond_objective),
            }
        };
        let recent = self.0.partition_point(|moment| moment.at_ms + RECENT_MS < now.at_ms);
        Budget::new(since(self.0.front()), since(self.0.get(recent)))
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
            within_objective: now.payments.within_objective,
            beyond_objective: now.payments.beyond_objective,
            bands: bands(&before.payments, &now.payments),
            exemplars: exemplars(&before.payments, &now.payments),
            marks: marks(before, now),
        }
    }
}

/// How many ended in between, by band.
fn bands(before: &Payments, now: &Payments) -> [u32; BANDS] {
    let ended = |of: &Payments| {
        let mut bands = [0; BANDS];
        for latency in [&of.settled, &of.failed] {
            bands.iter_mut().zip(latency.parted()).for_each(|(band, count)| *band += count);
        }
        bands
    };
    let (before, now) = (ended(before), ended(now));
    std::array::from_fn(|band| u32::try_from(now[band].saturating_sub(before[band])).unwrap_or(u32::MAX))
}

/// Of those that came in between the slowest of each band.
fn exemplars(before: &Payments, now: &Payments) -> [Option<Exemplar>; EXEMPLARS_MAX] {
    let mut new: Vec<Exemplar> = now.exemplars.iter().filter(|own| !before.exemplars.contains(own)).copied().collect();
    new.sort_unstable_by_key(|own| Reverse(own.took_us));
    new.dedup_by_key(|own| own.band());
    let mut new = new.into_iter();
    std::array::from_fn(|_| new.next())
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
    use meter::EDGES_US;
    use wire::Uetr;

    use super::*;
    use crate::{Latency, Outcome, Participant};

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

    fn ended(number: u8, took_us: u64, outcome: Outcome) -> Exemplar {
        Exemplar { uetr: Uetr::from_random([number; 16]), outcome, took_us, at_ms: 1 }
    }

    #[test]
    fn a_second_has_its_own_counts_and_its_slowest() {
        let latency = |first: u64, others: u64, count: u64| {
            let bucket = |edge: u64| (edge, if edge == EDGES_US[0] { first } else { others });
            Latency { count, buckets: EDGES_US.map(bucket).into(), ..Latency::default() }
        };
        let mut before = Snapshot::default();
        before.payments.settled = latency(1, 5, 5);
        before.payments.exemplars = vec![ended(1, 90, Outcome::Settled)];
        let mut now = before.clone();
        now.payments.settled = latency(1, 8, 10);
        now.payments.failed = latency(0, 1, 1);
        let slow = ended(2, 60_000_000, Outcome::TimedOut);
        let others = [slow, ended(3, 20_000_000, Outcome::Settled), ended(4, 240, Outcome::Rejected)];
        now.payments.exemplars.extend(others);
        let moment = Moment::between(&before, &now);
        assert_eq!(moment.bands[..3], [0, 4, 0]);
        assert_eq!(moment.bands[BANDS - 1], 2, "longer than all edges");
        let kept: Vec<_> = moment.exemplars.iter().flatten().map(|own| own.took_us).collect();
        assert_eq!(kept, [60_000_000, 240], "one of each band, and none of the second before");
        now.payments.exemplars = (1..=9).map(|place| ended(5, 100 << place, Outcome::Settled)).collect();
        assert!(Moment::between(&before, &now).exemplars.iter().flatten().all(|own| own.took_us >= 100 << 6));
    }

    #[test]
    fn a_budget_is_of_what_the_history_holds() {
        let mut history = History::default();
        let moment = |second: u64| {
            let late = second / 1000;
            let (at_ms, within_objective) = (second * 1000, 10 * second - late);
            Moment { at_ms, within_objective, beyond_objective: late, ..Moment::default() }
        };
        assert_eq!(history.budget(&moment(7)).ended, 0, "nothing is known of before");
        (0..4000).for_each(|second| history.add(moment(second)));
        let budget = history.budget(&moment(4000));
        assert_eq!((budget.window_seconds, budget.ended, budget.late), (3600, 36_000, 4));
        let near = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-6, "{found:?}");
        near(budget.burn, 4.0 / 36_000.0 / 0.0005);
        near(budget.burn_recent, 1.0 / 3_000.0 / 0.0005);
    }

    #[test]
    fn what_changed_is_marked() {
        let mut before = Snapshot::default();
        let own = |state: &str| Participant { id: "BANK-0001".into(), state: state.into(), ..Participant::default() };
        before.participants.push(own("signed_on"));
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
        assert!(size_of::<Moment>() <= 400, "{} bytes", size_of::<Moment>());
        assert_eq!(history.moments().next().map(|moment| moment.at_ms), Some(5));
    }
}
