//! The arguments, and what they mean as [`Options`].

use std::path::PathBuf;
use std::time::Duration;

use crate::feeds;
use clap::{Args, Parser, Subcommand, ValueEnum};
use loadgen::mix::{Amounts, AnswerTime, Answers};
use loadgen::options::{Arrivals, Trust};
use loadgen::slo::Slo;
use loadgen::units::{Rate, duration};
use loadgen::{Bank, Options, Shape};

const EXIT_CODES: &str = "Exit codes: 0 pass · 1 a goal of the SLO was missed · 2 usage · 3 unreachable or timed out · 6 not trustworthy: the \
    generator was the bottleneck · 7 integrity violation: lost, doubled, or the banks' books disagree · 130 interrupted";

#[derive(Parser)]
#[command(name = "crosstie-loadgen", version, about = "Load for an instant-payment switch over real sockets, and a proof afterwards", after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Play every bank against a switch, then check the money
    #[command(after_help = EXIT_CODES)]
    Run(Box<Run>),
    /// Two runs side by side: settings that differ, figures and their change
    Compare(Compare),
    /// Print the completion script of a shell
    Completions { shell: clap_complete::Shell },
}

#[derive(Clone, Copy, ValueEnum)]
enum ShapeName {
    Constant,
    Ramp,
    Step,
    FindMax,
    Saturate,
}

#[derive(Clone, Copy, ValueEnum)]
enum ArrivalsName {
    Constant,
    Poisson,
}

#[derive(Args)]
pub(crate) struct Run {
    /// The switch; give it several times for several nodes
    #[arg(long, value_name = "HOST:PORT", required = true, env = "CROSSTIE_TARGET")]
    target: Vec<String>,
    /// Banks to play, each with one connection; they must exist at the switch
    #[arg(long, default_value_t = 36, value_name = "COUNT")]
    participants: usize,
    /// Names of the banks: this and a four-digit number from 0001 on
    #[arg(long, default_value = "BANK-", value_name = "TEXT")]
    prefix: String,

    /// constant: one rate; ramp: to --rate-to; step: --steps times --step-rate more; find-max: the highest rate that meets
    /// the SLO; saturate: closed loop, as fast as it goes with --in-flight-max
    #[arg(long, value_enum, default_value = "constant")]
    shape: ShapeName,
    /// Payments offered per second; of ramp, step and find-max the first
    #[arg(long, default_value = "10000/s")]
    rate: Rate,
    /// Where a ramp ends [default: twice the rate]
    #[arg(long)]
    rate_to: Option<Rate>,
    /// How much higher each step is [default: the rate]
    #[arg(long)]
    step_rate: Option<Rate>,
    /// Steps, or at most so many trials of find-max
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    steps: usize,
    /// Length of one step or trial
    #[arg(long, default_value = "10s", value_parser = duration)]
    step_time: Duration,
    /// Measured time; steps and trials have their own
    #[arg(long = "for", default_value = "60s", value_parser = duration, value_name = "TIME")]
    length: Duration,
    /// Load before the measured time, checked but not measured
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "TIME")]
    warm_up: Duration,
    /// Wait so long for outcomes after the last payment was due
    #[arg(long, default_value = "15s", value_parser = duration, value_name = "TIME")]
    drain: Duration,
    /// Evenly spaced, or as independent people pay
    #[arg(long, value_enum, default_value = "constant")]
    arrivals: ArrivalsName,
    /// In a closed loop, payments of one bank without outcome
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    in_flight_max: usize,

    /// Skew over debtors and creditors: bank k has a share of 1/k^ZIPF
    #[arg(long, default_value_t = 0.0)]
    zipf: f64,
    /// Minor units: 1250, uniform:1,100000 or lognormal:MEDIAN,SIGMA
    #[arg(long, default_value = "lognormal:5000,1.2")]
    amounts: Amounts,
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Shares of the creditor agents' answers: accept, acwp, never, or a reason to reject
    #[arg(long, default_value = "accept=1", value_name = "MIX")]
    answers: Answers,
    /// How long they think: 0, 40ms or lognormal:MEDIAN,SIGMA
    #[arg(long, default_value = "0", value_name = "TIME")]
    answer_time: AnswerTime,
    /// Connections dropped and made again
    #[arg(long, default_value = "0/min", value_name = "RATE")]
    reconnects: Rate,

    /// Keep the numbers of the banks' last notices here and go on after them, so that a run does not begin with the notices of
    /// all runs before; made when missing
    #[arg(long, value_name = "FILE")]
    pub(crate) feeds: Option<PathBuf>,
    /// What must hold to pass, such as 'p99<10ms,within10s>=99.95%,lost=0'
    #[arg(long, default_value = "lost=0", value_name = "GOALS")]
    slo: Slo,
    /// Repeats a run: the same payments, due at the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells this run's UETRs from others' [default: from the clock]
    #[arg(long, value_name = "NUMBER")]
    run: Option<u64>,
    /// End the run when a connection drops, instead of connecting again
    #[arg(long)]
    no_reconnect: bool,
    /// Wait so long for the first connections
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "TIME")]
    connect_timeout: Duration,
    /// Decode and check every frame in full
    #[arg(long)]
    verify: bool,
    /// Poll without sleeping when the next payment is due sooner than this
    #[arg(long, default_value = "1ms", value_parser = duration, value_name = "TIME")]
    spin: Duration,
    /// Schedule lag at p99 that can still be believed, if it is above a tenth of the latency's p99
    #[arg(long, default_value = "1ms", value_parser = duration, value_name = "TIME")]
    lag_max: Duration,
    /// The switch's process on this machine: its CPU time is set against the payments
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,

    /// Write a line for each payment sent, answered and final: when, what, UETR, and with whom or how
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write result.json, series.ndjson, latency.hlog, latency.hgrm and report.html here
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Print result.json instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Plain lines instead of the live view, as without a terminal
    #[arg(long)]
    pub(crate) no_tui: bool,
    /// Neither lines nor live view
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
pub(crate) struct Compare {
    /// Folder of a run, or its result.json: the one to compare with
    pub(crate) a: PathBuf,
    /// The other
    pub(crate) b: PathBuf,
    /// Write a page with both on one plot
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 1 when throughput, p50 or p99 of B is worse by more than so many percent
    #[arg(long, value_name = "PERCENT")]
    pub(crate) fail_on: Option<f64>,
}

impl Run {
    fn banks(&self) -> Result<Vec<Bank>, String> {
        let mut banks = Bank::series(&self.prefix, self.participants).map_err(|error| error.to_string())?;
        if let Some(file) = self.feeds.as_deref().filter(|file| file.exists()) {
            feeds::read(file, &mut banks)?;
        }
        Ok(banks)
    }

    pub(crate) fn options(&self) -> Result<Options, String> {
        let twice = Rate(self.rate.per_second() * 2.0);
        let shape = match self.shape {
            ShapeName::Constant => Shape::Constant,
            ShapeName::Ramp => Shape::Ramp { to: self.rate_to.unwrap_or(twice) },
            ShapeName::Step => {
                Shape::Step { by: self.step_rate.unwrap_or(self.rate), steps: self.steps, step_time: self.step_time }
            }
            ShapeName::FindMax => Shape::FindMax { step_time: self.step_time, trials: self.steps },
            ShapeName::Saturate => Shape::Saturate,
        };
        let arrivals = match self.arrivals {
            ArrivalsName::Constant => Arrivals::Constant,
            ArrivalsName::Poisson => Arrivals::Poisson,
        };
        let options = Options {
            targets: self.target.clone(),
            banks: self.banks()?,
            shape,
            rate: self.rate,
            length: self.length,
            warm_up: self.warm_up,
            drain: self.drain,
            arrivals,
            zipf: self.zipf,
            amounts: self.amounts,
            currency: self.currency.parse().map_err(|error: wire::Error| error.to_string())?,
            answers: self.answers.clone(),
            answer_time: self.answer_time,
            reconnects_per_minute: self.reconnects.per_second() * 60.0,
            in_flight_max: self.in_flight_max,
            slo: self.slo.clone(),
            seed: self.seed,
            run: self.run,
            reconnect: !self.no_reconnect,
            connect_timeout: self.connect_timeout,
            verify: self.verify,
            spin: self.spin,
            server_pid: self.server_pid,
            trust: Trust { lag_p99_max: self.lag_max, ..Trust::default() },
            journal: self.journal.clone(),
        };
        options.check().map_err(|error| error.to_string())?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
