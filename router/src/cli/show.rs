//! Answers of a node as tables.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Node;
use super::output::{Table, say};
use crate::admin::protocol::{Command, Day, Participant, Position, Status};
use crate::exit::{Exit, Failure};
use crate::story::page::page;
use crate::story::{Found, Story};

pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    serde_json::from_value(value.clone()).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("the node's answer cannot be read: {error}"))
            .next("are node and command of one version? crosstie --version; crosstie status --json")
    })
}

pub(super) fn status(node: &Node) -> Result<Exit, Failure> {
    let value = node.ask(Command::Status, "")?;
    node.output.show(&value, || {
        let status: Status = read(&value)?;
        let mut table = Table::default();
        let mut line = |name: &str, text: String| table.row([name.to_string(), text]);
        line("verdict", status.verdict.sentence);
        for warning in &watch::gathered(&status.warnings) {
            let what = format!("{} {}", warning.sentence, warning.advice);
            line(if warning.severity == watch::Severity::Critical { "act now" } else { "warning" }, what);
        }
        let state = match (status.closed, status.refusing) {
            (Some(closed), _) => format!("serving no participants: {}", closed.replace('_', " ")),
            (None, Some(reason)) => format!("refusing with {reason}"),
            (None, None) if status.leadership.leader.is_none() => "waiting for a leader: no payment is decided".into(),
            (None, None) => "taking payments".into(),
        };
        line(
            "node",
            format!("{} {} (process {}, up {} s)", status.node, status.version, status.pid, status.up_seconds),
        );
        line("state", state);
        let leader = match (status.leadership.role.as_str(), status.leadership.leader) {
            ("leader", _) => "this node".into(),
            (_, Some(leader)) => format!("node {leader}"),
            (_, None) => "nobody, as far as this node knows".into(),
        };
        line("leader", format!("{leader}, term {}", status.leadership.term));
        line("address", status.address);
        line("business date", status.business_date);
        line("participants", format!("{} registered, {} connected", status.participants, status.sessions));
        let payments = status.payments;
        let mebibytes = payments.remembered_bytes >> 20;
        let settled = &status.settled;
        let [p50, p99, p999] =
            [settled.p50_us, settled.p99_us, settled.p999_us].map(|us| watch::text::percentile(us, settled.recent));
        let rate = watch::text::rate(status.settled_per_second);
        line("payments settling", format!("{rate} per second, p50 {p50}, p99 {p99}, p99.9 {p999}"));
        let budget = &status.budget;
        line("final in 10 s", format!("{} in the last {}; {}", budget.share(), budget.window(), budget.sentence()));
        line("payments in process", payments.in_process.to_string());
        line("payments remembered", format!("{} ({mebibytes} MiB)", payments.remembered));
        let archive = status.archive;
        let lost = match archive.log_entries_lost {
            0 => String::new(),
            lost => format!(", {lost} log entries lost"),
        };
        line("payments archived", format!("{} ({} MiB){lost}", archive.payments, archive.run_bytes >> 20));
        let journal = status.journal;
        line(
            "log committed",
            format!(
                "entry {}, {} written since start",
                journal.committed_index,
                watch::text::bytes(journal.written_bytes)
            ),
        );
        line(
            "log syncs",
            format!("{}, mean {} us, longest {} us", journal.syncs, journal.sync_mean_us, journal.sync_max_us),
        );
        let failed =
            if journal.snapshots_failed > 0 { format!(", {} failed", journal.snapshots_failed) } else { String::new() };
        line("newest snapshot", format!("entry {}{failed}", journal.snapshot_index));
        let traffic = status.traffic;
        line(
            "since start",
            format!(
                "{} instructions, {} letters, {} actor restarts",
                traffic.instructions, traffic.letters, traffic.restarts
            ),
        );
        let now_ms = wire::Timestamp::now().milliseconds();
        status.checks.told(now_ms).into_iter().for_each(|(name, how)| line(name, how));
        let recovery = status.recovery;
        line(
            "recovered",
            format!(
                "{} entries after entry {} in {} ms",
                recovery.entries_replayed, recovery.snapshot_index, recovery.took_ms
            ),
        );
        Ok(table)
    })
}

const HEADING: [&str; 9] =
    ["PARTICIPANT", "STATE", "CURRENCY", "BALANCE", "RESERVED", "AVAILABLE", "CAP", "MAXIMUM", "IN PROCESS"];

pub(super) fn participants(node: &Node, value: &Value) -> Result<Exit, Failure> {
    node.output.show(value, || {
        let participants: Vec<Participant> = match value {
            Value::Array(_) => read(value)?,
            _ => vec![read(value)?],
        };
        let mut table = Table::new(&HEADING);
        for participant in &participants {
            let in_process = format!("{}", participant.outgoing as usize + participant.incoming);
            for (place, position) in participant.positions.iter().enumerate() {
                let mut cells = vec![participant.id.clone(), state(participant)];
                cells.extend(position_cells(position));
                cells.push(if place == 0 { in_process.clone() } else { String::new() });
                table.row(cells);
            }
        }
        Ok(table)
    })
}

/// One, with its connection.
pub(super) fn participant(node: &Node, value: &Value) -> Result<Exit, Failure> {
    participants(node, value)?;
    if node.output.json || node.output.plain {
        return Ok(Exit::Done);
    }
    say("\n")?;
    node.output.show(value, || {
        let mut table = Table::default();
        match read::<Participant>(value)?.session {
            Some(own) => {
                let now_ms = wire::Timestamp::now().milliseconds();
                watch::facts::session(&own, now_ms)
                    .into_iter()
                    .for_each(|(name, text)| table.row([name.to_string(), text]));
            }
            None => table.row(["session", "none with this node"]),
        }
        Ok(table)
    })
}

/// Currency, balance, reserved, available, net debit cap, maximum of one payment.
pub(super) fn position_cells(position: &Position) -> [String; 6] {
    let limit = |limit: &Option<String>| limit.clone().unwrap_or_else(|| "-".into());
    let Position { currency, balance, reserved, available, .. } = position;
    let amounts = [currency, balance, reserved, available].map(Clone::clone);
    let [currency, balance, reserved, available] = amounts;
    [currency, balance, reserved, available, limit(&position.net_debit_cap), limit(&position.payment_max)]
}

fn state(participant: &Participant) -> String {
    let suspended = match (participant.suspended_sending, participant.suspended_receiving) {
        (true, true) => Some("suspended"),
        (true, false) => Some("suspended from sending"),
        (false, true) => Some("suspended from receiving"),
        (false, false) => None,
    };
    let standing = if participant.signed_on { "signed on" } else { "signed off" };
    let connection = if participant.connected { ", connected" } else { "" };
    format!("{}{connection}", suspended.unwrap_or(standing))
}

pub(super) fn stories(node: &Node, value: &Value) -> Result<Exit, Failure> {
    if node.output.json {
        return node.output.show(value, || Ok(Table::default()));
    }
    let stories: Vec<Story> = read(value)?;
    let pages: Vec<String> = stories.iter().map(page).collect();
    say(&pages.join("\n"))
}

const FOUND: [&str; 8] = ["ENDED AT", "PAYMENT", "STATE", "FROM", "TO", "AMOUNT", "CURRENCY", "REASONS"];

pub(super) fn found(node: &Node, value: &Value) -> Result<Exit, Failure> {
    let found: Found = read(value)?;
    node.output.show(value, || {
        let mut table = Table::new(&FOUND);
        for payment in found.payments {
            let ended_at = payment.ended_at.unwrap_or_else(|| "-".into());
            let reasons = if payment.reasons.is_empty() { "-".into() } else { payment.reasons.join(" ") };
            let (state, uetr) = (payment.state.replace('_', " "), payment.uetr);
            let (from, to) = (payment.debtor_agent, payment.creditor_agent);
            table.row([ended_at, uetr, state, from, to, payment.amount, payment.currency, reasons]);
        }
        Ok(table)
    })?;
    if let Some(more) = found.more {
        talk!("{more}");
    }
    Ok(Exit::Done)
}

pub(super) fn day(node: &Node, value: &Value) -> Result<Exit, Failure> {
    node.output.show(value, || {
        let day: Day = read(value)?;
        let mut table = Table::default();
        let rolls = if day.rolls == "manual" { "by crosstie day roll".into() } else { format!("at {} UTC", day.rolls) };
        table.row(["business date".to_string(), day.business_date]);
        table.row(["rolls".to_string(), rolls]);
        Ok(table)
    })
}
