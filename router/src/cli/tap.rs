//! `crosstie tap`: a line for each payment that ends, until it is interrupted or nobody reads any more.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use watch::tap::{Ended, Filter, Tapped};
use watch::text::NONE;

use super::Node;
use super::show::read;
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};

/// How often it is said what is not shown.
const SAY_EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Tap {
    /// settled, rejected, timed_out or returned
    #[arg(long, default_value = "")]
    outcome: String,
    /// A reason code such as AM04: crosstie errors lists them
    #[arg(long, value_name = "CODE", default_value = "")]
    reason: String,
    /// Sent by it or offered to it
    #[arg(long, default_value = "")]
    participant: String,
    /// Took so long or longer, for example 2s
    #[arg(long, value_name = "LENGTH", default_value = "")]
    slower_than: String,
    #[command(flatten)]
    node: Node,
}

impl Tap {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Tap { outcome, reason, participant, slower_than, node } = self;
        let filter = Filter { outcome, reason, participant, slower_than };
        let (mut besides, mut shown, mut said_at) = (Tapped::default(), 0, None::<Instant>);
        let take = |value: Value| {
            let told: Tapped = read(&value)?;
            if said_at.is_none() {
                talk!("payments that end from now on; Ctrl-C ends it");
            }
            let said = said_at.get_or_insert_with(Instant::now);
            besides.count(&told);
            shown += told.lines.len() as u64;
            if said.elapsed() >= SAY_EVERY {
                if let Some(what) = std::mem::take(&mut besides).besides(shown) {
                    talk!("{what}");
                }
                (shown, *said) = (0, Instant::now());
            }
            print(&told.lines, |own| match node.output {
                output if output.json => serde_json::to_string(own).unwrap_or_default(),
                output if output.plain => columns(own).join("\t"),
                _ => line(own),
            })
        };
        node.follow(Command::Tap(filter), take)?;
        Ok(Exit::Done)
    }
}

/// A reader that has seen enough ends it.
fn print(lines: &[Ended], text: impl Fn(&Ended) -> String) -> Result<ControlFlow<()>, Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = lines.iter().try_for_each(|own| writeln!(stdout, "{}", text(own))).and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::new(Exit::No, format!("cannot write to stdout: {error}"))),
    }
}

fn columns(own: &Ended) -> [String; 8] {
    let creditor_agent = own.creditor_agent.clone().unwrap_or_else(|| NONE.into());
    let texts = [&own.at, &own.uetr, &own.debtor_agent, &creditor_agent, &own.amount, &own.currency];
    let [at, uetr, debtor_agent, creditor_agent, amount, currency] = texts.map(Clone::clone);
    [at, uetr, debtor_agent, creditor_agent, amount, currency, own.sentence(), own.took()]
}

fn line(own: &Ended) -> String {
    let (at, creditor) = (own.time_of_day(), own.creditor_agent.as_deref().unwrap_or(NONE));
    let Ended { uetr, debtor_agent, amount, currency, .. } = own;
    let (sentence, took) = (own.sentence(), own.took());
    format!("{at}  {uetr}  {debtor_agent:<11} → {creditor:<11}  {amount:>14} {currency}  {took:>8}  {sentence}")
}
