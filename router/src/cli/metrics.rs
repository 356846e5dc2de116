//! The catalogue of metrics; it needs no node.

use clap::Subcommand;
use watch::metrics::{Metric, catalogue};

use super::examples;
use super::output::{Output, Table};
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Metrics {
    /// Every metric: name, type, labels, meaning
    #[command(after_help = examples("crosstie metrics list\n  crosstie metrics list --json | jq -r '.[].name'"))]
    List(Output),
}

impl Metrics {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Metrics::List(output) = self;
        let value = serde_json::to_value(catalogue()).unwrap_or_default();
        output.show(&value, || {
            let mut table = Table::new(&["NAME", "TYPE", "LABELS", "MEANING"]);
            for Metric { name, kind, labels, help, .. } in catalogue() {
                table.row([*name, kind.name(), &labels.join(","), help]);
            }
            Ok(table)
        })
    }
}
