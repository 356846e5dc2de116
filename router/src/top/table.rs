//! One table. A column stands there whole or not at all: those that do not fit are dropped, the least important first, and
//! the heading says how many.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Row as TableRow, Table, TableState};
use watch::Severity;
use watch::rows::{Cell, Rows};

use super::flow::{cut, fitting, length};
use super::screen::sign;

/// Headings of a table behind the names, the most important first.
pub(super) fn importance(table: &str) -> &'static [&'static str] {
    match table {
        "participants" => &[
            "FREE",
            "STATE",
            "TIMED OUT",
            "OUT/S",
            "ANSWER P99",
            "POSITION",
            "IN/S",
            "REJECTED",
            "IN FLIGHT",
            "SESSIONS",
        ],
        "actors" => &["QUEUED", "WAIT P99", "LONGEST", "BUSY", "HANDLED/S", "LIVE", "RESTARTS", "CAPACITY"],
        "busiest actors" => &["QUEUED", "OLDEST", "IN FLIGHT", "HANDLED", "RESTARTS"],
        "nodes" => {
            &["ROLE", "HEARD", "LAG TIME", "LAG", "AGREED AT", "SERVES", "ROUND TRIP", "CLOCK", "REGION", "ADDRESS"]
        }
        "decided last" => &["WHAT", "PAYMENT"],
        _ => &[],
    }
}

/// Between columns; a figure has single spaces of its own.
const GAP: usize = 2;
/// Before a name: the sign of its severity.
const MARK: usize = 2;

/// What stands around the rows.
pub(super) struct Stand<'a> {
    /// For the upper edge, the weightiest first.
    pub(super) title: Vec<String>,
    /// For the lower one.
    pub(super) note: &'a str,
    pub(super) sorted: Option<usize>,
    pub(super) selected: usize,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, rows: &Rows, stand: &Stand<'_>) {
    let inner = usize::from(area.width.saturating_sub(2));
    let columns = fitting_columns(rows, stand.sorted, inner);
    let cells = |texts: Vec<Line<'static>>, style| TableRow::new(texts).style(style);
    let body = rows.rows.iter().map(|row| {
        let (word, colour) = sign(row.severity);
        let (mark, style) = match row.severity {
            Severity::Fine => (" ", Style::new()),
            _ => (&word[..'▲'.len_utf8()], Style::new().fg(colour)),
        };
        let text = |(column, width): &(usize, usize)| match column {
            0 => Line::from(format!("{mark} {}", cut(&row.cells[0].text, width - MARK))),
            column => aligned(rows, *column, row.cells.get(*column).map_or("", |cell| cell.text.as_str())),
        };
        cells(columns.iter().map(text).collect(), style)
    });
    let heading = columns.iter().map(|(column, width)| match column {
        0 => Line::from(format!("  {}", cut(rows.heading[0], width - MARK))),
        column => aligned(rows, *column, rows.heading[*column]),
    });
    let dropped = rows.heading.len() - columns.len();
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width as u16));
    let table = Table::new(body, widths)
        .header(cells(heading.collect(), Style::new().fg(Color::Cyan)))
        .column_spacing(GAP as u16)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(framed(&stand.title, &widen(dropped), stand.note, area));
    let mut state = TableState::new().with_selected(Some(stand.selected.min(rows.rows.len().saturating_sub(1))));
    frame.render_stateful_widget(table, area, &mut state);
}

/// A box with as much of its title as there is room for beside what it must say.
pub(super) fn framed(title: &[String], said: &str, note: &str, area: Rect) -> Block<'static> {
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(Style::new().fg(Color::DarkGray));
    let spaced = |text: &str| if text.is_empty() { String::new() } else { format!(" {text} ") };
    let room = usize::from(area.width).saturating_sub(2 + length(&spaced(said)) + 2);
    block
        .title(spaced(&fitting(title, " · ", room)))
        .title(Line::from(spaced(said)).right_aligned())
        .title_bottom(spaced(note))
}

fn widen(dropped: usize) -> String {
    match dropped {
        0 => String::new(),
        1 => "+1 column: widen".into(),
        dropped => format!("+{dropped} columns: widen"),
    }
}

/// Which columns, in their order, and how wide: the names, what is sorted by, then by importance what has room.
fn fitting_columns(rows: &Rows, sorted: Option<usize>, room: usize) -> Vec<(usize, usize)> {
    let all: Vec<usize> = (0..rows.heading.len()).map(|column| width(rows, column)).collect();
    let whole: usize = all.iter().sum::<usize>() + GAP * all.len().saturating_sub(1);
    if whole <= room {
        return all.into_iter().enumerate().collect();
    }
    let order = importance(rows.name);
    let rank = |column: usize| order.iter().position(|own| *own == rows.heading[column]).unwrap_or(order.len());
    let mut by_importance: Vec<usize> = (1..rows.heading.len()).collect();
    by_importance.sort_by_key(|column| (Some(*column) != sorted, rank(*column)));
    let mut kept = vec![(0, all[0].min(room / 2))];
    let mut left = room - kept[0].1;
    for column in by_importance {
        if all[column] + GAP <= left {
            left -= all[column] + GAP;
            kept.push((column, all[column]));
        }
    }
    kept.sort_unstable();
    kept
}

fn width(rows: &Rows, column: usize) -> usize {
    let cells = rows.rows.iter().filter_map(|row| row.cells.get(column)).map(|cell: &Cell| length(&cell.text));
    let widest = cells.chain([length(rows.heading[column])]).max().unwrap_or(0);
    widest + if column == 0 { MARK } else { 0 }
}

/// Numbers stand to the right, words to the left.
fn aligned(rows: &Rows, column: usize, text: &str) -> Line<'static> {
    let line = Line::from(text.to_string());
    if rows.is_numeric(column) { line.right_aligned() } else { line }
}

/// All of it as text, as wide as it is.
pub(super) fn lines(rows: &Rows) -> impl Iterator<Item = String> {
    let padded = |column: usize, text: &str| {
        let width = width(rows, column);
        if rows.is_numeric(column) { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    let line = move |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.enumerate().map(|(column, text)| padded(column, text)).collect();
        cells.join("  ").trim_end().to_string()
    };
    let heading = line(&mut rows.heading.iter().copied());
    let body = rows.rows.iter().map(move |row| line(&mut row.cells.iter().map(|cell| cell.text.as_str())));
    std::iter::once(heading).chain(body)
}
