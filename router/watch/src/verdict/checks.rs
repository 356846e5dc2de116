//! What is wrong with a node's clock, and with what it checks of itself.

use super::Found;
use crate::{Peer, Snapshot, text};

/// A node checks itself twice a day.
const CHECK_AGE_MS: u64 = 25 * 3_600_000;
const CLOCK_OFFSET_US: u64 = 50_000;

/// Another node's clock, as far as it could be measured.
struct Clock<'a> {
    node: &'a str,
    /// Less this node's.
    offset_us: i64,
    uncertainty_us: Option<u64>,
}

impl Clock<'_> {
    fn of(peer: &Peer) -> Option<Clock<'_>> {
        let (offset_us, uncertainty_us) = (peer.clock_offset_us?, peer.clock_uncertainty_us);
        Some(Clock { node: &peer.name, offset_us, uncertainty_us })
    }

    /// So far it is for certain, microseconds.
    fn least_us(&self) -> u64 {
        self.offset_us.unsigned_abs().saturating_sub(self.uncertainty_us.unwrap_or(0))
    }

    fn distance(&self) -> String {
        text::uncertain(self.offset_us.unsigned_abs(), self.uncertainty_us)
    }
}

/// A node knows of the others' clocks only how far they are from its own: when most are, it is its own that is wrong. A way that
/// takes longer there than back looks like a clock that is off: what may be the way is not held against the clock.
pub(super) fn of_its_clock(now: &Snapshot, found: &mut Found) {
    let known: Vec<Clock<'_>> = now.peers.iter().filter_map(Clock::of).collect();
    let far: Vec<&Clock<'_>> = known.iter().filter(|clock| clock.least_us() > CLOCK_OFFSET_US).collect();
    let advice = "Does it follow a time server? chronyc tracking; deadlines and business dates go by this clock.";
    if known.len() > 1 && far.len() * 2 > known.len() {
        let least = far.iter().map(|clock| clock.least_us()).min().unwrap_or(0);
        let sentence = format!("The clock of this node is {} or more from those of others.", text::length(least));
        return found.degraded("clock_offset", "", sentence, advice);
    }
    for clock in far {
        let way = if clock.offset_us > 0 { "ahead of" } else { "behind" };
        let sentence = format!("The clock of {} is {} {way} this node's.", clock.node, clock.distance());
        found.degraded("clock_offset", clock.node, sentence, advice);
    }
}

/// A check that was not made since the start is as old as that.
pub(super) fn of_its_checks(now: &Snapshot, found: &mut Found) {
    let started_ms = now.at_ms.saturating_sub(now.node.up_seconds * 1000);
    let age_ms = |at_ms: Option<u64>| now.at_ms.saturating_sub(at_ms.unwrap_or(0).max(started_ms));
    let (checks, audit) = (&now.checks, now.checks.audit.as_ref());
    if let Some((date, check)) = checks.differing.first_key_value() {
        let first = check.first.as_deref().unwrap_or("-");
        let more = match checks.differing.len() - 1 {
            0 => String::new(),
            1 => "; nor are those of another date".into(),
            more => format!("; nor are those of {more} other dates"),
        };
        let sentence = format!("Positions of {date} are not what its payments made of them: {first}{more}.");
        let advice = "Keep the data as it is; crosstie report self-check on every node; follow the runbook.";
        found.critical("self_check_failed", "", sentence, advice);
    }
    if let Some(check) = checks.self_check.as_ref().filter(|check| check.unchecked > 0) {
        let (date, count) = (check.date.as_deref().unwrap_or("-"), check.unchecked);
        let sentence = format!("Positions of {count} participants on {date} could not be added up again here.");
        let advice = "crosstie report self-check says why; so it does on a node that has more.";
        found.degraded("self_check_incomplete", "", sentence, advice);
    }
    let age = age_ms(checks.self_check_whole_ms);
    if age > CHECK_AGE_MS {
        let sentence = format!("Positions were not all added up again for {}.", text::length(age * 1000));
        found.degraded("self_check_overdue", "", sentence, "crosstie report self-check; the node's log says why not.");
    }
    if let Some(broken) = audit.and_then(|check| check.broken.as_ref()) {
        let sentence = format!("The audit trail of this node is not what was written: {broken}.");
        let advice = "Keep the data as it is; crosstie audit verify on every node; follow the runbook.";
        found.critical("audit_broken", "", sentence, advice);
    }
    let age = age_ms(audit.map(|check| check.at_ms));
    if age > CHECK_AGE_MS {
        let sentence = format!("The audit trail was not verified for {}.", text::length(age * 1000));
        found.degraded("audit_unverified", "", sentence, "crosstie audit verify; the node's log says why not.");
    }
}

#[cfg(test)]
mod tests {
    use crate::verdict::judge;
    use crate::verdict::tests::fine;
    use crate::{AuditCheck, SelfCheck};

    const HOUR_MS: u64 = 3_600_000;

    fn check(date: &str, at_ms: u64, differences: u64) -> SelfCheck {
        let first = (differences > 0).then(|| "BANK-0001 EUR".into());
        SelfCheck { date: Some(date.into()), at_ms, positions: 1, differences, first, ..SelfCheck::default() }
    }

    /// What is found of a node that started long ago and checked this.
    fn found(checked: impl FnOnce(u64) -> Vec<SelfCheck>, audit_hours: u64) -> Vec<String> {
        let mut now = fine();
        now.node.up_seconds = 100 * 3600;
        let at_ms = now.at_ms;
        checked(at_ms).into_iter().for_each(|check| now.checks.self_checked(check, 35));
        now.checks.audit = Some(AuditCheck { at_ms: at_ms - audit_hours * HOUR_MS, ..AuditCheck::default() });
        judge(&mut now, &fine());
        now.warnings.iter().map(|own| format!("{}: {}", own.code, own.sentence)).collect()
    }

    #[test]
    fn a_node_whose_clock_is_far_from_most_others_blames_its_own() {
        let blamed = |offsets_us: [i64; 2]| {
            let mut now = fine();
            now.peers[1].clock_offset_us = Some(offsets_us[0]);
            now.peers[2].clock_offset_us = Some(offsets_us[1]);
            judge(&mut now, &fine());
            now.warnings.iter().map(|own| format!("{}|{}", own.subject, own.sentence)).collect::<Vec<_>>()
        };
        assert_eq!(blamed([50_000, -50_000]), [""; 0]);
        assert_eq!(blamed([-1_000, 80_000]), ["n3|The clock of n3 is 80.0 ms ahead of this node's."]);
        assert_eq!(blamed([70_000, 80_000]), ["|The clock of this node is 70.0 ms or more from those of others."]);
    }

    /// A way that takes 100 ms there and nothing back looks like a clock that is 50 ms off.
    #[test]
    fn what_may_be_the_way_is_not_held_against_the_clock() {
        let blamed = |clocks: [(i64, u64); 2]| {
            let mut now = fine();
            for (peer, (offset_us, uncertainty_us)) in now.peers[1..].iter_mut().zip(clocks) {
                (peer.clock_offset_us, peer.clock_uncertainty_us) = (Some(offset_us), Some(uncertainty_us));
            }
            judge(&mut now, &fine());
            now.warnings.iter().map(|own| format!("{}|{}", own.subject, own.sentence)).collect::<Vec<_>>()
        };
        assert_eq!(blamed([(60_000, 10_000), (-60_000, 10_000)]), [""; 0]);
        assert_eq!(
            blamed([(-1_000, 1_000), (-80_000, 10_000)]),
            ["n3|The clock of n3 is 80.0 ms ± 10.0 ms behind this node's."]
        );
        assert_eq!(
            blamed([(70_000, 5_000), (80_000, 20_000)]),
            ["|The clock of this node is 60.0 ms or more from those of others."]
        );
    }

    #[test]
    fn checks_are_made_in_time() {
        let made = |hours: u64| found(|now| vec![check("2026-11-23", now - hours * HOUR_MS, 0)], hours);
        assert_eq!(made(25), [""; 0]);
        assert_eq!(
            made(26),
            [
                "self_check_overdue: Positions were not all added up again for 1.08 d.",
                "audit_unverified: The audit trail was not verified for 1.08 d.",
            ]
        );
    }

    #[test]
    fn while_a_date_stays_wrong_the_others_are_still_checked() {
        let wrong = "self_check_failed: Positions of 2026-11-22 are not what its payments made of them: BANK-0001 EUR";
        let one = |now: u64| vec![check("2026-11-22", now - 50 * HOUR_MS, 2), check("2026-11-24", now - HOUR_MS, 0)];
        assert_eq!(found(one, 1), [format!("{wrong}.")]);
        let two = |now: u64| vec![check("2026-11-22", now - 50 * HOUR_MS, 2), check("2026-11-24", now - HOUR_MS, 1)];
        assert_eq!(found(two, 1), [format!("{wrong}; nor are those of another date.")]);
    }

    #[test]
    fn what_could_not_be_checked_was_not_checked() {
        let part = |now: u64| {
            let part = SelfCheck { unchecked: 2, ..check("2026-11-24", now - HOUR_MS, 0) };
            vec![check("2026-11-23", now - 26 * HOUR_MS, 0), part]
        };
        assert_eq!(
            found(part, 1),
            [
                "self_check_incomplete: Positions of 2 participants on 2026-11-24 could not be added up again here.",
                "self_check_overdue: Positions were not all added up again for 1.08 d.",
            ]
        );
    }
}
