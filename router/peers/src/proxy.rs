//! Faults on purpose, for demonstrations and tests on one machine: a TCP proxy between two addresses with a delay each
//! way, that can be cut and healed while connections go through it. Nothing of it belongs between real nodes.
//!
//! What a cut swallows is gone, so the connections it was of stall; when the cut is healed they break, for a stream with
//! a hole in it is of no use. The end of a connection is swallowed like its bytes: neither side hears of the other.
//!
//! A lossy way is a model of what TCP makes of lost packets, since there is TCP on both sides of the proxy: a share of the
//! reads comes late by a retransmission timeout and a round trip, and what was read after them waits behind them. Kernels
//! often do better (fast retransmission needs no timeout), so the model is rather too hard than too easy.
//!
//! What it does not do: limit a rate, reorder, or delay the three packets by which TCP connects.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const READ_BYTES: usize = 64 << 10;
/// Reads that may be under way in one direction of a connection.
const UNDER_WAY_MAX: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The least that Linux waits before it sends a packet again (TCP_RTO_MIN); doubled each time that is lost too,
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(200);
/// at most so often.
const RETRANSMISSIONS_MAX: u32 = 5;

/// A direction through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the one who dials the proxy.
    Forth,
    /// To the one who dialled it.
    Back,
}

impl Way {
    const BOTH: [Way; 2] = [Way::Forth, Way::Back];

    fn other(self) -> Way {
        match self {
            Way::Forth => Way::Back,
            Way::Back => Way::Forth,
        }
    }
}

/// What went through one way, and what was swallowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    pub passed_bytes: u64,
    pub lost_bytes: u64,
    /// Reads that a lossy way made late, each counted once.
    pub late_reads: u64,
}

/// Runs until it is dropped; then all its connections break.
pub struct Proxy {
    road: Arc<Road>,
    address: SocketAddr,
}

#[derive(Default)]
struct Lane {
    delay_ns: AtomicU64,
    is_cut: AtomicBool,
    passed_bytes: AtomicU64,
    lost_bytes: AtomicU64,
    loss_per_mille: AtomicU32,
    late_reads: AtomicU64,
}

impl Lane {
    fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_ns.load(Ordering::SeqCst))
    }
}

struct Road {
    target: SocketAddr,
    lanes: [Lane; 2],
    lines: Mutex<Vec<Arc<Line>>>,
    is_stopping: AtomicBool,
}

impl Road {
    fn lane(&self, way: Way) -> &Lane {
        &self.lanes[way as usize]
    }

    fn is_cut(&self, way: Way) -> bool {
        self.lane(way).is_cut.load(Ordering::SeqCst)
    }

    /// By how much this read comes late because packets of it were lost.
    fn retransmission(&self, way: Way, chance: &mut Chance) -> Duration {
        let lane = self.lane(way);
        let per_mille = lane.loss_per_mille.load(Ordering::SeqCst);
        let lost = (0..RETRANSMISSIONS_MAX).take_while(|_| chance.is(per_mille)).count() as u32;
        if lost == 0 {
            return Duration::ZERO;
        }
        lane.late_reads.fetch_add(1, Ordering::Relaxed);
        let round_trip = Way::BOTH.into_iter().map(|way| self.lane(way).delay()).sum::<Duration>();
        RETRANSMISSION_TIMEOUT * ((1 << lost) - 1) + round_trip
    }
}

/// Draws from a small generator (xorshift); nothing depends on how good it is.
struct Chance(u64);

impl Chance {
    fn new() -> Chance {
        let random = std::collections::hash_map::RandomState::new();
        Chance(std::hash::BuildHasher::hash_one(&random, 0) | 1)
    }

    fn is(&mut self, per_mille: u32) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % 1000 < u64::from(per_mille)
    }
}

/// One connection through the proxy.
struct Line {
    ends: Vec<TcpStream>,
    has_lost: AtomicBool,
    is_over: AtomicBool,
    has_ended: [AtomicBool; 2],
}

impl Line {
    /// This way is at its end; the line is over when both are.
    fn end(&self, way: Way) {
        self.has_ended[way as usize].store(true, Ordering::SeqCst);
        if self.has_ended.iter().all(|ended| ended.load(Ordering::SeqCst)) {
            self.break_off();
        }
    }

    fn break_off(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// Whoever connects to `listener` reaches `target`.
    pub fn start(listener: TcpListener, target: SocketAddr) -> io::Result<Proxy> {
        let address = listener.local_addr()?;
        let road = Arc::new(Road {
            target,
            lanes: Default::default(),
            lines: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&road);
        spawn("proxy-accept", move || accept(&accepting, &listener))?;
        Ok(Proxy { road, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For what is read from now on; bytes never overtake each other.
    pub fn set_delay(&self, way: Way, delay: Duration) {
        self.road.lane(way).delay_ns.store(delay.as_nanos() as u64, Ordering::SeqCst);
    }

    /// So many of a thousand reads come late from now on, as if packets of them were lost and sent again.
    pub fn set_loss(&self, way: Way, per_mille: u32) {
        self.road.lane(way).loss_per_mille.store(per_mille, Ordering::SeqCst);
    }

    /// From now on everything vanishes that goes this way, what is under way included.
    pub fn cut(&self, way: Way) {
        self.road.lane(way).is_cut.store(true, Ordering::SeqCst);
    }

    /// Both ways are open again; connections that lost something break.
    pub fn heal(&self) {
        for way in Way::BOTH {
            self.road.lane(way).is_cut.store(false, Ordering::SeqCst);
        }
        for line in self.road.lines.lock().iter().filter(|line| line.has_lost.load(Ordering::SeqCst)) {
            line.break_off();
        }
    }

    pub fn passage(&self, way: Way) -> Passage {
        let lane = self.road.lane(way);
        Passage {
            passed_bytes: lane.passed_bytes.load(Ordering::Relaxed),
            lost_bytes: lane.lost_bytes.load(Ordering::Relaxed),
            late_reads: lane.late_reads.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.road.is_stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT); // the accepting thread waits for one
        self.road.lines.lock().iter().for_each(|line| line.break_off());
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(body).map(drop)
}

fn accept(road: &Arc<Road>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if road.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((near, _)) => {
                let road = Arc::clone(road);
                let _ = spawn("proxy-open", move || open(&road, near)); // without a thread the connection breaks
            }
            Err(_) => thread::sleep(Duration::from_millis(50)), // too many open files
        }
    }
}

/// A connection that is made during a cut reaches nobody; it looks open, as the kernel has accepted it.
fn open(road: &Arc<Road>, near: TcpStream) {
    let is_cut = Way::BOTH.into_iter().any(|way| road.is_cut(way));
    let far = if is_cut { None } else { TcpStream::connect_timeout(&road.target, CONNECT_TIMEOUT).ok() };
    let Ok(mut ends) = near.try_clone().map(|near| vec![near]) else { return };
    if let Some(far) = &far {
        let (Ok(handle), _, _) = (far.try_clone(), far.set_nodelay(true), near.set_nodelay(true)) else { return };
        ends.push(handle);
    }
    let has_lost = AtomicBool::new(is_cut);
    let is_over = AtomicBool::new(!is_cut && far.is_none());
    let line = Arc::new(Line { ends, has_lost, is_over, has_ended: Default::default() });
    {
        let mut lines = road.lines.lock();
        lines.retain(|line| !line.is_over.load(Ordering::SeqCst));
        lines.push(Arc::clone(&line));
    }
    match far {
        // A drop or a heal that has come by since did not see the line.
        _ if road.is_stopping.load(Ordering::SeqCst) => line.break_off(),
        None if is_cut && Way::BOTH.into_iter().any(|way| road.is_cut(way)) => {}
        None => line.break_off(),
        Some(far) => carry(road, &line, &near, &far).unwrap_or_else(|_| line.break_off()),
    }
}

/// Two threads each way: one reads and notes when it is due, one writes when it is.
fn carry(road: &Arc<Road>, line: &Arc<Line>, near: &TcpStream, far: &TcpStream) -> io::Result<()> {
    for (way, from, to) in [(Way::Forth, near, far), (Way::Back, far, near)] {
        let (sender, receiver) = sync_channel(UNDER_WAY_MAX);
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (road_here, line_here) = (Arc::clone(road), Arc::clone(line));
        spawn("proxy-read", move || read(&road_here, &line_here, way, from, &sender))?;
        let (road_here, line_here) = (Arc::clone(road), Arc::clone(line));
        spawn("proxy-write", move || write(&road_here, &line_here, way, to, &receiver))?;
    }
    Ok(())
}

/// Bytes on their way, and when they arrive. None are the end of the connection.
type UnderWay = (Instant, Vec<u8>);

fn read(road: &Road, line: &Line, way: Way, mut from: TcpStream, sender: &SyncSender<UnderWay>) {
    let lane = road.lane(way);
    let mut buffer = vec![0; READ_BYTES];
    let (mut due, mut chance) = (Instant::now(), Chance::new());
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        if road.is_cut(way) {
            lose(lane, line, count);
        } else {
            due = due.max(Instant::now() + lane.delay() + road.retransmission(way, &mut chance));
            if sender.send((due, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}

fn write(road: &Road, line: &Line, way: Way, mut to: TcpStream, receiver: &Receiver<UnderWay>) {
    let lane = road.lane(way);
    while let Ok((due, bytes)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if road.is_cut(way) {
            lose(lane, line, bytes.len());
        } else if bytes.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
            return line.end(way);
        } else if to.write_all(&bytes).is_ok() {
            lane.passed_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        } else if road.is_cut(way.other()) {
            lose(lane, line, bytes.len()); // that nobody takes it, nobody hears
        } else {
            return line.break_off();
        }
    }
}

fn lose(lane: &Lane, line: &Line, bytes: usize) {
    line.has_lost.store(true, Ordering::SeqCst);
    lane.lost_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}
