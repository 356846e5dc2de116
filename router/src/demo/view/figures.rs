//! Rates, latencies, outcomes: the panels of figures, and the chart.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, BorderType, Chart, Dataset, GraphType, Paragraph};

use super::super::figures::{count, milliseconds};
use super::super::measured::Latency;
use super::super::seen::Seen;
use super::super::stage::Stage;
use super::{FRAME, panel};

fn figure(name: &str, value: String, unit: &str) -> Line<'static> {
    Line::from(vec![
        Span::from(format!(" {name:<11}")).fg(Color::Gray),
        Span::from(format!("{value:>11}")).bold(),
        Span::from(format!(" {unit}")).fg(Color::Gray),
    ])
}

pub(super) fn draw_load(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let big = Line::from(vec![
        Span::from(format!(" {}", count(seen.per_second as u64))).fg(Color::Green).bold(),
        Span::from(" payments/s ended").fg(Color::Gray),
    ]);
    let lines = vec![
        big,
        Line::default(),
        figure("wanted", count(seen.wanted as u64), "/s"),
        figure("in process", count(seen.in_process as u64), ""),
        figure("ended", count(seen.outcomes.ended()), ""),
        figure("settled", count(seen.outcomes.settled_in_all()), ""),
        figure("held back", count(seen.held_back), ""),
        Line::from(format!(" grows while p99 ≤ {} ms", seen.goal.as_millis())).fg(Color::DarkGray),
    ];
    frame.render_widget(Paragraph::new(lines).block(panel("Load")), area);
}

pub(super) fn draw_latency(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let row = |name: &str, value: fn(&Latency) -> u64| {
        Line::from(vec![
            Span::from(format!(" {name:<6}")).fg(Color::Gray),
            Span::from(format!("{:>9}", milliseconds(value(&seen.last)))).fg(Color::Green).bold(),
            Span::from(format!("{:>9}", milliseconds(value(&seen.undisturbed)))).bold(),
            Span::from(format!("{:>10}", milliseconds(value(&seen.everything)))).fg(Color::Gray),
        ])
    };
    let lines = vec![
        Line::from(format!(" {:<6}{:>9}{:>9}{:>10}", "", "last 1 s", "calm", "any bank")).fg(Color::Gray),
        row("p50", |latency| latency.p50_us),
        row("p99", |latency| latency.p99_us),
        row("p99.9", |latency| latency.p999_us),
        row("max", |latency| latency.max_us),
        Line::default(),
        Line::from(" from due until the payer's bank told").fg(Color::DarkGray),
        Line::from(" calm: between acts; any: slow, silent too").fg(Color::DarkGray),
    ];
    frame.render_widget(Paragraph::new(lines).block(panel("Latency, ms")), area);
}

pub(super) fn draw_outcomes(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let ended = seen.outcomes.ended().max(1) as f64;
    let room = usize::from(area.height.saturating_sub(3));
    let kinds = seen.kinds();
    let mut lines: Vec<Line<'_>> = kinds
        .iter()
        .take(room)
        .map(|(code, meaning, many)| {
            let settled = matches!(code.as_str(), "ACSC" | "ACWP" | "pacs.004");
            let colour = if settled { Color::Green } else { Color::Yellow };
            Line::from(vec![
                Span::from(format!(" {code:<8} ")).fg(colour).bold(),
                Span::from(format!("{meaning:<21}")).fg(Color::Gray),
                Span::from(format!("{:>10}", count(*many))).bold(),
                Span::from(format!("{:>6.1}%", *many as f64 / ended * 100.0)).fg(Color::Gray),
            ])
        })
        .collect();
    lines.push(Line::from(format!(" {}", seen.harmless())).fg(Color::DarkGray));
    frame.render_widget(Paragraph::new(lines).block(panel("Outcomes")), area);
}

pub(super) fn draw_chart(frame: &mut Frame<'_>, area: Rect, seen: &Seen, stage: &Stage) {
    let rates: Vec<(f64, f64)> = seen
        .windows
        .iter()
        .map(|window| (window.at.as_secs_f64(), window.ended as f64 / window.length.as_secs_f64().max(1e-3)))
        .collect();
    let wanted: Vec<(f64, f64)> = seen.windows.iter().map(|window| (window.at.as_secs_f64(), window.wanted)).collect();
    // What had waited comes at once when an act is over; such a peak goes out of the picture.
    let top = round_up(1.4 * wanted.iter().map(|(_, rate)| *rate).fold(100.0, f64::max));
    let marks: Vec<(f64, f64)> = (stage.marks.lock().iter())
        .flat_map(|at| (0..=20).map(|step| (at.as_secs_f64(), top * f64::from(step) / 20.0)))
        .collect();
    let line = |data, colour, kind| {
        Dataset::default().marker(Marker::Braille).graph_type(kind).style(Style::new().fg(colour)).data(data)
    };
    let sets = vec![
        line(&wanted, Color::DarkGray, GraphType::Line),
        line(&marks, Color::Red, GraphType::Scatter),
        line(&rates, Color::Green, GraphType::Line),
    ];
    let length = seen.length.as_secs_f64().max(seen.at.as_secs_f64());
    let title = Line::from(vec![
        Span::from(" Payments/s ").fg(Color::White).bold(),
        Span::from("ended ").fg(Color::Green),
        Span::from("wanted ").fg(Color::Gray),
        Span::from("acts ").fg(Color::Red),
    ]);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(Style::new().fg(FRAME)).title(title);
    let labels = [String::from("0"), count((top / 2.0) as u64), count(top as u64)];
    let chart = Chart::new(sets)
        .block(block)
        .x_axis(Axis::default().bounds([0.0, length]).style(Style::new().fg(FRAME)))
        .y_axis(Axis::default().bounds([0.0, top]).labels(labels).style(Style::new().fg(Color::Gray)));
    frame.render_widget(chart, area);
}

/// To a round number whose half is one, too.
fn round_up(rate: f64) -> f64 {
    let scale = 10f64.powf(rate.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * scale).into_iter().find(|top| *top >= rate).unwrap_or(rate)
}
