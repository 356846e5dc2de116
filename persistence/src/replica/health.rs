//! How well a node works, in one figure: the time its disk takes, the delay with which it gets to its work, and that with
//! which it reaches a majority.
//!
//! Nodes tell each other. A leader that is much slower than another node would be hands leadership over to that one.

use std::time::Duration;

use super::message::{Report, Stance};
use crate::fold::{Index, NodeId};

/// A leader is sick when its figure is this many times that of the best other node, and above the least,
const SICK_FACTOR: u32 = 5;
const SICK_LEAST: Duration = Duration::from_millis(20);
/// for this long, seen at no fewer ticks than this: a node that is short of processor time ticks late and seldom, and one
/// that stood still once is not sick.
const SICK_FOR: Duration = Duration::from_secs(1);
const SICK_TICKS: u32 = 8;
/// What a node said counts this long.
const FRESH_FOR: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Health {
    sync: Smooth,
    late: Smooth,
    detour: Duration,
    others: Vec<Heard>,
    other_builds: Vec<OtherBuild>,
    /// How long ago each other node was heard of last, whatever it said.
    ages: Vec<(NodeId, Duration)>,
    sick_for: Duration,
}

struct Heard {
    report: Report,
    age: Duration,
}

/// A node whose reports cannot be read here.
struct OtherBuild {
    node: NodeId,
    version: u8,
    age: Duration,
}

/// An average in which what is older weighs less and less.
#[derive(Default)]
struct Smooth(Option<Duration>);

impl Smooth {
    fn take(&mut self, next: Duration) {
        self.0 = Some(self.0.map_or(next, |average| (average * 7 + next) / 8));
    }

    fn get(&self) -> Duration {
        self.0.unwrap_or_default()
    }
}

fn microseconds(length: Duration) -> u32 {
    u32::try_from(length.as_micros()).unwrap_or(u32::MAX)
}

impl Health {
    pub(super) fn synced(&mut self, took: Duration) {
        self.sync.take(took);
    }

    pub(super) fn sync(&self) -> Duration {
        self.sync.get()
    }

    pub(super) fn set_detour(&mut self, detour: Duration) {
        self.detour = detour;
    }

    /// Of its work, and of its messages.
    fn delay(&self) -> Duration {
        self.late.get() + self.detour
    }

    fn figure(&self) -> Duration {
        self.sync.get() + self.delay()
    }

    pub(super) fn report(&self, tick: Duration, stance: Stance) -> Report {
        Report {
            sync_us: microseconds(self.sync.get()),
            late_us: microseconds(self.delay()),
            tick_us: microseconds(tick),
            stance,
            ..Report::default()
        }
    }

    pub(super) fn heard(&mut self, report: Report) {
        self.others.retain(|heard| heard.report.from != report.from);
        self.others.push(Heard { report, age: Duration::ZERO });
        self.other_builds.retain(|other| other.node != report.from);
        self.is_there(report.from);
    }

    fn is_there(&mut self, node: NodeId) {
        self.ages.retain(|(other, _)| *other != node);
        self.ages.push((node, Duration::ZERO));
    }

    /// How long ago it was heard of last; none if it never was.
    pub(super) fn heard_ago(&self, node: NodeId) -> Option<Duration> {
        self.ages.iter().find(|(other, _)| *other == node).map(|(_, age)| *age)
    }

    /// True when it is news.
    pub(super) fn heard_of_another_build(&mut self, node: NodeId, version: u8) -> bool {
        let before = self.version_of(node);
        self.other_builds.retain(|other| other.node != node);
        self.other_builds.push(OtherBuild { node, version, age: Duration::ZERO });
        self.is_there(node);
        before != Some(version)
    }

    /// Version of its reports, if they came lately and cannot be read here.
    pub(super) fn version_of(&self, node: NodeId) -> Option<u8> {
        self.other_builds.iter().find(|other| other.node == node).map(|other| other.version)
    }

    /// Whether it was heard lately.
    pub(super) fn is_heard(&self, node: NodeId) -> bool {
        self.others.iter().any(|heard| heard.report.from == node)
    }

    /// Whether it would rather not lead, as far as is known.
    pub(super) fn is_unwilling(&self, node: NodeId) -> bool {
        self.stance(node) != Stance::Willing
    }

    /// As far as is known.
    pub(super) fn stance(&self, node: NodeId) -> Stance {
        let heard = self.others.iter().find(|heard| heard.report.from == node);
        heard.map_or(Stance::Willing, |heard| heard.report.stance)
    }

    /// The oldest entry that each other node keeps.
    pub(super) fn kept_from(&self) -> Vec<(NodeId, Index)> {
        self.others.iter().map(|heard| (heard.report.from, heard.report.kept_from)).collect()
    }

    /// The tick that another node goes by, as far as is known.
    pub(super) fn tick_of(&self, node: NodeId) -> Option<Duration> {
        let heard = self.others.iter().find(|heard| heard.report.from == node);
        heard.map(|heard| Duration::from_micros(u64::from(heard.report.tick_us)))
    }

    /// Time went on by a tick, which came `late`.
    pub(super) fn tick(&mut self, length: Duration, late: Duration) {
        self.late.take(late);
        self.others.iter_mut().for_each(|heard| heard.age += length);
        self.others.retain(|heard| heard.age < FRESH_FOR);
        self.other_builds.iter_mut().for_each(|other| other.age += length);
        self.other_builds.retain(|other| other.age < FRESH_FOR);
        self.ages.iter_mut().for_each(|(_, age)| *age += length + late);
    }

    /// Called by a leader at each tick, with the time since the one before: the node to hand over to, once it has been sick
    /// long enough. `suits` are those that could lead at once.
    pub(super) fn better(&mut self, passed: Duration, suits: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let figure = |report: &Report| Duration::from_micros(u64::from(report.sync_us) + u64::from(report.late_us));
        let others = self.others.iter().map(|heard| heard.report);
        let suited = others.filter(|report| report.stance == Stance::Willing && suits(report.from));
        let best = suited.min_by_key(|report| (figure(report), report.from));
        let own = self.figure();
        match best {
            Some(best) if own > SICK_LEAST && own > figure(&best) * SICK_FACTOR => {
                self.sick_for += passed.min(SICK_FOR / SICK_TICKS);
                if self.sick_for < SICK_FOR {
                    return None;
                }
                self.sick_for = Duration::ZERO;
                Some(best.from)
            }
            _ => {
                self.sick_for = Duration::ZERO;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    fn run(own_ms: u64, other_ms: u32, suits: bool) -> Option<Duration> {
        let mut health = Health::default();
        for ticks in 1..100 {
            health.synced(Duration::from_millis(own_ms));
            health.heard(Report { from: 2, sync_us: other_ms * 1000, ..Report::default() });
            health.tick(TICK, Duration::ZERO);
            if health.better(TICK, |_| suits) == Some(2) {
                return Some(TICK * ticks);
            }
        }
        None
    }

    #[test]
    fn a_sick_leader_gives_up_after_a_second() {
        let second = Some(Duration::from_secs(1));
        for (own_ms, other_ms, suits, expected) in [
            (30, 1, true, second),
            (30, 1, false, None),
            (15, 1, true, None),
            (30, 10, true, None),
            (300, 10, true, second),
        ] {
            assert_eq!(run(own_ms, other_ms, suits), expected, "{own_ms} ms against {other_ms} ms");
        }
    }

    /// How long a leader leads on whose ticks come so late, each time or only once.
    fn run_late(late: Duration, every_time: bool) -> Option<Duration> {
        let (mut health, mut passed) = (Health::default(), Duration::ZERO);
        for ticks in 0..100 {
            let late = if every_time || ticks == 10 { late } else { Duration::ZERO };
            passed += TICK + late;
            health.heard(Report { from: 2, late_us: 1000, ..Report::default() });
            health.tick(TICK, late);
            if health.better(TICK + late, |_| true) == Some(2) {
                return Some(passed);
            }
        }
        None
    }

    #[test]
    fn a_leader_whose_ticks_are_late_gives_up_by_the_clock() {
        let late = Duration::from_millis(75);
        assert_eq!(run_late(late, true), Some((TICK + late) * 8));
        assert_eq!(run_late(Duration::from_millis(15), true), None, "no slower than a busy machine");
        assert_eq!(run_late(Duration::from_millis(400), false), None, "it stood still once");
    }

    #[test]
    fn a_leader_that_reaches_a_majority_late_gives_up() {
        for (detour, gives_up) in [(Duration::from_millis(120), true), (Duration::from_millis(2), false)] {
            let mut health = Health::default();
            health.set_detour(detour);
            let given_up = (0..40).any(|_| {
                health.heard(Report { from: 2, late_us: 1000, ..Report::default() });
                health.tick(TICK, Duration::ZERO);
                health.better(TICK, |_| true) == Some(2)
            });
            assert_eq!(given_up, gives_up, "{detour:?}");
        }
    }

    #[test]
    fn what_is_old_does_not_count() {
        let mut health = Health::default();
        health.synced(Duration::from_secs(1));
        health.heard(Report { from: 2, ..Report::default() });
        let given_up = (0..100).any(|_| {
            health.tick(Duration::from_secs(1), Duration::ZERO);
            health.better(Duration::from_millis(1), |_| true).is_some()
        });
        assert!(!given_up);
    }
}
