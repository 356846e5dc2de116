//! A stream of strangers' bytes: the walker never leaves the buffer and never panics, and what it accepts has one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::{FRAME_BYTES_MAX, Frames, HEADER_BYTES, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut frames = Frames::new(bytes);
    let mut total = 0;
    while let Some(Ok(frame)) = frames.next() {
        total += HEADER_BYTES + frame.body.len();
        assert!(HEADER_BYTES + frame.body.len() <= FRAME_BYTES_MAX);
        if let Ok(message) = decode(frame.kind, frame.body) {
            let mut again = Vec::new();
            message.encode(&mut again);
            assert_eq!(again[HEADER_BYTES..], *frame.body);
        }
    }
    assert_eq!(total, frames.taken());
    assert!(total <= bytes.len());
});
