//! One page that needs nothing but itself: no script, no request, dark or light as the reader likes, good on paper.

use std::fmt::Write;

use super::svg::{Chart, Scale, Series, escape};
use crate::outcome::{Outcome, Percentiles, Verdict};
use crate::progress::Interval;
use crate::units::{Rate, milliseconds, thousands};

pub(crate) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#fff;--card:#f5f7fa;--edge:#dde3ea;--good:#1a7f4b;--bad:#b42318;--warn:#9a6700;--c0:#2563c9;--c1:#c2570c;--c2:#14804a;--c3:#8b3fc4}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#9aa6b5;--paper:#11161d;--card:#1a212b;--edge:#2c3642;--good:#4cc38a;--bad:#ff7b6e;--warn:#e3b341;--c0:#79aaff;--c1:#ff9d5c;--c2:#5ad19a;--c3:#c795f0}}
*{box-sizing:border-box}body{margin:0 auto;max-width:960px;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.05rem;font-weight:600;color:var(--soft);margin:0 0 .8rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
.verdict{border-left:8px solid var(--warn);background:var(--card);padding:.9rem 1.1rem;border-radius:4px}.verdict b{font-size:1.35rem;display:block}
.verdict.good{border-color:var(--good)}.verdict.good b{color:var(--good)}.verdict.bad{border-color:var(--bad)}.verdict.bad b{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:.7rem;margin-top:1rem}.tile{background:var(--card);border-radius:4px;padding:.7rem .9rem}.tile b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:.85rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:.28rem .6rem;border-bottom:1px solid var(--edge)}th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500}
td.text{text-align:left}.good{color:var(--good)}.bad{color:var(--bad)}figure{margin:1rem 0;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.2rem}svg{width:100%;height:auto;background:var(--card);border-radius:4px}
.grid{stroke:var(--edge)}.mark{stroke:var(--warn);stroke-dasharray:4 3}.tick{font:11px system-ui,sans-serif;fill:var(--soft)}.label{font:12px system-ui,sans-serif;fill:var(--ink)}
polyline{fill:none;stroke-width:1.8}.line0{stroke:var(--c0)}.line1{stroke:var(--c1)}.line2{stroke:var(--c2)}.line3{stroke:var(--c3)}.fill0{fill:var(--c0)}.fill1{fill:var(--c1)}.fill2{fill:var(--c2)}.fill3{fill:var(--c3)}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--card);padding:.8rem;border-radius:4px;white-space:pre-wrap;word-break:break-all}li{margin:.2rem 0}
@media print{body{max-width:none;font-size:11px}.verdict,.tile,svg{border:1px solid var(--edge)}}
";

pub fn html(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(outcome, &mut out);
    out
}

fn write_page(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    head(out, &format!("Load run of {}", outcome.began_at))?;
    verdict(outcome, out)?;
    correctness(outcome, out)?;
    headline(outcome, out)?;
    over_time(outcome, out)?;
    spectrum_section(outcome, out)?;
    steps(outcome, out)?;
    trust(outcome, out)?;
    repeat(outcome, out)?;
    writeln!(out, "</body></html>")
}

pub(crate) fn head(out: &mut String, title: &str) -> std::fmt::Result {
    let title = escape(title);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
    )?;
    writeln!(out, "<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>")
}

fn verdict(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let class = match outcome.verdict {
        Verdict::Pass => "good",
        Verdict::Fail | Verdict::Violation | Verdict::Unreachable => "bad",
        Verdict::Untrustworthy | Verdict::Interrupted => "",
    };
    writeln!(
        out,
        "<div class=\"verdict {class}\"><b>{}</b>{}</div>",
        outcome.verdict.as_str(),
        escape(&outcome.sentence)
    )?;
    if outcome.goals.is_empty() {
        return Ok(());
    }
    writeln!(out, "<table><tr><th>Goal</th><th>Measured</th><th></th></tr>")?;
    for goal in &outcome.goals {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&goal.goal),
            escape(&goal.measured),
            mark(goal.holds)
        )?;
    }
    writeln!(out, "</table>")
}

fn mark(holds: bool) -> &'static str {
    if holds { "<span class=\"good\">✓ met</span>" } else { "<span class=\"bad\">✗ missed</span>" }
}

fn correctness(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let check = &outcome.check;
    let sums = format!(
        "{} = {} minor units",
        thousands(check.debited_minor.unsigned_abs()),
        thousands(check.credited_minor.unsigned_abs())
    );
    let reasons: Vec<String> =
        outcome.reasons.iter().map(|reason| format!("{} {}", reason.reason, thousands(reason.count))).collect();
    let rows = [
        ("Payments due, sent", format!("{}, {}", thousands(check.due), thousands(check.sent)), check.unsent == 0),
        (
            "Settled, rejected, refused",
            format!("{}, {}, {}", thousands(check.settled), thousands(check.rejected), thousands(check.refused)),
            true,
        ),
        ("Lost: sent without an outcome", thousands(check.lost), check.lost == 0),
        ("Doubled: more than one outcome", thousands(check.doubled), check.doubled == 0),
        ("Debited = credited", sums, check.debited_minor == check.credited_minor),
        ("Creditor agents not told of a settlement", thousands(check.creditor_untold), check.creditor_untold == 0),
        ("Violations of any kind", thousands(check.violations), check.violations == 0),
    ];
    writeln!(out, "<h2>Correctness</h2><table>")?;
    for (name, value, holds) in rows {
        let class = if holds { "good" } else { "bad" };
        writeln!(
            out,
            "<tr><td>{name}</td><td>{value}</td><td class=\"{class}\">{}</td></tr>",
            if holds { "✓" } else { "✗" }
        )?;
    }
    writeln!(out, "</table>")?;
    if !reasons.is_empty() {
        writeln!(out, "<p>Reasons: {}</p>", escape(&reasons.join(", ")))?;
    }
    list(out, &check.examples)
}

fn list(out: &mut String, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    writeln!(out, "<ul class=\"bad\">{items}</ul>")
}

fn headline(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let rate_name = if outcome.rate_max.is_some() { "highest rate that met the goals" } else { "outcomes" };
    let response = &outcome.response;
    let ms = |value| format!("{} ms", milliseconds(value));
    let mut tiles = vec![
        (Rate(outcome.rate).to_string(), rate_name.to_string()),
        (ms(response.p50_ns), "p50".to_string()),
        (ms(response.p99_ns), "p99".to_string()),
        (ms(response.p999_ns), "p99.9".to_string()),
        (ms(response.max_ns), "max".to_string()),
    ];
    if let Some(server) = &outcome.server {
        tiles.push((format!("{:.2} µs", server.cpu_us_per_payment), "CPU of the switch per payment".to_string()));
    }
    writeln!(out, "<h2>Headline</h2><div class=\"tiles\">")?;
    for (value, name) in tiles {
        writeln!(out, "<div class=\"tile\"><b>{value}</b><span>{name}</span></div>")?;
    }
    let from = if outcome.closed_loop { "the sending, for the loop is closed" } else { "the due time" };
    writeln!(out, "</div><p>Response times count from {from} to the final status at the debtor agent.</p>")?;
    writeln!(
        out,
        "<table><tr><th>ms</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th><th>count</th></tr>"
    )?;
    row(out, "response", response)?;
    if !outcome.closed_loop {
        row(out, "service, from sending", &outcome.service)?;
        row(out, "schedule lag", &outcome.lag)?;
    }
    writeln!(out, "</table>")
}

fn row(out: &mut String, name: &str, values: &Percentiles) -> std::fmt::Result {
    write!(out, "<tr><td>{name}</td>")?;
    for value in [values.p50_ns, values.p90_ns, values.p99_ns, values.p999_ns, values.p9999_ns, values.max_ns] {
        write!(out, "<td>{}</td>", milliseconds(value))?;
    }
    writeln!(out, "<td>{}</td></tr>", thousands(values.count))
}

fn over_time(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let intervals: Vec<&Interval> = outcome.intervals.iter().filter(|interval| interval.seconds > 0.2).collect();
    let series = |name: &str, value: &dyn Fn(&Interval) -> f64| {
        Series::line(name, intervals.iter().map(|interval| (interval.at_s, value(interval))).collect())
    };
    let marks: Vec<(f64, String)> = outcome.events.iter().map(|event| (event.at_s, event.text.clone())).collect();
    let chart = |title: &str, y_label: &str, y_scale, series| Chart {
        title: title.to_string(),
        x_label: "seconds since the run began".to_string(),
        y_label: y_label.to_string(),
        y_scale,
        series,
        x_ticks: None,
        marks: marks.clone(),
    };
    let rate = |count: fn(&Interval) -> u64| move |interval: &Interval| count(interval) as f64 / interval.seconds;
    let ms = |value: fn(&Interval) -> u64| move |interval: &Interval| value(interval) as f64 / 1e6;
    let rates = vec![
        series("due", &rate(|interval| interval.due)),
        series("sent", &rate(|interval| interval.sent)),
        series("ended", &rate(|interval| interval.settled + interval.rejected)),
    ];
    let latencies = vec![
        series("p50", &ms(|interval| interval.p50_ns)),
        series("p99", &ms(|interval| interval.p99_ns)),
        series("p99.9", &ms(|interval| interval.p999_ns)),
        series("max", &ms(|interval| interval.max_ns)),
    ];
    writeln!(out, "<h2>Over time</h2>{}", chart("Rate", "payments/s", Scale::Linear, rates).svg())?;
    writeln!(out, "{}", chart("Response time", "ms", Scale::Log, latencies).svg())?;
    for event in &outcome.events {
        writeln!(out, "<div>{:.1} s: {}</div>", event.at_s, escape(&event.text))?;
    }
    Ok(())
}

fn spectrum_section(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let mut series = vec![spectrum_series("response", outcome, |point| point.1)];
    if !outcome.closed_loop {
        series.push(spectrum_series("service", outcome, |point| point.2));
    }
    writeln!(out, "<h2>Percentiles</h2>{}", spectrum_chart(series).svg())
}

/// On the axis of nines: 90 % at 1, 99 % at 2.
pub(crate) fn spectrum_series(name: &str, outcome: &Outcome, value: fn(&(f64, u64, u64)) -> u64) -> Series {
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).max(1e-7).log10();
    Series::line(name, outcome.spectrum.iter().map(|point| (nines(point.0), value(point) as f64 / 1e6)).collect())
}

pub(crate) fn spectrum_chart(series: Vec<Series>) -> Chart {
    let last =
        series.iter().flat_map(|series| &series.points).map(|point| point.0).fold(1.0, f64::max).floor() as usize;
    let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let ticks =
        names.iter().take(last + 1).enumerate().map(|(nines, name)| (nines as f64, (*name).to_string())).collect();
    Chart {
        title: "Share of payments that were final within".to_string(),
        x_label: "percentile".to_string(),
        y_label: "ms".to_string(),
        y_scale: Scale::Log,
        series,
        x_ticks: Some(ticks),
        marks: Vec::new(),
    }
}

fn steps(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    if outcome.steps.len() < 2 {
        return Ok(());
    }
    writeln!(out, "<h2>Latency and load</h2>")?;
    let mut sorted: Vec<_> = outcome.steps.iter().collect();
    sorted.sort_by(|one, other| one.offered_rate.total_cmp(&other.offered_rate));
    let series = |name: &str, value: &dyn Fn(&Percentiles) -> u64| Series {
        name: name.to_string(),
        points: sorted.iter().map(|step| (step.offered_rate, value(&step.response) as f64 / 1e6)).collect(),
        dots: true,
    };
    let chart = Chart {
        title: "Response time at each offered rate".to_string(),
        x_label: "payments/s offered".to_string(),
        y_label: "ms".to_string(),
        y_scale: Scale::Log,
        series: vec![
            series("p50", &|response| response.p50_ns),
            series("p99", &|response| response.p99_ns),
            series("p99.9", &|response| response.p999_ns),
        ],
        x_ticks: None,
        marks: outcome
            .rate_max
            .map(|rate| (rate, "the highest rate that met the goals".to_string()))
            .into_iter()
            .collect(),
    };
    writeln!(
        out,
        "{}<table><tr><th>Step</th><th>offered/s</th><th>ended/s</th><th>p50 ms</th><th>p99 ms</th><th>p99.9 ms</th><th>goals</th></tr>",
        chart.svg()
    )?;
    for step in &outcome.steps {
        let cells = [
            thousands(step.offered_rate as u64),
            thousands(step.rate as u64),
            milliseconds(step.response.p50_ns),
            milliseconds(step.response.p99_ns),
            milliseconds(step.response.p999_ns),
        ];
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&step.name),
            cells.join("</td><td>"),
            mark(step.holds)
        )?;
    }
    writeln!(out, "</table>")
}

fn trust(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let trust = &outcome.trust;
    let rows = [
        ("Schedule lag at p99", format!("{} ms", milliseconds(trust.lag_p99_ns))),
        ("Generator's thread busy", format!("{:.0} %", trust.busy * 100.0)),
        ("Generator's CPU per payment", format!("{:.2} µs", trust.loader_cpu_us_per_payment)),
        (
            "Connections up at the end",
            format!("{} of {}, {} reconnects", trust.connected, trust.connections, outcome.reconnects),
        ),
        ("Time stolen by the hypervisor", format!("{:.1} %", trust.steal * 100.0)),
        (
            "Generator and switch on one machine",
            if trust.same_host { "yes: they compete for its cores" } else { "no" }.to_string(),
        ),
    ];
    writeln!(out, "<h2>Can it be believed?</h2><p>{}</p><table>", mark(trust.trustworthy))?;
    for (name, value) in rows {
        writeln!(out, "<tr><td>{name}</td><td>{value}</td></tr>")?;
    }
    writeln!(out, "</table>")?;
    list(out, &trust.doubts)
}

fn repeat(outcome: &Outcome, out: &mut String) -> std::fmt::Result {
    let environment = &outcome.environment;
    writeln!(out, "<h2>How to repeat</h2><pre>{}</pre><table>", escape(&outcome.command))?;
    for (name, value) in &outcome.config {
        writeln!(out, "<tr><td>{}</td><td class=\"text\">{}</td></tr>", escape(name), escape(value))?;
    }
    writeln!(
        out,
        "</table><p>crosstie-loadgen {}, kernel {}, {} with {} cores, {} GiB; load average {}.</p>",
        escape(&outcome.version),
        escape(&environment.kernel),
        escape(&environment.cpu),
        environment.cores,
        environment.memory_gib,
        escape(&environment.load_average)
    )?;
    writeln!(
        out,
        "<p>Beside this page: <code>result.json</code>, <code>series.ndjson</code>, <code>latency.hlog</code>, <code>latency.hgrm</code>.</p>"
    )
}
