//! What comes in at the port between nodes: a connection is half open until it has proven to be a node of this cluster.
//! Until then it costs one thread, for as long as a handshake may take, and there are only so many of them.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::{ServerConnection, StreamOwned};

use crate::hello::{Hello, Purpose, write_answer};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::socket::Socket;
use crate::words::explain;
use crate::{Identity, file, receive};

/// An encrypted connection that another node dialled.
pub(crate) type Accepted = StreamOwned<ServerConnection, Socket>;

/// After an error of the listener itself, such as too many open files.
const LISTENER_PAUSE: Duration = Duration::from_millis(100);

/// Connections that have not said who they are. With one too many the oldest goes: a node says it at once, and so comes
/// through between any number of strangers who do not.
pub(crate) struct HalfOpen {
    max: usize,
    waiting: Mutex<(u64, VecDeque<(u64, TcpStream)>)>,
}

impl HalfOpen {
    pub(crate) fn new(max: usize) -> HalfOpen {
        HalfOpen { max, waiting: Mutex::default() }
    }

    fn enter(&self, handle: TcpStream) -> u64 {
        let mut waiting = self.waiting.lock();
        let (next, queue) = &mut *waiting;
        *next += 1;
        queue.push_back((*next, handle));
        if queue.len() > self.max
            && let Some((_, oldest)) = queue.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        *next
    }

    /// False when it was pushed out.
    fn leave(&self, number: u64) -> bool {
        let queue = &mut self.waiting.lock().1;
        let before = queue.len();
        queue.retain(|(other, _)| *other != number);
        queue.len() < before
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().1.len()
    }

    pub(crate) fn shut(&self) {
        for (_, handle) in &self.waiting.lock().1 {
            let _ = handle.shutdown(Shutdown::Both);
        }
    }
}

/// Accepts until the peers are stopped.
pub(crate) fn run(hub: &Arc<Hub>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if hub.threads.are_stopping() {
            return;
        }
        let begun = match accepted {
            Ok((stream, from)) => begin(hub, stream, from.ip()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = begun {
            tracing::warn!(event = "peer_accept_failed", error = what);
            hub.threads.pause_until(Instant::now() + LISTENER_PAUSE);
        }
    }
}

fn begin(hub: &Arc<Hub>, stream: TcpStream, from: IpAddr) -> Result<(), String> {
    let number = hub.half_open.enter(stream.try_clone().map_err(|error| error.to_string())?);
    let hub_there = Arc::clone(hub);
    let spawned = hub.threads.spawn("peers-in".into(), move || greet(&hub_there, stream, from, number));
    spawned.map_err(|error| {
        hub.half_open.leave(number);
        error.to_string()
    })
}

fn greet(hub: &Arc<Hub>, stream: TcpStream, from: IpAddr, number: u64) {
    let deadline = Instant::now() + hub.config.limits.handshake_timeout;
    let introduced = introduce(hub, Socket::new(stream, deadline));
    let remained = hub.half_open.leave(number);
    match introduced {
        _ if hub.threads.are_stopping() => {}
        Ok((hello, accepted)) if remained => serve(hub, &hello, accepted),
        Err(why) if remained => hub.refusals.refuse(from, &why),
        _ => hub.refusals.refuse(from, "it did not say who it is before too many others came"),
    }
}

/// Handshake and hello. In words, why it is none of us.
fn introduce(hub: &Hub, socket: Socket) -> Result<(Hello, Accepted), String> {
    let connection = ServerConnection::new(Arc::clone(&hub.accepting)).map_err(|error| error.to_string())?;
    let mut accepted = StreamOwned::new(connection, socket);
    if let Err(error) = accepted.conn.complete_io(&mut accepted.sock) {
        accepted.sock.farewell(); // so that it can read the alert
        return Err(explain(&error));
    }
    let hello = Hello::read(&mut accepted).map_err(|error| explain(&error))?;
    match hello.and_then(|hello| check(hub, &accepted, &hello).map(|()| hello)) {
        Ok(hello) => Ok((hello, accepted)),
        Err(why) => {
            let _ = write_answer(&mut accepted, &Err(why.clone()));
            accepted.sock.farewell();
            Err(why)
        }
    }
}

/// What it says must be what its certificate says, and meant for this node.
fn check(hub: &Hub, accepted: &Accepted, hello: &Hello) -> Result<(), String> {
    let certificate = accepted.conn.peer_certificates().and_then(|chain| chain.first());
    let shown = Identity::of(certificate.ok_or("it showed no certificate")?)?;
    let said = Identity { cluster: hello.cluster, node: hello.from };
    let own = Identity { cluster: hub.config.cluster, node: hub.config.node };
    if shown != said {
        return Err(format!(
            "it says it is {said}, but its certificate is of {shown}: give it the certificate issued for it"
        ));
    }
    if said.cluster != own.cluster {
        return Err(format!("it is {said} of another cluster; this is {own}: correct the address it dials"));
    }
    if said.node == own.node {
        return Err(format!("two nodes run as node {}: stop one, ids are never used twice", own.node));
    }
    if hello.to != own.node {
        return Err(format!("it means node {}, this is node {}: correct its address", hello.to, own.node));
    }
    Ok(())
}

fn serve(hub: &Arc<Hub>, hello: &Hello, accepted: Accepted) {
    let served = match hub.hold(hello.from) {
        Ok(peer) => match hello.purpose {
            Purpose::Messages => hear(hub, &peer, &hello.address, accepted),
            Purpose::File => take_file(hub, &peer, accepted),
        },
        Err(error) => Err(io::Error::other(error)),
    };
    if let Err(error) = served {
        tracing::warn!(
            event = "peer_not_heard",
            peer = hello.from,
            error = explain(&error),
            "its connection ended as it began"
        );
    }
}

fn take_file(hub: &Hub, peer: &Peer, mut accepted: Accepted) -> io::Result<()> {
    let _claim = peer.claim(Purpose::File, accepted.sock.handle()?);
    if hub.threads.are_stopping() {
        return Ok(()); // it may have come after all were shut
    }
    write_answer(&mut accepted, &Ok(()))?;
    accepted.sock.settle(hub.config.limits.file_patience)?;
    file::receive(hub, peer.node, &mut accepted);
    Ok(())
}

/// Reads messages to the end of the connection.
fn hear(hub: &Arc<Hub>, peer: &Arc<Peer>, address: &str, mut accepted: Accepted) -> io::Result<()> {
    let claim = peer.claim(Purpose::Messages, accepted.sock.handle()?);
    if hub.threads.are_stopping() {
        return Ok(()); // it may have come after all were shut
    }
    write_answer(&mut accepted, &Ok(()))?;
    accepted.sock.settle(hub.config.limits.silence_max)?;
    peer.meter.lock().forgive();
    peer.set_guest(Some(address).filter(|address| !address.is_empty()));
    if let Err(error) = hub.see_to(peer) {
        tracing::error!(event = "peer_not_served", peer = peer.node, %error, "nothing is sent to it");
    }
    peer.look(); // it lives: dial it now
    peer.announce(&*hub.upcalls, "");

    let why = receive::run(hub, peer, &mut accepted);
    peer.meter.lock().forgive();
    peer.set_guest(None);
    peer.failed(&why);
    peer.unheard(&*hub.upcalls, &why);
    drop(claim);
    peer.announce(&*hub.upcalls, &why);
    peer.look(); // the node may have died: then the connection to it has news
    Ok(())
}
