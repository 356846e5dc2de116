//! The command line: one file per group of subcommands. Data goes to stdout, talk to stderr; a closed pipe is success.

/// A line on stderr. A reader that has seen enough is no failure there either.
macro_rules! talk {
    ($($text:tt)*) => {{
        use std::io::Write;
        _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod actor;
mod audit;
mod cluster;
mod configuration;
mod ending;
mod errors;
mod local;
mod log;
mod metrics;
mod operate;
mod operator;
mod output;
mod pki;
mod repair;
mod report;
mod show;
mod tap;
mod task;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Config, Sources, load};
use crate::exit::{Exit, Failure, TABLE};
use output::Output;

const MAIN_HELP: &str = "\
Examples:
  crosstie config example > crosstie.toml      every setting, explained
  crosstie serve --config crosstie.toml        run a node
  crosstie local up                            three nodes on this machine, to kill and to cut off
  crosstie status                              how it does
  crosstie participant register BANK-0001 --currency EUR --reason 'contract 17'
  crosstie participant fund BANK-0001 1000000.00 --currency EUR --reason 'opening balance'

";

/// Where a cluster on this machine keeps its files unless told otherwise.
pub(crate) const LOCAL_DIRECTORY: &str = "crosstie-local";

#[derive(Parser)]
#[command(name = "crosstie", version, about = "An instant-payment switch", max_term_width = 120,
    after_help = format!("{MAIN_HELP}{TABLE}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See it work: eight banks, load, a kill, and the proof, in a minute
    #[command(after_help = format!("{}{TABLE}", crate::demo::HELP))]
    Demo(crate::demo::Options),
    /// Run a node
    #[command(after_help = format!("{SERVE_HELP}{TABLE}"))]
    Serve(Serve),
    /// How the node does: payments, sessions, log
    #[command(after_help = examples("crosstie status\n  crosstie status --json --data /var/lib/crosstie"))]
    Status(Node),
    /// The same live on a terminal: what is wrong, rates, latency, participants, actors, nodes
    #[command(after_help = examples("crosstie top\n  crosstie top --once | less\n  crosstie top --json | jq .payments"))]
    Top(top::Top),
    /// The actors of the node, by kind, and one of them
    #[command(subcommand)]
    Actor(actor::Actors),
    /// What /metrics tells: every metric and its meaning
    #[command(subcommand)]
    Metrics(metrics::Metrics),
    /// Who may sign in to the console
    #[command(subcommand)]
    Operator(operator::Operators),
    /// The nodes of the cluster
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// This node: drain it, hand leadership over
    #[command(subcommand)]
    Node(cluster::One),
    /// A cluster on this machine for work by hand: kill, cut off, delay, pause
    #[command(subcommand)]
    Local(local::Local),
    /// Participants: list, show, register, money, limits, suspension
    #[command(subcommand)]
    Participant(operate::Participant),
    /// What became of a payment, and who must act
    #[command(after_help = examples("crosstie payment 7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f\n  crosstie payment 7b0e0d4c52f34a3e9c7e0a1b2c3d4e5f --debtor BANK-0001 --json"))]
    Payment(operate::Payment),
    /// Payments as they end, a line each: how, why, who decided it, how long it took
    #[command(after_help = examples("crosstie tap\n  crosstie tap --outcome rejected --reason AM04 --participant BANK-0001\n  crosstie tap --slower-than 2s --json | jq .uetr"))]
    Tap(tap::Tap),
    /// What operators changed: show it, export it, prove that it is whole
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Statements, totals, and a participant's own list compared with them
    #[command(subcommand)]
    Report(report::Report),
    /// What waits for a second person: list it, approve it, refuse it
    #[command(subcommand)]
    Task(task::Task),
    /// The business date: show it, roll it
    #[command(subcommand)]
    Day(operate::Day),
    /// Ask for a snapshot now, besides those that come by themselves
    #[command(after_help = examples("crosstie snapshot"))]
    Snapshot(task::Asked),
    /// End the node in good order; among others it hands leadership over and sends its participants to them
    #[command(after_help = examples("crosstie stop --reason 'a new disk'"))]
    Stop(task::Asked),
    /// The log of a node that is not running; the events in log lines
    #[command(subcommand)]
    Log(log::Log),
    /// Configuration: check a file, show what is in force, print the example
    #[command(subcommand)]
    Config(configuration::Configuration),
    /// Certificates by which the nodes of a cluster know each other
    #[command(subcommand)]
    Pki(pki::Pki),
    /// What a reason code means, who must act, what to do
    #[command(after_help = examples("crosstie errors\n  crosstie errors AM04"))]
    Errors(errors::Errors),
    /// Print the completion script of a shell
    #[command(after_help = examples("crosstie completions bash > /etc/bash_completion.d/crosstie"))]
    Completions { shell: clap_complete::Shell },
}

const SERVE_HELP: &str = "\
Prints one line of JSON on stdout when participants can connect: {\"event\":\"ready\",\"address\":…,\"admin\":…,\"pid\":…}.
Log lines go to stderr. SIGTERM or SIGINT stops in good order; a second one at once.

Examples:
  crosstie serve --config crosstie.toml
  crosstie serve --data /tmp/sandbox --listen 127.0.0.1:0 --set scheme.payment_timeout=2s
  crosstie serve --config crosstie.toml --check

";

/// The `after_help` of a subcommand.
fn examples(lines: &str) -> String {
    format!("Examples:\n  {lines}\n\n{TABLE}")
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug)]
struct Place {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "CROSSTIE_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the log: log.directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Any other setting; can be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Place {
    fn sources(&self) -> Sources {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut flags: Vec<_> = self.set.iter().map(|set| (set.clone(), format!("--set {set}"))).collect();
        if let Some(data) = &self.data {
            flags.push((format!("log.directory={}", data.display()), "--data".into()));
        }
        Sources { file: self.config.clone(), flags, environment }
    }
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    place: Place,
    /// Where participants connect: listen.address
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Only check the configuration
    #[arg(long)]
    check: bool,
    /// End at once when stdin is closed: for a parent that must not leave a node behind
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// How a running node is reached.
#[derive(Args, Clone, Debug)]
struct Node {
    #[command(flatten)]
    place: Place,
    /// The node's admin socket: admin.socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How long to wait for a word of the node
    #[arg(long, default_value = "10s", value_parser = crate::config::parse_length)]
    timeout: Duration,
    #[command(flatten)]
    output: Output,
}

impl Node {
    fn ask(&self, command: crate::admin::protocol::Command, reason: &str) -> Result<serde_json::Value, Failure> {
        crate::admin::client::ask(&self.socket()?, command, reason, self.timeout)
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        match &self.socket {
            Some(socket) => Ok(socket.clone()),
            None => Ok(load(&self.place.sources())?.config.socket()),
        }
    }

    /// What is answered again and again, until `take` has enough.
    fn follow(
        &self,
        command: crate::admin::protocol::Command,
        take: impl FnMut(serde_json::Value) -> Result<std::ops::ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        crate::admin::client::follow(&self.socket()?, command, self.timeout, take)
    }
}

/// Parses the arguments, does what they ask, says how it ended.
pub fn main() -> ExitCode {
    ending::parse().and_then(Cli::run).map_or_else(|failure| ending::tell(&failure), Into::into)
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        match self.command {
            Command::Demo(options) => crate::demo::run(&options),
            Command::Serve(serve) => run(serve),
            Command::Status(node) => show::status(&node),
            Command::Top(top) => top.run(),
            Command::Actor(actor) => actor.run(),
            Command::Metrics(metrics) => metrics.run(),
            Command::Operator(operators) => operators.run(),
            Command::Cluster(cluster) => cluster.run(),
            Command::Node(node) => node.run(),
            Command::Local(local) => local.run(),
            Command::Participant(participant) => participant.run(),
            Command::Payment(payment) => payment.run(),
            Command::Tap(tap) => tap.run(),
            Command::Audit(audit) => audit.run(),
            Command::Report(report) => report.run(),
            Command::Task(task) => task.run(),
            Command::Day(day) => day.run(),
            Command::Snapshot(asked) => operate::snapshot(&asked),
            Command::Stop(asked) => operate::stop(&asked),
            Command::Log(log) => log.run(),
            Command::Config(configuration) => configuration.run(),
            Command::Pki(pki) => pki.run(),
            Command::Errors(errors) => errors.run(),
            Command::Completions { shell } => completions(shell),
        }
    }
}

fn run(serve: Serve) -> Result<Exit, Failure> {
    let mut sources = serve.place.sources();
    if let Some(listen) = &serve.listen {
        sources.flags.push((format!("listen.address={listen}"), "--listen".into()));
    }
    let config: Config = load(&sources)?.config;
    if serve.check {
        talk!("the configuration is fine: {} would listen on {}", config.node.name, config.listen.address);
        return Ok(Exit::Done);
    }
    if serve.end_with_stdin {
        std::thread::spawn(|| {
            _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(Exit::Interrupted as i32);
        });
    }
    crate::serve::run(config)
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "crosstie", &mut script);
    output::say(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_an_example_and_the_exit_codes() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let mut leaves = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
            if leaves.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example") && help.contains("Exit codes"), "{path}");
            }
            leaves.for_each(|sub| walk(sub, &path));
        }
        walk(&Cli::command(), "");
    }
}
