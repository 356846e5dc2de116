//! `crosstie node repair`: gives up the log of a node that is not running, so that the other nodes bring it back.

use clap::Args;
use persistence::disk::RealDisk;
use persistence::repair::{Error, Repair as Plan, repair};
use serde::Serialize;
use wire::Timestamp;

use super::Place;
use super::output::{Output, Table};
use crate::config::load;
use crate::exit::{Exit, Failure};
use crate::verify;

#[derive(Args)]
pub(super) struct Repair {
    #[command(flatten)]
    place: Place,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Also when its log is whole: the node stopped because its state was not that of the others, and said so
    #[arg(long)]
    even_if_whole: bool,
    #[command(flatten)]
    output: Output,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Report {
    node: u64,
    cluster: String,
    damage: Option<String>,
    set_aside: Vec<String>,
    directory: String,
    /// The node votes again once it holds an entry of a later term.
    term: u64,
    done: bool,
}

impl Repair {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let log = load(&self.place.sources())?.config.node()?.switch.log;
        let disk = RealDisk::new(&log.directory);
        if let Err(error) = std::fs::metadata(&log.directory) {
            let what = format!("{}: {error}", log.directory.display());
            return Err(Failure::new(Exit::NotFound, what).next("name the directory of the node's log: --data DIR"));
        }
        let directory = format!("set-aside-{}", Timestamp::now()).replace(':', "");
        let refused = |error| refusal(&error);
        // What forbids it is told before the whole log is read.
        let mut plan = repair(&disk, &log, &directory, true).map_err(refused)?;
        let damage = self.damage(&log.directory)?;
        if !self.dry_run {
            plan = repair(&disk, &log, &directory, false).map_err(refused)?;
        }
        let report = report(plan, damage, !self.dry_run);
        let value = serde_json::to_value(&report).unwrap_or_default();
        let exit = self.output.show(&value, || Ok(table(&report)))?;
        talk!("next:  {}", next(&report));
        Ok(exit)
    }

    /// What is wrong with the log; a whole one is not given up unasked.
    fn damage(&self, directory: &std::path::Path) -> Result<Option<String>, Failure> {
        // A fact that cannot be applied panics; it is told below, and better.
        std::panic::set_hook(Box::new(|_| {}));
        let found = match verify::verify(directory) {
            Ok(report) => report.violations.first().cloned(),
            Err(failure) if failure.exit == Exit::Integrity => Some(failure.message),
            Err(failure) => return Err(failure),
        };
        _ = std::panic::take_hook();
        if found.is_none() && !self.even_if_whole {
            let what =
                "nothing is wrong with this log: what it holds is one of the copies that payments were acknowledged on";
            return Err(Failure::new(Exit::Refused, what).next(
                "start the node; only if it ended because its state was not that of the others: --even-if-whole",
            ));
        }
        Ok(found)
    }
}

fn refusal(error: &Error) -> Failure {
    match error {
        Error::Log(error) => error.into(),
        Error::Forgotten(_) | Error::Lost { .. } => Failure::new(Exit::Refused, error.to_string())
            .next("README.md, `Damage`, has the steps: a node under a new number in place of this one"),
        Error::Alone | Error::TooFew { .. } => Failure::new(Exit::Refused, error.to_string())
            .next("keep the directory as it is; restore a backup to another one and name that by --data"),
    }
}

fn report(plan: Plan, damage: Option<String>, done: bool) -> Report {
    let Plan { cluster, node, term, files, directory, .. } = plan;
    let (cluster, directory) = (format!("{cluster:032x}"), directory.display().to_string());
    Report { node, cluster, damage, set_aside: files, directory, term, done }
}

fn table(report: &Report) -> Table {
    let mut table = Table::default();
    table.row(["node", &format!("{} of cluster {}", report.node, report.cluster)]);
    table.row(["damage", report.damage.as_deref().unwrap_or("none was found")]);
    let word = if report.done { "set aside" } else { "to be set aside" };
    table.row([word, &format!("{} files, in {}", report.set_aside.len(), report.directory)]);
    for file in &report.set_aside {
        table.row(["", file]);
    }
    table
}

fn next(report: &Report) -> String {
    match report.done {
        false => "nothing was changed; the same without --dry-run does it".into(),
        true => format!(
            "start the node (crosstie serve): the others bring it back. It does not vote until it holds an entry of a later \
             term than {}; crosstie cluster status shows `repairing` until then",
            report.term
        ),
    }
}
