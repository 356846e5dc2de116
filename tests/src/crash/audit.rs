//! The reckoning: what the banks' journals hold against what the switch tells, and both against the log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use wire::message::{Heartbeat, StatusNotice};
use wire::{Currency, Message, Money, Status, Timestamp};

use super::bank::Bank;
use super::crowd::Crowd;
use super::journal::{self, Feeds, split};
use super::record::Record;
use super::replay::Replay;
use crate::peer::{Frame, Peer, sign_on};

/// Longest silence while a feed is read again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every bank's feeds, read again from notice 1 over a fresh connection, are what its journal holds, byte by byte.
pub(super) async fn feeds(address: SocketAddr, crowd: &Crowd) -> Result<(), String> {
    let Crowd { banks, journals, record, .. } = crowd;
    for bank in banks {
        let kept = journal::read(journals, bank.id).map_err(|error| format!("journal of {}: {error}", bank.id))?;
        let told = read_again(address, bank, &kept).await.map_err(|error| format!("feeds of {}: {error}", bank.id))?;
        compare(bank, "told again", &kept, &told, record);
    }
    Ok(())
}

/// Reads both feeds until everything in `kept` came, and what is there beyond it.
async fn read_again(address: SocketAddr, bank: &Bank, kept: &Feeds) -> Result<Feeds, String> {
    let wrong = |error: std::io::Error| error.to_string();
    let (mut peer, answer) = Peer::sign_on(address, &sign_on(bank.id, 0, 0)).await.map_err(wrong)?;
    if !matches!(answer.message(), Ok(Message::SignedOn(_))) {
        return Err(format!("{answer:?}"));
    }
    let (mut told, mut asked) = (Feeds::default(), false);
    loop {
        if !asked && told.own.len() >= kept.own.len() && told.system.len() >= kept.system.len() {
            let beat = Heartbeat { sent_at: Timestamp::now(), last_notice: 0, last_system_notice: 0 };
            peer.send(&Message::Heartbeat(beat)).await.map_err(wrong)?;
            asked = true;
        }
        let frames = match timeout(PATIENCE, peer.next_batch()).await {
            Ok(frames) => frames.map_err(wrong)?.ok_or("the switch closed the connection")?,
            // What has not come by now is missing: the comparison says what.
            Err(_) => return Ok(told),
        };
        let more = Feeds::of(&frames);
        told.own.extend_from_slice(&more.own);
        told.system.extend_from_slice(&more.system);
        if split(&frames).any(|frame| frame.kind() == wire::Kind::HeartbeatReply as u16) {
            return Ok(told);
        }
    }
}

/// What a bank has kept is the beginning of the system feed and the whole of its own.
fn compare(bank: &Bank, source: &str, kept: &Feeds, told: &Feeds, record: &Record) {
    if !told.system.starts_with(&kept.system) {
        record.violate(format!("{}: the system feed {source} is another than the one it saw", bank.id));
    }
    if kept.own == told.own {
        return;
    }
    let mut again = split(&told.own);
    for was in split(&kept.own) {
        let now = again.next();
        if now.as_ref() == Some(&was) {
            continue;
        }
        let what = format!("{}: notice {} was {was:?}, {source} it is {now:?}", bank.id, was.number());
        if is_outcome(&was) { record.lost(what) } else { record.violate(what) }
    }
    let beyond = again.count();
    if beyond > 0 {
        record.violate(format!("{}: {beyond} notices {source} that never came before", bank.id));
    }
}

fn is_outcome(frame: &Frame) -> bool {
    matches!(frame.message(), Ok(Message::StatusNotice(StatusNotice { status, .. })) if status != Status::ACCC)
}

/// The log folded from nothing agrees with what every bank was told, and with the node's own positions.
pub(super) fn log(replay: &Replay, live: &Value, crowd: &Crowd) -> Result<(), String> {
    let Crowd { banks, journals, record, .. } = crowd;
    replay.doubled.iter().for_each(|what| record.doubled(what.clone()));
    let book = &replay.book;
    for (currency, imbalance) in book.imbalances() {
        if imbalance != 0 {
            record.violate(format!("the net positions in {currency} add up to {imbalance}"));
        }
    }
    let live = positions(live)?;
    for bank in banks {
        let key = book.scheme().key(bank.id).ok_or_else(|| format!("{} is not in the log", bank.id))?;
        let kept = journal::read(journals, bank.id).map_err(|error| error.to_string())?;
        compare(bank, "in the log", &kept, &replay.feeds(key), record);
        let position = book.participant(key).and_then(|own| own.position(Currency::EUR)).copied().unwrap_or_default();
        if position.reserved != 0 {
            record.violate(format!("{}: {} is reserved at the end", bank.id, position.reserved));
        }
        if position.net != bank.net_minor() {
            let told = bank.net_minor();
            record.violate(format!("{}: net {} in the log, {told} by what it was told", bank.id, position.net));
        }
        let decimal = |minor| Money::new(minor, Currency::EUR).decimal().to_string();
        let folded = [decimal(position.balance()), decimal(position.reserved), decimal(position.available())];
        if live.get(bank.id.as_str()) != Some(&folded) {
            record.violate(format!("{}: {:?} live, {folded:?} in the log", bank.id, live.get(bank.id.as_str())));
        }
        outcomes(replay, bank, key, record);
    }
    Ok(())
}

/// Every payment that a bank sent has one outcome in the log: the one that it was told.
fn outcomes(replay: &Replay, bank: &Bank, key: settlement::Key, record: &Record) {
    for (uetr, (status, _)) in bank.ended() {
        match replay.outcomes.get(&(key, *uetr)) {
            Some(own) if own == status => {}
            other => record.lost(format!("{}: payment {uetr} was {status}, in the log it is {other:?}", bank.id)),
        }
    }
    let sent = replay.outcomes.keys().filter(|(debtor, _)| *debtor == key).count();
    if sent != bank.ended().len() {
        record.violate(format!("{}: {sent} payments ended in the log, it was told of {}", bank.id, bank.ended().len()));
    }
}

/// Balance, reserved and available of every participant, as the running node says.
fn positions(live: &Value) -> Result<BTreeMap<String, [String; 3]>, String> {
    let list = live.as_array().ok_or("the node's list of participants is no list")?;
    let position = |participant: &Value| {
        let position = participant["positions"].as_array()?.first()?;
        let text = |name: &str| Some(position[name].as_str()?.to_string());
        Some((participant["id"].as_str()?.to_string(), [text("balance")?, text("reserved")?, text("available")?]))
    };
    list.iter().map(|one| position(one).ok_or_else(|| format!("no position in {one}"))).collect()
}
