//! Who may sign in to the console: the file of operators, changed where the node runs. It needs no node.

use std::io::Read;

use clap::{Args, Subcommand};
use console::{Role, operators};
use serde_json::json;

use super::output::{Output, Table, say};
use super::{Place, examples};
use crate::config::load;
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Operators {
    /// Adds an operator and prints his passphrase, once; of one who is there, roles and passphrase are replaced
    #[command(after_help = examples("crosstie operator add ann --role operator --role approver\n  crosstie operator add wall --role viewer --config node-1.toml"))]
    Add(Add),
    /// Who they are and what they may
    #[command(after_help = examples("crosstie operator list"))]
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Removes an operator; who is signed in is not any more
    #[command(after_help = examples("crosstie operator remove ann"))]
    Remove {
        /// Whom
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// Small letters, digits, hyphens and dots
    name: String,
    /// viewer: looks. operator: suspends, resumes, drains. treasury: money and limits. approver: is the second person
    #[arg(long, required = true)]
    role: Vec<Role>,
    /// Take the passphrase from stdin instead of making one
    #[arg(long)]
    passphrase_stdin: bool,
    #[command(flatten)]
    place: Place,
}

impl From<operators::Error> for Failure {
    fn from(error: operators::Error) -> Failure {
        use operators::Error;
        let (exit, next) = match &error {
            Error::File { .. } => (Exit::No, "name its directory by --data DIR or its configuration by --config FILE"),
            Error::Exposed { .. } => (Exit::Refused, "let its owner alone read it, then try again"),
            Error::Form { .. } => (Exit::Usage, "correct it, or remove it and add everybody again"),
            Error::Wrong(_) => (Exit::Usage, "crosstie operator add --help"),
        };
        Failure::new(exit, error.to_string()).next(next)
    }
}

impl Operators {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Operators::Add(add) => add.run(),
            Operators::List { place, output } => {
                let all = operators::read(&load(&place.sources())?.config.operators())?;
                let roles = |own: &operators::Operator| own.roles.iter().map(|role| role.name()).collect::<Vec<_>>();
                let value = all.iter().map(|own| json!({ "name": own.name, "roles": roles(own) })).collect();
                output.show(&value, || {
                    let mut table = Table::new(&["NAME", "ROLES"]);
                    all.iter().for_each(|own| table.row([own.name.clone(), roles(own).join(",")]));
                    Ok(table)
                })
            }
            Operators::Remove { name, place } => {
                if !operators::remove(&load(&place.sources())?.config.operators(), &name)? {
                    let next = "crosstie operator list";
                    return Err(Failure::new(Exit::NotFound, format!("there is no operator {name}")).next(next));
                }
                eprintln!("{name} may not sign in any more");
                Ok(Exit::Done)
            }
        }
    }
}

impl Add {
    fn run(self) -> Result<Exit, Failure> {
        let file = load(&self.place.sources())?.config.operators();
        let passphrase = match self.passphrase_stdin {
            true => from_stdin()?,
            false => operators::generate()?,
        };
        operators::set(&file, &self.name, &self.role, &passphrase)?;
        eprintln!("{} may sign in, by {}", self.name, file.display());
        if self.passphrase_stdin {
            return Ok(Exit::Done);
        }
        eprintln!("the passphrase is shown this once:");
        say(&format!("{passphrase}\n"))
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(operators::PASSPHRASE_BYTES_MAX as u64 + 3).read_to_string(&mut text);
    read.map_err(|error| Failure::new(Exit::Usage, format!("the passphrase cannot be read from stdin: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}
