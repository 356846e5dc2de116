//! What is said before and after: the cast, the figures, the proof, the next commands.

use std::time::Duration;

use super::Options;
use super::characters::{CAST, CREDITOR_SHARE, PAYMENT_TIMEOUT};
use super::figures::{amount, count, milliseconds};
use super::load::Rate;
use super::measured::Window;
use super::news::Tone;
use super::plain::{COLUMNS, MARKS, news, say, wrap};
use super::proof::Proof;
use super::scene;
use super::seen::Seen;
use super::stage::Stage;
use crate::local::Place;

/// Before it begins.
pub(super) fn introduce(options: &Options, seed: u64) {
    let say = |text: String| wrap(&text, "  ", COLUMNS).iter().for_each(|line| say(line));
    let (length, goal_ms) = (options.length.as_secs(), scene::goal().as_millis());
    say(format!("crosstie demo · seed {seed} · {length} s · eight banks, three nodes in three regions"));
    let regions: Vec<String> = scene::plan()
        .pairs()
        .iter()
        .zip(scene::ROUND_TRIPS_MS)
        .map(|((one, other), ms)| format!("{one} – {other} {ms} ms"))
        .collect();
    say(format!(
        "simulated regions, same host: each node is a process with its data on disk, proxies between them make round trips \
         of {}; between a bank and its node there is no distance",
        regions.join(", ")
    ));
    let rate = match options.rate {
        Rate::Auto => format!("the rate grows while p99 ≤ {goal_ms} ms"),
        Rate::PerSecond(rate) => format!("{} payments/s", count(u64::from(rate))),
    };
    let (clock, share) = (PAYMENT_TIMEOUT.as_secs(), CREDITOR_SHARE.as_secs());
    say(format!("clock shortened: a payment has {clock} s, the creditor agent {share} s of it · {rate}"));
    for (place, part) in CAST.iter().enumerate() {
        say(format!("  {}  {} · first at node {}", part.name, part.habit, scene::home(place)));
    }
    say("latency counts from when a payment was due to when the payer's bank is told; p50 and p99 are of payments to \
         banks that answer at once"
        .into());
    say(MARKS.into());
}

/// When all is over: what was measured, the proof, what to do next.
pub(super) fn conclude(stage: &Stage, proof: &Proof, disk_bytes: u64, place: &Place, kept: bool) {
    let seen = Seen::now(stage);
    say("");
    for item in stage.news.lock().last(usize::MAX).iter().rev().filter(|item| item.tone != Tone::Plain) {
        news(item.at, &item.text);
    }
    let best = best_second(&seen);
    say(&format!(
        "measured, same host: {} payments, at best {}/s over 2 s, {} MiB on disk in all",
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
    say(&format!("  {:<34} {:>9} {:>9} {:>9} {:>9}", "latency, ms", "p50", "p99", "p99.9", "max"));
    for (which, latency) in [
        ("prompt banks, between the acts", seen.undisturbed),
        ("prompt banks, the whole run", seen.prompt),
        ("any bank, with the slow and silent", seen.everything),
    ] {
        let [p50, p99, p999, max] = [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(milliseconds);
        say(&format!("  {which:<34} {p50:>9} {p99:>9} {p999:>9} {max:>9}"));
    }
    say(&format!("  distances alone cost a payment up to {} ms", scene::plan().longest_payment().as_millis()));
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
    let (directory, data) = (place.directory().display(), place.data(1).display().to_string());
    let (seed, uetr) = (stage.draw.seed, stage.draw.payment(0, 0).uetr);
    let commands = match kept {
        true => [
            ("fold a log once more, by itself", format!("{own} log verify --data {data}")),
            ("the same cluster again, for other shells", format!("{own} local up --dir {directory}")),
            ("who has what, asked while it runs", format!("{own} participant list --data {data}")),
            ("what became of the first payment of BANK-A", format!("{own} payment {uetr} --data {data}")),
        ],
        false => [
            ("the same payments again; the data stays", format!("{own} demo --seed {seed} --keep")),
            ("what a reason code means and who must act", format!("{own} errors AB05")),
            ("every setting of a node of your own, explained", format!("{own} config example")),
            ("a cluster of your own, to kill and to cut off", format!("{own} local up")),
        ],
    };
    say("");
    say("next:");
    for (what, command) in commands {
        say(&format!("  {command}    # {what}"));
    }
    say("README.md goes on from here: nodes for real, load of your own, how it is tested.");
}

/// Payments per second in the best two seconds.
fn best_second(seen: &Seen) -> u64 {
    let over = |windows: &[Window]| {
        let length: Duration = windows.iter().map(|window| window.length).sum();
        windows.iter().map(|window| window.ended).sum::<u64>() as f64 / length.as_secs_f64().max(1e-3)
    };
    seen.windows.windows(4).map(over).fold(0.0, f64::max) as u64
}
