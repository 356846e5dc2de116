//! One connection of one participant, from sign-on to its end.
//!
//! A reader task takes frames from the socket and hands instructions to whoever leads; it reads no further than the window
//! allows. The session itself minds the rest: what the outlet needs, silence, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actors::{Batch, Cursor, Elsewhere, Ending, Line, Other, Switch};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use wire::frame::{FRAME_BYTES_MAX, HEADER_BYTES, decode};
use wire::message::{FROM_NOW, GoAway, HeartbeatReply, PROTOCOL_MAX, PROTOCOL_MIN, Refused, SignOn, SignedOn};
use wire::{Frames, Message, ParticipantId, Reason};

use crate::courier::Outlets;
use crate::door::Door;
use crate::needs::meet;
use crate::ops::Measured;
use crate::ops::messages::{Counts, Event, Mistake};
use crate::outlet::{Onlookers, Outlet};

/// Settings of every session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Name of the node, told at sign-on.
    pub node: String,
    /// Instructions that may be outstanding.
    pub window: u32,
    /// A connection that says nothing for so long is closed.
    pub silence_max: Duration,
    /// A connection that has not signed on after so long is closed.
    pub sign_on_timeout: Duration,
    /// Room for one read from the socket, bytes.
    pub read_bytes: usize,
}

/// What all sessions share.
pub(crate) struct Context {
    pub(crate) switch: Arc<Switch>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) limits: Limits,
    pub(crate) door: Arc<Door>,
    pub(crate) measured: Arc<Measured>,
    /// Feeds that may be read again from the log at once.
    pub(crate) catch_ups: Semaphore,
    /// Connections so far: their numbers in log lines.
    pub(crate) sessions: AtomicU64,
}

/// Who is at the other end, as its sign-on said; the address is the system's.
pub(crate) struct Opened {
    /// Counts the node's connections.
    pub(crate) session: u64,
    pub(crate) address: String,
    pub(crate) software: String,
    pub(crate) protocol: u16,
}

/// What was read from a connection: when last, by a clock that nobody sets, and how many instructions.
pub(crate) struct Heard {
    since: Instant,
    last_ms: AtomicU64,
    instructions: AtomicU64,
}

impl Heard {
    pub(crate) fn instructions(&self) -> u64 {
        self.instructions.load(Ordering::Relaxed)
    }

    fn now(&self) {
        self.last_ms.store(self.since.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn silent(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

fn ending(reason: Reason, retry_after_ms: u32, text: impl Into<String>) -> Ending {
    Ending::new(reason, retry_after_ms, text)
}

/// Serves one connection until it ends.
pub(crate) async fn serve(context: Arc<Context>, stream: TcpStream) {
    let session = context.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let address = stream.peer_addr().map_or_else(|_| String::new(), |address| address.to_string());
    let (mut reader, writer) = stream.into_split();
    let mut buffer = Vec::with_capacity(context.limits.read_bytes);
    let signed_on = match timeout(context.limits.sign_on_timeout, sign_on(&context, &mut reader, &mut buffer)).await {
        Ok(signed_on) => signed_on,
        Err(_) => Err(ending(Reason::SIGN, 1000, "no SignOn came in time")),
    };
    let accepted = match signed_on {
        Ok(accepted) => accepted,
        Err(ending) => {
            let code = ending.reason.as_str();
            match ending.reason {
                // Whoever looks whether the port is open.
                Reason::SIGN => tracing::debug!(event = "sign_on_refused", address, session, code),
                _ => tracing::info!(event = "sign_on_refused", address, session, code),
            }
            let farewell = farewell(&context.switch, &ending);
            _ = timeout(Duration::from_secs(1), async {
                writer.writable().await?;
                writer.try_write(&farewell)
            })
            .await;
            return;
        }
    };
    let Accepted { line, participant, software, protocol, feeds, greeting } = accepted;
    let heard = Arc::new(Heard { since: Instant::now(), last_ms: AtomicU64::new(0), instructions: AtomicU64::new(0) });
    let trail = context.switch.trail.clone();
    let counts = context.measured.messages.of(line.key());
    counts.event(Event::Connect);
    let opened = Opened { session, address, software, protocol };
    let onlookers = Onlookers { trail, counts: counts.clone() };
    let outlet = Arc::new(Outlet::new(line.clone(), opened, heard.clone(), writer, feeds, greeting, onlookers));
    context.switch.connect(&line);
    context.outlets.insert(outlet.clone());
    outlet.pump();
    let spare = context.switch.instruct(&line, Arc::new(Batch::sign_on()));
    tracing::info!(event = "signed_on", %participant, session);

    let spare = spare.unwrap_or_default();
    let reading = Reading {
        context: context.clone(),
        line: line.clone(),
        participant,
        session,
        heard: heard.clone(),
        counts: counts.clone(),
        spare,
    };
    let task = tokio::spawn({
        let outlet = outlet.clone();
        async move { reading.run(reader, buffer, &outlet).await }
    });
    let ending = mind(&context, &outlet, task, &heard).await;
    if let Some(ending) = &ending {
        say_farewell(&context.switch, &outlet, ending).await;
    }
    context.outlets.remove(&outlet);
    context.switch.disconnect(&line);
    counts.event(Event::Disconnect);
    match ending.as_ref().map(|ending| ending.reason) {
        None | Some(Reason::SOFF) => {}
        Some(Reason::IDLE) => counts.event(Event::HeartbeatMissed),
        Some(_) => counts.event(Event::GoAway),
    }
    let code = ending.as_ref().map(|ending| ending.reason.as_str());
    let why = match &ending {
        None => "the connection broke or was closed by the participant",
        // The text shows what came, and that may be anything.
        Some(Ending { reason: Reason::FORM, .. }) => "what the participant sent cannot be read",
        Some(ending) => &ending.text,
    };
    let took_ms = heard.since.elapsed().as_millis() as u64;
    tracing::info!(event = "disconnected", %participant, session, code, why, took_ms);
}

struct Accepted {
    line: Arc<Line>,
    participant: ParticipantId,
    software: String,
    protocol: u16,
    feeds: ((Arc<actors::Feed>, Cursor), (Arc<actors::Feed>, Cursor)),
    greeting: Vec<u8>,
}

async fn sign_on(context: &Context, reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> Result<Accepted, Ending> {
    let broken = |error: wire::Error| ending(Reason::FORM, 1000, error.to_string());
    loop {
        if let Some(length) = wire::frame::frame_length(buffer).map_err(broken)?
            && buffer.len() >= length
        {
            let frame: Vec<u8> = buffer.drain(..length).collect();
            let kind = u16::from_le_bytes([frame[4], frame[5]]);
            return match decode(kind, &frame[HEADER_BYTES..]).map_err(broken)? {
                Message::SignOn(sign_on) => {
                    let counts = counts_of(context, &sign_on);
                    counts.iter().for_each(|counts| counts.read(std::iter::once(kind)));
                    // It waits, on a node that was cut off from the others for as long as that lasts.
                    let accepted = accept_when_caught_up(context, &sign_on).await;
                    let accepted = accepted.inspect_err(|_| {
                        counts.iter().for_each(|counts| counts.event(Event::SignOnRefused));
                    })?;
                    match is_closed(reader, buffer) {
                        true => Err(ending(Reason::SIGN, 0, "the connection was closed behind its SignOn")),
                        false => Ok(accepted),
                    }
                }
                _ => Err(ending(Reason::SIGN, 1000, "the first message must be SignOn")),
            };
        }
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return Err(ending(Reason::SIGN, 1000, "the connection was closed before SignOn")),
            Ok(_) => {}
        }
    }
}

/// Whoever is not registered is not counted: anybody may call himself anything.
fn counts_of(context: &Context, sign_on: &SignOn<'_>) -> Option<Arc<Counts>> {
    let key = context.switch.scheme().key(sign_on.participant)?;
    Some(context.measured.messages.of(key))
}

/// A connection that was given up must not supersede the one that replaced it.
fn is_closed(reader: &OwnedReadHalf, buffer: &mut Vec<u8>) -> bool {
    match reader.try_read_buf(buffer) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// A node that does not lead, or no longer and does not know it yet, may not have heard of what the participant was told
/// elsewhere.
async fn accept_when_caught_up(context: &Context, sign_on: &SignOn<'_>) -> Result<Accepted, Ending> {
    let until = Instant::now() + context.limits.sign_on_timeout / 2;
    let mut leads_for_sure = false;
    loop {
        if let Some(closed) = context.door.closed() {
            return Err(closed.ending());
        }
        match accept(context, sign_on) {
            // The client ends for good when it hears that: only who has all that was committed may say so.
            Err(Ending { reason: Reason::AGNT | Reason::FORM, .. }) if !leads_for_sure => {
                if Instant::now() >= until {
                    let text = "this node is behind what you know: connect again, or to another node";
                    return Err(Ending::elsewhere(Reason::DRAN, 1000, text));
                }
                leads_for_sure = timeout_at(until, context.switch.leads_for_sure()).await.unwrap_or(false);
                if !leads_for_sure {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            accepted => return accepted,
        }
    }
}

fn accept(context: &Context, sign_on: &SignOn<'_>) -> Result<Accepted, Ending> {
    let switch = &context.switch;
    let protocol = PROTOCOL_MAX.min(sign_on.protocol_max);
    if protocol < PROTOCOL_MIN.max(sign_on.protocol_min) {
        let text = format!("this node speaks protocol versions {PROTOCOL_MIN} to {PROTOCOL_MAX}");
        return Err(ending(Reason::VERS, 60_000, text));
    }
    let unknown = || ending(Reason::AGNT, 60_000, format!("{} is not registered at this switch", sign_on.participant));
    let (key, business_date, suspended) = {
        let scheme = switch.scheme();
        let key = scheme.key(sign_on.participant).ok_or_else(unknown)?;
        (key, scheme.business_date(), scheme.listing(key).is_some_and(|listing| listing.suspended_receiving))
    };
    if suspended {
        return Err(ending(Reason::S947, 60_000, "this participant is suspended; ask the operator of the switch"));
    }
    let feed = switch.feeds.of(key).ok_or_else(unknown)?;
    let everyone = switch.feeds.everyone.clone();
    for (asked, last, name) in [
        (sign_on.last_notice, feed.last(), "last_notice"),
        (sign_on.last_system_notice, everyone.last(), "last_system_notice"),
    ] {
        if asked > last && asked != FROM_NOW {
            let text = format!(
                "{name} is {asked}, but the feed ends with {last}: this is not the switch you were connected to"
            );
            return Err(ending(Reason::FORM, 60_000, text));
        }
    }
    let after = |asked: u64, feed: &actors::Feed| if asked == FROM_NOW { feed.last() } else { asked };
    let (last_notice, last_system_notice) =
        (after(sign_on.last_notice, &feed), after(sign_on.last_system_notice, &everyone));
    let line = Arc::new(Line::new(key, sign_on.participant, context.limits.window));
    let milliseconds = |length: Duration| length.as_millis().min(u128::from(u32::MAX)) as u32;
    let rules = switch.rules();
    let mut greeting = Vec::new();
    let signed_on = SignedOn {
        protocol,
        node: &context.limits.node,
        next_notice: last_notice + 1,
        next_system_notice: last_system_notice + 1,
        window: context.limits.window,
        frame_bytes_max: FRAME_BYTES_MAX as u32,
        silence_max_ms: milliseconds(context.limits.silence_max),
        payment_timeout_ms: milliseconds(rules.payment_timeout),
        creditor_share_ms: milliseconds(rules.creditor_share),
        skew_max_ms: milliseconds(rules.skew_max),
        business_date,
        sent_at: switch.clock().now(),
    };
    Message::SignedOn(signed_on).encode(&mut greeting);
    let cursors = (Cursor::after(last_notice), Cursor::after(last_system_notice));
    let (participant, software) = (sign_on.participant, sign_on.software.to_string());
    let feeds = ((feed, cursors.0), (everyone, cursors.1));
    Ok(Accepted { line, participant, software, protocol, feeds, greeting })
}

/// The reader task.
struct Reading {
    context: Arc<Context>,
    line: Arc<Line>,
    participant: ParticipantId,
    session: u64,
    heard: Arc<Heard>,
    counts: Arc<Counts>,
    /// Memory for the next read.
    spare: Arc<Batch>,
}

impl Reading {
    /// Reads until the connection ends; gives why, when it was not the peer that closed it.
    async fn run(mut self, mut reader: OwnedReadHalf, mut buffer: Vec<u8>, outlet: &Outlet) -> Option<Ending> {
        loop {
            match self.take_frames(&mut buffer, outlet) {
                Ok(false) => {}
                Ok(true) => return self.signed_off().await,
                Err(error) => {
                    self.counts.mistake(Mistake::Frame);
                    return Some(ending(Reason::FORM, 1000, error.to_string()));
                }
            }
            if !self.line.has_room() {
                self.line.wait_for_room().await;
                self.heard.now();
            }
            if buffer.capacity() - buffer.len() < FRAME_BYTES_MAX {
                buffer.reserve(self.context.limits.read_bytes);
            }
            match reader.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.heard.now(),
            }
        }
    }

    /// Hands over all complete frames at the front of `buffer`. True after a sign-off.
    fn take_frames(&mut self, buffer: &mut Vec<u8>, outlet: &Outlet) -> Result<bool, wire::Error> {
        let (mut frames, mut broken) = (Frames::new(buffer), None);
        let whole = frames.by_ref().map_while(|frame| frame.map_err(|error| broken = Some(error)).ok());
        self.counts.read(whole.map(|frame| frame.kind));
        let taken = frames.taken();
        if taken > 0 {
            // The read is handed over as it is; only what began after its last whole frame moves to the next buffer.
            let mut batch = std::mem::take(&mut self.spare);
            let own = Arc::make_mut(&mut batch);
            own.bytes.reserve(self.context.limits.read_bytes);
            own.bytes.extend_from_slice(&buffer[taken..]);
            std::mem::swap(buffer, &mut own.bytes);
            own.bytes.truncate(taken);
            if self.take(batch, outlet) {
                return Ok(true);
            }
        }
        broken.map_or(Ok(false), Err)
    }

    fn take(&mut self, mut batch: Arc<Batch>, outlet: &Outlet) -> bool {
        let (mut replied, began) = (false, Instant::now());
        let signed_off = Arc::make_mut(&mut batch).decode(self.participant, |other| {
            replied = true;
            match other {
                Other::Heartbeat(heartbeat) => {
                    let sent_at = self.context.switch.clock().now();
                    let reply = HeartbeatReply { echo: heartbeat.sent_at, sent_at };
                    self.line.say(|out| Message::HeartbeatReply(reply).encode(out));
                }
                Other::Wrong { frame, reason, error } => self.refuse(frame.kind, frame.body, reason, error),
            }
        });
        if !batch.items.is_empty() {
            self.heard.instructions.fetch_add(batch.items.len() as u64, Ordering::Relaxed);
            self.context.measured.decode.lock().record_many(began.elapsed(), batch.items.len());
            self.spare = self.context.switch.instruct(&self.line, batch).unwrap_or_default();
        }
        if replied {
            self.context.switch.deliver();
            outlet.pump();
        }
        signed_off
    }

    fn refuse(&self, kind: u16, body: &[u8], reason: Reason, error: Option<wire::Error>) {
        self.counts.mistake(if reason == Reason::AGNT { Mistake::Agent } else { Mistake::Schema });
        // The error's text shows what came, and that may be anything.
        let field = error.as_ref().and_then(wire::Error::field);
        let (participant, session) = (self.participant, self.session);
        tracing::info!(event = "message_refused", %participant, session, code = reason.as_str(), kind, field);
        let meaning = || reason.explanation().map_or("", |explanation| explanation.meaning).to_string();
        let mut text = error.map_or_else(meaning, |error| error.to_string());
        text.truncate(text.floor_char_boundary(500));
        let text: String = text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
        let uetr = uetr_of(kind, body);
        self.line.say(|out| Message::Refused(Refused { kind, uetr, reason, text: &text }).encode(out));
    }

    /// After a sign-off: everything before it is committed and told, then the connection ends.
    async fn signed_off(&self) -> Option<Ending> {
        while self.line.outstanding() > 0 || !self.context.switch.has_caught_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Some(ending(Reason::SOFF, 0, "signed off"))
    }
}

/// The payment that a refused message spoke of, where its form still tells.
fn uetr_of(kind: u16, body: &[u8]) -> [u8; 16] {
    match decode(kind, body) {
        Ok(Message::CreditTransfer(transfer)) => *transfer.uetr.bytes(),
        Ok(Message::PaymentReturn(payment_return)) => *payment_return.uetr.bytes(),
        _ => [0; 16],
    }
}

/// Looks after a connection until it ends: `None` when the peer closed it or it broke.
async fn mind(
    context: &Context,
    outlet: &Outlet,
    mut reading: tokio::task::JoinHandle<Option<Ending>>,
    heard: &Heard,
) -> Option<Ending> {
    let silence_max = context.limits.silence_max;
    let mut look = tokio::time::interval(silence_max / 4);
    let ended = 'needs: loop {
        let mut met = std::pin::pin!(async { meet(context, outlet, outlet.until_needed().await).await });
        loop {
            tokio::select! {
                ended = &mut reading => return ended.ok().flatten(),
                ending = outlet.line().until_ended() => break 'needs Some(ending),
                met = &mut met => match met {
                    Ok(()) => break,
                    Err(ending) => break 'needs ending,
                },
                _ = look.tick() => {
                    // With the window full nothing is read: that is not the participant's silence.
                    if !outlet.line().has_room() {
                        heard.now();
                    }
                    if heard.silent() > silence_max {
                        let text = format!("nothing was heard for {} ms; send heartbeats", silence_max.as_millis());
                        break 'needs Some(ending(Reason::IDLE, 0, text));
                    }
                }
            }
        }
        // Letters first: no answer to what is written now may overtake the letter about its payment.
        context.switch.deliver();
        outlet.go_on();
    };
    reading.abort();
    ended
}

fn farewell(switch: &Switch, ending: &Ending) -> Vec<u8> {
    let mut out = Vec::new();
    let text = if ending.text.is_empty() { "the connection ends" } else { &ending.text };
    let text = &text[..text.floor_char_boundary(500)];
    let nodes = match &ending.elsewhere {
        Elsewhere::Nowhere => Vec::new(),
        Elsewhere::Anywhere => switch.relay.elsewhere(),
        Elsewhere::At(nodes) => nodes.clone(),
    };
    let nodes = wire::nodes::list(nodes.iter().map(String::as_str));
    let (reason, retry_after_ms) = (ending.reason, ending.retry_after_ms);
    Message::GoAway(GoAway { reason, retry_after_ms, text, nodes: nodes.as_deref() }).encode(&mut out);
    out
}

/// Writes what is still to be told and the reason of the end, for at most a second.
async fn say_farewell(switch: &Switch, outlet: &Outlet, ending: &Ending) {
    outlet.say_last(&farewell(switch, ending));
    _ = timeout(Duration::from_secs(1), async {
        outlet.go_on();
        while outlet.is_waiting() {
            if outlet.writable().await.is_err() {
                return;
            }
            outlet.go_on();
        }
    })
    .await;
}
