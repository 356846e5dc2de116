//! Pieces of pages: signs, tables, bars, tiles. A colour is never the only signal: there is a shape and a word.

use maud::{Markup, Render, html};
use watch::Severity;
use watch::rows::{Order, Row, Rows};

use crate::hover;
use crate::links::encoded;
use crate::live::{Ask, Reverse, slug};

pub(crate) fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Fine => "fine",
        Severity::Degraded => "degraded",
        Severity::Critical => "critical",
    }
}

fn shape(severity: Severity) -> &'static str {
    match severity {
        Severity::Fine => "●",
        Severity::Degraded => "▲",
        Severity::Critical => "■",
    }
}

/// With the word beside it.
pub(crate) fn sign(severity: Severity) -> Markup {
    html! { span class={ "sign " (class(severity)) } { span aria-hidden="true" { (shape(severity)) } " " span.word { (class(severity)) } } }
}

/// With the word for those who do not see it.
fn small_sign(severity: Severity) -> Markup {
    html! {
        span class={ "sign " (class(severity)) } title=(class(severity)) { span aria-hidden="true" { (shape(severity)) } }
        span.hidden { (class(severity)) }
    }
}

/// With a sentence of its own beside it.
pub(crate) fn sign_of(severity: Severity, sentence: &str) -> Markup {
    html! { span class={ "sign " (class(severity)) } { span aria-hidden="true" { (shape(severity)) } " " (sentence) } }
}

/// A figure and what it is; `help` says where else it is found.
pub(crate) struct Tile {
    pub(crate) figure: String,
    pub(crate) label: &'static str,
    pub(crate) beside: String,
    pub(crate) help: &'static str,
}

pub(crate) fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        dl.tiles {
            @for Tile { figure, label, beside, help } in tiles {
                div.tile title=(help) {
                    dt { (label) }
                    dd { span.figure { (figure) } @if !beside.is_empty() { " " span.beside { (beside) } } }
                }
            }
        }
    }
}

/// Shares of a whole, from the left, as wide as they are large.
pub fn bar(shares: &[(&'static str, f64)]) -> Markup {
    let mut left = 0.0;
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.rest x="0" y="0" width="100" height="10" {}
            @for (class, share) in shares {
                @let width = (share.clamp(0.0, 1.0) * 100.0).min(100.0 - left);
                rect class=(class) x={ (format!("{left:.1}")) } y="0" width={ (format!("{width:.1}")) } height="10" {}
                ({ left += width; "" })
            }
        }
    }
}

/// How a table stands on its page.
pub(crate) struct Stand<'a> {
    pub(crate) path: &'a str,
    pub(crate) ask: &'a Ask,
    pub(crate) order: Order,
    /// Rows at most; what is more is told of.
    pub(crate) rows_max: usize,
}

/// A column more: its heading, and what stands in it beside a name.
type Extra<'a> = (&'a str, &'a dyn Fn(&str) -> Markup);

/// `link` is the page of a row. `extra` is one column more.
pub(crate) fn table(
    rows: &Rows,
    stand: Option<&Stand<'_>>,
    link: impl Fn(&str) -> Option<String>,
    extra: Option<Extra<'_>>,
) -> Markup {
    let rows_max = stand.map_or(usize::MAX, |stand| stand.rows_max);
    html! {
        div.scrolls tabindex="0" role="region" aria-label={ "table of " (rows.name) } {
            table {
                thead {
                    tr {
                        @for (column, name) in rows.heading.iter().enumerate() { (heading(rows, column, name, stand)) }
                        @if let Some((name, _)) = extra { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for row in rows.rows.iter().take(rows_max) { (tr(rows, row, &link, extra)) }
                    @if rows.rows.is_empty() { tr { td.none colspan=(rows.heading.len() + 1) { "none" } } }
                }
            }
        }
        @if rows.rows.len() > rows_max {
            p.hint { (rows_max) " of " (rows.rows.len()) " are shown: sort or filter to see others" }
        }
    }
}

fn heading(rows: &Rows, column: usize, name: &str, stand: Option<&Stand<'_>>) -> Markup {
    let class = if rows.is_numeric(column) { "number" } else { "" };
    let over = hover::over(rows.name, name);
    let Some(Stand { path, ask, order: (sorted, is_reversed), .. }) = stand else {
        return html! { th scope="col" class=(class) title=[over] { (name) } };
    };
    let is_sorted = *sorted == Some(column);
    let direction = match (is_sorted, is_reversed) {
        (false, _) => None,
        (true, false) => Some("descending"),
        (true, true) => Some("ascending"),
    };
    let reverse = if is_sorted && ask.reverse == Reverse::No { "&reverse=yes" } else { "" };
    let filter = if ask.filter.is_empty() { String::new() } else { format!("&filter={}", encoded(&ask.filter)) };
    let href = format!("{path}?sort={}{reverse}{filter}", slug(name));
    html! {
        th scope="col" class=(class) title=[over] aria-sort=[direction] {
            a href=(href) { (name) @if is_sorted { " " span aria-hidden="true" { (if *is_reversed { "▴" } else { "▾" }) } } }
        }
    }
}

fn tr(rows: &Rows, row: &Row, link: &impl Fn(&str) -> Option<String>, extra: Option<Extra<'_>>) -> Markup {
    let name = row.cells.first().map_or("", |cell| cell.text.as_str());
    html! {
        tr #{ "row-" (slug(name)) } class=(class(row.severity)) {
            th scope="row" {
                (small_sign(row.severity)) " "
                @match link(name) {
                    Some(href) => { a href=(href) { (name) } },
                    None => { (name) },
                }
            }
            @for (column, cell) in row.cells.iter().enumerate().skip(1) {
                td class={ (if rows.is_numeric(column) { "number" } else { "" }) (if cell.is_known() { "" } else { " none" }) } { (cell.text) }
            }
            @if let Some((_, cell)) = extra { td { (cell(name)) } }
        }
    }
}

/// Names and what they are.
pub fn facts(facts: &[(&str, impl Render)]) -> Markup {
    html! { dl.facts { @for (name, text) in facts { div { dt { (name) } dd { (text) } } } } }
}
