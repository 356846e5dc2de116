//! The live view: rate, latency, outcomes, banks, and what just happened and why. It only looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, BorderType, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::Notify;

use super::characters::{CREDITOR_SHARE, PAYMENT_TIMEOUT};
use super::figures::{amount, count, milliseconds};
use super::load::GOAL;
use super::measured::Latency;
use super::news::{Item, Tone};
use super::seen::Seen;
use super::stage::Stage;

const DRAW_EVERY: Duration = Duration::from_millis(200);
const FRAME: Color = Color::DarkGray;
const NAME: Color = Color::Cyan;

/// The thread that draws; it gives the terminal back as it was.
pub(super) struct View {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl View {
    /// Takes the terminal. `interrupted` is told of Ctrl-C.
    pub(super) fn open(stage: Arc<Stage>, interrupted: Arc<Notify>) -> std::io::Result<View> {
        let terminal = ratatui::try_init()?;
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("view".into()).spawn({
            let over = over.clone();
            move || draw_until(terminal, &stage, &over, &interrupted)
        })?;
        Ok(View { over, thread: Some(thread) })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        ratatui::restore();
    }
}

fn draw_until(mut terminal: DefaultTerminal, stage: &Stage, over: &AtomicBool, interrupted: &Notify) {
    while !over.load(Ordering::Relaxed) {
        let seen = Seen::now(stage);
        let drawn = terminal.draw(|frame| draw(frame, &seen, stage));
        // A terminal that went away is no reason to stop: the proof is still wanted.
        if drawn.is_err() || !matches!(event::poll(DRAW_EVERY), Ok(true)) {
            continue;
        }
        let Ok(Event::Key(key)) = event::read() else { continue };
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => interrupted.notify_one(),
            KeyCode::Char('q') => stage.ended_early.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

fn draw(frame: &mut Frame<'_>, seen: &Seen, stage: &Stage) {
    // On a small terminal the chart goes first.
    let (chart, news) = if frame.area().height >= 38 { (Constraint::Min(5), 9) } else { (Constraint::Fill(0), 3) };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(10),
        chart,
        Constraint::Length(11),
        Constraint::Min(news),
        Constraint::Length(1),
    ];
    let [title, progress, figures, chart, banks, news, foot] = Layout::vertical(rows).areas(frame.area());
    draw_title(frame, title, seen);
    draw_progress(frame, progress, seen);
    let columns = [Constraint::Fill(28), Constraint::Fill(40), Constraint::Fill(50)];
    let [load, latency, outcomes] = Layout::horizontal(columns).areas(figures);
    draw_load(frame, load, seen);
    draw_latency(frame, latency, seen);
    draw_outcomes(frame, outcomes, seen);
    draw_chart(frame, chart, seen, stage);
    draw_banks(frame, banks, seen);
    let items = stage.news.lock().last(usize::from(news.height));
    draw_news(frame, news, &items);
    let clock = format!(
        " Clock shortened: a payment has {} s, the creditor agent {} s of it. Every number is measured.",
        PAYMENT_TIMEOUT.as_secs(),
        CREDITOR_SHARE.as_secs()
    );
    let keys = " q prove now · Ctrl-C quit ";
    let line = Line::from(vec![Span::from(clock).fg(Color::DarkGray)]);
    frame.render_widget(Paragraph::new(line), foot);
    frame.render_widget(Paragraph::new(keys).alignment(Alignment::Right).fg(Color::DarkGray), foot);
}

fn panel(title: &str) -> Block<'_> {
    let title = Span::from(format!(" {title} ")).fg(Color::White).bold();
    Block::bordered().border_type(BorderType::Rounded).border_style(Style::new().fg(FRAME)).title(title)
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let (state, colour) = match seen.phase.pid {
        Some(pid) => (format!("● switch up, process {pid}"), Color::Green),
        None => ("■ switch away".to_string(), Color::Red),
    };
    let left = Line::from(vec![
        Span::from(" crosstie demo ").bg(NAME).fg(Color::Black).bold(),
        Span::from(format!("  seed {}  ", seen.seed)).fg(Color::Gray),
        Span::from(state).fg(colour).bold(),
        Span::from(format!("  {} of 8 banks signed on", seen.signed_on)).fg(Color::Gray),
    ]);
    frame.render_widget(Paragraph::new(left), area);
    let right = format!("{:.0} of {:.0} s ", seen.at.as_secs_f64(), seen.length.as_secs_f64());
    frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), area);
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let ratio = (seen.at.as_secs_f64() / seen.length.as_secs_f64()).clamp(0.0, 1.0);
    let label = Span::from(seen.phase.text.clone()).fg(Color::White).bold();
    let gauge = Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().fg(Color::Blue).bg(Color::Black));
    frame.render_widget(gauge, area);
}

fn figure(name: &str, value: String, unit: &str) -> Line<'static> {
    Line::from(vec![
        Span::from(format!(" {name:<11}")).fg(Color::Gray),
        Span::from(format!("{value:>11}")).bold(),
        Span::from(format!(" {unit}")).fg(Color::Gray),
    ])
}

fn draw_load(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
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
        Line::from(format!(" grows while p99 ≤ {} ms", GOAL.as_millis())).fg(Color::DarkGray),
    ];
    frame.render_widget(Paragraph::new(lines).block(panel("Load")), area);
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let row = |name: &str, value: fn(&Latency) -> u64| {
        Line::from(vec![
            Span::from(format!(" {name:<6}")).fg(Color::Gray),
            Span::from(format!("{:>9}", milliseconds(value(&seen.last)))).fg(Color::Green).bold(),
            Span::from(format!("{:>9}", milliseconds(value(&seen.undisturbed)))).bold(),
            Span::from(format!("{:>10}", milliseconds(value(&seen.everything)))).fg(Color::Gray),
        ])
    };
    let lines = vec![
        Line::from(format!(" {:<6}{:>9}{:>9}{:>10}", "", "last 1 s", "no kill", "any bank")).fg(Color::Gray),
        row("p50", |latency| latency.p50_us),
        row("p99", |latency| latency.p99_us),
        row("p99.9", |latency| latency.p999_us),
        row("max", |latency| latency.max_us),
        Line::default(),
        Line::from(" from due until the payer's bank told").fg(Color::DarkGray),
        Line::from(" any bank: slow, silent, kill included").fg(Color::DarkGray),
    ];
    frame.render_widget(Paragraph::new(lines).block(panel("Latency, ms")), area);
}

fn draw_outcomes(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
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

fn draw_chart(frame: &mut Frame<'_>, area: Rect, seen: &Seen, stage: &Stage) {
    let rates: Vec<(f64, f64)> = seen
        .windows
        .iter()
        .map(|window| (window.at.as_secs_f64(), window.ended as f64 / window.length.as_secs_f64().max(1e-3)))
        .collect();
    let wanted: Vec<(f64, f64)> = seen.windows.iter().map(|window| (window.at.as_secs_f64(), window.wanted)).collect();
    let top = round_up(rates.iter().chain(&wanted).map(|(_, rate)| *rate).fold(100.0, f64::max));
    let kills: Vec<(f64, f64)> = (stage.kills.lock().iter())
        .flat_map(|at| (0..=20).map(|step| (at.as_secs_f64(), top * f64::from(step) / 20.0)))
        .collect();
    let line = |data, colour, kind| {
        Dataset::default().marker(Marker::Braille).graph_type(kind).style(Style::new().fg(colour)).data(data)
    };
    let sets = vec![
        line(&wanted, Color::DarkGray, GraphType::Line),
        line(&kills, Color::Red, GraphType::Scatter),
        line(&rates, Color::Green, GraphType::Line),
    ];
    let length = seen.length.as_secs_f64().max(seen.at.as_secs_f64());
    let title = Line::from(vec![
        Span::from(" Payments/s ").fg(Color::White).bold(),
        Span::from("ended ").fg(Color::Green),
        Span::from("wanted ").fg(Color::Gray),
        Span::from("SIGKILL ").fg(Color::Red),
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

fn draw_banks(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let right = |text: String| Line::from(text).alignment(Alignment::Right);
    let heading = Row::new(vec![
        Line::from("  bank"),
        Line::from("what it does"),
        right("sent".into()),
        right("offered".into()),
        right("open".into()),
        right("breaks".into()),
        right("position EUR".into()),
        right("position USD".into()),
    ])
    .style(Style::new().fg(Color::Gray));
    let rows = seen.banks.iter().map(|bank| {
        let mark = if bank.signed_on { Span::from("● ").fg(Color::Green) } else { Span::from("○ ").fg(Color::Red) };
        let position = |currency: usize| {
            let (own, funded) = (bank.balance_minor[currency], bank.funded_minor[currency]);
            right(amount(i128::from(own))).fg(if own < funded { Color::Yellow } else { Color::Reset })
        };
        Row::new(vec![
            Line::from(vec![mark, Span::from(bank.name).fg(NAME).bold()]),
            Line::from(bank.habit).fg(Color::Gray),
            right(count(bank.sent as u64)),
            right(count(bank.offered as u64)),
            right(count(bank.open as u64)),
            right(count(bank.reconnects)),
            position(0),
            position(1),
        ])
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(15),
        Constraint::Length(15),
    ];
    frame.render_widget(Table::new(rows, widths).header(heading).block(panel("Banks, by their own books")), area);
}

fn draw_news(frame: &mut Frame<'_>, area: Rect, items: &[Item]) {
    let lines: Vec<Line<'_>> = items
        .iter()
        .map(|item| {
            let colour = match item.tone {
                Tone::Plain => Color::Reset,
                Tone::Drama => Color::Magenta,
                Tone::Alarm => Color::Red,
            };
            let mut text = Span::from(item.text.clone()).fg(colour);
            if item.tone != Tone::Plain {
                text = text.add_modifier(Modifier::BOLD);
            }
            Line::from(vec![Span::from(format!(" {:5.1}s  ", item.at.as_secs_f64())).fg(Color::DarkGray), text])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(panel("What just happened, and why")), area);
}
