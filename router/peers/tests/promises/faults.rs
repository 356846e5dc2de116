//! The proxy does what it says, and the peers live with it: delays are measured, cuts are noticed, healing heals.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use peers::proxy::{Proxy, Way};
use peers::{Channel, Limits};

use crate::support::{Event, House, Node, any_port, limits, start, until};

const MS: Duration = Duration::from_millis(1);

/// A server that sends back what it gets, behind a proxy.
fn echo() -> Proxy {
    let listener = any_port();
    let target = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    Proxy::start(any_port(), target).unwrap()
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, question: &[u8]) -> std::io::Result<Duration> {
    let started = Instant::now();
    stream.write_all(question)?;
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, question);
    Ok(started.elapsed())
}

#[test]
fn a_delay_is_what_it_is_set_to_and_keeps_the_order() {
    let proxy = echo();
    let mut stream = client(&proxy);
    let best = |stream: &mut TcpStream| (0..10).map(|_| ask(stream, b"how long?").unwrap()).min().unwrap();
    let bare = best(&mut stream);
    proxy.set_delay(Way::Forth, 30 * MS);
    proxy.set_delay(Way::Back, 10 * MS);
    let delayed = best(&mut stream);
    assert!(delayed >= 40 * MS && delayed < bare * 10 + 400 * MS, "{bare:?} became {delayed:?}");

    // Much, in order, while the delay changes under way.
    let mut writer = stream.try_clone().unwrap();
    let numbers: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    let sent = numbers.clone();
    let writing = std::thread::spawn(move || sent.chunks(50_000).for_each(|part| writer.write_all(part).unwrap()));
    let mut back = vec![0; numbers.len()];
    for (turn, part) in back.chunks_mut(200_000).enumerate() {
        proxy.set_delay(Way::Forth, MS * if turn % 2 == 0 { 1 } else { 20 });
        stream.read_exact(part).unwrap();
    }
    writing.join().unwrap();
    assert!(back == numbers);
    until("all is counted", || proxy.passage(Way::Forth) == proxy.passage(Way::Back));
    assert_eq!(proxy.passage(Way::Back).lost_bytes, 0);
}

#[test]
fn a_lossy_way_makes_some_reads_late_and_keeps_the_order() {
    let proxy = echo();
    let mut stream = client(&proxy);
    ask(&mut stream, b"before").unwrap();
    proxy.set_delay(Way::Back, 10 * MS);
    proxy.set_loss(Way::Forth, 200);
    let slow = (0..60_u32).filter(|number| ask(&mut stream, &number.to_le_bytes()).unwrap() >= 210 * MS).count();
    let passage = proxy.passage(Way::Forth);
    // Of 60 with a chance of a fifth: fewer than 2 or more than 35 once in a hundred thousand runs.
    assert!((2..=35).contains(&passage.late_reads) && slow >= passage.late_reads as usize, "{slow} {passage:?}");
    assert_eq!((passage.lost_bytes, proxy.passage(Way::Back).late_reads), (0, 0), "late is not lost");

    // What follows a late read waits behind it.
    proxy.set_loss(Way::Forth, 500);
    let mut writer = stream.try_clone().unwrap();
    let numbers: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = numbers.clone();
    let writing = std::thread::spawn(move || sent.chunks(500).for_each(|part| writer.write_all(part).unwrap()));
    let mut back = vec![0; numbers.len()];
    stream.read_exact(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == numbers);

    proxy.set_loss(Way::Forth, 0);
    let before = proxy.passage(Way::Forth).late_reads;
    ask(&mut stream, b"after").unwrap();
    assert_eq!(proxy.passage(Way::Forth).late_reads, before);
}

#[test]
fn what_a_cut_swallows_is_gone_and_healing_breaks_what_lost_something() {
    for way in [Way::Forth, Way::Back] {
        let proxy = echo();
        let (mut cut, mut idle) = (client(&proxy), client(&proxy));
        ask(&mut cut, b"before").unwrap();
        ask(&mut idle, b"before").unwrap();
        proxy.cut(way);
        cut.set_read_timeout(Some(300 * MS)).unwrap();
        let stalled = ask(&mut cut, b"during").unwrap_err();
        assert_eq!(stalled.kind(), ErrorKind::WouldBlock, "it stalls and does not end");
        assert!(proxy.passage(way).lost_bytes == 6, "{:?}", proxy.passage(way));
        let mut newcomer = client(&proxy);
        newcomer.set_read_timeout(Some(100 * MS)).unwrap();
        assert!(ask(&mut newcomer, b"hello?").is_err());

        proxy.heal();
        for broken in [&mut cut, &mut newcomer] {
            broken.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            assert!(!matches!(broken.read(&mut [0]), Ok(1..)), "it breaks");
        }
        ask(&mut idle, b"after").unwrap();
        ask(&mut client(&proxy), b"after").unwrap();
    }
}

/// Two nodes, each of which reaches the other by a proxy.
fn apart(limits: &Limits) -> ([Node; 2], [Proxy; 2]) {
    let house = House::new();
    let nodes = [1, 2].map(|id| start(peers::Config { limits: limits.clone(), ..house.config(id) }, any_port()));
    let [to_two, to_one] = [1, 0].map(|target: usize| Proxy::start(any_port(), nodes[target].address()).unwrap());
    nodes[0].knows(&[(2, to_two.address())]);
    nodes[1].knows(&[(1, to_one.address())]);
    until("connected", || nodes[0].is_connected(2) && nodes[1].is_connected(1));
    (nodes, [to_two, to_one])
}

#[test]
fn round_trips_are_measured_and_told_with_the_health() {
    let (nodes, proxies) = apart(&limits());
    proxies[0].set_delay(Way::Forth, 20 * MS);
    proxies[1].set_delay(Way::Forth, 40 * MS);
    for (node, other) in [(&nodes[0], 2), (&nodes[1], 1)] {
        until("the measure comes near", || {
            node.about(other).unwrap().round_trip.is_some_and(|measured| measured.smoothed >= 55 * MS)
        });
        let (told, health) = node.seen.round_trips.lock().unwrap()[&other];
        assert!(told.last >= 60 * MS && told.recent_max >= told.last && told.smoothed < 600 * MS, "{told:?}");
        assert_eq!((health, node.about(other).unwrap().health), (100 + other as u32, Some(100 + other as u32)));
    }
}

fn is_apart(node: &Node, other: u64) -> bool {
    let about = node.about(other).unwrap();
    !about.sends && !about.receives
}

#[test]
fn a_cut_is_noticed_by_both_and_healed() {
    let limits = Limits { silence_max: 1500 * MS, handshake_timeout: 1000 * MS, ..limits() };
    let ([one, two], proxies) = apart(&limits);
    for is_one_way in [false, true] {
        let told = one.seen.events().len();
        proxies[0].cut(Way::Forth);
        proxies[1].cut(Way::Back);
        if !is_one_way {
            proxies[0].cut(Way::Back);
            proxies[1].cut(Way::Forth);
        }
        until("both notice", || is_apart(&one, 2) && is_apart(&two, 1));
        let events = one.seen.events();
        assert!(matches!(&events[told..], [Event::Disconnected(2, _)]), "{events:?}");
        assert!(!one.peers.send(2, Channel::Consensus, vec![1]));

        proxies.iter().for_each(Proxy::heal);
        until("both are back", || one.is_connected(2) && two.is_connected(1));
        let before = two.seen.count(1);
        until("messages flow", || one.peers.send(2, Channel::Consensus, vec![1]) && two.seen.count(1) > before);
    }
    assert!(proxies[0].passage(Way::Forth).lost_bytes > 0);
}
