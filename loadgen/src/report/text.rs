//! Plain text: one line per interval while it runs, the report at the end.

use std::fmt::Write;

use crate::outcome::{Outcome, Percentiles};
use crate::progress::Interval;
use crate::units::{Rate, milliseconds, thousands};

/// Several seconds in one line.
pub fn interval_line(intervals: &[Interval]) -> String {
    let Some(last) = intervals.last() else { return String::new() };
    let seconds: f64 = intervals.iter().map(|interval| interval.seconds).sum();
    let per_second = |count: fn(&Interval) -> u64| intervals.iter().map(count).sum::<u64>() as f64 / seconds.max(1e-9);
    let worst = |value: fn(&Interval) -> u64| milliseconds(intervals.iter().map(value).max().unwrap_or(0));
    format!(
        "{:>6.0} s  due {:>9}  settled {:>9}  rejected {:>8}  in flight {:>6}  p50 {:>6}  p99 {:>6}  max {:>6} ms  lag p99 {:>6} ms  busy {:>3.0} %  connected {}",
        last.at_s + last.seconds,
        Rate(per_second(|interval| interval.due)).to_string(),
        Rate(per_second(|interval| interval.settled)).to_string(),
        Rate(per_second(|interval| interval.rejected + interval.refused)).to_string(),
        last.in_flight,
        worst(|interval| interval.p50_ns),
        worst(|interval| interval.p99_ns),
        worst(|interval| interval.max_ns),
        worst(|interval| interval.lag_p99_ns),
        intervals.iter().map(|interval| interval.busy).sum::<f64>() / intervals.len() as f64 * 100.0,
        last.connected,
    )
}

/// The whole report.
pub fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(outcome, &mut out);
    out
}

fn write_text(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    writeln!(out, "{}  {}", outcome.verdict.as_str(), outcome.sentence)?;
    for goal in &outcome.goals {
        writeln!(out, "  {} {}  measured {}", mark(goal.holds), goal.goal, goal.measured)?;
    }
    let check = &outcome.check;
    writeln!(out, "\nMoney {}", mark(check.holds()))?;
    let lines = [
        ("payments", format!("{} due, {} sent", thousands(check.due), thousands(check.sent))),
        (
            "outcomes",
            format!(
                "{} settled, {} rejected, {} refused, {} unsent",
                thousands(check.settled),
                thousands(check.rejected),
                thousands(check.refused),
                thousands(check.unsent)
            ),
        ),
        ("lost, doubled", format!("{}, {}", check.lost, check.doubled)),
        ("debited = credited", format!("{} = {} minor units", check.debited_minor, check.credited_minor)),
        (
            "notices",
            format!("{} repeats passed over, {} of other payments", thousands(check.repeats), thousands(check.foreign)),
        ),
    ];
    for (name, value) in lines {
        writeln!(out, "  {name:<20}{value}")?;
    }
    if !outcome.reasons.is_empty() {
        let reasons: Vec<String> =
            outcome.reasons.iter().map(|reason| format!("{} {}", reason.reason, thousands(reason.count))).collect();
        writeln!(out, "  {:<20}{}", "reasons", reasons.join(", "))?;
    }
    for example in &check.examples {
        writeln!(out, "  ! {example}")?;
    }

    let from = if outcome.closed_loop { "from sending (closed loop)" } else { "from due time" };
    writeln!(
        out,
        "\nThroughput  {} outcomes{}",
        Rate(outcome.rate),
        if outcome.rate_max.is_some() { ", the highest that met the goals" } else { "" }
    )?;
    writeln!(out, "\nLatency [ms]{:>29}{:>9}{:>9}{:>9}{:>9}{:>9}", "p50", "p90", "p99", "p99.9", "p99.99", "max")?;
    percentiles(out, &format!("response, {from}"), &outcome.response)?;
    if !outcome.closed_loop {
        percentiles(out, "service, from sending", &outcome.service)?;
        percentiles(out, "schedule lag", &outcome.lag)?;
    }
    if outcome.steps.len() > 1 {
        writeln!(
            out,
            "\n{:<12}{:>12}{:>12}{:>10}{:>10}{:>10}{:>10}",
            "Step", "offered/s", "ended/s", "p50 ms", "p99 ms", "p99.9 ms", "goals"
        )?;
        for step in &outcome.steps {
            writeln!(
                out,
                "{:<12}{:>12}{:>12}{:>10}{:>10}{:>10}{:>10}",
                step.name,
                thousands(step.offered_rate as u64),
                thousands(step.rate as u64),
                milliseconds(step.response.p50_ns),
                milliseconds(step.response.p99_ns),
                milliseconds(step.response.p999_ns),
                if step.holds { "met" } else { "missed" }
            )?;
        }
    }

    let trust = &outcome.trust;
    writeln!(out, "\nTrust {}", mark(trust.trustworthy))?;
    let same_host = if trust.same_host { ", on the switch's own machine" } else { "" };
    writeln!(
        out,
        "  generator busy {:.0} %, {:.2} us CPU per payment{same_host}; steal {:.1} %; {} of {} connected, {} reconnects",
        trust.busy * 100.0,
        trust.loader_cpu_us_per_payment,
        trust.steal * 100.0,
        trust.connected,
        trust.connections,
        outcome.reconnects
    )?;
    for doubt in &trust.doubts {
        writeln!(out, "  ! {doubt}")?;
    }
    if let Some(server) = &outcome.server {
        writeln!(
            out,
            "  switch (pid {}): {:.2} us CPU per payment, {} MiB resident",
            server.pid,
            server.cpu_us_per_payment,
            server.resident_bytes >> 20
        )?;
    }
    Ok(())
}

fn percentiles(out: &mut String, name: &str, values: &Percentiles) -> std::fmt::Result {
    writeln!(
        out,
        "  {name:<36}{:>3}{:>9}{:>9}{:>9}{:>9}{:>9}",
        milliseconds(values.p50_ns),
        milliseconds(values.p90_ns),
        milliseconds(values.p99_ns),
        milliseconds(values.p999_ns),
        milliseconds(values.p9999_ns),
        milliseconds(values.max_ns)
    )
}

fn mark(holds: bool) -> &'static str {
    if holds { "✓" } else { "✗" }
}
