//! `crosstie-loadgen`: the command line of the generator.

mod cli;
mod feeds;
mod tui;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use loadgen::{Interval, Options, Outcome, Progress, report};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINE_SECONDS: usize = 5;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(arguments) => run(&arguments),
        cli::Command::Compare(arguments) => compare(&arguments),
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
    if let Err(error) = stop_on_interrupt(&progress) {
        return fail(&error, 2);
    }
    let live = std::io::stdout().is_terminal() && !(arguments.no_tui || arguments.json || arguments.quiet);
    let outcome =
        if live { run_with_view(&options, &progress) } else { run_with_lines(&options, &progress, arguments.quiet) };
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
    if let Some(file) = &arguments.feeds
        && let Err(error) = feeds::write(file, &outcome.feeds)
    {
        return fail(&format!("{}: {error}", file.display()), 2);
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

fn run_with_lines(options: &Options, progress: &Progress, quiet: bool) -> loadgen::Result<Outcome> {
    let mut since_line: Vec<Interval> = Vec::new();
    loadgen::run(options, progress, |interval| {
        since_line.push(interval.clone());
        if since_line.len() == LINE_SECONDS && !quiet {
            eprintln!("{}", report::interval_line(&since_line));
            since_line.clear();
        }
    })
}

/// The run has its own thread; this one draws.
fn run_with_view(options: &Options, progress: &Progress) -> loadgen::Result<Outcome> {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| loadgen::run(options, progress, |_| {}));
        if let Err(error) = tui::show(options, progress, || running.is_finished()) {
            eprintln!("no live view: {error}");
        }
        running.join().unwrap_or_else(|_| Err(loadgen::Error::Io(std::io::Error::other("the generator panicked"))))
    })
}

/// The first interrupt stops and reports, the second gives up waiting for outcomes.
fn stop_on_interrupt(progress: &Progress) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let progress = progress.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if progress.was_stopped() {
                progress.abort();
            }
            progress.stop();
        }
    });
    Ok(())
}

fn compare(arguments: &cli::Compare) -> ExitCode {
    let read = |path| report::read_result(path);
    let comparison = match (read(&arguments.a), read(&arguments.b)) {
        (Ok(a), Ok(b)) => report::Comparison { a, b },
        (Err(error), _) | (_, Err(error)) => return fail(&error, 2),
    };
    let _ = std::io::stdout().write_all(comparison.text().as_bytes());
    if let Some(file) = &arguments.html
        && let Err(error) = std::fs::write(file, comparison.html())
    {
        return fail(&format!("{}: {error}", file.display()), 2);
    }
    match arguments.fail_on.and_then(|percent| comparison.regression(percent / 100.0)) {
        Some(line) => fail(&format!("{} is worse by {:.1} %", line.name, line.worse_by() * 100.0), 1),
        None => ExitCode::SUCCESS,
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}
