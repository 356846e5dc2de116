//! `crosstie top`: on a screen, or once as text or JSON.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use watch::{Actor, Snapshot};

use super::output::say;
use super::{Node, show};
use crate::admin::client::exchange;
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};
use crate::top::{self, Source};

#[derive(Args)]
pub(super) struct Top {
    /// Print it once, as text, as is done where stdout is no terminal
    #[arg(long)]
    once: bool,
    /// How often to look
    #[arg(long, default_value = "1s", value_parser = crate::config::parse_length)]
    every: Duration,
    #[command(flatten)]
    node: Node,
}

impl Top {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        if self.node.output.json {
            return say(&format!("{}\n", self.node.ask(Command::Watch, "")?));
        }
        if self.once || self.node.output.plain || !std::io::stdout().is_terminal() {
            let read = || show::read::<Snapshot>(&self.node.ask(Command::Watch, "")?);
            // Rates are of two snapshots, and one is taken a second.
            let before = read()?;
            std::thread::sleep(self.every.max(Duration::from_secs(1)));
            return say(&top::once(&before, &read()?));
        }
        let asked = Asked { socket: self.node.socket()?, timeout: self.node.timeout };
        top::live(self.every.max(Duration::from_millis(100)), asked)
    }
}

/// Over its admin socket. That a node does not lead is said on the screen, and not on stderr, which is the same terminal.
struct Asked {
    socket: PathBuf,
    timeout: Duration,
}

impl Asked {
    fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, Failure> {
        show::read(&exchange(&self.socket, command, "", self.timeout)?.reply.result()?)
    }
}

impl Source for Asked {
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.ask(Command::Watch)
    }

    fn actor(&self, participant: &str) -> Result<Actor, Failure> {
        self.ask(Command::Actor { id: participant.into() })
    }
}
