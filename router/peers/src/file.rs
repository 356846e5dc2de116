//! A file from one node to another, over a connection of its own, no faster than it is told, and answered at its end:
//! the sender knows whether the receiver has it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accept::Accepted;
use crate::dial::{Dialled, dial};
use crate::frame::{self, Frames, Kind};
use crate::hello::{Purpose, write_answer};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::receive::READ_BYTES;
use crate::words::explain;
use crate::{FileProgress, FileSink, NodeId};

/// A chunk is at most what may go in this time, so that a slow rate is smooth too.
const CHUNKS_PER_S: u64 = 20;

/// A file on its way to one peer.
#[derive(Default)]
pub(crate) struct Sending {
    pub(crate) progress: FileProgress,
    link: Option<TcpStream>,
    is_cancelled: bool,
}

/// What is sent.
pub(crate) struct Order {
    pub(crate) header: Vec<u8>,
    pub(crate) path: PathBuf,
    pub(crate) rate_bytes_per_s: u64,
}

/// Starts the thread that sends; false when a file is on its way to that peer already.
pub(crate) fn start(hub: &Arc<Hub>, peer: Arc<Peer>, order: Order) -> bool {
    {
        let mut file = peer.file.lock();
        if file.is_some() || hub.threads.are_stopping() {
            return false;
        }
        *file = Some(Sending::default());
    }
    let (hub_there, peer_there) = (Arc::clone(hub), Arc::clone(&peer));
    let spawned = hub.threads.spawn(format!("peers-file-{}", peer.node), move || {
        let outcome = send(&hub_there, &peer_there, &order);
        *peer_there.file.lock() = None;
        hub_there.upcalls.file_sent(peer_there.node, outcome);
        hub_there.tidy();
    });
    if spawned.is_err() {
        *peer.file.lock() = None;
    }
    spawned.is_ok()
}

/// The file on its way to this peer does not arrive.
pub(crate) fn cancel(peer: &Peer) {
    if let Some(sending) = &mut *peer.file.lock() {
        sending.is_cancelled = true;
        if let Some(link) = &sending.link {
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}

fn send(hub: &Hub, peer: &Peer, order: &Order) -> Result<(), String> {
    let of_file = |error: io::Error| format!("{}: {error}", order.path.display());
    let file = File::open(&order.path).map_err(of_file)?;
    let bytes = file.metadata().map_err(of_file)?.len();
    let address = peer.address().ok_or("its address is not known")?;
    let mut dialled = dial(hub, peer, &address, Purpose::File)?;
    enter(peer, &mut dialled, bytes, hub.config.limits.file_patience)?;

    let begin = [&bytes.to_le_bytes()[..], &order.header].concat();
    write(&mut dialled, Kind::FileBegin, &begin)?;
    let mut pace = Pace { rate_bytes_per_s: order.rate_bytes_per_s, due: Instant::now() };
    let mut chunk = vec![0; pace.chunk_bytes()];
    let mut left = file.take(bytes);
    let mut sent = 0;
    while sent < bytes {
        let count = fill(&mut left, &mut chunk).map_err(of_file)?;
        if count == 0 {
            return Err(format!("{} became shorter while it was sent", order.path.display()));
        }
        write(&mut dialled, Kind::FileChunk, &chunk[..count])?;
        sent += count as u64;
        if let Some(sending) = &mut *peer.file.lock() {
            sending.progress.sent_bytes = sent;
        }
        if !hub.threads.pause_until(pace.after(count)) {
            return Err("this node stops".into());
        }
    }
    write(&mut dialled, Kind::FileEnd, &[])?;
    dialled.answer()
}

/// Makes the connection known to those who may cancel it.
fn enter(peer: &Peer, dialled: &mut Dialled, bytes: u64, patience: Duration) -> Result<(), String> {
    let settled = dialled.socket.settle(patience).and_then(|()| dialled.socket.handle());
    let link = settled.map_err(|error| error.to_string())?;
    match &mut *peer.file.lock() {
        Some(Sending { is_cancelled: true, .. }) | None => Err("it is no member any more, or this node stops".into()),
        Some(sending) => {
            sending.link = Some(link);
            sending.progress.bytes = bytes;
            Ok(())
        }
    }
}

/// Sends one frame. What the receiver has to say before the end is why it refuses.
fn write(dialled: &mut Dialled, kind: Kind, body: &[u8]) -> Result<(), String> {
    let header = frame::header(kind, body.len());
    let sent = dialled.write(&header).and_then(|()| dialled.write(body)).and_then(|()| dialled.flush());
    match sent {
        Ok(()) if kind == Kind::FileEnd || !dialled.socket.has_news().unwrap_or(true) => Ok(()),
        Ok(()) => dialled.answer().and(Err("it answered before the end".into())),
        Err(error) => dialled.answer().and_then(|()| Err(explain(&error))),
    }
}

fn fill(file: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// When the next chunk may go. Time that was lost is not made up for.
struct Pace {
    rate_bytes_per_s: u64,
    due: Instant,
}

impl Pace {
    fn chunk_bytes(&self) -> usize {
        let chunk = self.rate_bytes_per_s.div_ceil(CHUNKS_PER_S);
        chunk.clamp(1, Kind::FileChunk.bytes_max() as u64) as usize
    }

    fn after(&mut self, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.rate_bytes_per_s.max(1) as f64);
        self.due = self.due.max(Instant::now() - takes) + takes;
        self.due
    }
}

/// Takes what comes on a connection for one file, and says at its end, or at once when it is refused, what became of it.
pub(crate) fn receive(hub: &Hub, from: NodeId, accepted: &mut Accepted) {
    let answer = take(hub, from, accepted);
    if let Err(why) = &answer {
        tracing::warn!(event = "snapshot_not_taken", peer = from, why);
    }
    let _ = write_answer(accepted, &answer);
    accepted.sock.farewell();
}

fn take(hub: &Hub, from: NodeId, accepted: &mut Accepted) -> Result<(), String> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut incoming: Option<Arriving> = None;
    loop {
        while let Some((kind, body)) = frames.next()? {
            match (kind, incoming.take()) {
                (Kind::FileBegin, None) => incoming = Some(Arriving::begin(hub, from, body)?),
                (Kind::FileChunk, Some(arriving)) => incoming = Some(arriving.chunk(body)?),
                (Kind::FileEnd, Some(arriving)) => return arriving.end(),
                (kind, _) => return Err(format!("{kind:?} is out of turn")),
            }
        }
        match accepted.read(&mut buffer) {
            Ok(0) => return Err("the sender closed the connection".into()),
            Ok(count) => frames.extend(&buffer[..count]),
            Err(error) => return Err(explain(&error)),
        }
    }
}

/// What has come of a file so far.
struct Arriving {
    sink: Box<dyn FileSink>,
    left_bytes: u64,
}

impl Arriving {
    fn begin(hub: &Hub, from: NodeId, body: &[u8]) -> Result<Arriving, String> {
        let (bytes, header) = body.split_first_chunk().ok_or("its beginning is too short")?;
        let left_bytes = u64::from_le_bytes(*bytes);
        Ok(Arriving { sink: hub.upcalls.file(from, header, left_bytes)?, left_bytes })
    }

    fn chunk(mut self, bytes: &[u8]) -> Result<Arriving, String> {
        self.left_bytes = self.left_bytes.checked_sub(bytes.len() as u64).ok_or("it is longer than announced")?;
        self.sink.chunk(bytes)?;
        Ok(self)
    }

    fn end(self) -> Result<(), String> {
        match self.left_bytes {
            0 => self.sink.end(),
            left => Err(format!("it ended {left} bytes early")),
        }
    }
}
