//! What nodes tell each other, byte by byte. Whole messages come and go, in order; the transport frames them.
//!
//! Numbers are little-endian. The first byte says which message it is. `participant` is a length (one byte) and text. `mark` is
//! route u64 and sequence u64, counted from 1 within a route in each direction: a message that was lost shows. `age` is how
//! long ago the connection was accepted, nanoseconds.
//!
//! | first | message | then |
//! |---|---|---|
//! | 1 | Reign | term u64, node u64 |
//! | 2 | Route | term u64, route u64 |
//! | 3 | SignOn | mark, connection u64, age u64, participant |
//! | 4 | Presence | mark, connection u64, age u64, participant |
//! | 5 | Instructions | mark, connection u64, count u32, whole frames to the end |
//! | 6 | Gone | mark, connection u64 |
//! | 7 | Replies | mark, index u64, then for each connection: connection u64, done u32, length u32, whole frames |
//! | 8 | End | mark, connection u64, retry_after_ms u32, reason 4 bytes, text (UTF-8) to the end |
//! | 9 | Ask | id u64, what is asked to the end |
//! | 10 | Told | id u64, outcome u8 (0 answered, 1 does not lead, 2 busy), the answer to the end |
//! | 11 | Serves | door u8 (0 open, 1 drained, 2 shut); of an open one the address, HOST:PORT, to the end |
//! | 12 | Removed | nothing: the node that reads this was removed from the cluster |

use std::time::Duration;

use persistence::{Index, NodeId, Term};
use wire::{Frames, ParticipantId, Reason};

/// Frames of one message at most; and of one answer.
pub(super) const FRAMES_BYTES_MAX: usize = 1 << 20;
/// No message is longer.
pub const MESSAGE_BYTES_MAX: usize = FRAMES_BYTES_MAX + 1024;
const TEXT_BYTES_MAX: usize = 512;
/// The journal's terms are smaller.
const TERM_MAX: Term = 1 << 62;

/// Bytes from another node that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message between nodes cannot be read: {0}")]
pub struct Malformed(pub &'static str);

/// What became of a question to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    Answered = 0,
    DoesNotLead = 1,
    Busy = 2,
}

/// Whether the sender serves participants, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told<'a> {
    Open(&'a str),
    Drained,
    Shut,
}

const ADDRESS_BYTES_MAX: usize = 255;

/// Which message of which route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) route: u64,
    pub(crate) sequence: u64,
}

/// A connection that is announced to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) mark: Mark,
    pub(crate) connection: u64,
    pub(crate) age: Duration,
    pub(crate) participant: ParticipantId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// The sender leads, and its actors are ready.
    Reign {
        term: Term,
        node: NodeId,
    },
    /// From here on the sender's messages are of this route; what it sent before is void.
    Route {
        term: Term,
        route: u64,
    },
    /// A participant signs on.
    SignOn(Announced),
    /// A participant has signed on before this route.
    Presence(Announced),
    Instructions {
        mark: Mark,
        connection: u64,
        count: u32,
        frames: &'a [u8],
    },
    /// The connection is closed.
    Gone {
        mark: Mark,
        connection: u64,
    },
    /// Instructions are done, and what there is to reply; `index` is committed by then.
    Replies {
        mark: Mark,
        index: Index,
        parts: Parts<'a>,
    },
    /// The connection is to end.
    End {
        mark: Mark,
        connection: u64,
        retry_after_ms: u32,
        reason: Reason,
        text: &'a str,
    },
    Ask {
        id: u64,
        what: &'a [u8],
    },
    Told {
        id: u64,
        outcome: Outcome,
        answer: &'a [u8],
    },
    Serves {
        door: Told<'a>,
    },
    /// Whoever reads this was removed from the cluster.
    Removed,
}

/// What is done and replied, connection by connection. Checked when the message was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a>(&'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) connection: u64,
    pub(crate) done: u32,
    pub(crate) frames: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let mut reader = Reader(self.0);
        let part = reader.part().ok()?;
        self.0 = reader.0;
        Some(part)
    }
}

impl Message<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match *self {
            Message::Reign { term, node } => put(&mut out, 1, &[term, node]),
            Message::Route { term, route } => put(&mut out, 2, &[term, route]),
            Message::SignOn(announced) => announce(&mut out, 3, &announced),
            Message::Presence(announced) => announce(&mut out, 4, &announced),
            Message::Instructions { mark, connection, count, frames } => {
                out.reserve_exact(29 + frames.len());
                put(&mut out, 5, &[mark.route, mark.sequence, connection]);
                out.extend_from_slice(&count.to_le_bytes());
                out.extend_from_slice(frames);
            }
            Message::Gone { mark, connection } => put(&mut out, 6, &[mark.route, mark.sequence, connection]),
            Message::Replies { mark, index, parts } => {
                put(&mut out, 7, &[mark.route, mark.sequence, index]);
                parts.for_each(|part| add_part(&mut out, part.connection, part.done, part.frames));
            }
            Message::End { mark, connection, retry_after_ms, reason, text } => {
                put(&mut out, 8, &[mark.route, mark.sequence, connection]);
                out.extend_from_slice(&retry_after_ms.to_le_bytes());
                out.extend_from_slice(if reason.is_none() { &[0; 4] } else { reason.as_str().as_bytes() });
                out.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)]);
            }
            Message::Ask { id, what } => {
                put(&mut out, 9, &[id]);
                out.extend_from_slice(what);
            }
            Message::Told { id, outcome, answer } => {
                put(&mut out, 10, &[id]);
                out.push(outcome as u8);
                out.extend_from_slice(answer);
            }
            Message::Serves { door: Told::Open(address) } => {
                out.extend_from_slice(&[11, 0]);
                out.extend_from_slice(address.as_bytes());
            }
            Message::Serves { door: Told::Drained } => out.extend_from_slice(&[11, 1]),
            Message::Serves { door: Told::Shut } => out.extend_from_slice(&[11, 2]),
            Message::Removed => out.push(12),
        }
        out
    }
}

fn put(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn announce(out: &mut Vec<u8>, kind: u8, announced: &Announced) {
    let Announced { mark, connection, age, participant } = announced;
    let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    put(out, kind, &[mark.route, mark.sequence, *connection, age_ns]);
    out.push(participant.as_str().len() as u8);
    out.extend_from_slice(participant.as_str().as_bytes());
}

/// Begins a `Replies`, to which [`add_part`] adds.
pub(crate) fn begin_replies(mark: Mark, index: Index) -> Vec<u8> {
    Message::Replies { mark, index, parts: Parts(&[]) }.encode()
}

/// Bytes that a part has beside its frames.
pub(crate) const PART_HEADER_BYTES: usize = 16;

pub(crate) fn add_part(out: &mut Vec<u8>, connection: u64, done: u32, frames: &[u8]) {
    out.extend_from_slice(&connection.to_le_bytes());
    out.extend_from_slice(&done.to_le_bytes());
    out.extend_from_slice(&(frames.len() as u32).to_le_bytes());
    out.extend_from_slice(frames);
}

/// Reads one message; all of it must be used up.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Malformed("it is too long"));
    }
    let mut reader = Reader(bytes);
    let message = match reader.byte()? {
        1 => Message::Reign { term: reader.term()?, node: reader.u64()? },
        2 => Message::Route { term: reader.u64()?, route: reader.u64()? },
        3 => Message::SignOn(reader.announced()?),
        4 => Message::Presence(reader.announced()?),
        5 => Message::Instructions {
            mark: reader.mark()?,
            connection: reader.u64()?,
            count: reader.u32()?,
            frames: whole_frames(reader.rest())?,
        },
        6 => Message::Gone { mark: reader.mark()?, connection: reader.u64()? },
        7 => Message::Replies { mark: reader.mark()?, index: reader.u64()?, parts: reader.parts()? },
        8 => Message::End {
            mark: reader.mark()?,
            connection: reader.u64()?,
            retry_after_ms: reader.u32()?,
            reason: reader.reason()?,
            text: reader.text()?,
        },
        9 => Message::Ask { id: reader.u64()?, what: reader.rest() },
        10 => Message::Told { id: reader.u64()?, outcome: reader.outcome()?, answer: reader.rest() },
        11 => Message::Serves { door: reader.door()? },
        12 => Message::Removed,
        _ => return Err(Malformed("its kind is not known")),
    };
    if reader.0.is_empty() { Ok(message) } else { Err(Malformed("it has more bytes than it may")) }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A node that believed a reign of the last term there is would believe no other any more.
    fn term(&mut self) -> Result<Term, Malformed> {
        let term = self.u64()?;
        if term < TERM_MAX { Ok(term) } else { Err(Malformed("its term is out of bounds")) }
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn mark(&mut self) -> Result<Mark, Malformed> {
        Ok(Mark { route: self.u64()?, sequence: self.u64()? })
    }

    fn announced(&mut self) -> Result<Announced, Malformed> {
        let (mark, connection, age) = (self.mark()?, self.u64()?, Duration::from_nanos(self.u64()?));
        let length = self.byte()?.into();
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed("the participant is no text"))?;
        let participant = text.parse().map_err(|_| Malformed("that is no participant"))?;
        Ok(Announced { mark, connection, age, participant })
    }

    fn reason(&mut self) -> Result<Reason, Malformed> {
        let code = self.array::<4>()?;
        if code == [0; 4] {
            return Ok(Reason::NONE);
        }
        let text = std::str::from_utf8(&code).ok().and_then(|text| text.parse().ok());
        text.ok_or(Malformed("that is no reason"))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.rest();
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= TEXT_BYTES_MAX);
        text.filter(|text| !text.chars().any(char::is_control)).ok_or(Malformed("that is no text for a participant"))
    }

    fn outcome(&mut self) -> Result<Outcome, Malformed> {
        match self.byte()? {
            0 => Ok(Outcome::Answered),
            1 => Ok(Outcome::DoesNotLead),
            2 => Ok(Outcome::Busy),
            _ => Err(Malformed("that is no outcome")),
        }
    }

    fn door(&mut self) -> Result<Told<'a>, Malformed> {
        match self.byte()? {
            0 => {
                let address = std::str::from_utf8(self.rest()).ok();
                let address = address.filter(|text| text.len() <= ADDRESS_BYTES_MAX && wire::nodes::is_address(text));
                address.map(Told::Open).ok_or(Malformed("that is no address for participants"))
            }
            1 => Ok(Told::Drained),
            2 => Ok(Told::Shut),
            _ => Err(Malformed("that is no door")),
        }
    }

    fn part(&mut self) -> Result<Part<'a>, Malformed> {
        let (connection, done, length) = (self.u64()?, self.u32()?, self.u32()? as usize);
        Ok(Part { connection, done, frames: whole_frames(self.bytes(length)?)? })
    }

    fn parts(&mut self) -> Result<Parts<'a>, Malformed> {
        let parts = Parts(self.0);
        while !self.0.is_empty() {
            self.part()?;
        }
        Ok(parts)
    }
}

fn whole_frames(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut frames = Frames::new(bytes);
    let broken = frames.by_ref().any(|frame| frame.is_err());
    if broken || frames.taken() < bytes.len() { Err(Malformed("its frames are not whole")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Kind;
    use wire::frame;

    const MARK: Mark = Mark { route: 1 << 40, sequence: 5 };

    fn frame(length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let start = frame::begin(Kind::Refused, &mut out);
        out.resize(out.len() + length, 7);
        frame::finish(start, &mut out);
        out
    }

    /// One of each, with every field set.
    fn with_all(check: impl Fn(&Message<'_>)) {
        let announced = Announced {
            mark: MARK,
            connection: u64::MAX,
            age: Duration::from_nanos(3),
            participant: "BANK-0001".parse().unwrap(),
        };
        let frames = [frame(0), frame(30)].concat();
        let mut parts = Vec::new();
        add_part(&mut parts, 9, 4, &frames);
        add_part(&mut parts, 10, 0, &[]);
        let (mark, connection) = (MARK, 6);
        for message in [
            Message::Reign { term: 7, node: 3 },
            Message::Route { term: 7, route: 1 << 40 },
            Message::SignOn(announced),
            Message::Presence(announced),
            Message::Instructions { mark, connection, count: 2, frames: &frames },
            Message::Gone { mark, connection },
            Message::Replies { mark, index: 99, parts: Parts(&parts) },
            Message::End { mark, connection, retry_after_ms: 50, reason: Reason::SUPR, text: "zurück" },
            Message::End { mark, connection, retry_after_ms: 50, reason: Reason::NONE, text: "" },
            Message::Ask { id: 5, what: b"{}" },
            Message::Told { id: 5, outcome: Outcome::Busy, answer: b"" },
            Message::Serves { door: Told::Open("[::1]:7800") },
            Message::Serves { door: Told::Drained },
            Message::Serves { door: Told::Shut },
            Message::Removed,
        ] {
            check(&message);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        with_all(|message| assert_eq!(decode(&message.encode()), Ok(*message)));
    }

    #[test]
    fn bytes_stand_where_the_table_says() {
        let mark = Mark { route: 1, sequence: 4 };
        let bytes = Message::End { mark, connection: 2, retry_after_ms: 3, reason: Reason::SUPR, text: "x" }.encode();
        assert_eq!(bytes, b"\x08\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0SUPRx");
        let participant = "AB".parse().unwrap();
        let announced = Announced { mark, connection: 2, age: Duration::from_nanos(3), participant };
        let bytes = Message::SignOn(announced).encode();
        assert_eq!(bytes, b"\x03\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02AB");
    }

    #[test]
    fn parts_come_one_by_one() {
        let frames = frame(3);
        let mut bytes = begin_replies(MARK, 8);
        add_part(&mut bytes, 1, 2, &frames);
        add_part(&mut bytes, 3, 4, &[]);
        let Ok(Message::Replies { mark: MARK, index: 8, parts }) = decode(&bytes) else { panic!() };
        let expected = [Part { connection: 1, done: 2, frames: &frames }, Part { connection: 3, done: 4, frames: &[] }];
        assert!(parts.eq(expected));
    }

    /// Every message cut at every place, with a byte too many, and with every byte changed, is read or refused.
    #[test]
    fn hostile_bytes_are_refused() {
        with_all(|message| {
            let bytes = message.encode();
            for end in 0..bytes.len() {
                use Message::{Ask, End, Serves, Told};
                let open_ended = matches!(message, Ask { .. } | Told { .. } | End { .. } | Serves { .. });
                let whole = matches!(message, Message::Instructions { .. } | Message::Replies { .. });
                let read = decode(&bytes[..end]);
                assert!(read.is_err() || open_ended || whole, "{message:?} cut at {end}");
            }
            for place in 0..bytes.len() {
                for value in 0..=255 {
                    let mut changed = bytes.clone();
                    changed[place] = value;
                    if let Ok(read) = decode(&changed) {
                        assert_eq!(read.encode(), changed);
                    }
                }
            }
        });
        for (bytes, why) in [
            (vec![], "it ends early"),
            (vec![0], "its kind is not known"),
            (vec![13], "its kind is not known"),
            (vec![11], "it ends early"),
            (Message::Reign { term: TERM_MAX, node: 2 }.encode(), "its term is out of bounds"),
            (vec![11, 3], "that is no door"),
            (vec![11, 0], "that is no address for participants"),
            ([&[11, 0][..], b"north"].concat(), "that is no address for participants"),
            (vec![11, 1, 0], "it has more bytes than it may"),
            ([Message::Reign { term: 1, node: 2 }.encode(), vec![0]].concat(), "it has more bytes than it may"),
            (vec![9; MESSAGE_BYTES_MAX + 1], "it is too long"),
            ([begin_replies(MARK, 1), [0; 12].to_vec(), vec![255; 4]].concat(), "it ends early"),
            (
                [begin_replies(MARK, 1), [0; 12].to_vec(), vec![3, 0, 0, 0, 1, 2, 3]].concat(),
                "its frames are not whole",
            ),
            ([&[5][..], &[0; 28], &[1]].concat(), "its frames are not whole"),
            ([&[5][..], &[0; 28], &[255; 9]].concat(), "its frames are not whole"),
            ([&[8][..], &[0; 28], b"abcd"].concat(), "that is no reason"),
            ([&[8][..], &[0; 28], b"SUPR", b"\n"].concat(), "that is no text for a participant"),
            ([&[8][..], &[0; 28], b"SUPR", &[200]].concat(), "that is no text for a participant"),
            ([&[10][..], &[0; 8], &[3]].concat(), "that is no outcome"),
            ([&[3][..], &[0; 32], &[0]].concat(), "that is no participant"),
            ([&[3][..], &[0; 32], &[1, 255]].concat(), "the participant is no text"),
        ] {
            assert_eq!(decode(&bytes), Err(Malformed(why)), "{bytes:?}");
        }
    }
}
