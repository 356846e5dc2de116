//! The log of a node that is not running, and the events in the log lines of one that is.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{Output, Table, say};
use super::{examples, show};
use crate::exit::{Exit, Failure};
use crate::logs::EVENTS;
use crate::verify::{self, Report};

#[derive(Subcommand)]
pub(super) enum Log {
    /// Read every entry, fold every fact, add up the money; changes nothing
    #[command(after_help = examples("crosstie log verify --data /var/lib/crosstie\n  crosstie log verify --data COPY --json"))]
    Verify(Verify),
    /// Every event that stands in a node's log lines on stderr: level, fields, meaning
    #[command(after_help = examples("crosstie log events\n  crosstie log events --json"))]
    Events {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Args)]
pub(super) struct Verify {
    /// Directory of the log
    #[arg(long, value_name = "DIR", env = "CROSSTIE_LOG_DIRECTORY")]
    data: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Log {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Log::Verify(verify) => verify.run(),
            Log::Events { output } => output.show(&json!(EVENTS), || Ok(events())),
        }
    }
}

fn events() -> Table {
    let mut table = Table::new(&["EVENT", "LEVEL", "FIELDS", "MEANING"]);
    for event in EVENTS {
        table.row([event.name, event.levels, event.fields, event.meaning].map(String::from));
    }
    table
}

impl Verify {
    fn run(self) -> Result<Exit, Failure> {
        let Verify { data, output } = self;
        // A fact that cannot be applied panics; it is told below, and better.
        std::panic::set_hook(Box::new(|_| {}));
        let report = verify::verify(&data)?;
        if output.json {
            say(&format!("{}\n", serde_json::to_string_pretty(&report).unwrap_or_default()))?;
        } else {
            let value = serde_json::Value::Null;
            output.show(&value, || Ok(positions(&report)))?;
            talk!("{}", summary(&report).trim_end());
        }
        if report.violations.is_empty() {
            return Ok(Exit::Done);
        }
        let what = format!("the log does not add up:\n       {}", report.violations.join("\n       "));
        Err(Failure::new(Exit::Integrity, what)
            .next("keep the directory as it is, take the node out of service, and find the first fact that breaks it"))
    }
}

fn positions(report: &Report) -> Table {
    let mut table =
        Table::new(&["PARTICIPANT", "CURRENCY", "BALANCE", "RESERVED", "AVAILABLE", "CAP", "MAXIMUM", "FUNDED", "NET"]);
    for holding in &report.participants {
        for position in &holding.positions {
            let mut cells = vec![holding.id.clone()];
            cells.extend(show::position_cells(position));
            cells.extend([position.funded.clone(), position.net.clone()]);
            table.row(cells);
        }
    }
    table
}

fn summary(report: &Report) -> String {
    let list = |counts: Vec<String>| if counts.is_empty() { "none".into() } else { counts.join(", ") };
    let counts = |counts: &std::collections::BTreeMap<&str, u64>| {
        list(counts.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect())
    };
    let imbalance = list(report.imbalance.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect());
    let from = match report.snapshot_index {
        0 => "from the first entry on".to_string(),
        index => format!("on top of the snapshot of entry {index} (older entries are no longer kept)"),
    };
    let torn = match report.torn_bytes {
        0 => String::new(),
        bytes => format!("torn tail  {bytes} bytes, of which nobody was told\n"),
    };
    format!(
        "entries    {} folded {from}, the last is {}\nfacts      {}\npayments   {}\nimbalance  {imbalance}\n{torn}",
        report.entries,
        report.last_index,
        counts(&report.facts),
        counts(&report.payments),
    )
}
