//! The demo without a terminal: plain lines of at most 80 columns, for logs of build machines and small screens.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::figures::{count, milliseconds};
use super::nodes::{NodeSeen, Presence};
use super::seen::Seen;
use super::stage::Stage;

const EVERY: Duration = Duration::from_secs(2);
/// News are told as soon as this.
const LOOK_EVERY: Duration = Duration::from_millis(200);
pub(super) const COLUMNS: usize = 80;
const INDENT: &str = "          ";

/// Prints until the task is ended.
pub(super) async fn print(stage: Arc<Stage>) {
    let mut next = EVERY;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        print_rest(&stage);
        if stage.elapsed() >= next {
            next += EVERY;
            say(&line(&Seen::now(&stage)));
        }
    }
}

/// News that were not printed yet.
pub(super) fn print_rest(stage: &Stage) {
    let mut printed = stage.printed.lock();
    let (items, told) = stage.news.lock().since(*printed);
    *printed = told;
    for item in items {
        news(item.at, &item.text);
    }
}

/// One piece of news, on as many lines as it needs.
pub(super) fn news(at: Duration, text: &str) {
    wrap(&format!("{}  * {text}", clock(at)), INDENT, COLUMNS).iter().for_each(|line| say(line));
}

/// To stdout; nobody who has stopped reading stops the demo.
pub(super) fn say(line: &str) {
    _ = writeln!(std::io::stdout(), "{line}");
}

/// Lines of whole words; all but the first are indented.
pub(super) fn wrap(text: &str, indent: &str, columns_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for word in text.split_inclusive(' ') {
        let width = word.trim_end().chars().count();
        if columns + width > columns_max && columns > indent.len() {
            lines.push(indent.into());
            columns = indent.len();
        }
        columns += word.chars().count();
        if let Some(last) = lines.last_mut() {
            last.push_str(word);
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_string()).collect()
}

fn clock(at: Duration) -> String {
    format!("{:5.1}s", at.as_secs_f64())
}

/// One line of figures.
pub(super) fn line(seen: &Seen) -> String {
    let nodes: Vec<String> = seen.nodes.iter().map(|node| format!("{}{}", node.node, mark(node))).collect();
    format!(
        "{} {:>6}/s of {:>6} · p50 {:>5} p99 {:>5} ms · open {:>6} · {}/8 · {}",
        clock(seen.at),
        count(seen.per_second as u64),
        count(seen.wanted as u64),
        milliseconds(seen.last.p50_us),
        milliseconds(seen.last.p99_us),
        count(seen.in_process as u64),
        seen.signed_on,
        nodes.join(" "),
    )
}

/// What the marks in the line mean.
pub(super) const MARKS: &str = "a line: outcomes/s of those wanted · latency · payments in process · banks signed on · nodes: L leads, f follows, X killed, / cut off, - drained, … starting, ? silent";

fn mark(node: &NodeSeen) -> &'static str {
    match (node.presence, &node.said) {
        (Presence::Killed, _) => "X",
        (Presence::CutOff, _) => "/",
        (Presence::Drained, _) => "-",
        (Presence::Starting, _) => "…",
        (_, Some(said)) if said.leads => "L",
        (_, Some(_)) => "f",
        (_, None) => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_news_are_wrapped_at_words() {
        let lines = wrap(&format!("  1.0s  * {}", "wörter ".repeat(25)), INDENT, COLUMNS);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS && !line.ends_with(' ')), "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with(INDENT) && line.contains("wörter")), "{lines:#?}");
        assert_eq!(wrap("short", INDENT, COLUMNS), ["short"]);
    }
}
