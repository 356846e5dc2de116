//! The catalogue of metrics, which needs no node, and what a node tells.

use std::sync::Arc;

use clap::Subcommand;
use watch::Snapshot;
use watch::metrics::{Metric, catalogue, plain, readings};

use super::output::{Output, Table, say};
use super::show::read;
use super::{Node, examples};
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Metrics {
    /// Every metric: name, type, labels, meaning
    #[command(after_help = examples("crosstie metrics list\n  crosstie metrics list --json | jq -r '.[].name'"))]
    List(Output),
    /// What /metrics of the node tells now, in the format of Prometheus
    #[command(after_help = examples("crosstie metrics show | promtool check metrics\n  crosstie metrics show --json | jq '.[] | select(.name == \"crosstie_leader_known\").series[].value'"))]
    Show(Node),
}

impl Metrics {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let output = match self {
            Metrics::List(output) => output,
            Metrics::Show(node) => {
                let snapshot: Arc<Snapshot> = Arc::new(read(&node.ask(Command::Watch, "")?)?);
                return match node.output {
                    Output { json: true, .. } => say(&format!("{}\n", pretty(&readings(&snapshot)))),
                    Output { plain: true, .. } => say(&columns(&plain(&snapshot))),
                    _ => say(&plain(&snapshot)),
                };
            }
        };
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

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Series and value, divided by a tab.
fn columns(text: &str) -> String {
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    series.map(|(series, value)| format!("{series}\t{value}\n")).collect()
}
