//! The live view: load, latency, trust and the last events, drawn once a second. It only looks; `q` stops the run.

use std::collections::VecDeque;
use std::time::Duration;

use loadgen::progress::Seen;
use loadgen::units::{Rate, milliseconds};
use loadgen::{Interval, Options, Progress};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};
use ratatui::{DefaultTerminal, Frame};

const SECONDS_SHOWN: usize = 120;

/// Draws until `done` says that the run is over. The terminal is given back as it was, whatever happens.
pub(crate) fn show(options: &Options, progress: &Progress, done: impl Fn() -> bool) -> std::io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = draw_until(&mut terminal, options, progress, done);
    ratatui::restore();
    result
}

fn draw_until(
    terminal: &mut DefaultTerminal,
    options: &Options,
    progress: &Progress,
    done: impl Fn() -> bool,
) -> std::io::Result<()> {
    while !done() {
        let seen = progress.seen();
        terminal.draw(|frame| draw(frame, options, &seen))?;
        if event::poll(Duration::from_millis(250))?
            && let Event::Key(key) = event::read()?
        {
            let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                _ if interrupt && progress.was_stopped() => progress.abort(),
                KeyCode::Char('q') => progress.stop(),
                _ if interrupt => progress.stop(),
                _ => {}
            }
        }
    }
    Ok(())
}

fn draw(frame: &mut Frame<'_>, options: &Options, seen: &Seen) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Min(6),
        Constraint::Length(5),
        Constraint::Length(1),
    ];
    let [title, figures, chart, events, keys] = Layout::vertical(rows).areas(frame.area());
    let text = format!(
        " crosstie-loadgen · {} · {} banks · answers {} · {} ",
        options.shape.name(),
        options.banks.len(),
        options.answers,
        seen.phase
    );
    frame.render_widget(Paragraph::new(text).style(Style::new().fg(Color::Black).bg(Color::Cyan)), title);
    draw_figures(frame, figures, seen);
    draw_chart(frame, chart, seen);
    let lines: Vec<Line<'_>> = seen
        .events
        .iter()
        .rev()
        .take(3)
        .map(|event| Line::from(format!("{:7.1} s  {}", event.at_s, event.text)))
        .collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Events ")), events);
    frame.render_widget(Paragraph::new(" [q] stop and report   [Ctrl-C twice] abort"), keys);
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let thirds = [Constraint::Ratio(1, 3); 3];
    let [load, latency, trust] = Layout::horizontal(thirds).areas(area);
    let Some(last) = seen.intervals.last() else { return };
    let per_second = |count: u64| Rate(count as f64 / last.seconds.max(1e-9)).to_string();
    let total = |count: fn(&Interval) -> u64| seen.intervals.iter().map(count).sum::<u64>();
    let mut panel = |area, title, lines: Vec<String>| {
        let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
    };
    panel(
        load,
        " Load ",
        vec![
            format!("due       {:>12}", per_second(last.due)),
            format!("sent      {:>12}", per_second(last.sent)),
            format!("ended     {:>12}", per_second(last.settled + last.rejected)),
            format!("in flight {:>10}", last.in_flight),
            format!("settled {}, rejected {}", total(|one| one.settled), total(|one| one.rejected)),
        ],
    );
    panel(
        latency,
        " Response in the last second [ms] ",
        vec![
            format!("p50   {:>10}", milliseconds(last.p50_ns)),
            format!("p90   {:>10}", milliseconds(last.p90_ns)),
            format!("p99   {:>10}", milliseconds(last.p99_ns)),
            format!("p99.9 {:>10}", milliseconds(last.p999_ns)),
            format!("max   {:>10}", milliseconds(last.max_ns)),
        ],
    );
    panel(
        trust,
        " Can you trust this run? ",
        vec![
            format!("schedule lag p99 {} ms", milliseconds(last.lag_p99_ns)),
            format!("generator busy   {:.0} %", last.busy * 100.0),
            format!("connected        {}", last.connected),
            format!("reconnects       {}", last.reconnects),
        ],
    );
}

fn draw_chart(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let shown: VecDeque<&Interval> = seen.intervals.iter().rev().take(SECONDS_SHOWN).rev().collect();
    let log_ms = |value: fn(&Interval) -> u64| -> Vec<(f64, f64)> {
        shown.iter().map(|one| (one.at_s, (value(one).max(10_000) as f64 / 1e6).log10())).collect()
    };
    let (p50, p99, max) = (log_ms(|one| one.p50_ns), log_ms(|one| one.p99_ns), log_ms(|one| one.max_ns));
    let line = |name: &'static str, color, data| {
        Dataset::default()
            .name(name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(color))
            .data(data)
    };
    let sets = vec![line("p50", Color::Green, &p50), line("p99", Color::Yellow, &p99), line("max", Color::Red, &max)];
    let from = shown.front().map_or(0.0, |one| one.at_s);
    let to = shown.back().map_or(1.0, |one| one.at_s).max(from + 1.0);
    let labels = ["10 us", "1 ms", "100 ms", "10 s"];
    let chart = Chart::new(sets)
        .block(Block::bordered().title(" p50, p99, max over time, log scale "))
        .x_axis(Axis::default().bounds([from, to]).labels([format!("{from:.0} s"), format!("{to:.0} s")]))
        .y_axis(Axis::default().bounds([-2.0, 4.0]).labels(labels));
    frame.render_widget(chart, area);
}
