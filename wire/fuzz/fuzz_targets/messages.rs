//! One body of any kind (the first byte chooses it): decoding never panics, and what is accepted encodes to the same
//! bytes. Deeper than `frames`, because no header has to be guessed first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Kind;
use wire::frame::{HEADER_BYTES, decode};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*choice) % Kind::ALL.len()];
    match decode(kind as u16, body) {
        Ok(message) => {
            let mut again = Vec::new();
            message.encode(&mut again);
            assert_eq!(again[HEADER_BYTES..], *body);
        }
        Err(error) => assert!(!error.ends_the_stream() && !error.to_string().is_empty()),
    }
});
