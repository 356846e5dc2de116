//! What is said before and after: the cast, the figures, the proof, the next commands.

use std::time::Duration;

use super::Options;
use super::characters::{CAST, CREDITOR_SHARE, PAYMENT_TIMEOUT};
use super::figures::{amount, count, milliseconds};
use super::load::{GOAL, Rate};
use super::measured::Window;
use super::news::Tone;
use super::plain::say;
use super::proof::Proof;
use super::seen::Seen;
use super::stage::Stage;
use super::switch::Place;

/// Before it begins.
pub(super) fn introduce(options: &Options, seed: u64) {
    say(&format!(
        "crosstie demo · seed {seed} · {} s · eight banks, one switch in a process of its own, its data on disk",
        options.length.as_secs()
    ));
    let rate = match options.rate {
        Rate::Auto => format!("the rate grows while p99 ≤ {} ms", GOAL.as_millis()),
        Rate::PerSecond(rate) => format!("{} payments/s", count(u64::from(rate))),
    };
    say(&format!(
        "scheme clock shortened for the demo: a payment has {} s, of that the creditor agent {} s · {rate}",
        PAYMENT_TIMEOUT.as_secs(),
        CREDITOR_SHARE.as_secs()
    ));
    for part in &CAST {
        say(&format!("  {}  {}", part.name, part.habit));
    }
    say(
        "latency counts from when a payment was due to when the payer's bank is told; p50 and p99 are of payments to banks that answer at once",
    );
}

/// When all is over: what was measured, the proof, what to do next.
pub(super) fn conclude(stage: &Stage, proof: &Proof, disk_bytes: u64, place: &Place, kept: bool) {
    let seen = Seen::now(stage);
    say("");
    for item in stage.news.lock().last(usize::MAX).iter().rev().filter(|item| item.tone != Tone::Plain) {
        say(&format!("{:5.1}s  * {}", item.at.as_secs_f64(), item.text));
    }
    let best = best_second(&seen);
    say(&format!(
        "measured: {} payments, at best {}/s over 2 s, {} MiB on disk",
        count(proof.payments),
        count(best),
        count(disk_bytes >> 20)
    ));
    latencies(&seen);
    outcomes(&seen);
    say("");
    say("proof:");
    for line in proof.table(seen.seed).lines() {
        say(line);
    }
    next_commands(stage, place, kept);
}

fn latencies(seen: &Seen) {
    say(&format!("  {:<52} {:>9} {:>9} {:>9} {:>9}", "latency, ms", "p50", "p99", "p99.9", "max"));
    for (which, latency) in [
        ("banks that answer at once, what a kill delayed left out", seen.undisturbed),
        ("banks that answer at once, the whole run", seen.prompt),
        ("any bank, with the slow and the silent", seen.everything),
    ] {
        let [p50, p99, p999, max] = [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(milliseconds);
        say(&format!("  {which:<55} {p50:>6} {p99:>9} {p999:>9} {max:>9}"));
    }
}

fn outcomes(seen: &Seen) {
    say("outcomes:");
    let ended = seen.outcomes.ended().max(1) as f64;
    for (code, meaning, many) in seen.kinds() {
        say(&format!("  {code:<8} {:>11}  {:>5.1}%  {meaning}", count(many), many as f64 / ended * 100.0));
    }
    say(&format!("  {}", seen.harmless()));
    say("positions (own book):");
    for bank in &seen.banks {
        let [euro, dollar] = bank.balance_minor.map(|minor| amount(i128::from(minor)));
        say(&format!("  {}  EUR {euro:>18}  USD {dollar:>18}", bank.name));
    }
}

/// Four commands to go on with, as they can be typed here.
fn next_commands(stage: &Stage, place: &Place, kept: bool) {
    let own = std::env::args().next().unwrap_or_else(|| "crosstie".into());
    let (config, data) = (place.config().display().to_string(), place.data().display().to_string());
    let (seed, uetr) = (stage.draw.seed, stage.draw.payment(0, 0).uetr);
    let commands = match kept {
        true => [
            ("fold the log once more, by itself", format!("{own} log verify --data {data}")),
            ("the same switch again, for another shell to ask", format!("{own} serve --config {config}")),
            ("who has what", format!("{own} participant list --config {config}")),
            ("what became of the first payment of BANK-A", format!("{own} payment {uetr} --config {config}")),
        ],
        false => [
            ("the same payments again; the data stays", format!("{own} demo --seed {seed} --keep")),
            ("what a reason code means and who must act", format!("{own} errors AB05")),
            ("every setting of a node of your own, explained", format!("{own} config example")),
            ("run a node of your own", format!("{own} serve --help")),
        ],
    };
    say("");
    say("next:");
    for (what, command) in commands {
        say(&format!("  {command}    # {what}"));
    }
    say("README.md goes on from here: a node for real, load of your own, how it is tested.");
}

/// Payments per second in the best two seconds.
fn best_second(seen: &Seen) -> u64 {
    let over = |windows: &[Window]| {
        let length: Duration = windows.iter().map(|window| window.length).sum();
        windows.iter().map(|window| window.ended).sum::<u64>() as f64 / length.as_secs_f64().max(1e-3)
    };
    seen.windows.windows(4).map(over).fold(0.0, f64::max) as u64
}
