//! The receiving thread of one other node: cuts what it reads into messages and hands them up, answers pings, measures
//! by their echoes.

use std::io::{ErrorKind, Read};
use std::time::Instant;

use crate::Channel;
use crate::accept::Accepted;
use crate::frame::{Frames, Kind, Pulse};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::speak::seconds;
use crate::words::explain;

pub(crate) const READ_BYTES: usize = 64 << 10;

/// Reads until the connection ends; in words why.
pub(crate) fn run(hub: &Hub, peer: &Peer, accepted: &mut Accepted) -> String {
    let mut frames = Frames::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match accepted.read(&mut buffer) {
            Ok(0) => return "it closed the connection".into(),
            Ok(count) => frames.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                let why = format!("it was silent for {}", seconds(hub.config.limits.silence_max));
                peer.end(&why);
                return why;
            }
            Err(error) => return explain(&error),
        }
        loop {
            let handed = match frames.next() {
                Ok(Some((kind, body))) => hand(hub, peer, kind, body),
                Ok(None) => break,
                Err(why) => Err(why),
            };
            if let Err(why) = handed {
                tracing::error!(event = "peer_sends_nonsense", peer = peer.node, why, "it is disconnected");
                return why;
            }
        }
    }
}

fn hand(hub: &Hub, peer: &Peer, kind: Kind, body: &[u8]) -> Result<(), String> {
    match kind {
        Kind::Consensus => hub.upcalls.message(peer.node, Channel::Consensus, body),
        Kind::Relay => hub.upcalls.message(peer.node, Channel::Relay, body),
        Kind::Ping => {
            let ping = Pulse::decode(body).ok_or("its ping has the wrong length")?;
            peer.meter.lock().heard(Instant::now(), hub.upcalls.clock_ns(), ping.clock_ns);
            let echo = Pulse { health: hub.upcalls.own_health(), ..ping };
            peer.echo(echo, hub.config.limits.queue_bytes_max);
        }
        Kind::Echo => echoed(hub, peer, Pulse::decode(body).ok_or("its echo has the wrong length")?),
        Kind::FileBegin | Kind::FileChunk | Kind::FileEnd => return Err(format!("it sent {kind:?} among messages")),
    }
    Ok(())
}

fn echoed(hub: &Hub, peer: &Peer, echo: Pulse) {
    let measured = peer.meter.lock().echoed(Instant::now(), echo.clock_ns, echo.health);
    if let Some(round_trip) = measured {
        hub.upcalls.round_trip(peer.node, round_trip, echo.health);
    }
}
