//! What a message between two nodes costs on this machine, loopback and TLS included: round trips of single messages
//! with a pause between them and without, and how much goes one way.
//!
//!     cargo run --release -p peers --example peers_speed

#![allow(clippy::unwrap_used)] // it ends where something is wrong

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use peers::{Channel, Config, Limits, NodeId, Peers, Upcalls, pki};

const ROUND_TRIPS: usize = 5000;
const RUN: Duration = Duration::from_secs(3);

/// Sends consensus messages back, counts what is relayed.
#[derive(Default)]
struct Far {
    peers: OnceLock<Weak<Peers>>,
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Upcalls for Far {
    fn message(&self, from: NodeId, channel: Channel, message: &[u8]) {
        if channel == Channel::Consensus {
            self.peers.get().unwrap().upgrade().unwrap().send(from, channel, message.to_vec());
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
    }
}

struct Near {
    answers: Sender<Instant>,
    connected: Sender<()>,
}

impl Upcalls for Near {
    fn message(&self, _: NodeId, _: Channel, _: &[u8]) {
        let _ = self.answers.send(Instant::now());
    }

    fn connected(&self, _: NodeId) {
        let _ = self.connected.send(());
    }
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, _) = pki::init(directory.path(), None).unwrap();
    let start = |node, upcalls| {
        let request = pki::Request { node, names: Vec::new(), days: 1, renews: false };
        pki::issue(directory.path(), &request).unwrap();
        let tls = pki::read(directory.path(), node).unwrap();
        let config = Config { cluster, node, address: String::new(), tls, limits: Limits::default() };
        Arc::new(Peers::start(config, TcpListener::bind("127.0.0.1:0").unwrap(), upcalls).unwrap())
    };
    let (answers, answered) = channel();
    let (connected, is_connected) = channel();
    let far = Arc::new(Far::default());
    let (one, two) = (start(1, Arc::new(Near { answers, connected })), start(2, Arc::clone(&far) as Arc<dyn Upcalls>));
    far.peers.set(Arc::downgrade(&two)).unwrap();
    one.set_members(&[(2, two.address().to_string())]).unwrap();
    two.set_members(&[(1, one.address().to_string())]).unwrap();
    is_connected.recv().unwrap();

    for (bytes, pause) in [(200, Duration::from_millis(1)), (200, Duration::ZERO), (65_536, Duration::from_millis(1))] {
        round_trips(&one, &answered, bytes, pause);
    }
    for bytes in [200, 4096, 65_536, 1 << 20] {
        one_way(&one, &far, bytes);
    }
    let measured = one.statistics().peers[0].round_trip.unwrap();
    println!("pings in between: smoothed {:?}, longest {:?}", measured.smoothed, measured.recent_max);
}

fn round_trips(peers: &Peers, answered: &Receiver<Instant>, bytes: usize, pause: Duration) {
    let mut took_us: Vec<f64> = (0..ROUND_TRIPS)
        .map(|_| {
            std::thread::sleep(pause);
            let sent = Instant::now();
            assert!(peers.send(2, Channel::Consensus, vec![7; bytes]));
            answered.recv().unwrap().duration_since(sent).as_secs_f64() * 1e6
        })
        .collect();
    took_us.sort_by(f64::total_cmp);
    let at = |share: f64| took_us[((took_us.len() - 1) as f64 * share) as usize];
    println!(
        "round trip of {bytes:>7} bytes, pause {pause:>4?}: p50 {:.0} us  p90 {:.0} us  p99 {:.0} us  (one way is half)",
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

fn one_way(peers: &Peers, far: &Far, bytes: usize) {
    let began = Instant::now();
    let read = || (far.messages.load(Ordering::Relaxed), far.bytes.load(Ordering::Relaxed));
    let before = read();
    while began.elapsed() < RUN {
        if !peers.send(2, Channel::Relay, vec![7; bytes]) {
            std::thread::sleep(Duration::from_millis(1)); // the queue is full
        }
    }
    while peers.statistics().peers[0].queued_bytes > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (seconds, after) = (began.elapsed().as_secs_f64(), read());
    println!(
        "one way, messages of {bytes:>7} bytes: {:>9.0} messages/s  {:>5.0} MB/s",
        (after.0 - before.0) as f64 / seconds,
        (after.1 - before.1) as f64 / seconds / 1e6
    );
}
