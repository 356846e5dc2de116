//! The connection to one other node: dialled, and dialled again with pauses that grow, for as long as there is an address.

use std::io::{self, ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use crate::hello::{Hello, Purpose, read_answer};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::socket::Socket;
use crate::speak;
use crate::tls::dialled_name;
use crate::words::explain;

/// An encrypted connection that this node dialled.
pub(crate) struct Dialled {
    tls: ClientConnection,
    pub(crate) socket: Socket,
}

impl Dialled {
    /// Encrypts; [`Dialled::flush`] sends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Reads the answer to the hello, or to a file.
    pub(crate) fn answer(&mut self) -> Result<(), String> {
        read_answer(self).unwrap_or_else(|error| Err(explain(&error)))
    }

    /// Nothing is said on this way back: what there is to read is the end, or the reason for it.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        if !self.socket.has_news()? {
            return Ok(());
        }
        let count = self.tls.read_tls(&mut self.socket)?;
        let state = self.tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if count == 0 || state.peer_has_closed() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Reads on even when nothing can be written any more: the answer may say why.
impl Read for Dialled {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.tls.read_tls(&mut self.socket)?;
            self.tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

/// Dials and sends until there is no address or the peers are stopped.
pub(crate) fn run(hub: &Arc<Hub>, peer: &Arc<Peer>) {
    let limits = &hub.config.limits;
    let mut backoff = limits.backoff_min;
    while !hub.threads.are_stopping()
        && let Some(address) = peer.address_to_dial()
    {
        let ended = match dial(hub, peer, &address, Purpose::Messages) {
            Ok(dialled) => {
                let began = Instant::now();
                let why = hold(hub, peer, &address, dialled);
                if began.elapsed() >= limits.silence_max {
                    backoff = limits.backoff_min;
                }
                why
            }
            Err(why) => {
                let why = format!("cannot reach it at {address}: {why}");
                if peer.failed(&why) && !hub.threads.are_stopping() {
                    tracing::warn!(event = "peer_not_reached", peer = peer.node, why);
                }
                why
            }
        };
        peer.failed(&ended);
        peer.pause(Instant::now() + backoff);
        backoff = (backoff * 2).min(limits.backoff_max);
    }
}

/// Makes the connection known and sends on it. In words, why it ended.
fn hold(hub: &Arc<Hub>, peer: &Arc<Peer>, address: &str, mut dialled: Dialled) -> String {
    let handle = dialled.socket.settle(hub.config.limits.silence_max).and_then(|()| dialled.socket.handle());
    let handle = match handle {
        Ok(handle) => handle,
        Err(error) => return error.to_string(),
    };
    if !peer.link_up(handle, address) {
        return "its address changed".into();
    }
    peer.announce(&*hub.upcalls, "");
    // A stop that came before the connection was known has not ended it.
    let broke = if hub.threads.are_stopping() { None } else { speak::run(hub, peer, &mut dialled) };
    let why = peer.link_down().or(broke).unwrap_or_else(|| "this node ended the connection".into());
    peer.announce(&*hub.upcalls, &why);
    why
}

/// Connects, proves both sides, says hello.
pub(crate) fn dial(hub: &Hub, peer: &Peer, address: &str, purpose: Purpose) -> Result<Dialled, String> {
    let deadline = Instant::now() + hub.config.limits.handshake_timeout;
    let socket = connect(address, deadline)?;
    let tls = ClientConnection::new(Arc::clone(&peer.dialling), dialled_name()).map_err(|error| error.to_string())?;
    let mut dialled = Dialled { tls, socket };
    dialled.tls.set_buffer_limit(None); // what is written is bounded, and flushed at once
    let hello = Hello {
        purpose,
        cluster: hub.config.cluster,
        from: hub.config.node,
        to: peer.node,
        address: if peer.is_member() { hub.config.address.clone() } else { String::new() },
    };
    let said = dialled.tls.complete_io(&mut dialled.socket).and_then(|_| {
        dialled.write(&hello.encode())?;
        dialled.flush()
    });
    said.map_err(|error| explain(&error))?;
    dialled.answer()?;
    Ok(dialled)
}

/// The first of the addresses behind a name that answers.
fn connect(address: &str, deadline: Instant) -> Result<Socket, String> {
    let resolved = address.to_socket_addrs().map_err(|error| format!("the address does not resolve ({error})"))?;
    let mut failed = "the address resolves to nothing".to_string();
    for one in resolved {
        match Socket::connect(one, deadline) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = explain(&error),
        }
    }
    Err(failed)
}
