//! Tables for people, JSON and tab-separated columns for programs.

use std::io::{ErrorKind, Write};

use clap::Args;
use serde_json::Value;

use crate::exit::{Exit, Failure};

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Output {
    /// JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Columns divided by tabs, without a heading
    #[arg(long, conflicts_with = "json")]
    pub(super) plain: bool,
}

impl Output {
    /// The value as it came for programs, else as `table` makes it.
    pub(super) fn show(self, value: &Value, table: impl FnOnce() -> Result<Table, Failure>) -> Result<Exit, Failure> {
        match self {
            Output { json: true, .. } => say(&format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())),
            Output { plain: true, .. } => say(&table()?.plain()),
            _ => say(&table()?.aligned()),
        }
    }
}

/// Writes to stdout. A reader that has seen enough is no failure.
pub(super) fn say(text: &str) -> Result<Exit, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(Failure::new(Exit::No, format!("cannot write to stdout: {error}"))),
    }
}

/// Rows under a heading. Columns of numbers and amounts stand to the right.
#[derive(Default)]
pub(super) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Table {
        Table { heading: heading.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn plain(&self) -> String {
        self.rows.iter().map(|row| row.join("\t") + "\n").collect()
    }

    fn aligned(&self) -> String {
        let columns = self.rows.iter().chain([&self.heading]).map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let all = || self.rows.iter().chain((!self.heading.is_empty()).then_some(&self.heading));
        let widths: Vec<usize> =
            (0..columns).map(|column| all().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)).collect();
        // Without a heading the first column names what the second says: such lists read better to the left.
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
        let right: Vec<bool> = (0..columns)
            .map(|column| !self.heading.is_empty() && self.rows.iter().all(|row| is_number(&cell(row, column))))
            .collect();
        let heading = (!self.heading.is_empty()).then_some(&self.heading);
        let mut out = String::new();
        for row in heading.into_iter().chain(&self.rows) {
            let mut line = String::new();
            for column in 0..columns {
                let (text, width) = (cell(row, column), widths[column]);
                line += &if right[column] { format!("{text:>width$}  ") } else { format!("{text:<width$}  ") };
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(&["ID", "BALANCE", "STATE"]);
        table.row(["BANK-0001", "1000.00", "signed on"]);
        table.row(["B", "-5.00", ""]);
        let expected = "ID         BALANCE  STATE\nBANK-0001  1000.00  signed on\nB            -5.00\n";
        assert_eq!(table.aligned(), expected);
        assert_eq!(table.plain(), "BANK-0001\t1000.00\tsigned on\nB\t-5.00\t\n");
    }
}
