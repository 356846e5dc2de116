//! How it is drawn: the verdict, what is wrong, the figures, where the time goes, and one table. Made for 120 by 30. On fewer
//! columns there are more lines and fewer columns of the table; on fewer lines whole parts are left out, the least important
//! first, and the lower edge of the table says how many lines that are.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use watch::rows::{Pair, Rows};
use watch::text;
use watch::{Severity, Snapshot, Warning};

use super::actor::{self, heighten};
use super::figures::{figures, stages};
use super::flow::{beside, fitting, flow, words};
use super::table::{self, Stand};
use super::{Shown, Top};

/// On fewer a figure might not fit.
const COLUMNS_MIN: u16 = 40;
const WARNINGS_MAX: usize = 5;
const HELP: [(&str, &str); 9] = [
    ("1 2 3, Tab", "participants, actors, nodes"),
    ("Up, Down", "choose a row"),
    (
        "Enter",
        "from a kind of actors to its busiest; from one of those, or from a participant, to its actor; Esc goes back",
    ),
    ("s, S", "sort by the next, the previous column; worst first in between"),
    ("r", "the other way round"),
    ("/", "filter; Esc clears it"),
    ("p, space", "pause"),
    ("?", "this"),
    ("q, Ctrl-C", "end"),
];
/// The weightiest first.
const KEYS: [&str; 11] = [
    "? help",
    "q end",
    "1 participants",
    "2 actors",
    "3 nodes",
    "Enter down",
    "Esc back",
    "s sort",
    "r reverse",
    "/ filter",
    "p pause",
];

/// A sign and a word besides the colour.
pub(super) fn sign(severity: Severity) -> (&'static str, Color) {
    match severity {
        Severity::Fine => ("● FINE", Color::Green),
        Severity::Degraded => ("▲ DEGRADED", Color::Yellow),
        Severity::Critical => ("■ CRITICAL", Color::Red),
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, top: &Top) {
    let Some(pair) = top.pair() else { return };
    let area = frame.area();
    if area.width < COLUMNS_MIN {
        let sentence = [format!("crosstie top needs {COLUMNS_MIN} columns.")];
        let lines: Vec<Line<'_>> = flow(&sentence, "", area.width.into()).into_iter().map(Line::from).collect();
        return frame.render_widget(Paragraph::new(lines), area);
    }
    let below = match top.shown {
        Shown::Actor { .. } => 20.min(area.height * 2 / 3),
        _ => 6.min(area.height / 2),
    };
    let room = area.height.saturating_sub(below + 1);
    let (head, left_out) = chosen(parts(top, &pair, area.width.into()), room.into());
    let layout = [Constraint::Length(head.len() as u16), Constraint::Min(0), Constraint::Length(1)];
    let [above, below, foot] = Layout::vertical(layout).areas(area);
    frame.render_widget(Paragraph::new(head), above);
    if let Some(rows) = top.rows() {
        let note = heighten(left_out);
        let stand = Stand { title: title(top, &rows), note: &note, sorted: top.order.0, selected: top.selected };
        match &top.shown {
            Shown::Actor { kind, id, .. } => actor::draw(frame, below, top, (kind, id), &stand),
            _ => table::draw(frame, below, &rows, &stand),
        }
    }
    if top.silence().is_some() {
        // Grey is what was so and may not be any more: all but the verdict above it.
        let verdict = verdict(top, pair.now, area.width.into()).len() as u16;
        let stale = Rect { y: area.y + verdict.min(above.height), ..area }.intersection(area);
        frame.buffer_mut().set_style(stale, Style::new().fg(Color::DarkGray));
    }
    frame.render_widget(draw_foot(top, area.width.into()), foot);
    if top.has_help {
        draw_help(frame, area);
    }
}

/// Lines that are drawn all or none, and their place in the order of importance.
type Part = (usize, Vec<Line<'static>>);

/// What stands above the table, from above.
fn parts(top: &Top, pair: &Pair<'_>, width: usize) -> Vec<Part> {
    let now = pair.now;
    let mut parts = vec![(0, verdict(top, now, width)), (1, heading(now, width))];
    let gathered = watch::gathered(&now.warnings);
    let warnings = gathered.iter().take(WARNINGS_MAX).enumerate();
    parts.extend(warnings.map(|(place, own)| (if place == 0 { 2 } else { 10 + place }, warning(own, width))));
    for own in figures(pair) {
        parts.push((3 + own.rank, lines(&flow(&own.parts, own.between, width))));
    }
    let own = stages(pair);
    parts.push((3 + own.rank, lines(&flow(&own.parts, own.between, width))));
    parts
}

/// As many as there is room for, and how many lines are left out.
fn chosen(parts: Vec<Part>, mut room: usize) -> (Vec<Line<'static>>, usize) {
    let mut ranked: Vec<(usize, usize)> = parts.iter().map(|(rank, lines)| (*rank, lines.len())).collect();
    ranked.sort_unstable();
    let fits = |(rank, length): (usize, usize)| {
        let is_in = length <= room;
        room -= if is_in { length } else { 0 };
        is_in.then_some(rank)
    };
    let kept: Vec<usize> = ranked.into_iter().filter_map(fits).collect();
    let (kept, left_out): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|(rank, _)| kept.contains(rank));
    let left_out = left_out.iter().map(|(_, lines)| lines.len()).sum();
    (kept.into_iter().flat_map(|(_, lines)| lines).collect(), left_out)
}

fn lines(texts: &[String]) -> Vec<Line<'static>> {
    texts.iter().map(|text| Line::from(text.clone())).collect()
}

/// A beginning in its own style, and what follows on as many lines as it needs.
fn led(beginning: &str, style: Style, parts: &[String], between: &str, width: usize) -> Vec<Line<'static>> {
    let all: Vec<&str> = std::iter::once(beginning).chain(parts.iter().map(String::as_str)).collect();
    let mut lines = lines(&flow(&all, between, width));
    if let Some(first) = lines.first_mut() {
        let text = first.to_string();
        let (own, rest) = text.split_at(beginning.len().min(text.len()));
        *first = Line::from(vec![Span::styled(own.to_string(), style), Span::raw(rest.to_string())]);
    }
    lines
}

fn verdict(top: &Top, now: &Snapshot, width: usize) -> Vec<Line<'static>> {
    let (word, colour) = sign(now.verdict.severity);
    let (beginning, colour, sentence) = match (top.silence(), top.paused_at) {
        (Some((age, why)), _) => {
            let before = word.split(' ').next_back().unwrap_or("");
            let sentence = format!("{} s ago, {why}. Before that: {before}.", age.as_secs());
            (format!("? UNKNOWN since {} UTC,", text::time_of_day(now.at_ms)), Color::Red, sentence)
        }
        (None, Some(at)) => {
            let beginning = format!("{word} {} s ago, PAUSED:", at.elapsed().as_secs());
            (beginning, colour, now.verdict.sentence.clone())
        }
        (None, None) => (format!("{word}:"), colour, now.verdict.sentence.clone()),
    };
    led(&beginning, Style::new().fg(colour).bold(), &words(&sentence), " ", width)
}

fn heading(now: &Snapshot, width: usize) -> Vec<Line<'static>> {
    let node = &now.node;
    let leader = match (node.role.as_str(), &node.leader) {
        ("leader", _) => "leads".to_string(),
        (role, Some(leader)) => format!("{role}, {leader} leads"),
        (role, None) => format!("{role}, nobody leads as far as it knows"),
    };
    let mut parts: Vec<String> = node.closed.iter().map(|closed| closed.replace('_', " ").to_uppercase()).collect();
    parts.extend([
        format!("{leader}, term {}", node.term),
        format!("up {}", text::length(node.up_seconds * 1_000_000)),
        format!("{} sessions", text::count(node.sessions)),
    ]);
    let name = format!("{} · {} · {}", node.environment.to_uppercase(), node.region, node.name);
    led(&name, Style::new().bold(), &parts, "  ", width)
}

fn warning(own: &Warning, width: usize) -> Vec<Line<'static>> {
    let (word, colour) = sign(own.severity);
    let mark = word.split(' ').next().unwrap_or("");
    led(&format!("  {mark}"), Style::new().fg(colour), &words(&format!("{} {}", own.sentence, own.advice)), " ", width)
}

/// Of the table: what it is of, how many rows, in which order, and what they are filtered by.
fn title(top: &Top, rows: &Rows) -> Vec<String> {
    let sorted = match (top.order, &top.shown) {
        ((Some(column), is_reversed), _) => {
            let arrow = if is_reversed { "▲" } else { "▼" };
            format!("by {} {arrow}", rows.heading.get(column).copied().unwrap_or(""))
        }
        ((None, _), Shown::Actor { .. }) => "latest first".to_string(),
        ((None, false), _) => "worst first".to_string(),
        ((None, true), _) => "worst last".to_string(),
    };
    let name = match &top.shown {
        Shown::Busiest(kind) => format!("busiest of {kind}"),
        _ => rows.name.to_string(),
    };
    vec![name, format!("{} rows", rows.rows.len()), sorted]
}

fn draw_foot(top: &Top, width: usize) -> Line<'static> {
    match (top.is_filtering, top.filter.as_str()) {
        (true, filter) => {
            Line::from(fitting(&[&format!("/{filter}▏"), "Esc clears it", "Enter keeps it"], "  ", width)).bold()
        }
        (false, "") => Line::from(fitting(&KEYS, "  ", width)).dim(),
        (false, filter) => Line::from(fitting(&[&format!("only {filter:?}"), "Esc clears it"], "  ", width)).bold(),
    }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = 90.min(area.width);
    let inner = usize::from(width.saturating_sub(2));
    let text: Vec<Line<'_>> =
        HELP.iter().flat_map(|(keys, what)| beside(keys, 13, what, inner)).map(Line::from).collect();
    let height = (text.len() as u16 + 2).min(area.height);
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" keys ")), place);
}

/// The same without a screen.
pub(super) fn text(pair: &Pair<'_>) -> String {
    let mut out = format!("{}: {}\n", sign(pair.now.verdict.severity).0, pair.now.verdict.sentence);
    for warning in &watch::gathered(&pair.now.warnings) {
        let mark = sign(warning.severity).0.split(' ').next().unwrap_or("");
        out += &format!("  {mark} {} {}\n", warning.sentence, warning.advice);
    }
    figures(pair).iter().chain([&stages(pair)]).for_each(|own| out += &format!("{}\n", own.line()));
    for rows in [pair.participants(), pair.actors(), pair.nodes()] {
        out.push('\n');
        table::lines(&rows).for_each(|line| out += &format!("{line}\n"));
    }
    out
}
