//! `crosstie-loadgen`: the command line of the generator.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use loadgen::{Interval, Progress, report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINE_SECONDS: usize = 5;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(arguments) => run(&arguments),
        cli::Command::Completions { shell } => {
            clap_complete::generate(shell, &mut cli::Cli::command(), "crosstie-loadgen", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn run(arguments: &cli::Run) -> ExitCode {
    let options = match arguments.options() {
        Ok(options) => options,
        Err(error) => return fail(&error, 2),
    };
    let progress = Progress::default();
    let mut since_line: Vec<Interval> = Vec::new();
    let quiet = arguments.quiet;
    let outcome = loadgen::run(&options, &progress, |interval| {
        since_line.push(interval.clone());
        if since_line.len() == LINE_SECONDS && !quiet {
            eprintln!("{}", report::interval_line(&since_line));
            since_line.clear();
        }
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return fail(&error, error.exit_code()),
    };
    if let Some(folder) = &arguments.out {
        if let Err(error) = report::write_folder(&outcome, folder) {
            return fail(&format!("{}: {error}", folder.display()), 2);
        }
        eprintln!("written to {}", folder.display());
    }
    let shown = if arguments.json {
        serde_json::to_string_pretty(&outcome).unwrap_or_default() + "\n"
    } else {
        report::text(&outcome)
    };
    // A reader that has seen enough closes the pipe; that is no failure.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    ExitCode::from(outcome.verdict.exit_code())
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}
