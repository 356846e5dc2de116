//! Figures as people read them, the same on every surface. What is not known is `-`, never 0.

/// What stands where nothing is known.
pub const NONE: &str = "-";

/// A length of time with three digits: `870 us`, `12.4 ms`, `9.99 s`, `14 min`, `3.2 h`, `21 d`.
pub fn length(us: u64) -> String {
    const SCALE: [(f64, &str); 6] =
        [(1.0, "us"), (1e3, "ms"), (1e6, "s"), (60e6, "min"), (3600e6, "h"), (86_400e6, "d")];
    let us = us as f64;
    let (unit, name) = SCALE.into_iter().rev().find(|(unit, _)| us >= *unit).unwrap_or(SCALE[0]);
    let figure = us / unit;
    match figure {
        _ if name == "us" || figure >= 99.95 => format!("{figure:.0} {name}"),
        _ if figure >= 9.995 => format!("{figure:.1} {name}"),
        _ => format!("{figure:.2} {name}"),
    }
}

/// [`length`] of what was measured, and by how much it may be wrong: `80.0 ms ± 1.50 ms`.
pub fn uncertain(us: u64, uncertainty_us: Option<u64>) -> String {
    let measured = length(us);
    uncertainty_us.map_or(measured.clone(), |uncertainty| format!("{measured} ± {}", length(uncertainty)))
}

/// How long ago, as people read it; nobody looks at parts of seconds.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) {
        0..1000 => "less than 1 s".into(),
        ms => length(ms / 1000 * 1_000_000),
    }
}

/// `14:02:11`, in UTC.
pub fn time_of_day(at_ms: u64) -> String {
    let seconds = at_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// [`length`] of a percentile, which nothing is known of when it is one of no values.
pub fn percentile(us: u64, of: u64) -> String {
    if of == 0 { NONE.into() } else { length(us) }
}

/// A whole number in groups of three: `9 812 004`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A rate: `0`, `<0.1`, `0.4`, `17`, `4 812`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        _ if per_second <= 0.0 => "0".into(),
        _ if per_second < 0.05 => "<0.1".into(),
        _ if per_second < 9.95 => format!("{per_second:.1}"),
        _ => count(per_second.round() as u64),
    }
}

/// A share of 1 in percent: `99.94 %`. Rounded down, so that only all is `100 %`.
pub fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100 %".into();
    }
    format!("{:.2} %", (share.max(0.0) * 10_000.0).floor() / 100.0)
}

/// Money in minor units with its decimals, in groups of three: `-1 234 567.89`.
pub fn money(minor: i64, decimals: u8) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = usize::from(decimals) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

/// Memory or room: `512 B`, `4.0 KiB`, `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut figure, mut unit) = (bytes as f64, 0);
    while figure >= 1024.0 && unit + 1 < UNITS.len() {
        figure /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{figure:.1} {}", UNITS[unit]) }
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_three_digits() {
        for (us, text) in [
            (0, "0 us"),
            (870, "870 us"),
            (1_000, "1.00 ms"),
            (12_400, "12.4 ms"),
            (88_000, "88.0 ms"),
            (281_000, "281 ms"),
            (9_990_000, "9.99 s"),
            (840_000_000, "14.0 min"),
            (11_520_000_000, "3.20 h"),
            (1_814_400_000_000, "21.0 d"),
        ] {
            assert_eq!(length(us), text, "{us}");
        }
        assert_eq!(
            (uncertain(80_000, Some(1_500)).as_str(), uncertain(870, None).as_str()),
            ("80.0 ms ± 1.50 ms", "870 us")
        );
        assert_eq!(percentile(0, 0), NONE);
        assert_eq!(percentile(0, 1), "0 us");
    }

    #[test]
    fn figures_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(9_812_004), "9 812 004");
        assert_eq!(money(0, 2), "0.00");
        assert_eq!(money(-5, 2), "-0.05");
        assert_eq!(money(123_456_789, 2), "1 234 567.89");
        assert_eq!(money(1_000, 0), "1 000");
        assert_eq!(money(i64::MIN, 2), "-92 233 720 368 547 758.08");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
    }

    #[test]
    fn only_all_is_a_hundred_percent() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_999), "99.99 %");
        assert_eq!(percent(0.0), "0.00 %");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(0.04), "<0.1");
        assert_eq!(rate(0.4), "0.4");
        assert_eq!(rate(4_811.6), "4 812");
    }
}
