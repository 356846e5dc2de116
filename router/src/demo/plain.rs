//! The demo without a terminal: plain lines, for logs of build machines.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::figures::{count, milliseconds};
use super::seen::Seen;
use super::stage::Stage;

const EVERY: Duration = Duration::from_secs(2);
/// News are told as soon as this.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints until the task is ended.
pub(super) async fn print(stage: Arc<Stage>) {
    let mut printed = Printed::default();
    let mut next = EVERY;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        printed.news(&stage);
        if stage.elapsed() >= next {
            next += EVERY;
            say(&line(&Seen::now(&stage)));
        }
    }
}

/// How much of the news was printed.
#[derive(Default)]
pub(super) struct Printed(u64);

impl Printed {
    pub(super) fn news(&mut self, stage: &Stage) {
        let (items, told) = stage.news.lock().since(self.0);
        self.0 = told;
        for item in items {
            say(&format!("{}  * {}", clock(item.at), item.text));
        }
    }
}

/// To stdout; nobody who has stopped reading stops the demo.
pub(super) fn say(line: &str) {
    _ = writeln!(std::io::stdout(), "{line}");
}

fn clock(at: Duration) -> String {
    format!("{:5.1}s", at.as_secs_f64())
}

/// One line of figures.
pub(super) fn line(seen: &Seen) -> String {
    let outcomes = &seen.outcomes;
    let rejected: u64 = outcomes.rejected.values().chain(outcomes.refused.values()).sum();
    format!(
        "{}  {:>7}/s (wanted {:>6})  p50 {:>6} p99 {:>6} ms  settled {:>9}  rejected {:>7}  in process {:>6}  signed on {}/8",
        clock(seen.at),
        count(seen.per_second as u64),
        count(seen.wanted as u64),
        milliseconds(seen.last.p50_us),
        milliseconds(seen.last.p99_us),
        count(outcomes.settled_in_all()),
        count(rejected),
        count(seen.in_process as u64),
        seen.signed_on,
    )
}
