//! One connection to a switch, frame by frame: for peers that do what the client library would never do.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::frame::{HEADER_BYTES, decode, frame_length};
use wire::message::SignOn;
use wire::{Frames, Message, ParticipantId};

/// See the file's head.
pub struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    pub async fn connect(address: SocketAddr) -> io::Result<Peer> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Peer { stream, input: Vec::new() })
    }

    /// Connects, signs on and waits for the answer, which may be GoAway.
    pub async fn sign_on(address: SocketAddr, sign_on: &SignOn<'_>) -> io::Result<(Peer, Frame)> {
        let mut peer = Peer::connect(address).await?;
        peer.send(&Message::SignOn(sign_on.clone())).await?;
        let answer = peer.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((peer, answer))
    }

    pub async fn send(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.send_bytes(&frame_of(message)).await
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame; `None` when the switch has closed the connection.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(length) = frame_length(&self.input).map_err(io::Error::other)?
                && length <= self.input.len()
            {
                let rest = self.input.split_off(length);
                return Ok(Some(Frame(std::mem::replace(&mut self.input, rest))));
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// All complete frames of the next read, in one piece; `None` when the switch has closed the connection.
    /// Loses nothing when it is dropped half-way.
    pub async fn next_batch(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut frames = Frames::new(&self.input);
            while frames.next().transpose().map_err(io::Error::other)?.is_some() {}
            let taken = frames.taken();
            if taken > 0 {
                let rest = self.input.split_off(taken);
                return Ok(Some(std::mem::replace(&mut self.input, rest)));
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    async fn read_more(&mut self) -> io::Result<bool> {
        self.input.reserve(64 << 10);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }
}

/// The bytes of a message.
pub fn frame_of(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// The usual first message.
pub fn sign_on(participant: ParticipantId, last_notice: u64, last_system_notice: u64) -> SignOn<'static> {
    SignOn { protocol_min: 1, protocol_max: 1, participant, last_notice, last_system_notice, software: "tests" }
}

/// A whole frame as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    pub fn kind(&self) -> u16 {
        u16::from_le_bytes([self.0[4], self.0[5]])
    }

    pub fn message(&self) -> wire::Result<Message<'_>> {
        decode(self.kind(), &self.0[HEADER_BYTES..])
    }

    /// Of a notice.
    pub fn number(&self) -> u64 {
        self.0.get(HEADER_BYTES..).and_then(|body| body.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message() {
            Ok(message) => message.fmt(formatter),
            Err(error) => write!(formatter, "kind {}: {error}", self.kind()),
        }
    }
}
