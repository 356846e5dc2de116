//! `crosstie audit`: what operators changed, and the proof that nobody changed that.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::{Table, say};
use super::show::read;
use super::{Node, examples};
use crate::admin::asked::{AuditEntry, AuditHead, AuditSearch, Outcome};
use crate::admin::protocol::{Command, FIND_LIMIT};
use crate::config::load;
use crate::exit::{Exit, Failure};
use crate::verify::{self, export};
use wire::Timestamp;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// What operators changed or tried to, the latest first
    #[command(after_help = examples("crosstie audit log --since 24h\n  crosstie audit log --operator ann --action fund --limit 20 --json"))]
    Log {
        /// Recorded at this time or later: 2026-11-23, 2026-11-23T14:02:11Z, or 2h for two hours ago
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Asked by this operator
        #[arg(long, value_name = "NAME")]
        operator: Option<String>,
        /// fund, defund, limit, suspend, resume, register, roll, drain, stop, member_add, …
        #[arg(long)]
        action: Option<String>,
        /// The latest so many; at most 10000
        #[arg(long, value_name = "COUNT", default_value_t = FIND_LIMIT)]
        limit: usize,
        #[command(flatten)]
        node: Node,
    },
    /// Compute the chain of hashes again: of the node, or of an export against the node
    #[command(after_help = examples("crosstie audit verify\n  crosstie audit verify trail.ndjson\n  crosstie audit verify trail.ndjson --stopped --data /var/lib/crosstie"))]
    Verify(Verify),
    /// The whole trail, a line of JSON for each entry and a last one that says where it ends
    #[command(after_help = examples("crosstie audit export > trail.ndjson"))]
    Export(Node),
}

#[derive(Args)]
pub(super) struct Verify {
    /// An export; its chain is checked, and that the node has the same
    file: Option<PathBuf>,
    /// The node is not running: read its log, in --data or the configuration's log.directory
    #[arg(long)]
    stopped: bool,
    #[command(flatten)]
    node: Node,
}

impl Audit {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Audit::Log { since, operator, action, limit, node } => {
                let search = AuditSearch { since, operator, action, limit };
                let value = node.ask(Command::AuditLog(search), "")?;
                node.output.show(&value, || log(&value))
            }
            Audit::Verify(verify) => verify.run(),
            Audit::Export(node) => print(&node),
        }
    }
}

fn log(value: &Value) -> Result<Table, Failure> {
    let entries: Vec<AuditEntry> = read(value)?;
    let mut table = Table::new(&["NUMBER", "AT", "OPERATOR", "ACTION", "PARAMETERS", "OUTCOME", "REASON"]);
    for entry in entries {
        let operator = match &entry.approver {
            Some(approver) => format!("{} with {}", entry.operator, approver.operator),
            None => entry.operator,
        };
        let outcome = match entry.outcome {
            Outcome::Proposed { until_ns } => format!("waits for a second person until {}", Timestamp(until_ns)),
            Outcome::Done => "done".into(),
            Outcome::Refused => format!("refused: {}", entry.why),
            Outcome::Unknown => format!("unknown: {}", entry.why),
        };
        let or_dash = |text: String| if text.is_empty() { "-".into() } else { text };
        let (parameters, reason) = (or_dash(entry.parameters), or_dash(entry.reason));
        table.row([entry.number.to_string(), entry.at, operator, entry.action, parameters, outcome, reason]);
    }
    Ok(table)
}

fn print(node: &Node) -> Result<Exit, Failure> {
    let mut end = export::End { entries: 0, head: hex::encode([0; 32]) };
    loop {
        let value = node.ask(Command::AuditExport { after: end.entries }, "")?;
        let entries: Vec<AuditEntry> = read(&value)?;
        let Some(last) = entries.last() else { break };
        end = export::End { entries: last.number, head: last.hash.clone() };
        for entry in &entries {
            say(&line(entry))?;
        }
    }
    say(&line(&end))
}

fn line(of: &impl serde::Serialize) -> String {
    serde_json::to_string(of).unwrap_or_default() + "\n"
}

impl Verify {
    fn run(self) -> Result<Exit, Failure> {
        let integrity = |what: String| {
            Failure::new(Exit::Integrity, what).next("keep both as they are; compare with another node's audit export")
        };
        let exported = self.file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", file.display())))?;
            export::check(text.lines()).map_err(|broken| integrity(format!("{}: {broken}", file.display())))
        });
        let exported = exported.transpose()?;
        let number = exported.map(|head| head.number).filter(|number| *number > 0);
        let value = if self.stopped {
            let directory = load(&self.node.place.sources())?.config.log.directory;
            serde_json::to_value(verify::audit(&directory, number)?).unwrap_or_default()
        } else {
            self.node.ask(Command::AuditVerify { number }, "")?
        };
        let own: AuditHead = read(&value)?;
        if let Some(head) = exported.filter(|head| head.number > 0) {
            let number = head.number;
            match &own.asked {
                None => return Err(integrity(format!("the node has {} entries, the export {number}", own.entries))),
                Some(hash) if *hash != hex::encode(head.hash) => {
                    return Err(integrity(format!("the node's entry {number} is another one than the export's")));
                }
                Some(_) => {}
            }
        }
        if self.node.output.json {
            return say(&line(&own));
        }
        let same =
            exported.map_or_else(String::new, |head| format!("; the export has the first {} of them", head.number));
        say(&format!(
            "{} entries, each follows from the one before{same}\nhash of the last: {}\n",
            own.entries, own.hash
        ))
    }
}
