//! The nodes and the banks, a line each.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Row, Table};

use super::super::figures::{amount, count, milliseconds};
use super::super::nodes::{NodeSeen, Presence};
use super::super::scene::ROUND_TRIPS_MS;
use super::super::seen::Seen;
use super::{NAME, panel};

fn right(text: String) -> Line<'static> {
    Line::from(text).alignment(Alignment::Right)
}

pub(super) fn draw_nodes(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let heading = Row::new(vec![
        Line::from("  node"),
        Line::from("role"),
        Line::from("state"),
        right("term".into()),
        right("lag".into()),
        right("banks".into()),
        right("round trips, ms".into()),
    ])
    .style(Style::new().fg(Color::Gray));
    let newest = seen.committed_index();
    let rows = seen.nodes.iter().map(|node| {
        let banks = seen.banks.iter().filter(|bank| bank.node == Some(node.node)).count();
        node_row(node, banks, newest)
    });
    let widths = [
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(4),
        Constraint::Length(6),
        Constraint::Length(5),
        Constraint::Fill(1),
    ];
    frame.render_widget(Table::new(rows, widths).header(heading).block(nodes_panel()), area);
}

/// With what the proxies are set to, beside what the nodes measure.
fn nodes_panel() -> Block<'static> {
    let set = ROUND_TRIPS_MS.map(|ms| ms.to_string()).join(", ");
    let set = format!(" same host; the proxies make {set} ms (1–2, 1–3, 2–3) ");
    panel("Nodes, by their own word").title_bottom(Span::from(set).fg(Color::DarkGray))
}

fn node_row(node: &NodeSeen, banks: usize, newest: u64) -> Row<'static> {
    let colour = match node.presence {
        Presence::Up => Color::Green,
        Presence::Starting | Presence::Draining => Color::Yellow,
        _ => Color::Red,
    };
    let name = Line::from(vec![
        Span::from(if node.pid.is_some() { "● " } else { "○ " }).fg(colour),
        Span::from(format!("{} {}", node.node, node.region)).fg(NAME).bold(),
    ]);
    let state = Line::from(node.presence.words()).fg(colour);
    let Some(said) = &node.said else {
        let nothing = || right("-".into());
        return Row::new(vec![
            name,
            Line::from("silent"),
            state,
            nothing(),
            nothing(),
            right(count(banks as u64)),
            nothing(),
        ]);
    };
    let role = if said.leads { Line::from("leader").bold() } else { Line::from("follower").fg(Color::Gray) };
    let round_trips: Vec<String> = said
        .round_trips_us
        .iter()
        .map(|(other, us)| format!("{other}: {}", us.map_or("-".into(), milliseconds)))
        .collect();
    Row::new(vec![
        name,
        role,
        state,
        right(said.term.to_string()),
        right(count(newest.saturating_sub(said.committed_index))),
        right(count(banks as u64)),
        right(round_trips.join("  ")),
    ])
}

pub(super) fn draw_banks(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let heading = Row::new(vec![
        Line::from("  bank"),
        right("at".into()),
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
            right(bank.node.map_or("-".into(), |node| node.to_string())),
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
        Constraint::Length(2),
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
