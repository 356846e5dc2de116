//! The live view: rate, latency, outcomes, nodes, banks, and what just happened and why. It only looks.
//!
//! Made for 120 by 40. What does not fit goes in this order: the chart, the outcomes, the banks; on less than 60 by 14 a few
//! lines of figures remain.

mod figures;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Gauge, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::Notify;

use super::characters::{CREDITOR_SHARE, PAYMENT_TIMEOUT};
use super::news::{Item, Tone};
use super::plain;
use super::seen::Seen;
use super::stage::Stage;
use figures::{draw_chart, draw_latency, draw_load, draw_outcomes};
use tables::{draw_banks, draw_nodes};

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

/// What there is room for.
struct Room {
    /// Columns for the chart beside the nodes.
    chart: u16,
    outcomes: bool,
    banks: bool,
}

impl Room {
    fn of(area: Rect) -> Room {
        Room {
            chart: if area.width >= 112 { area.width - 70 } else { 0 },
            outcomes: area.width >= 112,
            banks: area.width >= 96 && area.height >= 35,
        }
    }
}

fn draw(frame: &mut Frame<'_>, seen: &Seen, stage: &Stage) {
    let area = frame.area();
    if area.width < 60 || area.height < 14 {
        return draw_small(frame, seen, stage);
    }
    let room = Room::of(area);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(if area.height >= 22 { 10 } else { 0 }),
        Constraint::Length(if area.height >= 38 { 7 } else { 6 }),
        Constraint::Length(if room.banks { 11 } else { 0 }),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [title, progress, figures, nodes, banks, news, foot] = Layout::vertical(rows).areas(area);
    draw_title(frame, title, seen);
    draw_progress(frame, progress, seen);
    let columns = [Constraint::Fill(28), Constraint::Fill(40), Constraint::Fill(if room.outcomes { 50 } else { 0 })];
    let [load, latency, outcomes] = Layout::horizontal(columns).areas(figures);
    draw_load(frame, load, seen);
    draw_latency(frame, latency, seen);
    draw_outcomes(frame, outcomes, seen);
    let [nodes, chart] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(room.chart)]).areas(nodes);
    draw_nodes(frame, nodes, seen);
    draw_chart(frame, chart, seen, stage);
    if room.banks {
        draw_banks(frame, banks, seen);
    }
    let items = stage.news.lock().picked(usize::from(news.height.saturating_sub(2)));
    draw_news(frame, news, &items);
    draw_foot(frame, foot);
}

/// A few lines, for a terminal that holds no more.
fn draw_small(frame: &mut Frame<'_>, seen: &Seen, stage: &Stage) {
    let width = usize::from(frame.area().width.max(20));
    let news = stage.news.lock().last(usize::from(frame.area().height));
    let figures = [seen.phase.clone(), plain::line(seen)];
    let wrapped =
        figures.iter().chain(news.iter().map(|item| &item.text)).flat_map(|text| plain::wrap(text, "  ", width));
    let lines: Vec<Line<'_>> = wrapped.map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), frame.area());
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect) {
    let (clock, share) = (PAYMENT_TIMEOUT.as_secs(), CREDITOR_SHARE.as_secs());
    let mut said = String::from(" Simulated regions, same host.");
    if area.width >= 116 {
        said += &format!(" Clock shortened: {clock} s a payment, {share} s the creditor agent.");
    }
    frame.render_widget(Paragraph::new(said).fg(Color::DarkGray), area);
    let keys = "q prove now · Ctrl-C ends ";
    frame.render_widget(Paragraph::new(keys).alignment(Alignment::Right).fg(Color::DarkGray), area);
}

fn panel(title: &str) -> Block<'_> {
    let title = Span::from(format!(" {title} ")).fg(Color::White).bold();
    Block::bordered().border_type(BorderType::Rounded).border_style(Style::new().fg(FRAME)).title(title)
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let up = seen.nodes.iter().filter(|node| node.pid.is_some()).count();
    let (mark, colour) = if up == seen.nodes.len() { ("●", Color::Green) } else { ("■", Color::Red) };
    let left = Line::from(vec![
        Span::from(" crosstie demo ").bg(NAME).fg(Color::Black).bold(),
        Span::from(format!("  seed {}  ", seen.seed)).fg(Color::Gray),
        Span::from(format!("{mark} {up} of {} nodes run", seen.nodes.len())).fg(colour).bold(),
        Span::from(format!("  {} of 8 banks signed on", seen.signed_on)).fg(Color::Gray),
    ]);
    frame.render_widget(Paragraph::new(left), area);
    let right = format!("{:.0} of {:.0} s ", seen.at.as_secs_f64(), seen.length.as_secs_f64());
    frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), area);
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let ratio = (seen.at.as_secs_f64() / seen.length.as_secs_f64()).clamp(0.0, 1.0);
    let label = Span::from(seen.phase.clone()).fg(Color::White).bold();
    let gauge = Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().fg(Color::Blue).bg(Color::Black));
    frame.render_widget(gauge, area);
}

/// The newest first, each on as many lines as it needs.
fn draw_news(frame: &mut Frame<'_>, area: Rect, items: &[Item]) {
    let width = usize::from(area.width.saturating_sub(3)).max(20);
    let lines: Vec<Line<'_>> = items.iter().flat_map(|item| lines_of(item, width)).collect();
    frame.render_widget(Paragraph::new(lines).block(panel("What just happened, and why")), area);
}

fn lines_of(item: &Item, width: usize) -> Vec<Line<'static>> {
    const CLOCK_COLUMNS: usize = 9;
    let (colour, bold) = match item.tone {
        Tone::Plain => (Color::Reset, Modifier::empty()),
        Tone::Drama => (Color::Magenta, Modifier::BOLD),
        Tone::Alarm => (Color::Red, Modifier::BOLD),
    };
    let clock = format!(" {:5.1}s  ", item.at.as_secs_f64());
    let wrapped = plain::wrap(&item.text, "", width.saturating_sub(CLOCK_COLUMNS));
    let line = |(place, text): (usize, String)| {
        let before = if place == 0 { clock.clone() } else { " ".repeat(CLOCK_COLUMNS) };
        Line::from(vec![Span::from(before).fg(Color::DarkGray), Span::from(text).fg(colour).add_modifier(bold)])
    };
    wrapped.into_iter().enumerate().map(line).collect()
}
