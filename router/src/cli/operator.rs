//! Who may sign in to the console of a node: asked of it, or done in its place while it does not run.

use std::io::Read;
use std::time::Duration;

use clap::{Args, Subcommand};
use console::{Role, operators};
use serde_json::json;

use super::output::{Output, Table, say};
use super::task::Reason;
use super::{Place, examples};
use crate::admin::protocol::{Command, Problem};
use crate::admin::{self, client};
use crate::config::load;
use crate::exit::{Exit, Failure};

/// How long to wait for the node.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Subcommand)]
pub(super) enum Operators {
    /// Adds an operator and prints his passphrase, once; of one who is there, roles and passphrase are replaced
    #[command(after_help = examples("crosstie operator add ann --role operator --role approver --reason 'joined operations'\n  crosstie operator add wall --role viewer --reason 'the screen in room 3' --config node-1.toml"))]
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
    #[command(after_help = examples("crosstie operator remove ann --reason 'has left'"))]
    Remove {
        /// Whom
        name: String,
        #[command(flatten)]
        why: Reason,
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
    why: Reason,
    #[command(flatten)]
    place: Place,
}

/// Asks the node, or does it in its place when it does not run.
fn change(place: &Place, command: Command, reason: &str) -> Result<(), Failure> {
    let config = load(&place.sources())?.config;
    let done = admin::operators::change_for(&config, &client::request(command.clone(), reason))?;
    match done {
        Some(_) => Ok(()),
        None => client::ask(&config.socket(), command, reason, PATIENCE).map(drop),
    }
}

impl Operators {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Operators::Add(add) => add.run(),
            Operators::List { place, output } => {
                let file = load(&place.sources())?.config.operators();
                let all = operators::read(&file).map_err(Problem::from)?;
                let roles = |own: &operators::Operator| own.roles.iter().map(|role| role.name()).collect::<Vec<_>>();
                let value = all.iter().map(|own| json!({ "name": own.name, "roles": roles(own) })).collect();
                output.show(&value, || {
                    let mut table = Table::new(&["NAME", "ROLES"]);
                    all.iter().for_each(|own| table.row([own.name.clone(), roles(own).join(",")]));
                    Ok(table)
                })
            }
            Operators::Remove { name, why, place } => {
                change(&place, Command::RemoveOperator { name: name.clone() }, &why.reason)?;
                talk!("{name} may not sign in any more");
                Ok(Exit::Done)
            }
        }
    }
}

impl Add {
    fn run(self) -> Result<Exit, Failure> {
        let passphrase = match self.passphrase_stdin {
            true => from_stdin()?,
            false => operators::generate().map_err(Problem::from)?,
        };
        let operator = operators::Operator::new(&self.name, &self.role, &passphrase).map_err(Problem::from)?;
        change(&self.place, Command::AddOperator(operator), &self.why.reason)?;
        talk!("{} may sign in", self.name);
        if self.passphrase_stdin {
            return Ok(Exit::Done);
        }
        talk!("the passphrase is shown this once:");
        say(&format!("{passphrase}\n"))
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(operators::PASSPHRASE_BYTES_MAX as u64 + 3).read_to_string(&mut text);
    read.map_err(|error| Failure::new(Exit::Usage, format!("the passphrase cannot be read from stdin: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}
