//! Bytes from strangers: whatever comes, decoding neither panics nor makes room for more than was sent.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use wire::frame::{FRAME_BYTES_MAX, Frames, HEADER_BYTES, Kind, decode};
use wire::{Error, Message, Uetr};

/// Remembers the largest piece of memory this thread asked for.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// The only way to see allocations; it hands everything on unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static WATCHED: Watched = Watched;

/// The text of an error quotes what was wrong, in which each byte may need several characters.
const ALLOCATION_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX;

/// Decodes, and checks what must hold for any bytes. True when it was a message.
fn take(kind: u16, body: &[u8]) -> bool {
    LARGEST.set(0);
    let decoded = decode(kind, body);
    let largest = LARGEST.get();
    assert!(largest <= ALLOCATION_BYTES_MAX, "{largest} bytes were allocated for a body of {}", body.len());
    match decoded {
        Ok(message) => {
            let mut again = Vec::new();
            message.encode(&mut again);
            assert_eq!(again[HEADER_BYTES..], *body, "what was accepted has one form only: {message:?}");
            true
        }
        Err(error) => {
            assert!(!error.ends_the_stream(), "a body alone never ends the stream: {error}");
            false
        }
    }
}

fn frames() -> Vec<(Kind, Vec<u8>)> {
    let encoded = |message: &Message<'_>| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        (message.kind(), bytes)
    };
    let (small, large) = (support::small(), support::large());
    small.messages().iter().chain(&large.messages()).map(encoded).collect()
}

#[test]
fn truncated_anywhere() {
    for (kind, frame) in frames() {
        let body = &frame[HEADER_BYTES..];
        assert!(take(kind as u16, body));
        for length in 0..body.len() {
            assert!(!take(kind as u16, &body[..length]), "{kind:?} at {length}");
        }
        let longer = [body, &[0]].concat();
        assert!(!take(kind as u16, &longer), "{kind:?}");
    }
}

#[test]
fn every_bit_flipped() {
    for (kind, frame) in frames() {
        let mut body = frame[HEADER_BYTES..].to_vec();
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            take(kind as u16, &body);
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_eight_bytes_a_length_bomb() {
    for bomb in [1u64 << 62, u64::MAX, i64::MAX as u64, u64::from(u32::MAX), 1 << 40] {
        for (kind, frame) in frames() {
            for at in 0..(frame.len() - HEADER_BYTES).saturating_sub(8) {
                let mut body = frame[HEADER_BYTES..].to_vec();
                body[at..at + 8].copy_from_slice(&bomb.to_le_bytes());
                take(kind as u16, &body);
            }
        }
    }
}

/// However the stream is cut into reads, the same frames come out.
#[test]
fn frames_at_every_split_point() {
    let messages = frames();
    let stream: Vec<u8> = messages.iter().flat_map(|(_, frame)| frame.clone()).collect();
    let ends: Vec<usize> = messages
        .iter()
        .scan(0, |end, (_, frame)| {
            *end += frame.len();
            Some(*end)
        })
        .collect();
    for split in 0..=stream.len() {
        let whole = ends.iter().filter(|end| **end <= split).count();
        let mut first = Frames::new(&stream[..split]);
        let before: Vec<u16> = first.by_ref().map(|frame| frame.unwrap().kind).collect();
        assert_eq!((before.len(), first.taken()), (whole, whole.checked_sub(1).map_or(0, |last| ends[last])));
        let rest = Frames::new(&stream[first.taken()..]).map(|frame| frame.unwrap().kind);
        let kinds: Vec<u16> = before.into_iter().chain(rest).collect();
        assert_eq!(kinds, messages.iter().map(|(kind, _)| *kind as u16).collect::<Vec<_>>(), "split at {split}");
    }
}

#[test]
fn a_broken_header_ends_the_stream_before_anything_is_waited_for() {
    let header = |length: u32, reserved: u16| [&length.to_le_bytes()[..], &[8, 0], &reserved.to_le_bytes()].concat();
    let one = |bytes: &[u8]| Frames::new(bytes).next().map(|frame| frame.map(|frame| frame.body.len()));
    assert_eq!(one(&header(4097, 0)), Some(Err(Error::FrameTooLong { announced: 4097, limit: 4096 })));
    assert_eq!(one(&header(u32::MAX, 0)), Some(Err(Error::FrameTooLong { announced: u32::MAX as usize, limit: 4096 })));
    assert_eq!(one(&header(7, 0)), Some(Err(Error::FrameTooShort { announced: 7 })));
    assert_eq!(one(&header(100, 0x0100)), Some(Err(Error::ReservedBytes(0x0100))));
    assert_eq!(one(&header(4096, 0)), None);
    assert_eq!(one(&header(8, 0)), Some(Ok(0)));
}

/// Any text of at most so many characters that the protocol allows.
fn text(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>().prop_filter("no control character", |it| !it.is_ascii_control()), 1..=most)
        .prop_map(String::from_iter)
}

fn sample() -> impl Strategy<Value = support::Sample> {
    let texts = (text(140), text(34), text(35), text(140), text(105), text(512), text(64));
    let rest =
        (any::<[[u8; 16]; 2]>(), 1..u64::MAX, any::<u64>(), -999_999_999_999_999_999..=999_999_999_999_999_999_i64);
    let names = (
        "[A-Z0-9]{0,7}[A-Z]([A-Z0-9-]{0,7}[A-Z0-9])?",
        "20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])[A-Za-z0-9]{10,27}",
    );
    (any::<bool>(), texts, rest, names).prop_map(
        |(large, texts, (uetrs, number, at, amount_minor), (name, message_id))| {
            let (name_text, account, reference, remittance, additional, text, software) = texts;
            support::Sample {
                large,
                name: name_text,
                account,
                reference,
                remittance,
                additional,
                text,
                software,
                message_id,
                participants: [name.parse().unwrap(), "021000021".parse().unwrap()],
                uetrs: uetrs.map(Uetr::from_random),
                number,
                amount_minor,
                at: wire::Timestamp(at),
                ..if large { support::large() } else { support::small() }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_message_comes_back_as_it_was(sample in sample()) {
        let messages = sample.messages();
        let mut stream = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut stream));
        let decoded: Vec<Message<'_>> = Frames::new(&stream)
            .map(|frame| frame.and_then(|frame| decode(frame.kind, frame.body)))
            .collect::<wire::Result<_>>().unwrap();
        prop_assert_eq!(decoded, messages);
    }

    #[test]
    fn any_bytes(kind in 0u16..140, body in proptest::collection::vec(any::<u8>(), 0..400)) {
        take(kind, &body);
    }

    /// Bytes that begin well: several changes at once in a real message.
    #[test]
    fn nearly_a_message(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let frames = frames();
        let (kind, frame) = which.get(&frames);
        let mut body = frame[HEADER_BYTES..].to_vec();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        take(*kind as u16, &body);
    }

    #[test]
    fn any_stream(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut frames = Frames::new(&bytes);
        let mut total = 0;
        while let Some(Ok(frame)) = frames.next() {
            total += HEADER_BYTES + frame.body.len();
            take(frame.kind, frame.body);
        }
        prop_assert_eq!(total, frames.taken());
        prop_assert!(total <= bytes.len());
    }
}
