//! The floor: the smallest program that moves the same bytes with the same promises as the switch, and nothing else.
//!
//! It speaks the same frames, so the same load generator drives it. A credit transfer is appended to a preallocated,
//! zero-filled file and synced in a group commit, then forwarded to the creditor agent as a numbered notice; its answer
//! is appended and synced, then both are told. It keeps a map from UETR to the two connections and has no positions,
//! rules, feeds, snapshots or actors, and nothing is recovered. What the switch costs beyond it is the price of being one.
//!
//! One thread does everything, in turns, without a hand-off:
//!
//! ```text
//!     wait for sockets -> read all of them -> append -> write and sync once -> one write per socket -> wait ...
//! ```
//!
//! It writes with O_DIRECT and O_DSYNC where the file system can, which is one system call and no page cache; `--buffered`
//! writes and calls fdatasync instead. `--log-thread` moves that to a second thread, double-buffered: a turn's notices go out
//! when its sync is done, and the next turn is read meanwhile. On two cores, one of them the load generator's, the defaults
//! measured fastest, in throughput and in latency.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use wire::frame::{self, Frames, Kind};
use wire::message::{Answer, GoAway, Heartbeat, HeartbeatReply, SignOn, SignedOn, StatusNotice};
use wire::{BusinessDate, Currency, Message, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LISTENER: Token = Token(usize::MAX);
const SYNCED: Token = Token(usize::MAX - 1);
const READ_BYTES: usize = 256 * 1024;
const BLOCK_BYTES: usize = 4096;
const PAYMENT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(clap::Parser)]
#[command(about = "The smallest program that moves a payment's bytes with the switch's promises: what to compare with")]
struct Options {
    /// Address to listen on; port 0 takes any free one. The address is printed when ready
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
    /// Folder of the log; made when missing, what lies there is overwritten
    #[arg(long)]
    data: PathBuf,
    /// Participants to expect, a hint for sizes only
    #[arg(long, default_value_t = 36)]
    participants: usize,
    /// Size of one of the two log segments, MiB
    #[arg(long, default_value_t = 256)]
    segment_mib: u64,
    /// Write and sync in a thread of its own
    #[arg(long)]
    log_thread: bool,
    /// Write through the page cache and call fdatasync, instead of O_DIRECT and O_DSYNC
    #[arg(long)]
    buffered: bool,
    /// Poll so long before going to sleep, microseconds
    #[arg(long, default_value_t = 0)]
    spin_us: u64,
}

fn main() -> io::Result<()> {
    let options = <Options as clap::Parser>::parse();
    std::fs::create_dir_all(&options.data)?;
    let log = Log::open(&options.data, options.segment_mib << 20, options.buffered)?;
    let mut listener = TcpListener::bind(options.listen)?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), SYNCED)?;
    let mut floor = Floor::new(listener, options.participants);
    let mut committer = if options.log_thread { Committer::thread(log, waker) } else { Committer::Inline(log) };
    let mut events = Events::with_capacity(1024);
    let spin = Duration::from_micros(options.spin_us);
    loop {
        wait(&mut poll, &mut events, spin)?;
        let mut synced = false;
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&poll)?,
                SYNCED => synced = true,
                Token(slot) => floor.ready(slot, event.is_readable(), event.is_writable()),
            }
        }
        committer.turn(&mut floor, synced)?;
    }
}

fn wait(poll: &mut Poll, events: &mut Events, spin: Duration) -> io::Result<()> {
    let until = (!spin.is_zero()).then(|| Instant::now() + spin);
    while until.is_some_and(|until| Instant::now() < until) {
        poll.poll(events, Some(Duration::ZERO))?;
        if !events.is_empty() {
            return Ok(());
        }
    }
    match poll.poll(events, None) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}

/// Who syncs: this thread, or another while this one reads on.
enum Committer {
    Inline(Log),
    Thread { work: mpsc::SyncSender<Vec<u8>>, done: mpsc::Receiver<Vec<u8>>, busy: bool },
}

impl Committer {
    fn thread(mut log: Log, waker: Waker) -> Self {
        let (work, inbox) = mpsc::sync_channel::<Vec<u8>>(1);
        let (outbox, done) = mpsc::channel();
        std::thread::spawn(move || {
            for mut batch in inbox {
                log.commit(&batch).expect("the log can be written and synced; else nothing may be promised");
                batch.clear();
                let _ = outbox.send(batch);
                let _ = waker.wake();
            }
        });
        Committer::Thread { work, done, busy: false }
    }

    /// Makes what was appended durable, then sends what may now be said.
    fn turn(&mut self, floor: &mut Floor, synced: bool) -> io::Result<()> {
        match self {
            Committer::Inline(log) => {
                if !floor.append.is_empty() {
                    log.commit(&floor.append)?;
                    floor.append.clear();
                }
                floor.stage();
                floor.flush();
            }
            Committer::Thread { work, done, busy } => {
                if synced && *busy {
                    let empty = done.recv().map_err(io::Error::other)?;
                    floor.flush();
                    *busy = false;
                    if floor.append.is_empty() {
                        floor.append = empty;
                    }
                }
                let waiting = !floor.dirty.is_empty() || !floor.append.is_empty();
                if waiting && !*busy {
                    floor.stage();
                    let batch = std::mem::take(&mut floor.append);
                    work.send(batch).map_err(io::Error::other)?;
                    *busy = true;
                }
            }
        }
        Ok(())
    }
}

/// Two preallocated, zero-filled segments, written in turn. Padded to whole blocks when direct.
struct Log {
    segments: [File; 2],
    current: usize,
    offset: u64,
    segment_bytes: u64,
    /// Only when direct: an aligned window for one batch, whose first bytes repeat the last block's.
    direct: Option<Aligned>,
}

struct Aligned {
    bytes: Vec<u8>,
    tail: usize,
}

impl Log {
    fn open(folder: &Path, segment_bytes: u64, buffered: bool) -> io::Result<Self> {
        let fill = |name: &str| -> io::Result<PathBuf> {
            let path = folder.join(name);
            let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
            let zeros = vec![0; 1 << 20];
            for place in 0..segment_bytes >> 20 {
                file.write_all_at(&zeros, place << 20)?;
            }
            file.sync_all()?;
            Ok(path)
        };
        let paths = [fill("floor-0.log")?, fill("floor-1.log")?];
        File::open(folder)?.sync_all()?;
        let open = |flags: i32| -> io::Result<[File; 2]> {
            let mut how = OpenOptions::new();
            how.write(true).custom_flags(flags);
            Ok([how.open(&paths[0])?, how.open(&paths[1])?])
        };
        let direct = if buffered { None } else { open(libc::O_DIRECT | libc::O_DSYNC).ok() };
        let aligned = direct.is_some().then(|| Aligned { bytes: vec![0; (16 << 20) + BLOCK_BYTES], tail: 0 });
        let segments = direct.map_or_else(|| open(0), Ok)?;
        Ok(Log { segments, current: 0, offset: 0, segment_bytes, direct: aligned })
    }

    fn commit(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.offset + (batch.len() + BLOCK_BYTES) as u64 > self.segment_bytes {
            self.current = 1 - self.current;
            self.offset = 0;
            if let Some(aligned) = &mut self.direct {
                aligned.tail = 0;
            }
        }
        let file = &self.segments[self.current];
        let Some(Aligned { bytes, tail }) = &mut self.direct else {
            file.write_all_at(batch, self.offset)?;
            self.offset += batch.len() as u64;
            return file.sync_data();
        };
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
        let used = *tail + batch.len();
        let padded = used.next_multiple_of(BLOCK_BYTES);
        let window = &mut bytes[start..start + padded];
        window[*tail..used].copy_from_slice(batch);
        window[used..].fill(0);
        file.write_all_at(window, self.offset)?;
        let whole = used / BLOCK_BYTES * BLOCK_BYTES;
        self.offset += whole as u64;
        *tail = used - whole;
        window.copy_within(whole..used, 0);
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    participant: Option<usize>,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    /// May be sent once what was appended in this turn is synced.
    pending: Vec<u8>,
    /// The same, of the turn that is being synced.
    staged: Vec<u8>,
    /// May be sent.
    out: Vec<u8>,
    dirty: bool,
}

struct Participant {
    id: ParticipantId,
    connection: Option<usize>,
    next_notice: u64,
}

struct Payment {
    debtor: usize,
    creditor: usize,
    amount_minor: i64,
    currency: Currency,
    message_id: ([u8; 35], u8),
}

struct Floor {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    participants: Vec<Participant>,
    by_id: HashMap<ParticipantId, usize, foldhash::fast::FixedState>,
    payments: HashMap<Uetr, Payment, foldhash::fast::FixedState>,
    append: Vec<u8>,
    dirty: Vec<usize>,
    staged: Vec<usize>,
    read: Vec<u8>,
    now: Timestamp,
    today: BusinessDate,
}

impl Floor {
    fn new(listener: TcpListener, participants: usize) -> Self {
        Floor {
            listener,
            connections: Vec::with_capacity(participants),
            participants: Vec::with_capacity(participants),
            by_id: HashMap::with_capacity_and_hasher(participants, Default::default()),
            payments: HashMap::with_capacity_and_hasher(1 << 16, Default::default()),
            append: Vec::with_capacity(1 << 20),
            dirty: Vec::new(),
            staged: Vec::new(),
            read: vec![0; READ_BYTES],
            now: Timestamp::now(),
            today: Timestamp::now().date(),
        }
    }

    fn accept(&mut self, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let slot = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
            poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
            let empty = Vec::new;
            let (partial, pending, staged, out) = (empty(), empty(), empty(), empty());
            let connection = Connection { stream, participant: None, partial, pending, staged, out, dirty: false };
            if slot == self.connections.len() {
                self.connections.push(Some(connection));
            } else {
                self.connections[slot] = Some(connection);
            }
        }
    }

    fn ready(&mut self, slot: usize, readable: bool, writable: bool) {
        let alive = !readable || self.receive(slot);
        let alive =
            alive && (!writable || self.connections[slot].as_mut().is_none_or(|connection| connection.write().is_ok()));
        if !alive {
            self.drop_connection(slot);
        }
    }

    fn drop_connection(&mut self, slot: usize) {
        let connection = self.connections.get_mut(slot).and_then(Option::take);
        if let Some(participant) = connection.and_then(|connection| connection.participant)
            && self.participants[participant].connection == Some(slot)
        {
            self.participants[participant].connection = None;
        }
    }

    /// Reads until the socket is empty and handles every whole frame. False: the connection is over.
    fn receive(&mut self, slot: usize) -> bool {
        let mut buffer = std::mem::take(&mut self.read);
        self.now = Timestamp::now();
        let alive = loop {
            let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { break true };
            let start = connection.partial.len();
            buffer[..start].copy_from_slice(&connection.partial);
            let room = buffer.len() - start;
            let count = match connection.stream.read(&mut buffer[start..]) {
                Ok(0) => break false,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break false,
            };
            let mut frames = Frames::new(&buffer[..start + count]);
            let mut broken = false;
            for frame in &mut frames {
                broken = frame.map_err(|_| ()).and_then(|frame| self.handle(slot, frame).ok_or(())).is_err();
                if broken {
                    break;
                }
            }
            let taken = frames.taken();
            let Some(connection) = self.connections[slot].as_mut() else { break true };
            connection.partial.clear();
            connection.partial.extend_from_slice(&buffer[taken..start + count]);
            if broken || count < room {
                break !broken;
            }
        };
        self.read = buffer;
        alive
    }

    /// One frame. None: it breaks the protocol.
    fn handle(&mut self, slot: usize, frame: frame::Frame<'_>) -> Option<()> {
        const CREDIT_TRANSFER: u16 = Kind::CreditTransfer as u16;
        const ANSWER: u16 = Kind::Answer as u16;
        match frame.kind {
            CREDIT_TRANSFER => self.transfer(slot, frame.body),
            ANSWER => match frame::decode(frame.kind, frame.body) {
                Ok(Message::Answer(answer)) => self.answer(slot, frame.body, &answer),
                _ => None,
            },
            _ => match frame::decode(frame.kind, frame.body).ok()? {
                Message::SignOn(sign_on) => self.sign_on(slot, &sign_on),
                Message::Heartbeat(Heartbeat { sent_at, .. }) => {
                    let reply = HeartbeatReply { echo: sent_at, sent_at: Timestamp::now() };
                    self.tell(slot, |out| frame::encode(Kind::HeartbeatReply, &reply, out))
                }
                _ => Some(()),
            },
        }
    }

    /// Lets `write` add to what the connection is told after the next sync.
    fn tell(&mut self, slot: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        let connection = self.connections.get_mut(slot)?.as_mut()?;
        write(&mut connection.pending);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
        Some(())
    }

    fn sign_on(&mut self, slot: usize, sign_on: &SignOn<'_>) -> Option<()> {
        let next = self.participants.len();
        let place = *self.by_id.entry(sign_on.participant).or_insert(next);
        if place == next {
            self.participants.push(Participant { id: sign_on.participant, connection: None, next_notice: 1 });
        }
        if let Some(former) = self.participants[place].connection.replace(slot)
            && former != slot
        {
            let text = "superseded by a newer session";
            let go_away = GoAway { reason: Reason::SIGN, retry_after_ms: 1000, text, nodes: None };
            self.tell(former, |out| frame::encode(Kind::GoAway, &go_away, out));
        }
        self.connections[slot].as_mut()?.participant = Some(place);
        let signed_on = SignedOn {
            protocol: 1,
            node: "floor",
            next_notice: self.participants[place].next_notice,
            next_system_notice: 1,
            window: 1 << 20,
            frame_bytes_max: frame::FRAME_BYTES_MAX as u32,
            silence_max_ms: 30_000,
            payment_timeout_ms: PAYMENT_TIMEOUT.as_millis() as u32,
            creditor_share_ms: 5_000,
            skew_max_ms: 1_000,
            business_date: self.today,
            sent_at: Timestamp::now(),
        };
        self.tell(slot, |out| frame::encode(Kind::SignedOn, &signed_on, out))
    }

    /// Appends the transfer, remembers whose it is, and forwards its bytes behind a number to the creditor agent.
    fn transfer(&mut self, slot: usize, body: &[u8]) -> Option<()> {
        let debtor = self.connections[slot].as_ref()?.participant?;
        let id_length =
            usize::try_from(u64::from_le_bytes(*body.first_chunk()?)).ok().filter(|length| *length <= 35)?;
        let message_id = body.get(8..8 + id_length)?;
        let fixed = body.get(16 + id_length..)?;
        let uetr = Uetr::from_bytes(*fixed.first_chunk()?).ok()?;
        let creditor_agent = ParticipantId::from_bytes(*fixed.get(32..)?.first_chunk()?).ok()?;
        let amount_minor = i64::from_le_bytes(*fixed.get(48..)?.first_chunk()?);
        let currency = Currency::from_bytes(*fixed.get(56..)?.first_chunk()?).ok()?;
        self.append_record(Kind::CreditTransfer, body);

        let creditor = *self.by_id.get(&creditor_agent)?;
        let mut kept = [0; 35];
        kept[..id_length].copy_from_slice(message_id);
        let payment = Payment { debtor, creditor, amount_minor, currency, message_id: (kept, id_length as u8) };
        self.payments.insert(uetr, payment);

        let number = self.participants[creditor].take_number();
        let deadline = self.now.plus(PAYMENT_TIMEOUT);
        let (connection, at) = (self.participants[creditor].connection, self.now);
        let Some(connection) = connection else { return Some(()) };
        self.tell(connection, |out| {
            let start = frame::begin(Kind::TransferNotice, out);
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&at.nanoseconds().to_le_bytes());
            out.extend_from_slice(&deadline.nanoseconds().to_le_bytes());
            out.extend_from_slice(body);
            frame::finish(start, out);
        });
        Some(())
    }

    /// Appends the answer and tells both how the payment ended.
    fn answer(&mut self, slot: usize, body: &[u8], answer: &Answer<'_>) -> Option<()> {
        let answering = self.connections[slot].as_ref()?.participant?;
        if self.payments.get(&answer.uetr).is_none_or(|payment| payment.creditor != answering) {
            return Some(());
        }
        let payment = self.payments.remove(&answer.uetr)?;
        self.append_record(Kind::Answer, body);
        let rejected = answer.status == Status::RJCT;
        let status = match answer.status {
            Status::ACTC => Status::ACSC,
            other => other,
        };
        let debtor_agent = self.participants[payment.debtor].id;
        let creditor_agent = self.participants[payment.creditor].id;
        for place in [payment.debtor, payment.creditor] {
            if rejected && place == payment.creditor {
                continue;
            }
            let participant = &mut self.participants[place];
            let number = participant.take_number();
            let Some(connection) = participant.connection else { continue };
            let notice = StatusNotice {
                number,
                at: self.now,
                uetr: answer.uetr,
                debtor_agent,
                creditor_agent,
                amount_minor: payment.amount_minor,
                currency: payment.currency,
                status,
                reasons: if rejected { Reasons::one(answer.reason) } else { Reasons::NONE },
                settlement_date: if rejected { BusinessDate::NONE } else { self.today },
                original_message_id: std::str::from_utf8(&payment.message_id.0[..payment.message_id.1.into()]).ok()?,
                additional_information: None,
            };
            self.tell(connection, |out| frame::encode(Kind::StatusNotice, &notice, out));
        }
        Some(())
    }

    /// A record of the log: length, CRC32C of the rest, kind, the message's body.
    fn append_record(&mut self, kind: Kind, body: &[u8]) {
        let start = self.append.len();
        self.append.extend_from_slice(&(body.len() as u32 + 12).to_le_bytes());
        self.append.extend_from_slice(&[0; 4]);
        self.append.extend_from_slice(&(kind as u32).to_le_bytes());
        self.append.extend_from_slice(body);
        let checksum = crc32c::crc32c(&self.append[start + 8..]);
        self.append[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// This turn's messages now wait for this turn's sync.
    fn stage(&mut self) {
        assert!(self.staged.is_empty(), "one batch is synced at a time");
        std::mem::swap(&mut self.staged, &mut self.dirty);
        for slot in &self.staged {
            if let Some(connection) = self.connections[*slot].as_mut() {
                connection.dirty = false;
                std::mem::swap(&mut connection.pending, &mut connection.staged);
            }
        }
    }

    /// The sync is done: what was staged goes out, one write per connection.
    fn flush(&mut self) {
        let mut staged = std::mem::take(&mut self.staged);
        for slot in staged.drain(..) {
            let Some(connection) = self.connections[slot].as_mut() else { continue };
            if connection.out.is_empty() {
                std::mem::swap(&mut connection.out, &mut connection.staged);
            } else {
                connection.out.append(&mut connection.staged);
            }
            if connection.write().is_err() {
                self.drop_connection(slot);
            }
        }
        self.staged = staged;
    }
}

impl Participant {
    fn take_number(&mut self) -> u64 {
        self.next_notice += 1;
        self.next_notice - 1
    }
}

impl Connection {
    fn write(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }
}
