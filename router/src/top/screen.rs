//! How it is drawn: the verdict, what is wrong, the figures, where the time goes, and one table. Made for 120 by 30; what
//! does not fit goes in the order stages, warnings beyond the first, figures.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Row as TableRow, Table, TableState};
use watch::text;
use watch::{Severity, Snapshot};

use super::{Shown, Top};
use watch::rows::{Pair, Rows};

const WARNINGS_MAX: usize = 5;
const HELP: [&str; 9] = [
    "1 2 3, Tab   participants, actors, nodes",
    "Up, Down     choose a row",
    "Enter        from a kind of actors to its busiest; Esc goes back",
    "s, S         sort by the next, the previous column; worst first in between",
    "r            the other way round",
    "/            filter; Esc clears it",
    "p, space     pause",
    "?            this",
    "q, Ctrl-C    end",
];

/// A sign and a word besides the colour.
fn sign(severity: Severity) -> (&'static str, Color) {
    match severity {
        Severity::Fine => ("● FINE", Color::Green),
        Severity::Degraded => ("▲ DEGRADED", Color::Yellow),
        Severity::Critical => ("■ CRITICAL", Color::Red),
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, top: &Top) {
    let Some(pair) = top.pair() else { return };
    let area = frame.area();
    let shown = watch::gathered(&pair.now.warnings);
    let warnings = shown.len().min(if area.height >= 24 { WARNINGS_MAX } else { 1 }) as u16;
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(warnings),
        Constraint::Length(if area.height >= 12 { 4 } else { 0 }),
        Constraint::Length(if area.height >= 20 { 1 } else { 0 }),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [title, verdict, warned, figures, stages, table, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(draw_title(top, pair.now), title);
    let (word, colour) = sign(pair.now.verdict.severity);
    let said = Line::from(vec![
        Span::styled(format!("{word}: "), Style::new().fg(colour).bold()),
        Span::raw(&pair.now.verdict.sentence),
    ]);
    frame.render_widget(said, verdict);
    frame.render_widget(Paragraph::new(warning_lines(&shown, warnings.into())), warned);
    frame.render_widget(Paragraph::new(figure_lines(&pair).into_iter().map(Line::from).collect::<Vec<_>>()), figures);
    frame.render_widget(Line::from(stage_line(pair.now)).dim(), stages);
    if let Some(rows) = top.rows() {
        draw_table(frame, table, top, &rows);
    }
    frame.render_widget(draw_foot(top), foot);
    if top.has_help {
        draw_help(frame, area);
    }
}

fn draw_title<'a>(top: &'a Top, now: &'a Snapshot) -> Line<'a> {
    let node = &now.node;
    let leader = match (node.role.as_str(), &node.leader) {
        ("leader", _) => "leads".to_string(),
        (role, Some(leader)) => format!("{role}, {leader} leads"),
        (role, None) => format!("{role}, nobody leads as far as it knows"),
    };
    let mut spans = vec![
        Span::styled(
            format!("{} · {} · {}", node.environment.to_uppercase(), node.region, node.name),
            Style::new().bold(),
        ),
        Span::raw(format!(
            "  {leader}, term {}  up {}  {} sessions",
            node.term,
            text::length(node.up_seconds * 1_000_000),
            text::count(node.sessions)
        )),
    ];
    if let Some(closed) = &node.closed {
        spans.push(Span::styled(format!("  {}", closed.replace('_', " ")), Style::new().fg(Color::Yellow)));
    }
    if top.is_paused {
        spans.push(Span::styled("  PAUSED", Style::new().fg(Color::Yellow).bold()));
    }
    if let Some((since, why)) = &top.silent {
        let text = format!("  NO ANSWER FOR {} s: {why}", since.elapsed().as_secs());
        spans.push(Span::styled(text, Style::new().fg(Color::Red).bold()));
    }
    Line::from(spans)
}

fn warning_lines(shown: &[watch::Warning], room: usize) -> Vec<Line<'_>> {
    let line = |warning: &watch::Warning| {
        let (word, colour) = sign(warning.severity);
        let mark = word.split(' ').next().unwrap_or("").to_string();
        Line::from(vec![
            Span::styled(format!("  {mark} "), Style::new().fg(colour)),
            Span::raw(format!("{} {}", warning.sentence, warning.advice)),
        ])
    };
    shown.iter().take(room).map(line).collect()
}

/// What is looked at first: rate, objective, latency, what is under way.
fn figure_lines(pair: &Pair<'_>) -> [String; 4] {
    let payments = &pair.now.payments;
    let budget = &payments.budget;
    let settled = &payments.settled;
    let figure = |us| text::percentile(us, settled.recent);
    let oldest = match payments.in_flight {
        0 => text::NONE.to_string(),
        _ => text::length(payments.oldest_in_flight_us),
    };
    [
        format!(
            "{} /s started   {} /s settled   {} in flight, oldest {oldest}",
            text::rate(payments.started_per_second),
            text::rate(payments.settled_per_second),
            text::count(payments.in_flight),
        ),
        format!("final in 10 s, last {}: {}   {}", budget.window(), budget.share(), budget.sentence()),
        format!(
            "settled p50 {} · p99 {} · p99.9 {} · longest {} (last 10 s)",
            figure(settled.p50_us),
            figure(settled.p99_us),
            figure(settled.p999_us),
            figure(settled.max_us),
        ),
        format!(
            "since start: {} settled, {} rejected, {} timed out, {} returned; sync p99 {}, {} free on the log's disk",
            text::count(payments.outcomes.settled),
            text::count(payments.outcomes.rejected),
            text::count(payments.outcomes.timed_out),
            text::count(payments.outcomes.returned),
            text::percentile(pair.now.log.sync.p99_us, pair.now.log.sync.recent),
            text::bytes(pair.now.log.free_bytes),
        ),
    ]
}

fn stage_line(now: &Snapshot) -> String {
    let stages = now.stages.iter().map(|stage| {
        format!("{} {}", stage.name.words(), text::percentile(stage.latency.p99_us, stage.latency.recent))
    });
    format!("where the time goes, p99: {}", stages.collect::<Vec<_>>().join(" │ "))
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, top: &Top, rows: &Rows) {
    let sorted = match top.order {
        (None, false) => "worst first".to_string(),
        (None, true) => "worst last".to_string(),
        (Some(column), is_reversed) => {
            let arrow = if is_reversed { "▲" } else { "▼" };
            format!("by {} {arrow}", rows.heading.get(column).copied().unwrap_or(""))
        }
    };
    let name = match &top.shown {
        Shown::Busiest(kind) => format!("busiest of {kind}"),
        _ => rows.name.to_string(),
    };
    let filtered = if top.filter.is_empty() { String::new() } else { format!(" · only {:?}", top.filter) };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::DarkGray))
        .title(format!(" {name} ({}) · {sorted}{filtered} ", rows.rows.len()));
    let widths: Vec<Constraint> =
        (0..rows.heading.len()).map(|column| Constraint::Length(width(rows, column))).collect();
    let cells = rows.rows.iter().map(|row| {
        let (word, colour) = sign(row.severity);
        let mark = if row.severity == Severity::Fine { " " } else { &word[..'▲'.len_utf8()] };
        let texts = row.cells.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{mark} {}", cell.text),
            _ => aligned(rows, column, &cell.text),
        });
        let style = if row.severity == Severity::Fine { Style::new() } else { Style::new().fg(colour) };
        TableRow::new(texts.collect::<Vec<_>>()).style(style)
    });
    let heading = rows.heading.iter().enumerate().map(|(column, name)| match column {
        0 => format!("  {name}"),
        _ => aligned(rows, column, name),
    });
    let heading = TableRow::new(heading.collect::<Vec<_>>()).style(Style::new().fg(Color::Cyan));
    let table = Table::new(cells, widths)
        .header(heading)
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(block);
    let mut state = TableState::new().with_selected(Some(top.selected.min(rows.rows.len().saturating_sub(1))));
    frame.render_stateful_widget(table, area, &mut state);
}

fn width(rows: &Rows, column: usize) -> u16 {
    let cells = rows.rows.iter().filter_map(|row| row.cells.get(column)).map(|cell| cell.text.chars().count());
    let widest = cells.chain([rows.heading[column].chars().count()]).max().unwrap_or(0);
    (widest + if column == 0 { 2 } else { 0 }) as u16
}

/// Numbers stand to the right, words to the left.
fn aligned(rows: &Rows, column: usize, text: &str) -> String {
    let width = width(rows, column).into();
    if rows.is_numeric(column) { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

fn draw_foot(top: &Top) -> Line<'_> {
    if top.is_filtering {
        return Line::from(format!("/{}▏  Enter keeps it, Esc clears it", top.filter)).bold();
    }
    Line::from("1 participants  2 actors  3 nodes  s sort  r reverse  / filter  p pause  ? help  q end").dim()
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (74.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let text: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(*line)).collect();
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" keys ")), place);
}

/// The same without a screen.
pub(super) fn text(pair: &Pair<'_>) -> String {
    let mut out = format!("{}: {}\n", sign(pair.now.verdict.severity).0, pair.now.verdict.sentence);
    for warning in &watch::gathered(&pair.now.warnings) {
        let mark = sign(warning.severity).0.split(' ').next().unwrap_or("");
        out += &format!("  {mark} {} {}\n", warning.sentence, warning.advice);
    }
    figure_lines(pair).iter().for_each(|line| out += &format!("{line}\n"));
    out += &format!("{}\n", stage_line(pair.now));
    for rows in [pair.participants(), pair.actors(), pair.nodes()] {
        out.push('\n');
        let heading = rows.heading.iter().enumerate().map(|(column, name)| aligned(&rows, column, name));
        out += &format!("{}\n", heading.collect::<Vec<_>>().join("  ").trim_end());
        for row in &rows.rows {
            let cells = row.cells.iter().enumerate().map(|(column, cell)| aligned(&rows, column, &cell.text));
            out += &format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
    out
}
