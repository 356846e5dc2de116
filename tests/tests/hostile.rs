//! Peers that misbehave on the wire, each against a real switch: refused in words and within limits, while the sessions
//! of others go on. See `tests::witness`.

#![allow(clippy::unwrap_used)] // a test may panic, its helpers too

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tests::peer::{Frame, Peer, frame_of, sign_on};
use tests::process::Setup;
use tests::witness::{House, NORTH, SOUTH, id, transfer};
use tokio::time::{sleep, timeout};
use wire::client::{Customer, Instruction, Stamp, Transfer};
use wire::message::{Answer, GoAway, Heartbeat, Refused, SignOff, SignOn, StatusReport, StatusRequest};
use wire::{Message, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

const MALLORY: &str = "MALLORY";
/// For everything that comes by itself.
const PATIENCE: Duration = Duration::from_secs(30);

async fn house(setup: Setup) -> House {
    House::start(env!("CARGO_BIN_EXE_node"), setup.member(MALLORY, "1000000.00")).await
}

async fn mallory(house: &House) -> Peer {
    let (peer, answer) = Peer::sign_on(house.address, &sign_on(id(MALLORY), 0, 0)).await.unwrap();
    assert!(matches!(answer.message(), Ok(Message::SignedOn(_))), "{answer:?}");
    peer
}

async fn next(peer: &mut Peer) -> Option<Frame> {
    timeout(PATIENCE, peer.next()).await.expect("something comes").unwrap_or(None)
}

/// Reads on until `want` finds what it looks for.
async fn until<T>(peer: &mut Peer, mut want: impl FnMut(Message<'_>) -> Option<T>) -> T {
    loop {
        let frame = next(peer).await.expect("the switch goes on talking");
        if let Some(found) = want(frame.message().unwrap()) {
            return found;
        }
    }
}

/// The switch says why, in words, and closes.
async fn sent_away(peer: &mut Peer, expected: Reason, word: &str) {
    let (reason, text) = until(peer, |message| match message {
        Message::GoAway(GoAway { reason, text, .. }) => Some((reason, text.to_string())),
        _ => None,
    })
    .await;
    assert!(reason == expected && text.contains(word), "{reason}: {text}");
    assert_eq!(next(peer).await, None, "the connection is closed");
}

/// The switch refuses one message, in words, and goes on.
async fn refused(peer: &mut Peer, expected: Reason, word: &str) -> [u8; 16] {
    let (reason, text, uetr) = until(peer, |message| match message {
        Message::Refused(Refused { reason, text, uetr, .. }) => Some((reason, text.to_string(), uetr)),
        Message::GoAway(end) => panic!("sent away: {end:?}"),
        _ => None,
    })
    .await;
    assert!(reason == expected && text.contains(word), "{reason}: {text}");
    uetr
}

/// The session is alive: a heartbeat is answered.
async fn lives(peer: &mut Peer) {
    let sent_at = Timestamp::now();
    peer.send(&Message::Heartbeat(Heartbeat { sent_at, last_notice: 0, last_system_notice: 0 })).await.unwrap();
    until(peer, |message| matches!(message, Message::HeartbeatReply(reply) if reply.echo == sent_at).then_some(()))
        .await;
}

/// The frame of a payment, and its UETR.
fn payment(debtor_agent: ParticipantId, creditor_agent: ParticipantId) -> (Uetr, Vec<u8>) {
    written(debtor_agent, &transfer(creditor_agent, 100))
}

fn written(debtor_agent: ParticipantId, transfer: &Transfer) -> (Uetr, Vec<u8>) {
    let mut frame = Vec::new();
    transfer.write(&Stamp::new(debtor_agent, Timestamp::now(), rand::random()), &mut frame).unwrap();
    (transfer.uetr, frame)
}

/// A frame by its parts.
fn raw(length: u32, kind: u16, reserved: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&reserved.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    raw(8 + body.len() as u32, kind, 0, body)
}

// Broken framing.

#[tokio::test]
async fn broken_framing_ends_the_session_with_a_word() {
    let mut house = house(Setup::default()).await;
    for (bytes, word) in [
        (raw(u32::MAX, 8, 0, &[]), "announces 4294967295 bytes"),
        (raw(4097, 8, 0, &[0; 100]), "the limit is 4096"),
        (raw(0, 8, 0, &[]), "less than its own header"),
        (raw(7, 8, 0, &[]), "less than its own header"),
        (raw(32, 8, 1, &[0; 24]), "reserved"),
    ] {
        let mut stranger = Peer::connect(house.address).await.unwrap();
        stranger.send_bytes(&bytes).await.unwrap();
        sent_away(&mut stranger, Reason::FORM, word).await;

        let mut peer = mallory(&house).await;
        let (uetr, good) = payment(id(MALLORY), id(SOUTH));
        peer.send_bytes(&[good, bytes].concat()).await.unwrap();
        sent_away(&mut peer, Reason::FORM, word).await;
        house.check().await;

        // What stood before the broken frame was taken.
        let mut peer = mallory(&house).await;
        let told = |message: Message<'_>| matches!(message, Message::StatusNotice(it) if it.uetr == uetr).then_some(());
        until(&mut peer, told).await;
    }
}

#[tokio::test]
async fn random_bytes_harm_nobody() {
    let mut house = house(Setup::default()).await;
    let mut random = SmallRng::seed_from_u64(11);
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..random.random_range(8..20_000)).map(|_| random.random()).collect();
        let mut stranger = Peer::connect(house.address).await.unwrap();
        // The switch may close before it has read everything.
        _ = stranger.send_bytes(&bytes).await;
        while next(&mut stranger).await.is_some() {}
        let mut peer = mallory(&house).await;
        _ = peer.send_bytes(&bytes).await;
        while next(&mut peer).await.is_some() {}
    }
    house.check().await;
}

// Well framed, and wrong.

#[tokio::test]
async fn wrong_messages_are_refused_and_the_session_goes_on() {
    let mut house = house(Setup::default()).await;
    let mut peer = mallory(&house).await;
    let mut random = SmallRng::seed_from_u64(12);
    for kind in [0, 4, 7, 12, 63, 127, 133, u16::MAX] {
        peer.send_bytes(&framed(kind, &[])).await.unwrap();
        refused(&mut peer, Reason::FORM, &format!("kind {kind} is not known")).await;
    }
    for kind in [1, 2, 3, 8, 9, 10, 11] {
        for length in [0, 1, 3, 17, 300, 4088] {
            let body: Vec<u8> = (0..length).map(|_| random.random()).collect();
            peer.send_bytes(&framed(kind, &body)).await.unwrap();
            refused(&mut peer, Reason::FORM, "").await;
        }
    }
    // A text that claims to be longer than memory.
    let bomb = [&u64::MAX.to_le_bytes()[..], &[b'1'; 200]].concat();
    peer.send_bytes(&framed(8, &bomb)).await.unwrap();
    refused(&mut peer, Reason::FORM, "").await;
    lives(&mut peer).await;
    house.check().await;
}

#[tokio::test]
async fn messages_of_the_switch_are_not_taken_from_participants() {
    let mut house = house(Setup::default()).await;
    let mut peer = mallory(&house).await;
    let report = StatusReport {
        uetr: Uetr::random(),
        debtor_agent: id(MALLORY),
        status: Status::ACSC,
        reasons: wire::Reasons::NONE,
        amount_minor: 1,
        currency: wire::Currency::EUR,
        settlement_date: wire::BusinessDate::NONE,
        at: Timestamp::now(),
    };
    let go_away = GoAway { reason: Reason::FORM, retry_after_ms: 0, text: "go away yourself", nodes: None };
    for message in [Message::StatusReport(report), Message::GoAway(go_away)] {
        peer.send(&message).await.unwrap();
        refused(&mut peer, Reason::FORM, "kind").await;
    }
    lives(&mut peer).await;
    house.check().await;
}

#[tokio::test]
async fn a_second_sign_on_in_a_session_is_refused() {
    let mut house = house(Setup::default()).await;
    let mut peer = mallory(&house).await;
    peer.send(&Message::SignOn(sign_on(id(NORTH), 0, 0))).await.unwrap();
    refused(&mut peer, Reason::FORM, "signed on already").await;
    lives(&mut peer).await;
    house.check().await;
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let mut house = house(Setup::default()).await;
    let mut peer = mallory(&house).await;
    let (uetr, forged) = payment(id(NORTH), id(MALLORY));
    peer.send_bytes(&forged).await.unwrap();
    assert_eq!(refused(&mut peer, Reason::AGNT, "").await, *uetr.bytes());
    // It was not recorded: the one it was forged for can use the UETR.
    let report = house.north.status(id(NORTH), uetr).await;
    assert!(matches!(&report, Err(wire::client::Error::Refused { reason: Reason::AG09, .. })), "{report:?}");

    // A payment between others is neither told nor answered.
    let between_others = house.north.pay(&transfer(id(SOUTH), 7)).await.unwrap().uetr;
    let now = Timestamp::now();
    let message_id = MessageId::compose(now.date(), id(MALLORY), 1);
    let answer = Answer {
        message_id: message_id.as_str(),
        created_at: now,
        uetr: between_others,
        debtor_agent: id(NORTH),
        status: Status::RJCT,
        reason: Reason::AC04,
        additional_information: None,
    };
    let ask = StatusRequest { uetr: between_others, debtor_agent: id(NORTH) };
    for message in [Message::Answer(answer), Message::StatusRequest(ask)] {
        peer.send(&message).await.unwrap();
        assert_eq!(refused(&mut peer, Reason::AG09, "").await, *between_others.bytes());
    }
    lives(&mut peer).await;
    house.check().await;
}

// Sign-on.

#[tokio::test]
async fn sign_on_is_refused_with_the_reason() {
    let mut house = house(Setup::default().member("LOCKED", "")).await;
    house.place.ask(&["participant", "suspend", "LOCKED", "--direction", "both", "--reason", "a test"]).unwrap();
    let good = sign_on(id(MALLORY), 0, 0);
    for (wrong, reason, word) in [
        (SignOn { protocol_min: 2, protocol_max: 9, ..good.clone() }, Reason::VERS, "versions 1 to 1"),
        (sign_on(id("NOBODY"), 0, 0), Reason::AGNT, "NOBODY is not registered"),
        (sign_on(id("LOCKED"), 0, 0), Reason::S947, "suspended"),
        (sign_on(id(MALLORY), 999, 0), Reason::FORM, "last_notice is 999"),
        (sign_on(id(MALLORY), 0, 999), Reason::FORM, "last_system_notice is 999"),
        (SignOn { protocol_min: 0, ..good.clone() }, Reason::FORM, "protocol_min"),
        (SignOn { software: "", ..good.clone() }, Reason::FORM, "software"),
    ] {
        let mut peer = Peer::connect(house.address).await.unwrap();
        peer.send(&Message::SignOn(wrong)).await.unwrap();
        sent_away(&mut peer, reason, word).await;
    }
    house.check().await;
}

#[tokio::test]
async fn anything_before_sign_on_is_refused() {
    let mut house = house(Setup::default()).await;
    let (_, paying) = payment(id(NORTH), id(SOUTH));
    let beat = Heartbeat { sent_at: Timestamp::now(), last_notice: 0, last_system_notice: 0 };
    let off = SignOff { sent_at: Timestamp::now() };
    for bytes in [paying, frame_of(&Message::Heartbeat(beat)), frame_of(&Message::SignOff(off))] {
        let mut stranger = Peer::connect(house.address).await.unwrap();
        stranger.send_bytes(&bytes).await.unwrap();
        sent_away(&mut stranger, Reason::SIGN, "first message must be SignOn").await;
    }
    house.check().await;
}

#[tokio::test]
async fn a_newer_session_supersedes_the_older_one() {
    let mut house = house(Setup::default()).await;
    let mut older = mallory(&house).await;
    let (uetr, paying) = payment(id(MALLORY), id(SOUTH));
    older.send_bytes(&paying).await.unwrap();
    lives(&mut older).await;
    let mut newer = mallory(&house).await;
    sent_away(&mut older, Reason::SUPR, "superseded").await;
    let told = |message: Message<'_>| matches!(message, Message::StatusNotice(it) if it.uetr == uetr).then_some(());
    until(&mut newer, told).await;
    // Two that throw each other out do not harm others.
    for _ in 0..200 {
        newer = mallory(&house).await;
    }
    lives(&mut newer).await;
    house.check().await;
}

#[tokio::test]
async fn goodbye_is_the_last_word_and_comes_after_every_outcome() {
    let mut house = house(Setup::default()).await;
    for _ in 0..50 {
        let mut peer = mallory(&house).await;
        let (uetr, paying) = payment(id(MALLORY), id("NOWHERE"));
        let off = frame_of(&Message::SignOff(SignOff { sent_at: Timestamp::now() }));
        peer.send_bytes(&[paying, off].concat()).await.unwrap();
        let told = |message: Message<'_>| match message {
            Message::StatusNotice(notice) if notice.uetr == uetr => Some(()),
            Message::GoAway(end) => panic!("goodbye before the outcome: {end:?}"),
            _ => None,
        };
        until(&mut peer, told).await;
        sent_away(&mut peer, Reason::SOFF, "signed off").await;
    }
    house.check().await;
}

// Slow, silent, too many.

#[tokio::test]
async fn who_does_not_sign_on_in_time_is_sent_away() {
    let mut house = house(Setup::default().with("listen.sign_on_timeout", "400ms")).await;
    let bytes = frame_of(&Message::SignOn(sign_on(id(MALLORY), 0, 0)));
    // Says nothing; half a header; a frame without its end.
    for sent in [0, 5, bytes.len() - 1] {
        let mut stranger = Peer::connect(house.address).await.unwrap();
        stranger.send_bytes(&bytes[..sent]).await.unwrap();
        sent_away(&mut stranger, Reason::SIGN, "no SignOn came in time").await;
    }
    // Goes on talking, a byte at a time: the time is for the whole message.
    let mut slow = Peer::connect(house.address).await.unwrap();
    let (started, mut sent) = (Instant::now(), 0);
    while sent < bytes.len() - 1 && slow.send_bytes(&bytes[sent..=sent]).await.is_ok() {
        sent += 1;
        sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() < PATIENCE);
    house.check().await;
}

#[tokio::test]
async fn a_byte_at_a_time_is_slow_but_fine() {
    let mut house = house(Setup::default()).await;
    let mut peer = Peer::connect(house.address).await.unwrap();
    let (uetr, paying) = payment(id(MALLORY), id(SOUTH));
    for byte in [frame_of(&Message::SignOn(sign_on(id(MALLORY), 0, 0))), paying].concat() {
        peer.send_bytes(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let settled = until(&mut peer, |message| match message {
        Message::StatusNotice(notice) if notice.uetr == uetr => Some(notice.status),
        _ => None,
    });
    assert_eq!(settled.await, Status::ACSC);
    house.check().await;
}

#[tokio::test]
async fn who_falls_silent_in_the_middle_of_a_frame_is_sent_away() {
    let mut house = house(Setup::default().with("listen.silence_max", "2s").with("listen.sign_on_timeout", "1s")).await;
    let mut peer = mallory(&house).await;
    let (_, paying) = payment(id(MALLORY), id(SOUTH));
    peer.send_bytes(&paying[..paying.len() / 2]).await.unwrap();
    sent_away(&mut peer, Reason::IDLE, "nothing was heard").await;
    // Their client library sends heartbeats.
    house.check().await;
}

#[tokio::test]
async fn a_thousand_connections_that_never_sign_on() {
    let setup = Setup::default().with("listen.connections_max", "128").with("listen.sign_on_timeout", "500ms");
    let mut house = house(setup).await;
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(Peer::connect(house.address).await.unwrap());
    }
    house.check().await;
    // There is no place just now, but one comes free.
    let mut peer = timeout(Duration::from_secs(60), mallory(&house)).await.expect("a place comes free");
    lives(&mut peer).await;
    house.check().await;
    drop(crowd);
    house.check().await;
}

#[tokio::test]
async fn connections_that_come_and_go() {
    let mut house = house(Setup::default()).await;
    for round in 0..1000 {
        let mut peer = Peer::connect(house.address).await.unwrap();
        if round % 2 == 0 {
            peer.send(&Message::SignOn(sign_on(id(MALLORY), 0, 0))).await.unwrap();
        }
    }
    house.check().await;
    lives(&mut mallory(&house).await).await;
}

// Too much.

#[tokio::test]
async fn a_flood_beyond_the_window_is_taken_in_order() {
    const COUNT: usize = 3000;
    let mut house = house(Setup::default().with("listen.window", "16")).await;
    let mut peer = mallory(&house).await;
    let (mut expected, mut flood) = (Vec::new(), Vec::new());
    for place in 0..COUNT {
        // The creditor agent is not registered: rejected at once, so the outcomes come in the order of the decisions.
        let creditor = if place % 2 == 0 { "NOWHERE" } else { "NOWHERE-ELSE" };
        let (uetr, frame) = payment(id(MALLORY), id(creditor));
        expected.push(uetr);
        flood.extend_from_slice(&frame);
    }
    peer.send_bytes(&flood).await.unwrap();
    let took = house.pay().await;
    println!("a witness payment beside the flood took {took:?}");
    for uetr in expected {
        let next = until(&mut peer, |message| match message {
            Message::StatusNotice(notice) => Some(notice.uetr),
            _ => None,
        });
        assert_eq!(next.await, uetr);
    }
    house.check().await;
}

#[tokio::test]
async fn who_asks_and_never_listens_is_held_back() {
    const PEERS: usize = 5;
    let name = |place: usize| format!("DEAF-{place}");
    let setup = (0..PEERS).fold(Setup::default(), |setup, place| setup.member(name(place), "1.00"));
    let mut house = house(setup).await;
    let ask = StatusRequest { uetr: Uetr::random(), debtor_agent: id(NORTH) };
    let beat = Heartbeat { sent_at: Timestamp::now(), last_notice: 0, last_system_notice: 0 };
    let unknown = framed(99, &[]);
    let question = [frame_of(&Message::StatusRequest(ask)), frame_of(&Message::Heartbeat(beat)), unknown].concat();
    let questions = question.repeat(500);
    let (mut deaf, mut memory) = (Vec::new(), Vec::new());
    for place in 0..PEERS {
        let (mut peer, _) = Peer::sign_on(house.address, &sign_on(id(&name(place)), 0, 0)).await.unwrap();
        // Until TCP holds it back, for the switch has stopped reading.
        let mut sent_bytes = 0;
        while sent_bytes < 256 << 20 && timeout(Duration::from_secs(2), peer.send_bytes(&questions)).await.is_ok() {
            sent_bytes += questions.len();
        }
        assert!(sent_bytes < 256 << 20, "the switch takes questions without end");
        memory.push(house.process.memory_bytes() >> 10);
        deaf.push(peer);
        house.check().await;
    }
    println!("memory with 1 to {PEERS} of them: {memory:?} KiB");
    // The first one warms up what all share.
    let each = (memory[PEERS - 1] - memory[0]) / (PEERS as u64 - 1);
    assert!(each < 8 << 10, "each takes {each} KiB of the switch's memory");
}

/// Notices pile up in the feed, on the disk, not in memory; later they are all there.
#[tokio::test]
async fn a_reader_that_does_not_read_harms_only_itself() {
    const PAYMENTS: u64 = 20_000;
    const ROUND: u64 = 2000;
    let setup = Setup::default()
        .member("SLEEPY", "")
        .with("actors.feed_tail_bytes_max", "64KiB")
        .with("listen.silence_max", "10m")
        .with("scheme.payment_timeout", "1s")
        .with("scheme.creditor_share", "100ms");
    let mut house = house(setup).await;
    let (mut sleepy, _) = Peer::sign_on(house.address, &sign_on(id("SLEEPY"), 0, 0)).await.unwrap();
    let mut paying = mallory(&house).await;
    // As long as a payment can be.
    let words = "€".repeat(140);
    let customer = Customer { name: words.clone(), account: words[..34 * 3].to_string() };
    let (mut before, mut slowest) = (0, Duration::ZERO);
    for round in 0..PAYMENTS / ROUND {
        let mut frames = Vec::new();
        for _ in 0..ROUND {
            let (debtor, creditor) = (customer.clone(), customer.clone());
            let transfer = Transfer { debtor, creditor, ..transfer(id("SLEEPY"), 1) }.remittance_information(&words);
            frames.extend_from_slice(&written(id(MALLORY), &transfer).1);
        }
        paying.send_bytes(&frames).await.unwrap();
        // Nobody answers: all of them expire.
        let mut ended = 0;
        while ended < ROUND {
            ended += until(&mut paying, |message| match message {
                Message::StatusNotice(notice) => {
                    assert_eq!(notice.reasons.first(), Reason::AB05);
                    Some(1)
                }
                _ => None,
            })
            .await;
        }
        slowest = slowest.max(house.pay().await);
        if round == 0 {
            before = house.process.memory_bytes();
        }
    }
    let grown = house.process.memory_bytes().saturating_sub(before);
    println!("memory grew by {} KiB, the slowest witness payment took {slowest:?}", grown >> 10);
    house.check().await;

    let (mut number, mut offers, mut expiries, mut bytes) = (0, 0, 0, 0);
    while offers < PAYMENTS || expiries < PAYMENTS {
        let frame = next(&mut sleepy).await.expect("it is still connected");
        bytes += frame.0.len();
        match frame.message().unwrap() {
            Message::TransferNotice(_) => offers += 1,
            Message::StatusNotice(_) => expiries += 1,
            Message::PositionNotice(_) => {}
            _ => continue,
        }
        number += 1;
        assert_eq!(frame.number(), number, "a feed has no gap");
    }
    println!("read {number} notices, {bytes} bytes, after the sleep");
    // The payments are remembered for the duplicate window; the feed itself takes no memory.
    // Every payment is remembered, which is a quarter of it; the feed itself is not held.
    assert!(grown < bytes as u64 * 2 / 3, "memory grew by {grown} bytes for a feed of {bytes}");
    lives(&mut sleepy).await;
    house.check().await;
}
