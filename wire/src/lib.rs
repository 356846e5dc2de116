//! Bytes and messages: identifiers, money and reasons that are parsed once and valid ever after, the native protocol
//! that carries them, and the client library a participant's engineer uses.
//!
//! This crate knows nobody: not the switch, not its log. `PROTOCOL.md` beside it describes every byte, so that a
//! client can be written from that page alone.

#[cfg(feature = "client")]
pub mod client;
pub mod frame;
pub mod identifiers;
pub mod message;
pub mod money;
pub mod nodes;
mod quick;
pub mod reason;
mod text;
pub mod time;

#[cfg(feature = "client")]
pub use client::Client;
pub use frame::{Frames, Kind};
pub use identifiers::{MessageId, ParticipantId, Uetr};
pub use message::Message;
pub use money::{Currency, Money};
pub use reason::{Reason, Reasons, Status};
pub use time::{BusinessDate, Timestamp};

/// Why bytes or text from outside were refused. The peer that sent them must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the frame announces {announced} bytes, the limit is {limit}: the stream cannot be followed any further")]
    FrameTooLong { announced: usize, limit: usize },
    #[error("the frame announces {announced} bytes, which is less than its own header")]
    FrameTooShort { announced: usize },
    #[error("the reserved header bytes are {0:#06x}, they must be zero")]
    ReservedBytes(u16),
    #[error("message kind {0} is not known to this protocol version")]
    UnknownKind(u16),
    #[error("the body of kind {kind} cannot be decoded: {what}")]
    Body { kind: u16, what: String },
    #[error("{field}: {what}")]
    Field { field: &'static str, what: String },
}

impl Error {
    /// The name of the field that is wrong, where one is.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Error::Field { field, .. } => Some(field),
            _ => None,
        }
    }

    /// True when the byte stream can no longer be followed and the connection must be closed.
    pub fn ends_the_stream(&self) -> bool {
        matches!(self, Error::FrameTooLong { .. } | Error::FrameTooShort { .. } | Error::ReservedBytes(_))
    }

    #[cold]
    pub(crate) fn field_is(field: &'static str, what: impl Into<String>) -> Self {
        Error::Field { field, what: what.into() }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
