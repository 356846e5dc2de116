//! Frames: how messages lie in a connection's bytes.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | length | `u32`, little endian, bytes of the body |
//! | 4 | kind | what the body is |
//! | 5.. | body | |
//!
//! | kind | connection | body | most bytes |
//! |---|---|---|---|
//! | 1 ping | messages | `u64` the sender's clock, ns since 1970, `u32` its health | 12 |
//! | 2 echo | messages | the clock of the ping, `u32` the health of the one who echoes | 12 |
//! | 3 consensus | messages | opaque | 8 MiB |
//! | 4 relay | messages | opaque | 4 MiB |
//! | 5 file begin | file | `u64` length of the file, then an opaque header | 256 KiB |
//! | 6 file chunk | file | the next bytes of the file | 256 KiB |
//! | 7 file end | file | nothing | 0 |

pub(crate) const HEADER_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Ping = 1,
    Echo = 2,
    Consensus = 3,
    Relay = 4,
    FileBegin = 5,
    FileChunk = 6,
    FileEnd = 7,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Ping, Kind::Echo, Kind::Consensus, Kind::Relay, Kind::FileBegin, Kind::FileChunk, Kind::FileEnd];

    pub(crate) const fn bytes_max(self) -> usize {
        match self {
            Kind::Ping | Kind::Echo => Pulse::BYTES,
            Kind::Consensus => 8 << 20,
            Kind::Relay => 4 << 20,
            Kind::FileBegin | Kind::FileChunk => 256 << 10,
            Kind::FileEnd => 0,
        }
    }
}

/// The five bytes in front of a body.
pub(crate) fn header(kind: Kind, body_bytes: usize) -> [u8; HEADER_BYTES] {
    assert!(body_bytes <= kind.bytes_max(), "{kind:?} of {body_bytes} bytes, the limit is {}", kind.bytes_max());
    let mut header = [kind as u8; HEADER_BYTES];
    header[..4].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    header
}

/// The body of a ping and of an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) clock_ns: u64,
    pub(crate) health: u32,
}

impl Pulse {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn encode(self) -> [u8; Pulse::BYTES] {
        let mut bytes = [0; Pulse::BYTES];
        bytes[..8].copy_from_slice(&self.clock_ns.to_le_bytes());
        bytes[8..].copy_from_slice(&self.health.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Pulse> {
        let (clock_ns, health) = body.split_first_chunk()?;
        Some(Pulse { clock_ns: u64::from_le_bytes(*clock_ns), health: u32::from_le_bytes(health.try_into().ok()?) })
    }
}

/// Bytes as they come, cut into frames. Grows with what has come, not with what is announced.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// What of `bytes` has been handed out.
    used: usize,
}

impl Frames {
    /// Kept from one message to the next.
    const CAPACITY_BYTES_MAX: usize = 256 << 10;

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
            if self.bytes.len() < Frames::CAPACITY_BYTES_MAX {
                self.bytes.shrink_to(Frames::CAPACITY_BYTES_MAX);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, nothing when more bytes are needed, or in words why the stream cannot be followed.
    pub(crate) fn next(&mut self) -> Result<Option<(Kind, &[u8])>, String> {
        let Some((header, rest)) = self.bytes[self.used..].split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [a, b, c, d, number] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == number);
        let kind = kind.ok_or_else(|| format!("it sent a frame of the unknown kind {number}"))?;
        if length > kind.bytes_max() {
            return Err(format!("it announced {length} bytes of {kind:?}, the limit is {}", kind.bytes_max()));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.used + HEADER_BYTES;
        self.used = begin + length;
        Ok(Some((kind, &self.bytes[begin..self.used])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
        [&header(kind, body.len()), body].concat()
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_are_cut() {
        let bodies: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; usize::from(n) * 7]).collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(Kind::Relay, body)).collect();
        for step in [1, 2, 5, 64, stream.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in stream.chunks(step) {
                frames.extend(piece);
                while let Some((kind, body)) = frames.next().unwrap() {
                    assert_eq!(kind, Kind::Relay);
                    found.push(body.to_vec());
                }
            }
            assert_eq!(found, bodies, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_too_long_or_unknown_is_refused_by_its_header() {
        for (length, kind, word) in [
            ((8 << 20) + 1, 3, "limit"),
            ((4 << 20) + 1, 4, "limit"),
            ((256 << 10) + 1, 6, "limit"),
            (1, 7, "limit"),
            (u32::MAX, 1, "limit"),
            (0, 0, "unknown"),
            (0, 8, "unknown"),
        ] {
            let mut frames = Frames::default();
            frames.extend(&[&u32::to_le_bytes(length)[..], &[kind]].concat());
            let told = frames.next().unwrap_err();
            assert!(told.contains(word), "{kind} of {length}: {told}");
        }
    }

    #[test]
    fn a_pulse_has_exactly_its_bytes() {
        let pulse = Pulse { clock_ns: 1 << 40, health: 9 };
        assert_eq!(Pulse::decode(&pulse.encode()), Some(pulse));
        assert_eq!(Pulse::decode(&pulse.encode()[1..]), None);
        assert_eq!(Pulse::decode(&[0; 13]), None);
    }
}
