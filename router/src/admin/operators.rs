//! Who may sign in at this node's console: a file of its own. A node that runs changes it itself; in the place of one that
//! does not run whoever asks does, and the entry of the audit trail waits for it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use console::operators::{self, Error};
use persistence::disk::{Disk, RealDisk};
use serde_json::{Value, json};
use wire::Timestamp;

use super::desk::{Answer, problem, wrong};
use super::protocol::{Command, Problem, ProblemKind, Request};
use super::trail::{Asking, keep, waiting_path, who};
use crate::config::Config;
use crate::exit::{Exit, Failure};

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let (kind, next) = match &error {
            Error::File { .. } => {
                (ProblemKind::Refused, "name its directory by --data DIR or its configuration by --config FILE")
            }
            Error::Exposed { .. } => (ProblemKind::Refused, "let its owner alone read it, then try again"),
            Error::Form { .. } => (ProblemKind::Refused, "correct it, or remove it and add everybody again"),
            Error::Wrong(_) => (ProblemKind::Usage, "crosstie operator add --help"),
        };
        Problem { next: Some(next.into()), ..problem(kind, error.to_string()) }
    }
}

/// Changes the file.
pub(super) fn change(file: &Path, command: Command) -> Answer {
    match command {
        Command::AddOperator(operator) => {
            let told = json!({ "added": operator.name, "roles": operator.roles });
            operators::set(file, operator)?;
            Ok(told)
        }
        Command::RemoveOperator { name } => match operators::remove(file, &name)? {
            true => Ok(json!({ "removed": name })),
            false => {
                let next = Some("crosstie operator list".into());
                Err(Problem { next, ..problem(ProblemKind::NotFound, format!("there is no operator {name}")) })
            }
        },
        command => Err(wrong(format!("{} is not about operators", command.name()))),
    }
}

/// The same in place of a node that does not run; `None` when it runs, so that it is to be asked. It cannot be started
/// meanwhile.
pub fn change_for(config: &Config, request: &Request) -> Result<Option<Value>, Failure> {
    let directory = &config.log.directory;
    if let Err(error) = persistence::Reader::identity(directory) {
        let message = format!("no node has kept its log in {}: {error}", directory.display());
        let next = "start the node first, or name its directory by --data DIR or its configuration by --config FILE";
        return Err(Failure::new(Exit::NotFound, message).next(next));
    }
    let disk = RealDisk::new(directory);
    let failed = |error: std::io::Error| Failure::new(Exit::No, format!("{}: {error}", directory.display()));
    let owner = std::fs::metadata(disk.path(RealDisk::LOCK_FILE)).map_err(failed)?.uid();
    let Some(_alone) = disk.lock().map_err(failed)? else { return Ok(None) };
    let uid = rustix::process::geteuid().as_raw();
    if uid != owner {
        // What another user writes the node could not read.
        let message =
            format!("{} belongs to the user with uid {owner}, and the node does not run", directory.display());
        let next = format!("as that user: sudo -u '#{owner}' crosstie operator …; or when the node runs");
        return Err(Failure::new(Exit::Refused, message).next(next));
    }
    let who = who(request, rustix::process::getuid().as_raw(), config.number(), Timestamp::now())?;
    let asking = Asking::new(&request.command, who);
    let answer = change(&config.operators(), request.command.clone());
    if let Some(record) = asking.record(&answer) {
        keep(&waiting_path(config), &record).map_err(|error| {
            let message = format!("its entry of the audit trail cannot be written: {error}");
            Failure::new(Exit::No, message).next("crosstie operator list tells what was done")
        })?;
    }
    Ok(Some(answer?))
}
