//! Connections: sign on, go on after a drop, stay awake, and now and then drop on purpose.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, ToSocketAddrs};

use mio::net::TcpStream;
use mio::{Interest, Token};
use rand::Rng;
use wire::frame::{self, Kind};
use wire::message::{GoAway, Heartbeat, PROTOCOL_MAX, PROTOCOL_MIN, SignOn};
use wire::{ParticipantId, Timestamp};

use super::Engine;
use crate::{Error, Result};

const BACKOFF_NS_MIN: u64 = 100_000_000;
const BACKOFF_NS_MAX: u64 = 1_000_000_000;
/// Attempts without a pause at most, whatever nodes are named.
const AT_ONCE_MAX: usize = 32;
/// A session that stood so long was one.
const SESSION_NS_MIN: u64 = 1_000_000_000;
/// So many connections are made at once, that no listener's queue overflows.
const CONNECTING_MAX: usize = 64;
/// Old notices have passed when none came for so long.
const QUIET_NS: u64 = 100_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Waiting { until_ns: u64 },
    Connecting,
    SigningOn,
    Ready,
}

/// One bank's connection.
pub(crate) struct Connection {
    pub(super) id: ParticipantId,
    pub(super) stream: Option<TcpStream>,
    pub(super) state: State,
    /// The beginning of a frame whose end has not come yet.
    pub(super) partial: Vec<u8>,
    pub(super) out: Vec<u8>,
    written: usize,
    /// Payments in `out` that have not been offered to the socket.
    pub(super) unflushed: Vec<u64>,
    pub(super) dirty: bool,
    /// Payments of this bank without outcome.
    pub(super) in_flight: usize,
    pub(super) sessions: u8,
    pub(super) resend_due: bool,
    pub(super) backoff_ns: u64,
    pub(super) silence_ns: u64,
    last_write_ns: u64,
    node: usize,
    /// Nodes that the last GoAway named and that were not tried yet.
    pub(super) named: Vec<SocketAddr>,
    /// Attempts since the last pause.
    tried: usize,
    pub(super) ready_ns: u64,
}

impl Connection {
    pub(super) fn new(id: ParticipantId) -> Self {
        Connection {
            id,
            stream: None,
            state: State::Waiting { until_ns: 0 },
            partial: Vec::new(),
            out: Vec::new(),
            written: 0,
            unflushed: Vec::new(),
            dirty: false,
            in_flight: 0,
            sessions: 0,
            resend_due: false,
            backoff_ns: 0,
            silence_ns: 30_000_000_000,
            last_write_ns: 0,
            node: 0,
            named: Vec::new(),
            tried: 0,
            ready_ns: 0,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }
}

pub(super) fn resolve(targets: &[String]) -> Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for target in targets {
        let found = target.to_socket_addrs().map_err(|error| Error::Unreachable(format!("{target}: {error}")))?;
        addresses.extend(found.take(1));
    }
    Ok(addresses)
}

/// The nodes that a GoAway names; each bank begins with another one, so that they spread.
pub(super) fn named(nodes: Option<&str>, bank: usize) -> Vec<SocketAddr> {
    let found =
        nodes.into_iter().flat_map(|nodes| nodes.split(',')).filter_map(|node| node.to_socket_addrs().ok()?.next());
    let mut found: Vec<SocketAddr> = found.collect();
    let first = bank % found.len().max(1);
    found.rotate_left(first);
    found
}

pub(super) fn go_away_delay_ns(go_away: &GoAway<'_>) -> u64 {
    (u64::from(go_away.retry_after_ms) * 1_000_000).max(BACKOFF_NS_MIN)
}

impl Engine<'_> {
    pub(super) fn connect_all(&mut self) -> Result<()> {
        let until = self.now_ns() + self.options.connect_timeout.as_nanos() as u64;
        while self.connected() < self.connections.len() {
            let now = self.now_ns();
            if now > until || self.stop_asked() {
                let (ready, all) = (self.connected(), self.connections.len());
                let targets = self.options.targets.join(", ");
                return Err(Error::Unreachable(format!("{targets}: {ready} of {all} banks signed on in time")));
            }
            self.connect_waiting(now);
            self.turn(now, now + 2_000_000)?;
        }
        // Notices of earlier runs come first; they are numbered, counted and otherwise passed over.
        let mut quiet_since = self.now_ns();
        while self.now_ns() - quiet_since < QUIET_NS {
            self.last_notice_ns = 0;
            let now = self.now_ns();
            self.turn(now, now + 5_000_000)?;
            if self.last_notice_ns > 0 {
                quiet_since = self.last_notice_ns;
            }
        }
        if self.options.reconnects_per_minute > 0.0 {
            self.next_churn_ns = self.now_ns() + self.churn_gap_ns();
        }
        self.reconnects = 0;
        Ok(())
    }

    fn churn_gap_ns(&self) -> u64 {
        (60e9 / self.options.reconnects_per_minute) as u64
    }

    /// Starts the connections whose time has come.
    pub(super) fn connect_waiting(&mut self, now: u64) {
        let under_way = |connection: &Connection| matches!(connection.state, State::Connecting | State::SigningOn);
        let mut room = CONNECTING_MAX.saturating_sub(self.connections.iter().filter(|one| under_way(one)).count());
        for bank in 0..self.connections.len() {
            let connection = &mut self.connections[bank];
            let State::Waiting { until_ns } = connection.state else { continue };
            if until_ns > now || room == 0 {
                continue;
            }
            room -= 1;
            let address = connection.named.pop().unwrap_or_else(|| {
                let own = self.addresses[(bank + connection.node) % self.addresses.len()];
                connection.node += 1;
                own
            });
            connection.tried += 1;
            let opened = TcpStream::connect(address).and_then(|mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(bank), interest)?;
                Ok(stream)
            });
            match opened {
                Ok(stream) => {
                    connection.stream = Some(stream);
                    connection.state = State::Connecting;
                }
                Err(_) => self.wait_and_retry(bank, now),
            }
        }
    }

    fn wait_and_retry(&mut self, bank: usize, now: u64) {
        let connection = &mut self.connections[bank];
        connection.stream = None;
        // Another node is tried at once, but each only once between two pauses.
        let others = if connection.named.is_empty() { self.addresses.len() } else { AT_ONCE_MAX };
        if connection.tried < others {
            connection.state = State::Waiting { until_ns: now };
            return;
        }
        connection.tried = 0;
        let wait = connection.backoff_ns.max(BACKOFF_NS_MIN);
        connection.backoff_ns = (wait * 2).min(BACKOFF_NS_MAX);
        connection.state = State::Waiting { until_ns: now + wait };
    }

    pub(super) fn handle_event(&mut self, event: &mio::event::Event, now: u64) -> Result<()> {
        let bank = event.token().0;
        let has_end = event.is_read_closed() || event.is_error();
        if self.connections[bank].state == State::Connecting {
            if event.is_writable() || has_end {
                self.connection_made(bank, now);
            }
            if self.connections[bank].state != State::SigningOn {
                return Ok(());
            }
        }
        if event.is_readable() || has_end {
            self.receive(bank, has_end)?;
        }
        if event.is_writable() && !self.connections[bank].out.is_empty() {
            self.write(bank, now);
        }
        Ok(())
    }

    fn connection_made(&mut self, bank: usize, now: u64) {
        let Some(stream) = self.connections[bank].stream.as_ref() else { return };
        let failed = matches!(stream.take_error(), Ok(Some(_)) | Err(_));
        match stream.peer_addr() {
            Ok(_) if !failed => {}
            Err(error) if error.kind() == ErrorKind::NotConnected && !failed => return,
            _ => return self.wait_and_retry(bank, now),
        }
        let _ = stream.set_nodelay(true);
        let sign_on = SignOn {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            participant: self.connections[bank].id,
            last_notice: self.audit.feeds[bank].last,
            last_system_notice: self.audit.system_feeds[bank].last,
            software: concat!("crosstie-loadgen ", env!("CARGO_PKG_VERSION")),
        };
        let connection = &mut self.connections[bank];
        connection.state = State::SigningOn;
        frame::encode(Kind::SignOn, &sign_on, &mut connection.out);
        self.write(bank, now);
    }

    /// Writes what the socket takes; the rest waits until it is writable.
    pub(super) fn write(&mut self, bank: usize, now: u64) {
        self.note_sent(bank, now);
        let connection = &mut self.connections[bank];
        let Some(stream) = connection.stream.as_mut() else { return };
        while connection.written < connection.out.len() {
            match stream.write(&connection.out[connection.written..]) {
                Ok(count) => connection.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Full; or broken, which the next read tells.
                Err(_) => break,
            }
        }
        connection.last_write_ns = now;
        if connection.written == connection.out.len() {
            connection.out.clear();
            connection.written = 0;
        }
    }

    /// The connection is gone. What was sent without outcome is sent again when the bank is back.
    pub(super) fn dropped(&mut self, bank: usize, why: &str) -> Result<()> {
        let now = self.now_ns();
        let was_ready = self.connections[bank].is_ready();
        let connection = &mut self.connections[bank];
        connection.partial.clear();
        connection.out.clear();
        connection.written = 0;
        connection.unflushed.clear();
        // Whoever signed on and is gone again in the same turn has nobody to send to: its next sign-on comes first.
        connection.resend_due = false;
        if was_ready && now.saturating_sub(connection.ready_ns) > SESSION_NS_MIN {
            connection.tried = 1;
        }
        self.wait_and_retry(bank, now);
        if self.steps.is_empty() {
            return Ok(()); // Still connecting for the first time: tried again until the time is over.
        }
        if !self.options.reconnect {
            return Err(Error::Unreachable(format!("{} lost its connection: {why}", self.connections[bank].id)));
        }
        if was_ready {
            self.reconnects += 1;
            let down = self.connections.len() - self.connected();
            if down == 1 || down == self.connections.len() {
                self.event(format!("{} of {} banks disconnected: {why}", down, self.connections.len()));
            }
        }
        Ok(())
    }

    /// Reconnects, heartbeats and churn; none is urgent, so none is looked at in every turn.
    pub(super) fn every_while(&mut self, now: u64) -> Result<()> {
        self.connect_waiting(now);
        let mut silent = Vec::new();
        for (bank, connection) in self.connections.iter().enumerate() {
            if connection.is_ready() && now.saturating_sub(connection.last_write_ns) > connection.silence_ns / 3 {
                silent.push(bank);
            }
        }
        for bank in silent {
            let heartbeat = Heartbeat {
                sent_at: Timestamp::now(),
                last_notice: self.audit.feeds[bank].last,
                last_system_notice: self.audit.system_feeds[bank].last,
            };
            frame::encode(Kind::Heartbeat, &heartbeat, &mut self.connections[bank].out);
            self.mark_dirty(bank);
        }
        if now >= self.next_churn_ns {
            self.next_churn_ns = now + self.churn_gap_ns();
            let bank = self.think_rng.random_range(0..self.connections.len());
            if self.connections[bank].is_ready() {
                self.dropped(bank, "on purpose")?;
            }
        }
        Ok(())
    }
}
