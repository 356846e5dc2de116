//! Frames: how a message lies in the byte stream.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | length | `u32`, bytes of the whole frame with this header |
//! | 4..6 | kind | `u16`, which message |
//! | 6..8 | reserved | zero |
//! | 8.. | body | the message in the byte format of bincode 1: little endian, fixed width |

use wincode::SchemaWrite;

use crate::message::*;
use crate::{Error, Result};

pub const HEADER_BYTES: usize = 8;
/// No message of this version is longer; a peer may not announce more.
pub const FRAME_BYTES_MAX: usize = 4096;

macro_rules! kinds {
    ($($name:ident = $number:literal,)*) => {
        /// Which message a frame carries. Below 64 from participants, from 64 on from the switch, from 128 on its notices.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u16)]
        pub enum Kind { $($name = $number,)* }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// As in `PROTOCOL.md`.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => stringify!($name),)* }
            }

            pub fn from_number(number: u16) -> Result<Kind> {
                match number {
                    $($number => Ok(Kind::$name),)*
                    other => Err(Error::UnknownKind(other)),
                }
            }
        }

        impl Message<'_> {
            pub fn kind(&self) -> Kind {
                match self { $(Message::$name(_) => Kind::$name,)* }
            }

            /// Appends the whole frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self { $(Message::$name(body) => encode(Kind::$name, body, out),)* }
            }
        }

        #[inline(never)] // its many results would be copied through the frame of the function that calls it
        fn decode_any(kind: u16, body: &[u8]) -> Result<Message<'_>> {
            match Kind::from_number(kind)? {
                // Checked within the arm, where the kind is known: one look at it and one copy less.
                $(Kind::$name => {
                    let message = Message::$name(wincode::deserialize_exact(body).map_err(|error| undecodable(kind, &error))?);
                    message.check()?;
                    Ok(message)
                })*
            }
        }
    };
}

kinds! {
    SignOn = 1,
    SignOff = 2,
    Heartbeat = 3,
    CreditTransfer = 8,
    Answer = 9,
    PaymentReturn = 10,
    StatusRequest = 11,
    SignedOn = 64,
    GoAway = 65,
    HeartbeatReply = 66,
    Refused = 67,
    StatusReport = 68,
    TransferNotice = 128,
    StatusNotice = 129,
    ReturnNotice = 130,
    PositionNotice = 131,
    SystemNotice = 132,
}

impl Kind {
    pub fn is_notice(self) -> bool {
        self as u16 >= 128
    }
}

/// Decodes the body of one frame and checks every field. The whole body must be used up.
pub fn decode(kind: u16, body: &[u8]) -> Result<Message<'_>> {
    if let Some(message) = crate::quick::decode(kind, body) {
        message.check()?;
        return Ok(message);
    }
    decode_any(kind, body)
}

#[cold]
fn undecodable(kind: u16, error: &wincode::ReadError) -> Error {
    Error::Body { kind, what: error.to_string() }
}

/// Appends one frame: header, then the body.
pub fn encode<T: SchemaWrite<wincode::config::DefaultConfig, Src = T>>(kind: Kind, body: &T, out: &mut Vec<u8>) {
    let start = begin(kind, out);
    // Writing to a Vec cannot fail, and no message of ours has a length that does not fit.
    wincode::serialize_into(&mut *out, body).expect("a message always fits a Vec");
    finish(start, out);
}

/// Starts a frame whose body the caller appends; [`finish`] then writes its length.
pub fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(kind as u16).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    start
}

pub fn finish(start: usize, out: &mut [u8]) {
    let length = out.len() - start;
    assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes is above the limit of {FRAME_BYTES_MAX}");
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
}

/// One frame within a buffer, its body not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub kind: u16,
    pub body: &'a [u8],
}

/// Length of the whole frame that begins here: `None` when the header is not complete yet.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let announced = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if announced > FRAME_BYTES_MAX {
        return Err(Error::FrameTooLong { announced, limit: FRAME_BYTES_MAX });
    }
    if announced < HEADER_BYTES {
        return Err(Error::FrameTooShort { announced });
    }
    let reserved = u16::from_le_bytes([header[6], header[7]]);
    if reserved != 0 {
        return Err(Error::ReservedBytes(reserved));
    }
    Ok(Some(announced))
}

/// Walks the complete frames at the front of a buffer.
pub struct Frames<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl<'a> Frames<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Frames { bytes, taken: 0 }
    }

    /// Bytes of the frames given out so far.
    pub fn taken(&self) -> usize {
        self.taken
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.taken..];
        let length = match frame_length(rest) {
            Ok(Some(length)) if length <= rest.len() => length,
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
        self.taken += length;
        let kind = u16::from_le_bytes([rest[4], rest[5]]);
        Some(Ok(Frame { kind, body: &rest[HEADER_BYTES..length] }))
    }
}
