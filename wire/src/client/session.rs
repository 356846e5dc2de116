//! The background task: connect, sign on, write what lies on the desk, read what comes, connect again.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::route::Route;
use super::{Error, Feed, Notice, Resume, Rules, Shared, State};
use crate::frame::{Frames, HEADER_BYTES, Kind, decode, encode};
use crate::message::{GoAway, Heartbeat, PROTOCOL_MAX, PROTOCOL_MIN, SignOn, SignedOn};
use crate::{Message, Reason, Timestamp};

/// One read of the socket; with the notices in it, it may stay in memory as long as one of them.
const READ_BYTES: usize = 64 * 1024;
/// Reads until the notices are handed over and the desk is looked at.
const READS_IN_A_ROW: usize = 4;
/// The longest time between two looks at deadlines.
const TICK_MAX: Duration = Duration::from_millis(250);

/// How a session, or the attempt at one, came to its end.
enum Ending {
    /// Connect again: to this node not before so long, to those that it names at once.
    Lost {
        because: String,
        wait_at_least: Duration,
        nodes: Vec<String>,
    },
    Over(Error),
}

impl Ending {
    fn lost(because: impl Into<String>) -> Self {
        Ending::Lost { because: because.into(), wait_at_least: Duration::ZERO, nodes: Vec::new() }
    }

    fn broken(error: &crate::Error) -> Self {
        tracing::error!(%error, "the switch sent what is not the protocol");
        Ending::lost(format!("the switch sent what is not the protocol: {error}"))
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        Ending::lost(format!("the connection failed: {error}"))
    }
}

pub(super) async fn run(shared: std::sync::Arc<Shared>) {
    let why = live(&shared).await;
    match &why {
        Error::Closed | Error::SignedOff => tracing::debug!(%why, "client ended"),
        _ => tracing::error!(%why, participant = %shared.options.participant, "client ended"),
    }
    shared.end(why);
}

async fn live(shared: &Shared) -> Error {
    let mut closing = shared.closing.subscribe();
    let mut route = Route::new(&shared.options.addresses, shared.options.backoff);
    let mut lost = String::new();
    loop {
        let (address, pause) = route.next(Instant::now());
        if !pause.is_zero() {
            let until = Timestamp::now().plus(pause);
            shared.state.send_replace(State::Waiting { until, because: std::mem::take(&mut lost) });
            if !wait(shared, pause, &mut closing).await {
                return Error::Closed;
            }
        }
        shared.state.send_replace(State::Connecting { address: address.clone() });
        let attempt = timeout(shared.options.attempt_timeout, sign_on(shared, &address));
        let attempt = tokio::select! {
            attempt = attempt => attempt.unwrap_or_else(|_| Err(Ending::lost(format!("{address} did not answer in time")))),
            _ = closing.wait_for(|closing| *closing) => return Error::Closed,
        };
        let ending = match attempt {
            Ok(mut session) => {
                let began = Instant::now();
                let ending = session.run().await;
                shared.desk.lock().signed_off_or_lost();
                route.had_session(&address, began.elapsed());
                ending
            }
            Err(ending) => ending,
        };
        match ending {
            Ending::Over(why) => return why,
            Ending::Lost { because, wait_at_least, nodes } => {
                route.sent_away(&address, wait_at_least, &nodes, Instant::now());
                shared.desk.lock().sweep(Instant::now(), || shared.standing());
                tracing::warn!(because, "disconnected, will connect again");
                lost = because;
            }
        }
    }
}

/// False when the client was closed meanwhile. Deadlines pass while waiting, too.
async fn wait(shared: &Shared, pause: Duration, closing: &mut tokio::sync::watch::Receiver<bool>) -> bool {
    let until = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until.min(Instant::now() + TICK_MAX)) => {}
            _ = closing.wait_for(|closing| *closing) => return false,
        }
        let now = Instant::now();
        shared.desk.lock().sweep(now, || shared.standing());
        if now >= until {
            return true;
        }
    }
}

async fn sign_on<'a>(shared: &'a Shared, address: &str) -> Result<Session<'a>, Ending> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| Ending::lost(format!("{address} cannot be reached: {error}")))?;
    stream.set_nodelay(true)?;
    let asked = shared.progress.position();
    let sign_on = SignOn {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        participant: shared.options.participant,
        last_notice: asked.last_notice,
        last_system_notice: asked.last_system_notice,
        software: &shared.options.software,
    };
    let mut bytes = Vec::new();
    encode(Kind::SignOn, &sign_on, &mut bytes);
    stream.write_all(&bytes).await?;

    let mut input = BytesMut::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Ending::lost(format!("{address} closed the connection without an answer to the sign-on")));
        }
        let mut frames = Frames::new(&input);
        let Some(frame) = frames.next() else { continue };
        let frame = frame.map_err(|error| Ending::broken(&error))?;
        let rules = match decode(frame.kind, frame.body).map_err(|error| Ending::broken(&error))? {
            Message::SignedOn(signed_on) => begin(shared, &signed_on, asked)?,
            Message::GoAway(go_away) => return Err(sent_away(&go_away, true)),
            other => return Err(Ending::lost(format!("{address} answered the sign-on with {:?}", other.kind()))),
        };
        let taken = frames.taken();
        let _ = input.split_to(taken);
        return Ok(Session::new(shared, stream, input, rules));
    }
}

/// The switch has signed us on: check where the feeds go on, and put everything without an outcome back on the desk.
fn begin(shared: &Shared, signed_on: &SignedOn<'_>, asked: Resume) -> Result<Rules, Ending> {
    for (feed, asked, next) in [
        (Feed::Own, asked.last_notice, signed_on.next_notice),
        (Feed::System, asked.last_system_notice, signed_on.next_system_notice),
    ] {
        if next > asked.saturating_add(1) {
            return Err(Ending::Over(Error::Gap { feed, expected: asked + 1, got: next }));
        }
    }
    let rules = Rules {
        protocol: signed_on.protocol,
        window: signed_on.window,
        silence_max: Duration::from_millis(u64::from(signed_on.silence_max_ms).max(30)).min(shared.options.silence_max),
        payment_timeout: Duration::from_millis(signed_on.payment_timeout_ms.into()),
        creditor_share: Duration::from_millis(signed_on.creditor_share_ms.into()),
        skew_max: Duration::from_millis(signed_on.skew_max_ms.into()),
        business_date: signed_on.business_date,
    };
    shared.desk.lock().signed_on(Instant::now());
    shared.state.send_replace(State::SignedOn { since: Timestamp::now(), node: signed_on.node.to_owned(), rules });
    Ok(rules)
}

/// What a GoAway means for the client: wait and connect again, or give up.
fn sent_away(go_away: &GoAway<'_>, at_sign_on: bool) -> Ending {
    let (reason, text) = (go_away.reason, go_away.text.to_owned());
    let hopeless =
        [Reason::VERS, Reason::AGNT, Reason::CNOR].contains(&reason) || (at_sign_on && reason == Reason::FORM);
    match reason {
        Reason::SUPR => Ending::Over(Error::Superseded { text }),
        _ if hopeless => Ending::Over(Error::SentAway { reason, text }),
        _ => Ending::Lost {
            because: format!("the switch ended the session: {reason}: {text}"),
            wait_at_least: Duration::from_millis(go_away.retry_after_ms.into()),
            nodes: go_away.nodes.map_or_else(Vec::new, |nodes| nodes.split(',').map(ToString::to_string).collect()),
        },
    }
}

struct Session<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    rules: Rules,
    input: BytesMut,
    fresh: Vec<Notice>,
    writing: Vec<u8>,
    written: usize,
    sent_at: Instant,
    received_at: Instant,
    asked_at: Instant,
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared, stream: TcpStream, input: BytesMut, rules: Rules) -> Self {
        let now = Instant::now();
        let (fresh, writing) = (Vec::new(), Vec::new());
        Session {
            shared,
            stream,
            rules,
            input,
            fresh,
            writing,
            written: 0,
            sent_at: now,
            received_at: now,
            asked_at: now,
        }
    }

    async fn run(&mut self) -> Ending {
        match self.serve().await {
            Err(ending) => ending,
            Ok(()) => Ending::Over(Error::Closed),
        }
    }

    /// Until the client is closed.
    async fn serve(&mut self) -> Result<(), Ending> {
        let mut closing = self.shared.closing.subscribe();
        let mut tick = interval((self.rules.silence_max / 6).min(TICK_MAX));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.hear()?;
        loop {
            self.write()?;
            let closed = *closing.borrow_and_update();
            if closed && self.written == self.writing.len() {
                return Ok(());
            }
            let paused = self.shared.inbox.is_paused();
            let blocked = self.written < self.writing.len();
            let interest = match (paused, blocked) {
                (false, false) => Interest::READABLE,
                (false, true) => Interest::READABLE | Interest::WRITABLE,
                (true, _) => Interest::WRITABLE,
            };
            tokio::select! {
                ready = self.stream.ready(interest), if !paused || blocked => {
                    if ready?.is_readable() && !paused {
                        self.read()?;
                    }
                }
                () = self.shared.wake.notified(), if !blocked => {}
                () = self.shared.inbox.room.notified() => self.received_at = Instant::now(),
                _ = tick.tick() => self.tick(paused)?,
                _ = closing.changed(), if !closed => {}
            }
        }
    }

    /// Writes what the socket takes: the rest of before, then what lies on the desk.
    fn write(&mut self) -> Result<(), Ending> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.written = 0;
                self.shared.desk.lock().take_outgoing(&mut self.writing);
                if self.writing.is_empty() {
                    return Ok(());
                }
            }
            match self.stream.try_write(&self.writing[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.sent_at = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.last_words().unwrap_or_else(|| error.into())),
            }
        }
    }

    /// A write failed; perhaps the switch said why before it closed.
    fn last_words(&mut self) -> Option<Ending> {
        self.read().err()
    }

    fn read(&mut self) -> Result<(), Ending> {
        for _ in 0..READS_IN_A_ROW {
            self.input.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(Ending::lost("the switch closed the connection")),
                Ok(_) => self.hear()?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if self.shared.inbox.is_paused() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the complete frames of the input: outcomes to the desk, notices to the inbox.
    fn hear(&mut self) -> Result<(), Ending> {
        if self.input.is_empty() {
            return Ok(());
        }
        self.received_at = Instant::now();
        let batch = self.input.split().freeze();
        let mut frames = Frames::new(&batch);
        let heard = self.hear_frames(&batch, &mut frames);
        self.input.extend_from_slice(&batch[frames.taken()..]);
        self.shared.inbox.put(&mut self.fresh, &self.shared.progress);
        heard
    }

    fn hear_frames(&mut self, batch: &Bytes, frames: &mut Frames<'_>) -> Result<(), Ending> {
        let mut desk = self.shared.desk.lock();
        while let Some(frame) = frames.next() {
            let frame = frame.map_err(|error| Ending::broken(&error))?;
            let message = decode(frame.kind, frame.body).map_err(|error| Ending::broken(&error))?;
            let (feed, number) = match &message {
                Message::StatusReport(report) => {
                    desk.hear_report(report);
                    continue;
                }
                Message::Refused(refused) => {
                    if !desk.hear_refused(refused) {
                        tracing::warn!(reason = %refused.reason, text = refused.text, kind = refused.kind, "refused");
                    }
                    continue;
                }
                Message::HeartbeatReply(_) => continue,
                Message::GoAway(_) if desk.is_signing_off() => return Err(Ending::Over(Error::SignedOff)),
                Message::GoAway(go_away) => return Err(sent_away(go_away, false)),
                Message::TransferNotice(notice) => (Feed::Own, notice.number),
                Message::StatusNotice(notice) => (Feed::Own, notice.number),
                Message::ReturnNotice(notice) => (Feed::Own, notice.number),
                Message::PositionNotice(notice) => (Feed::Own, notice.number),
                Message::SystemNotice(notice) => (Feed::System, notice.number),
                other => {
                    return Err(Ending::lost(format!("the switch sent {:?}, which it never should", other.kind())));
                }
            };
            if !self.shared.progress.receive(feed, number).map_err(Ending::Over)? {
                continue;
            }
            if let Message::StatusNotice(notice) = &message {
                desk.hear_notice(notice);
            }
            let body = frames.taken() - frame.body.len()..frames.taken();
            self.fresh.push(Notice::new(feed, number, frame.kind, batch.slice(body)));
        }
        Ok(())
    }

    /// Deadlines, silence, heartbeat.
    fn tick(&mut self, paused: bool) -> Result<(), Ending> {
        let now = Instant::now();
        self.shared.desk.lock().sweep(now, || self.shared.standing());
        if paused {
            self.received_at = now; // we do not listen, so it is not the switch that is silent
        }
        if now - self.received_at > self.rules.silence_max {
            self.read()?; // perhaps it was this program that slept
        }
        let silence = now.saturating_duration_since(self.received_at);
        if silence > self.rules.silence_max {
            return Err(Ending::lost(format!("the switch was silent for {} ms", silence.as_millis())));
        }
        let third = self.rules.silence_max / 3;
        let due = now - self.sent_at >= third || silence >= third && now - self.asked_at >= third;
        if due && self.written == self.writing.len() {
            let position = self.shared.progress.position();
            let heartbeat = Heartbeat {
                sent_at: Timestamp::now(),
                last_notice: position.last_notice,
                last_system_notice: position.last_system_notice,
            };
            encode(Kind::Heartbeat, &heartbeat, &mut self.writing);
            self.asked_at = now;
        }
        Ok(())
    }
}

const _: () = assert!(READ_BYTES > HEADER_BYTES + crate::frame::FRAME_BYTES_MAX);
