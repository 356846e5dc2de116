//! The sending thread's turns: everything that waits goes out at once, a ping every so often.

use std::io;
use std::time::{Duration, Instant};

use crate::dial::Dialled;
use crate::frame::{self, Kind, Pulse};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::words::explain;

/// Sends until the connection ends; in words why, unless this node ended it.
pub(crate) fn run(hub: &Hub, peer: &Peer, dialled: &mut Dialled) -> Option<String> {
    let mut ping_at = Instant::now();
    let mut blocks = Vec::new();
    while let Some(look) = peer.turn(ping_at, &mut blocks) {
        let mut sent = Ok(());
        for block in &mut blocks {
            sent = sent.and_then(|()| dialled.write(&block.frames)).and_then(|()| dialled.write(&block.large));
            block.large = Vec::new();
        }
        let now = Instant::now();
        let is_due = now >= ping_at;
        if is_due {
            if let Err(why) = check_echo(hub, peer, now) {
                return Some(why);
            }
            sent = sent.and_then(|()| ping(hub, peer, dialled));
            ping_at = now + hub.config.limits.ping_every;
        }
        sent = sent.and_then(|()| dialled.flush());
        if look || is_due {
            sent = sent.and_then(|()| dialled.look());
        }
        if let Err(error) = sent {
            return Some(explain(&error));
        }
    }
    None
}

fn ping(hub: &Hub, peer: &Peer, dialled: &mut Dialled) -> io::Result<()> {
    let pulse = Pulse { clock_ns: hub.upcalls.clock_ns(), health: hub.upcalls.own_health() };
    peer.meter.lock().pinged(Instant::now(), pulse.clock_ns);
    dialled.write(&frame::header(Kind::Ping, Pulse::BYTES))?;
    dialled.write(&pulse.encode())
}

/// A peer that is connected to us owes an echo: bytes may vanish on the way without anything else to tell.
fn check_echo(hub: &Hub, peer: &Peer, now: Instant) -> Result<(), String> {
    if !peer.is_heard() {
        return Ok(());
    }
    let mut meter = peer.meter.lock();
    let owed = meter.owed(now);
    if owed <= hub.config.limits.silence_max {
        meter.expect(now);
        return Ok(());
    }
    meter.forgive();
    drop(meter);
    peer.shut_incoming();
    Err(format!("it did not echo a ping for {}", seconds(owed)))
}

pub(crate) fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}
