//! The program behind `tests/crash`: see `tests::crash`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tests::crash::{Options, Outcome, run};

const INTEGRITY: u8 = 7;

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    match go(&options, seed) {
        Ok(outcome) => {
            outcome.violations.iter().for_each(|what| println!("WRONG {what}"));
            println!("{}", outcome.last_line());
            if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::from(INTEGRITY) }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(options: &Options, seed: u64) -> Result<Outcome, String> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => beside_this_program("node")?,
    };
    let temporary = tempfile::Builder::new().prefix("crosstie-crash-").tempdir().map_err(|error| error.to_string())?;
    let directory = options.directory.clone().unwrap_or_else(|| temporary.path().into());
    let ended = run(options, &program, &directory, seed, &mut |line| println!("{line}"));
    if !ended.as_ref().is_ok_and(Outcome::is_good) {
        let kept = temporary.keep();
        let kept = options.directory.as_ref().unwrap_or(&kept);
        let Options { cycles, nodes, witness, rate, participants, pause_max_ms, .. } = options;
        let witness = if *witness { " --witness" } else { "" };
        println!("everything is kept in {}", kept.display());
        println!(
            "again: tests/crash --nodes {nodes}{witness} --cycles {cycles} --seed {seed} --rate {rate} --participants {participants} --pause-max-ms {pause_max_ms}"
        );
    }
    ended
}

fn beside_this_program(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = own.with_file_name(name);
    if program.exists() { Ok(program) } else { Err(format!("{} is missing: cargo build -p tests", program.display())) }
}
