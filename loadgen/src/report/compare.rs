//! Two runs side by side: what was set differently, what came out differently.

use std::fmt::Write;
use std::path::Path;

use super::html::{head, spectrum_chart, spectrum_series};
use super::svg::escape;
use crate::outcome::{FORMAT, Outcome};

/// Two outcomes, A being the one to compare with.
pub struct Comparison {
    pub a: Outcome,
    pub b: Outcome,
}

/// A figure of both runs.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub name: &'static str,
    pub a: f64,
    pub b: f64,
    /// Whether more is worse.
    more_is_worse: bool,
}

impl Line {
    /// 0.1 for ten percent more; none when A has nothing to compare with.
    pub fn change(&self) -> Option<f64> {
        (self.a > 0.0).then(|| self.b / self.a - 1.0)
    }

    /// By how much B is worse, as a share of A; negative when it is better.
    pub fn worse_by(&self) -> f64 {
        let change = self.change().unwrap_or(0.0);
        if self.more_is_worse { change } else { -change }
    }
}

/// Reads the `result.json` of a run's folder, or the file itself.
pub fn read_result(path: &Path) -> Result<Outcome, String> {
    let file = if path.is_dir() { path.join("result.json") } else { path.to_path_buf() };
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let outcome: Outcome = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    if outcome.format > FORMAT {
        return Err(format!(
            "{}: format {} is newer than {FORMAT}, use a newer crosstie-loadgen",
            file.display(),
            outcome.format
        ));
    }
    Ok(outcome)
}

impl Comparison {
    /// Settings that differ: name, A, B.
    pub fn config_changes(&self) -> Vec<(String, String, String)> {
        let value = |outcome: &Outcome, name: &str| {
            outcome.config.iter().find(|(other, _)| other == name).map_or("-".to_string(), |(_, value)| value.clone())
        };
        let mut names: Vec<&String> = self.a.config.iter().chain(&self.b.config).map(|(name, _)| name).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        let both = names.into_iter().map(|name| (name.clone(), value(&self.a, name), value(&self.b, name)));
        both.filter(|(_, a, b)| a != b).collect()
    }

    pub fn lines(&self) -> Vec<Line> {
        let line = |name, value: &dyn Fn(&Outcome) -> f64, more_is_worse| Line {
            name,
            a: value(&self.a),
            b: value(&self.b),
            more_is_worse,
        };
        let ms = 1e-6;
        let mut lines = vec![
            line("outcomes/s", &|run| run.rate, false),
            line("p50 ms", &|run| run.response.p50_ns as f64 * ms, true),
            line("p90 ms", &|run| run.response.p90_ns as f64 * ms, true),
            line("p99 ms", &|run| run.response.p99_ns as f64 * ms, true),
            line("p99.9 ms", &|run| run.response.p999_ns as f64 * ms, true),
            line("max ms", &|run| run.response.max_ns as f64 * ms, true),
            line("service p99 ms", &|run| run.service.p99_ns as f64 * ms, true),
            line("lag p99 ms", &|run| run.lag.p99_ns as f64 * ms, true),
            line("steal %", &|run| run.trust.steal * 100.0, true),
            line("lost", &|run| run.check.lost as f64, true),
            line("violations", &|run| run.check.violations as f64, true),
        ];
        if self.a.server.is_some() && self.b.server.is_some() {
            lines.push(line(
                "switch CPU us/payment",
                &|run| run.server.as_ref().map_or(0.0, |server| server.cpu_us_per_payment),
                true,
            ));
        }
        lines
    }

    /// The figures by which a regression is judged: throughput, p50 and p99. The worst of them, if it is worse than this share.
    pub fn regression(&self, share_max: f64) -> Option<Line> {
        let judged = ["outcomes/s", "p50 ms", "p99 ms"];
        let mut lines: Vec<Line> = self.lines().into_iter().filter(|line| judged.contains(&line.name)).collect();
        lines.sort_by(|one, other| other.worse_by().total_cmp(&one.worse_by()));
        lines.into_iter().next().filter(|line| line.worse_by() > share_max)
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "A  {}  {}\nB  {}  {}",
            self.a.began_at,
            self.a.verdict.as_str(),
            self.b.began_at,
            self.b.verdict.as_str()
        )?;
        let changes = self.config_changes();
        writeln!(out, "\n{}", if changes.is_empty() { "The settings are the same." } else { "Settings that differ" })?;
        for (name, a, b) in changes {
            writeln!(out, "  {name:<16}{a}  →  {b}")?;
        }
        writeln!(out, "\n{:<24}{:>14}{:>14}{:>10}", "", "A", "B", "change")?;
        for line in self.lines() {
            writeln!(out, "{:<24}{:>14.3}{:>14.3}{:>10}", line.name, line.a, line.b, change(&line))?;
        }
        writeln!(
            out,
            "\nOne run each says little on a machine with neighbours: interleave several and compare the medians."
        )
    }

    pub fn html(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_html(&mut out);
        out
    }

    fn write_html(&self, out: &mut String) -> std::fmt::Result {
        head(out, &format!("A of {} and B of {}", self.a.began_at, self.b.began_at))?;
        writeln!(out, "<h2>Settings that differ</h2><table><tr><th></th><th>A</th><th>B</th></tr>")?;
        for (name, a, b) in self.config_changes() {
            writeln!(out, "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", escape(&name), escape(&a), escape(&b))?;
        }
        writeln!(out, "</table><h2>Figures</h2><table><tr><th></th><th>A</th><th>B</th><th>change</th></tr>")?;
        for line in self.lines() {
            let class = if line.worse_by() > 0.05 {
                "bad"
            } else if line.worse_by() < -0.05 {
                "good"
            } else {
                ""
            };
            writeln!(
                out,
                "<tr><td>{}</td><td>{:.3}</td><td>{:.3}</td><td class=\"{class}\">{}</td></tr>",
                line.name,
                line.a,
                line.b,
                change(&line)
            )?;
        }
        let series =
            vec![spectrum_series("A", &self.a, |point| point.1), spectrum_series("B", &self.b, |point| point.1)];
        writeln!(out, "</table><h2>Percentiles</h2>{}</body></html>", spectrum_chart(series).svg())
    }
}

fn change(line: &Line) -> String {
    line.change().map_or_else(|| "-".to_string(), |change| format!("{:+.1} %", change * 100.0))
}
