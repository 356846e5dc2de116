//! `crosstie top`: on a screen, or once as text or JSON.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use watch::Snapshot;

use super::output::say;
use super::{Node, show};
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};
use crate::top;

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
        let read = || show::read::<Snapshot>(&self.node.ask(Command::Watch, "")?);
        if self.node.output.json {
            return say(&format!("{}\n", self.node.ask(Command::Watch, "")?));
        }
        if self.once || self.node.output.plain || !std::io::stdout().is_terminal() {
            // Rates are of two snapshots, and one is taken a second.
            let before = read()?;
            std::thread::sleep(self.every.max(Duration::from_secs(1)));
            return say(&top::once(before, read()?));
        }
        top::live(self.every.max(Duration::from_millis(100)), read)
    }
}
