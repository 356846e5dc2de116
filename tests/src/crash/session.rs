//! A bank's connection: signs on where the bank's journal stopped, keeps the pace, comes back after every crash.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use wire::message::Heartbeat;
use wire::{Message, Timestamp};

use super::bank::Bank;
use crate::peer::{Peer, sign_on};

const TICK: Duration = Duration::from_millis(4);
/// A switch that does not take what a bank writes within this is as good as gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// With several nodes to choose from a bank does not wait longer for the answer to its sign-on,
const SIGN_ON_PATIENCE: Duration = Duration::from_secs(3);
/// nor for any notice while it has payments without an outcome: it moves to the next node.
const NOTICE_PATIENCE: Duration = Duration::from_secs(2);

/// What the run asks of the banks.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Where the switch is: all its nodes; none while the only one is down.
    pub(super) addresses: Vec<SocketAddr>,
    /// New payments per second of each bank.
    pub(super) rate: f64,
    pub(super) over: bool,
}

/// How many payments of each bank have no outcome, and how many banks are signed on.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) open: Vec<Cell<usize>>,
    pub(super) signed_on: Cell<usize>,
}

/// Lives until the run is over. A bank begins at the node of its place and moves to the next one whenever a session ends.
pub(super) async fn live(mut bank: Bank, place: usize, mut stage: watch::Receiver<Stage>, standing: &Standing) -> Bank {
    for turn in place.. {
        while !stage.borrow().over && stage.borrow().addresses.is_empty() {
            // The sender lives as long as the run.
            _ = stage.changed().await;
        }
        let now = stage.borrow_and_update().clone();
        if now.over {
            break;
        }
        bank.is_among_nodes = now.addresses.len() > 1;
        // Connections break all the time here; what matters is what is told.
        _ = session(&mut bank, now.addresses[turn % now.addresses.len()], &stage, place, standing).await;
        sleep(TICK).await;
    }
    bank
}

async fn session(
    bank: &mut Bank,
    address: SocketAddr,
    stage: &watch::Receiver<Stage>,
    place: usize,
    standing: &Standing,
) -> io::Result<()> {
    let sign_on = sign_on(bank.id, bank.last_notice, bank.last_system_notice);
    let signing_on = Peer::sign_on(address, &sign_on);
    let (mut peer, answer) = match bank.is_among_nodes {
        true => timeout(SIGN_ON_PATIENCE, signing_on).await??,
        false => signing_on.await?,
    };
    if !matches!(answer.message(), Ok(Message::SignedOn(_))) {
        bank.hear(&answer.0);
        sleep(Duration::from_millis(100)).await;
        return Ok(());
    }
    standing.signed_on.set(standing.signed_on.get() + 1);
    bank.resume();
    let ended = converse(bank, &mut peer, stage, &standing.open[place]).await;
    standing.signed_on.set(standing.signed_on.get() - 1);
    ended
}

async fn converse(
    bank: &mut Bank,
    peer: &mut Peer,
    stage: &watch::Receiver<Stage>,
    open: &Cell<usize>,
) -> io::Result<()> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut due, mut paced, mut spoke) = (0.0, Instant::now(), Instant::now());
    let (mut told, mut last_notice) = (Instant::now(), bank.last_notice);
    loop {
        if bank.last_notice != last_notice || bank.open() == 0 {
            (told, last_notice) = (Instant::now(), bank.last_notice);
        }
        if bank.is_among_nodes && told.elapsed() > NOTICE_PATIENCE {
            return Ok(());
        }
        bank.answer_due(Instant::now());
        if !bank.outbox.is_empty() {
            timeout(WRITE_PATIENCE, peer.send_bytes(&bank.outbox)).await??;
            bank.outbox.clear();
            spoke = Instant::now();
        }
        open.set(bank.open());
        tokio::select! {
            frames = peer.next_batch() => match frames? {
                Some(frames) => bank.hear(&frames),
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                let (rate, over) = (stage.borrow().rate, stage.borrow().over);
                if over {
                    return Ok(());
                }
                // What could not be sent in a pause is not caught up at once.
                due = (due + rate * paced.elapsed().as_secs_f64()).min(1.0 + rate / 10.0);
                paced = Instant::now();
                while due >= 1.0 {
                    bank.submit();
                    due -= 1.0;
                }
                if spoke.elapsed() > Duration::from_secs(2) {
                    let (last_notice, last_system_notice) = (bank.last_notice, bank.last_system_notice);
                    let beat = Heartbeat { sent_at: Timestamp::now(), last_notice, last_system_notice };
                    Message::Heartbeat(beat).encode(&mut bank.outbox);
                }
            }
        }
    }
}
