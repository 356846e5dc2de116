//! Reports for treasury: statements and totals of a business date, and a participant's own list compared with them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::output::{Table, say};
use super::{Node, examples, show};
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};
use crate::report::list::Listed;
use crate::report::reconcile::{self, Comparison, FILE_BYTES_MAX, TOLD_MAX};
use crate::report::statement::{Flows, Line, Lines, Pages, SelfCheck, Statement, Totals};
use crate::report::{statement_csv, totals_csv};

#[derive(Subcommand)]
pub(super) enum Report {
    /// Which reports there are: business dates with movements, by participant; whether they are final, and have a statement
    #[command(after_help = examples("crosstie report list BANK-0001\n  crosstie report list --date 2026-11-23 --json"))]
    List {
        /// The participant, for example BANK-0001; all of them unless given
        participant: Option<String>,
        /// The business date; all that are kept unless given
        #[arg(long)]
        date: Option<String>,
        #[command(flatten)]
        node: Node,
    },
    /// Opening and closing balance, counts and sums of a business date, a row for each currency
    #[command(after_help = examples("crosstie report totals BANK-0001\n  crosstie report totals BANK-0001 --date 2026-11-23 --format csv --out totals.csv"))]
    Totals {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        written: Written,
        #[command(flatten)]
        node: Node,
    },
    /// Every payment and return of a business date in one currency, with the totals and whether both agree
    #[command(after_help = examples("crosstie report statement BANK-0001 --date 2026-11-23 --format csv --out statement.csv\n  sha256sum --check statement.csv.sha256"))]
    Statement {
        #[command(flatten)]
        of: Of,
        /// ISO 4217; needed where the participant has several
        #[arg(long)]
        currency: Option<String>,
        #[command(flatten)]
        written: Written,
        #[command(flatten)]
        node: Node,
    },
    /// Compare a participant's own list of a business date, payment by payment; exit code 1 if they differ
    #[command(after_help = examples("crosstie report reconcile mine.csv --participant BANK-0001 --date 2026-11-23\n\nThe list is CSV with a heading: uetr and amount, and where they are currency, direction (debit, credit), counterparty, state, date"))]
    Reconcile {
        /// The participant's list
        file: PathBuf,
        /// The participant, for example BANK-0001
        #[arg(long)]
        participant: String,
        /// The business date; the present one unless given
        #[arg(long)]
        date: Option<String>,
        #[command(flatten)]
        node: Node,
    },
    /// Add every position of a business date up again, from its payments; exit code 7 if one is not what the book has, 6 if not all could be checked
    #[command(name = "self-check", after_help = examples("crosstie report self-check --date 2026-11-23"))]
    SelfCheck {
        /// The business date; the one before the present unless given
        #[arg(long)]
        date: Option<String>,
        #[command(flatten)]
        node: Node,
    },
}

#[derive(Args)]
pub(super) struct Of {
    /// The participant, for example BANK-0001
    participant: String,
    /// The business date; the present one unless given
    #[arg(long)]
    date: Option<String>,
}

#[derive(Args)]
pub(super) struct Written {
    /// A table for people unless it is given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Into this file, and its checksum beside it, instead of to stdout
    #[arg(long, value_name = "FILE", requires = "format")]
    out: Option<PathBuf>,
    /// Replace that file and its checksum if they are there
    #[arg(long, requires = "out")]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

impl Report {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Report::List { participant, date, node } => {
                let answer = node.ask(Command::Reports { participant, date }, "")?;
                node.output.show(&answer, || Ok(list_table(&show::read::<Vec<Listed>>(&answer)?)))
            }
            Report::Totals { of, written, node } => {
                let all = totals(&node, &of.participant, of.date.as_deref())?;
                written.write(&node, &value(&all), || totals_csv(&all), || totals_table(&all))
            }
            Report::Statement { of, currency, written, node } => statement(&of, currency.as_deref(), &written, &node),
            Report::Reconcile { file, participant, date, node } => {
                let own = reconcile::read(&read(&file)?).map_err(|what| wrong(&file, &what))?;
                let all = totals(&node, &participant, date.as_deref())?;
                let date = all.first().map(|totals| totals.date.clone()).unwrap_or_default();
                let (lines, is_whole) = lines(&node, &participant, &date)?;
                let faults = all.iter().flat_map(|own| {
                    let of_currency: Vec<Line> =
                        lines.iter().filter(|line| line.currency == own.currency).cloned().collect();
                    Flows::of(&of_currency).faults(own)
                });
                sound("the switch's own list", faults.collect(), is_whole, all.iter().all(|own| own.is_final))?;
                show_comparison(&node, &reconcile::compare(&participant, &date, &own, &lines))
            }
            Report::SelfCheck { date, node } => self_check(&node, date),
        }
    }
}

fn statement(of: &Of, currency: Option<&str>, written: &Written, node: &Node) -> Result<Exit, Failure> {
    let mut all = totals(node, &of.participant, of.date.as_deref())?;
    let held: Vec<String> = all.iter().map(|totals| totals.currency.clone()).collect();
    let currency = match (currency, held.as_slice()) {
        (Some(currency), _) => currency.to_string(),
        (None, [only]) => only.clone(),
        (None, held) => {
            let message = format!("{} has positions in {}: name one by --currency", of.participant, held.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let place = all.iter().position(|totals| totals.currency == currency);
    let own = place.map(|place| all.swap_remove(place)).ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("{} has no position in {currency}, but in {}", of.participant, held.join(", ")),
        )
    })?;
    let date = own.date.clone();
    let (lines, is_whole) = lines(node, &of.participant, &date)?;
    let statement = Statement::new(own, lines);
    let csv = || statement_csv(&statement.totals, &statement.lines);
    written.write(node, &value(&statement), csv, || statement_table(&statement))?;
    sound("the statement", statement.faults, is_whole, statement.totals.is_final)?;
    Ok(Exit::Done)
}

/// Why a list is not what the book's sums say, if it is not.
fn sound(what: &str, faults: Vec<String>, is_whole: bool, is_final: bool) -> Result<(), Failure> {
    if faults.is_empty() {
        return Ok(());
    }
    let message = format!("{what} is not whole: {}", faults.join("; "));
    Err(match (is_whole, is_final) {
        (false, _) => Failure::new(Exit::No, message)
            .next("the archive of this node does not go back so far: ask another node, by --config or --socket"),
        (true, false) => {
            Failure::new(Exit::No, message).next("payments settled meanwhile: again, or when the business date is over")
        }
        (true, true) => Failure::new(Exit::Integrity, message)
            .next("keep the list, and look at the archive's figures in crosstie status"),
    })
}

fn self_check(node: &Node, date: Option<String>) -> Result<Exit, Failure> {
    let answer = node.ask(Command::SelfCheck { date }, "")?;
    let check: SelfCheck = show::read(&answer)?;
    node.output.show(&answer, || {
        let mut table = Table::default();
        table.row(["date", &check.date]);
        table.row(["positions", &check.positions.to_string()]);
        table.row(["payments", &check.payments.to_string()]);
        check.faults.iter().for_each(|fault| table.row(["FAULT", fault]));
        check.unchecked.iter().for_each(|what| table.row(["not checked", what]));
        Ok(table)
    })?;
    match check.faults.is_empty() {
        true if check.unchecked.is_empty() => Ok(Exit::Done),
        true => Ok(Exit::Partial),
        false => Err(Failure::new(Exit::Integrity, format!("{} positions do not add up", check.faults.len()))
            .next("keep the data as it is, compare with another node, and report this")),
    }
}

fn value(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn wrong(file: &Path, what: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {what}", file.display())).next("crosstie report reconcile --help")
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| wrong(file, &error.to_string());
    let mut bytes = Vec::new();
    File::open(file).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(wrong(file, &format!("it has more than {FILE_BYTES_MAX} bytes: divide it"))),
        false => Ok(bytes),
    }
}

fn totals(node: &Node, participant: &str, date: Option<&str>) -> Result<Vec<Totals>, Failure> {
    let command = Command::Totals { participant: participant.into(), date: date.map(Into::into) };
    show::read(&node.ask(command, "")?)
}

/// All payments of a date, the latest first, part by part; and whether the node's archive has all of the date.
fn lines(node: &Node, participant: &str, date: &str) -> Result<(Vec<Line>, bool), Failure> {
    let (mut all, mut pages, mut is_whole) = (Vec::new(), Pages::default(), true);
    loop {
        let command = Command::Lines { participant: participant.into(), date: date.into(), until_ns: pages.until_ns };
        let part: Lines = show::read(&node.ask(command, "")?)?;
        is_whole &= !part.is_partial;
        let taken = pages.take(part.lines, part.reached_ns, Line::mark);
        let (lines, more) = taken.map_err(|what| Failure::new(Exit::No, what))?;
        all.extend(lines);
        if !more {
            return Ok((all, is_whole));
        }
    }
}

impl Written {
    fn write(
        &self,
        node: &Node,
        value: &Value,
        csv: impl FnOnce() -> String,
        table: impl FnOnce() -> Table,
    ) -> Result<Exit, Failure> {
        let text = match self.format {
            None => return node.output.show(value, || Ok(table())),
            Some(Format::Csv) => csv(),
            Some(Format::Json) => format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()),
        };
        let Some(file) = &self.out else { return say(&text) };
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = file.with_file_name(format!("{name}.sha256"));
        if let Some(taken) = [file, &beside].into_iter().find(|path| path.exists()).filter(|_| !self.force) {
            let message = format!("{} is there already, and nothing was written", taken.display());
            return Err(
                Failure::new(Exit::Refused, message).next("name another file by --out, or replace it by --force")
            );
        }
        let checksum = format!("{}  {name}\n", crate::report::sha256(&text));
        let write = |path: &Path, text: &str| {
            let written =
                File::create(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
            written.map_err(|error| Failure::new(Exit::No, format!("cannot write {}: {error}", path.display())))
        };
        write(file, &text)?;
        write(&beside, &checksum)?;
        talk!("written: {} and {}", file.display(), beside.display());
        Ok(Exit::Done)
    }
}

fn list_table(all: &[Listed]) -> Table {
    let mut table = Table::new(&["PARTICIPANT", "CURRENCY", "DATE", "NO", "FINAL", "STATEMENT"]);
    for own in all {
        let yes = |is_so: bool| if is_so { "yes" } else { "no" };
        let (is_final, has_statement) = (yes(own.is_final), yes(own.has_payments));
        table.row([&own.participant, &own.currency, &own.date, &own.number.to_string(), is_final, has_statement]);
    }
    table
}

fn totals_table(all: &[Totals]) -> Table {
    let mut table = Table::new(&[
        "CURRENCY",
        "NO",
        "OPENING",
        "SENT",
        "RECEIVED",
        "RETURNS SENT",
        "RETURNS RECEIVED",
        "FUNDED",
        "DEFUNDED",
        "CLOSING",
        "FINAL",
    ]);
    for own in all {
        let number = own.number.map_or_else(|| "-".into(), |number| number.to_string());
        let sum = |sum: &crate::report::statement::Sum| format!("{} ({})", sum.amount, sum.count);
        table.row([
            own.currency.clone(),
            number,
            own.opening.clone(),
            sum(&own.sent),
            sum(&own.received),
            sum(&own.returns_sent),
            sum(&own.returns_received),
            sum(&own.funded),
            sum(&own.defunded),
            own.closing.clone(),
            if own.is_final { "yes" } else { "no" }.into(),
        ]);
    }
    table
}

fn statement_table(statement: &Statement) -> Table {
    let mut table = Table::new(&["AT", "UETR", "DIRECTION", "KIND", "COUNTERPARTY", "AMOUNT", "ENTRY"]);
    let totals = &statement.totals;
    let balance = |name: &str, amount: &str| ["", name, "", "", "", amount, ""].map(String::from);
    table.row(balance("opening balance", &totals.opening));
    for funding in totals.moved_by_operators() {
        table.row([&funding.at, "", "", "funding", "", &funding.amount, ""]);
    }
    for line in &statement.lines {
        let amount = if line.direction == "debit" { format!("-{}", line.amount) } else { line.amount.clone() };
        let entry = line.entry.to_string();
        table.row([&line.at, &line.uetr, &line.direction, &line.kind, &line.counterparty, &amount, &entry]);
    }
    table.row(balance("closing balance", &totals.closing));
    table
}

fn show_comparison(node: &Node, comparison: &Comparison) -> Result<Exit, Failure> {
    node.output.show(&value(comparison), || {
        let mut table = Table::new(&["DIFFERENCE", "ROW", "UETR", "IN FILE", "AT SWITCH"]);
        for own in &comparison.differences {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            let kind = value(&own.kind).as_str().unwrap_or_default().replace('_', " ");
            // Text of the file: nothing that a terminal obeys.
            let plain = |text: Option<String>| or_dash(text.map(|text| text.escape_debug().collect()));
            table.row([
                kind,
                or_dash(own.row.map(|row| row.to_string())),
                own.uetr.clone(),
                plain(own.in_file.clone()),
                plain(own.at_switch.clone()),
            ]);
        }
        Ok(table)
    })?;
    let Comparison { in_file, at_switch, equal, counts, .. } = comparison;
    let all: u64 = counts.values().sum();
    let told = if all > TOLD_MAX as u64 { format!(", {TOLD_MAX} of them told") } else { String::new() };
    talk!(
        "{in_file} in the file, {at_switch} at the switch on {}, {equal} equal, {all} differences{told}",
        comparison.date
    );
    Ok(if comparison.is_equal() { Exit::Done } else { Exit::No })
}
