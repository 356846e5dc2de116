//! What a crash run is told.

use std::path::PathBuf;

/// SIGKILLs a real switch under load, again and again, and then holds it to everything that it told anybody.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "crash",
    max_term_width = 120,
    after_help = "\
The last line says: cycles N acknowledged N lost N doubled N
Exit codes: 0 nothing lost, nothing doubled, everything agrees · 1 it could not run · 2 usage · 7 integrity"
)]
pub struct Options {
    /// How often the switch is killed; with several nodes, how many faults
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub cycles: u32,
    /// One node alone, or a cluster of 3 or 5 with proxies between them
    #[arg(long, default_value_t = 1, value_parser = count_of_nodes)]
    pub nodes: u16,
    /// Five nodes: two in each of two regions, and a witness in a third
    #[arg(long)]
    pub witness: bool,
    /// Of all draws; the timing of the machine is not repeated
    #[arg(long)]
    pub seed: Option<u64>,
    /// Payments per second that all participants together submit
    #[arg(long, default_value_t = 1500.0)]
    pub rate: f64,
    /// Participants, each debtor and creditor agent
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=999))]
    pub participants: u16,
    /// Longest time under load between two faults, milliseconds
    #[arg(long, default_value_t = 2500, value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub pause_max_ms: u64,
    /// The program to kill; otherwise the one built with the tests
    #[arg(long)]
    pub program: Option<PathBuf>,
    /// Where everything is kept, for good; otherwise a temporary directory, kept only when the run fails
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

fn count_of_nodes(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|nodes| [1, 3, 5].contains(nodes))
        .ok_or("a cluster here has 3 or 5 nodes; 1 is a node alone".into())
}
