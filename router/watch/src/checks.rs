//! What a node checks of itself every day, and what operators had done at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::{count, length};

/// Since the node's start; none before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// The latest, of the date that was due then.
    pub self_check: Option<SelfCheck>,
    /// When that was last made in full, milliseconds since 1970.
    #[serde(default)]
    pub self_check_whole_ms: Option<u64>,
    /// By date: the last check that found differences, until one of that date finds none.
    #[serde(default)]
    pub differing: BTreeMap<String, SelfCheck>,
    pub audit: Option<AuditCheck>,
}

/// Every position of a business date was added up again from its payments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
    /// None while no business date with movements is over: then nothing could be added up.
    pub date: Option<String>,
    pub positions: u64,
    pub payments: u64,
    /// What does not add up, and the first of it in words. Must be 0.
    pub differences: u64,
    pub first: Option<String>,
    /// Participants whose payments of that date this node does not have any more.
    pub unchecked: u64,
}

/// Every hash of the audit trail was computed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
    pub entries: u64,
    /// The first entry that is not what was written, in words.
    pub broken: Option<String>,
}

impl Checks {
    /// Notes the check that is due: the latest, and when positions were last checked.
    pub fn self_checked(&mut self, check: SelfCheck, dates_max: usize) {
        self.compared(&check, dates_max);
        if self.self_check.as_ref().is_none_or(|last| last.date <= check.date) {
            if check.is_whole() {
                self.self_check_whole_ms = Some(check.at_ms);
            }
            self.self_check = Some(check);
        }
    }

    /// Notes a check of another date, which somebody chose: whether that date differs, and nothing else.
    pub fn checked_again(&mut self, check: &SelfCheck, dates_max: usize) {
        self.compared(check, dates_max);
    }

    /// Of at most `dates_max` dates it is kept that they differ, the oldest is forgotten first.
    fn compared(&mut self, check: &SelfCheck, dates_max: usize) {
        if let Some(date) = &check.date {
            if check.differences > 0 {
                self.differing.insert(date.clone(), check.clone());
            } else if check.is_whole() {
                self.differing.remove(date);
            }
        }
        while self.differing.len() > dates_max {
            self.differing.pop_first();
        }
    }

    /// On all dates together.
    pub fn differences(&self) -> u64 {
        self.differing.values().map(|check| check.differences).sum()
    }

    /// What to call each, and how it went, in words.
    pub fn told(&self, now_ms: u64) -> [(&'static str, String); 2] {
        let none = || "not yet since the start of the node".to_string();
        let mut own = self.self_check.as_ref().map_or_else(none, |check| check.sentence(now_ms));
        let last = self.self_check.as_ref().and_then(|check| check.date.as_ref());
        for (_, check) in self.differing.iter().filter(|(date, _)| Some(*date) != last) {
            own = format!("{own}; {}", check.sentence(now_ms));
        }
        let audit = self.audit.as_ref().map_or_else(none, |check| check.sentence(now_ms));
        [("self-check", own), ("audit trail", audit)]
    }
}

impl SelfCheck {
    /// Nothing was left out. Before a business date with movements is over, there is nothing to check.
    fn is_whole(&self) -> bool {
        self.unchecked == 0 && (self.positions > 0 || self.date.is_none())
    }

    fn sentence(&self, now_ms: u64) -> String {
        let SelfCheck { positions, payments, differences, unchecked, .. } = self;
        let ago = length(now_ms.saturating_sub(self.at_ms) * 1000);
        let Some(date) = &self.date else { return format!("no business date with movements is over, {ago} ago") };
        let rest = match unchecked {
            0 => String::new(),
            unchecked => format!(", {} could not be checked", count(*unchecked)),
        };
        match differences {
            0 => {
                let (positions, payments) = (count(*positions), count(*payments));
                format!("{positions} positions of {date} are what {payments} payments made of them{rest}, {ago} ago")
            }
            differences => {
                let first = self.first.as_deref().unwrap_or_default();
                format!("{} differences on {date}{rest}, {ago} ago; the first: {first}", count(*differences))
            }
        }
    }
}

impl AuditCheck {
    fn sentence(&self, now_ms: u64) -> String {
        let ago = length(now_ms.saturating_sub(self.at_ms) * 1000);
        match &self.broken {
            None => format!("{} entries, each follows from the one before, {ago} ago", count(self.entries)),
            Some(broken) => format!("not what was written, {ago} ago: {broken}"),
        }
    }
}

/// How often operators asked for something that came to this, since the node's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// `fund`, `suspend`, `member_add`…
    pub action: String,
    /// `done`, `proposed`, `refused`, `wrong`, `unknown`.
    pub result: String,
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(date: &str, at_ms: u64, differences: u64) -> SelfCheck {
        let first = (differences > 0).then(|| format!("first of {date}"));
        let date = Some(date.to_string()).filter(|date| !date.is_empty());
        SelfCheck { date, at_ms, positions: 3, differences, first, ..SelfCheck::default() }
    }

    #[test]
    fn what_does_not_add_up_stays_until_the_same_date_does() {
        let mut checks = Checks::default();
        let mut note = |date, differences| {
            checks.self_checked(check(date, 7, differences), 3);
            (checks.differences(), checks.differing.keys().next().cloned().unwrap_or_default())
        };
        assert_eq!(note("", 0), (0, "".into()));
        assert_eq!(note("2026-11-23", 2), (2, "2026-11-23".into()));
        assert_eq!(note("2026-11-24", 1), (3, "2026-11-23".into()), "both are told");
        assert_eq!(note("2026-11-24", 0), (2, "2026-11-23".into()), "one date says nothing of another");
        assert_eq!(note("2026-11-25", 0), (2, "2026-11-23".into()));
        assert_eq!(note("2026-11-23", 0), (0, "".into()));
        ["2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"].iter().for_each(|date| _ = note(date, 1));
        assert_eq!(note("2026-11-30", 0), (3, "2026-11-27".into()), "no more than three");
    }

    #[test]
    fn a_check_is_due_of_the_latest_date_and_in_full() {
        let mut checks = Checks::default();
        let mut note = |check: SelfCheck| {
            checks.self_checked(check, 35);
            (checks.self_check_whole_ms, checks.differences())
        };
        assert_eq!(note(SelfCheck { positions: 0, ..check("", 1, 0) }), (Some(1), 0), "nothing was to be checked yet");
        assert_eq!(note(check("2026-11-23", 2, 1)), (Some(2), 1), "what it found is another matter");
        assert_eq!(note(check("2026-11-24", 3, 0)), (Some(3), 1), "one wrong date keeps no other from being checked");
        assert_eq!(note(SelfCheck { unchecked: 1, ..check("2026-11-24", 4, 0) }), (Some(3), 1));
        assert_eq!(note(SelfCheck { positions: 0, ..check("2026-11-24", 5, 0) }), (Some(3), 1));
        let part = SelfCheck { unchecked: 1, ..check("2026-11-23", 6, 0) };
        assert_eq!(note(part), (Some(3), 1), "what was left out may be what differs");
        assert_eq!(note(check("2026-11-23", 7, 0)), (Some(3), 0), "an older date again");
        assert_eq!(note(check("2026-11-24", 8, 0)), (Some(8), 0));
        assert_eq!(checks.self_check, Some(check("2026-11-24", 8, 0)));
    }

    #[test]
    fn a_date_that_somebody_chose_is_not_what_is_due() {
        let mut checks = Checks::default();
        checks.checked_again(&check("2026-11-22", 1, 2), 35);
        assert_eq!((&checks.self_check, checks.self_check_whole_ms, checks.differences()), (&None, None, 2));
        checks.self_checked(check("2026-11-23", 2, 0), 35);
        checks.checked_again(&check("2026-11-22", 3, 0), 35);
        assert_eq!((checks.self_check_whole_ms, checks.differences()), (Some(2), 0), "what differed does no more");
        assert_eq!(checks.self_check, Some(check("2026-11-23", 2, 0)));
    }

    #[test]
    fn every_date_that_differs_is_told() {
        let mut checks = Checks::default();
        checks.self_checked(check("2026-11-23", 1_000, 2), 35);
        checks.self_checked(check("2026-11-24", 2_000, 0), 35);
        let [(_, own), _] = checks.told(3_000);
        assert!(own.starts_with("3 positions of 2026-11-24 are what 0 payments made of them, 1.00 s ago; 2"), "{own}");
        assert!(own.ends_with("differences on 2026-11-23, 2.00 s ago; the first: first of 2026-11-23"), "{own}");
    }
}
