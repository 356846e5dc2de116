//! Many who have the same trouble are told of in one line, on every surface.

use crate::Warning;

/// Up to so many are told of one by one.
const ONE_BY_ONE_MAX: usize = 3;
/// Of more, so many by name.
const NAMED: usize = 3;

/// What a line is about that is about several participants.
pub const SEVERAL: &str = "participants";

/// What is said of several, where many may have it at once.
fn of_several(code: &str) -> Option<&'static str> {
    match code {
        "creditor_slow" => Some("answer slowly or not at all"),
        "headroom_low" => Some("have little left to pay with"),
        "not_connected" => Some("are signed on but not connected"),
        _ => None,
    }
}

/// The warnings as they are shown, in their order: those of many participants about the same as one, since the first.
pub fn gathered(warnings: &[Warning]) -> Vec<Warning> {
    let mut shown: Vec<Warning> = Vec::new();
    for warning in warnings {
        let is_same = |own: &&Warning| (&own.code, own.severity) == (&warning.code, warning.severity);
        let Some(what) = of_several(&warning.code) else {
            shown.push(warning.clone());
            continue;
        };
        if shown.iter().any(|own| is_same(&own) && own.subject == SEVERAL) {
            continue;
        }
        let mut names: Vec<&str> = warnings.iter().filter(is_same).map(|own| own.subject.as_str()).collect();
        // Of one participant several positions.
        names.dedup();
        if names.len() <= ONE_BY_ONE_MAX {
            shown.push(warning.clone());
            continue;
        }
        let (first, more) = (names[..NAMED].join(", "), names.len() - NAMED);
        let since_ms = warnings.iter().filter(is_same).map(|own| own.since_ms).min().unwrap_or_default();
        let sentence = format!("{} participants {what}: {first} and {more} more.", names.len());
        shown.push(Warning { subject: SEVERAL.into(), sentence, since_ms, ..warning.clone() });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    #[test]
    fn the_same_trouble_of_many_is_one_line() {
        let of = |code: &str, subject: &str, since_ms| Warning {
            code: code.into(),
            severity: Severity::Degraded,
            subject: subject.into(),
            sentence: format!("{subject} {code}."),
            advice: "Call.".into(),
            since_ms,
        };
        let told = |warnings: &[Warning]| {
            let own = gathered(warnings).into_iter();
            own.map(|own| format!("{} {} {}", own.since_ms, own.subject, own.sentence)).collect::<Vec<_>>()
        };
        let mut all = vec![of("disk_low", "", 9)];
        all.extend((1..=3).map(|number| of("not_connected", &format!("B{number}"), 10 - number)));
        assert_eq!(told(&all).len(), 4, "few are told one by one");
        all.extend((4..=36).map(|number| of("not_connected", &format!("B{number}"), 20)));
        all.push(of("headroom_low", "B1", 3));
        let one = "7 participants 36 participants are signed on but not connected: B1, B2, B3 and 33 more.";
        assert_eq!(told(&all), ["9   disk_low.", one, "3 B1 B1 headroom_low."]);
        all.extend([of("headroom_low", "B1", 3), of("headroom_low", "B2", 3), of("headroom_low", "B3", 3)]);
        assert_eq!(told(&all).len(), 6, "several positions are one participant's");
    }
}
