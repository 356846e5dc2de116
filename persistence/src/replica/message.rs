//! What nodes say to each other, as bytes: `PEERS.md` has the tables. Nothing a peer sends reaches another decoder.
//!
//! A message that is taken is complete, bounded, from whom the connection says it is, and asks nothing of raft that would
//! make it stop. Payloads are not copied: they share the memory of the message they came in.

use bytes::Bytes;
use raft::CAMPAIGN_TRANSFER;
use raft::eraftpb::{Message, MessageType, Snapshot};
use raft::prelude::Entry;

use super::bytes::{Cut, Reader};
use super::membership::{self, Members};
use crate::fold::{Index, NodeId};
use crate::log::{Kind, SnapshotMark};

const VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 80;
pub(crate) const ENTRY_BYTES: usize = 16;
/// Indexes and terms stay far below where adding to them could overflow.
const NUMBER_MAX: u64 = 1 << 62;
const MEMBERSHIP_BYTES_MAX: usize = 64 << 10;

/// The kinds of entries.
const BATCH: [u8; 4] = [1, 0, 0, 0];
const MEMBERSHIP: [u8; 4] = [5, 0, 0, 0];

const FLAG_REJECT: u8 = 1;
const FLAG_TRANSFER: u8 = 2;

const REPORT: u8 = 32;
const REPORT_BYTES: usize = 68;
/// Of the report alone, so that nodes of two builds agree and elect all the same. A build before it was counted says 0.
pub const REPORT_VERSION: u8 = 1;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that cannot be taken: {0}")]
pub struct Malformed(pub &'static str);

impl From<Cut> for Malformed {
    fn from(cut: Cut) -> Malformed {
        Malformed(cut.0)
    }
}

/// A message of a peer, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Received {
    Raft(Message),
    Report(Report),
    /// A report that only another build can read.
    OtherReport {
        from: NodeId,
        version: u8,
    },
}

/// A snapshot that has come: the message that announces it, and the file it lies in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) message: Message,
    pub(crate) file: String,
}

impl Arrived {
    /// Before the file has come.
    pub(crate) fn from_header(me: NodeId, from: NodeId, header: &[u8]) -> Result<Arrived, Malformed> {
        match decode(me, from, &Bytes::copy_from_slice(header))? {
            Received::Raft(message) if message.get_msg_type() == MessageType::MsgSnapshot => {
                Ok(Arrived { message, file: String::new() })
            }
            _ => Err(Malformed("it announces no snapshot")),
        }
    }

    /// The file has come, and is whole: is it what was announced?
    pub(crate) fn is_in(&mut self, file: &str, found: &SnapshotMark) -> Result<(), Malformed> {
        let snapshot = self.message.get_snapshot();
        let (index, term) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
        if (found.mark.index, found.mark.term) != (index, term) || found.membership != snapshot.data {
            return Err(Malformed("another snapshot than was announced"));
        }
        self.file = file.into();
        Ok(())
    }
}

/// How a node fares, told to every other a few times per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) from: NodeId,
    /// The newest position at which this node computed the hash of its state; 0 before the first.
    pub(crate) checkpoint: Index,
    pub(crate) hash: u64,
    /// Version of that hash: those of other versions are not compared.
    pub(crate) hash_version: u32,
    /// The oldest entry that it keeps.
    pub(crate) kept_from: Index,
    /// Smoothed time of a write and sync, and of the delay with which it gets to its work and reaches a majority.
    pub(crate) sync_us: u32,
    pub(crate) late_us: u32,
    pub(crate) tick_us: u32,
    pub(crate) stance: Stance,
}

/// How a node stands to leading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stance {
    #[default]
    Willing = 0,
    /// It would rather not: its operator has drained it.
    Unwilling = 1,
    /// It cannot: its log was given up, and it has no vote until it holds again what it had promised.
    Repairing = 2,
}

/// The kinds of raft messages that travel, and the fields that each of them has.
struct Shape {
    code: u8,
    kind: MessageType,
    fields: u8,
}

const INDEX: u8 = 1;
const LOG_TERM: u8 = 2;
const COMMIT: u8 = 4;
const COMMIT_TERM: u8 = 8;
const HINT: u8 = 16;
const READ: u8 = 32;
const ENTRIES: u8 = 64;

const SHAPES: [Shape; 10] = [
    Shape { code: 1, kind: MessageType::MsgAppend, fields: INDEX | LOG_TERM | COMMIT | ENTRIES },
    Shape { code: 2, kind: MessageType::MsgAppendResponse, fields: INDEX | LOG_TERM | COMMIT | HINT },
    Shape { code: 3, kind: MessageType::MsgRequestVote, fields: INDEX | LOG_TERM | COMMIT | COMMIT_TERM },
    Shape { code: 4, kind: MessageType::MsgRequestVoteResponse, fields: COMMIT | COMMIT_TERM },
    Shape { code: 5, kind: MessageType::MsgRequestPreVote, fields: INDEX | LOG_TERM | COMMIT | COMMIT_TERM },
    Shape { code: 6, kind: MessageType::MsgRequestPreVoteResponse, fields: COMMIT | COMMIT_TERM },
    Shape { code: 7, kind: MessageType::MsgHeartbeat, fields: COMMIT | READ },
    Shape { code: 8, kind: MessageType::MsgHeartbeatResponse, fields: COMMIT | READ },
    Shape { code: 9, kind: MessageType::MsgTimeoutNow, fields: 0 },
    Shape { code: 10, kind: MessageType::MsgSnapshot, fields: INDEX | LOG_TERM },
];

/// The bytes of a raft message of this node. The snapshot's content travels beside it, as a file.
pub(crate) fn encode(message: &Message) -> Vec<u8> {
    let kind = message.get_msg_type();
    let Some(shape) = SHAPES.iter().find(|shape| shape.kind == kind) else {
        unreachable!("{kind:?} is never sent to another node");
    };
    let entries_bytes: usize = message.entries.iter().map(|entry| ENTRY_BYTES + payload(entry).1.len()).sum();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries_bytes + message.get_snapshot().data.len());
    let transfer = if message.context == CAMPAIGN_TRANSFER { FLAG_TRANSFER } else { 0 };
    bytes.extend_from_slice(&[VERSION, shape.code, u8::from(message.reject) | transfer, 0]);
    bytes.extend_from_slice(&(message.entries.len() as u32).to_le_bytes());
    let (index, log_term) = match shape.kind {
        MessageType::MsgSnapshot => {
            let metadata = message.get_snapshot().get_metadata();
            (metadata.index, metadata.term)
        }
        _ => (message.index, message.log_term),
    };
    let read = if shape.fields & READ == 0 { 0 } else { read_number(&message.context) };
    for number in [
        message.from,
        message.to,
        message.term,
        index,
        log_term,
        message.commit,
        message.commit_term,
        message.reject_hint,
        read,
    ] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for entry in &message.entries {
        let (kind, payload) = payload(entry);
        bytes.extend_from_slice(&entry.term.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(if kind == Kind::Batch { &BATCH } else { &MEMBERSHIP });
        bytes.extend_from_slice(payload);
    }
    bytes.extend_from_slice(&message.get_snapshot().data);
    bytes
}

/// What an entry says to the log: its kind and its payload.
pub(crate) fn payload(entry: &Entry) -> (Kind, &Bytes) {
    let is_batch = entry.context.is_empty() && entry.get_entry_type() == raft::eraftpb::EntryType::EntryNormal;
    if is_batch { (Kind::Batch, &entry.data) } else { (Kind::Membership, &entry.context) }
}

/// The other way round.
pub(crate) fn entry(index: Index, term: u64, kind: Kind, payload: Bytes) -> Entry {
    let mut entry = match kind {
        Kind::Membership => membership::raft_entry(payload),
        Kind::Batch => Entry { data: payload, ..Entry::default() },
    };
    entry.index = index;
    entry.term = term;
    entry
}

/// A number travels as raft's context of a question whether this node still leads; 0 is none.
fn read_number(context: &[u8]) -> u64 {
    context.try_into().map_or(0, u64::from_le_bytes)
}

/// Takes a message that came over a connection of `from`.
pub(crate) fn decode(me: NodeId, from: NodeId, bytes: &Bytes) -> Result<Received, Malformed> {
    if bytes.first() != Some(&VERSION) {
        return Err(Malformed("it is of an unknown version"));
    }
    match bytes.get(1) {
        Some(&REPORT) => report(me, from, bytes),
        _ => raft_message(me, from, bytes).map(Received::Raft),
    }
}

fn raft_message(me: NodeId, from: NodeId, bytes: &Bytes) -> Result<Message, Malformed> {
    let mut reader = Reader::new(bytes);
    let _version = reader.u8()?;
    let code = reader.u8()?;
    let flags = reader.u8()?;
    let nothing = reader.u8()?;
    let count = reader.u32()? as usize;
    let shape = SHAPES.iter().find(|shape| shape.code == code).ok_or(Malformed("it is of an unknown kind"))?;
    if flags & !(FLAG_REJECT | FLAG_TRANSFER) != 0 || nothing != 0 {
        return Err(Malformed("it has unknown flags"));
    }
    let mut numbers = [0; 9];
    for number in &mut numbers {
        *number = reader.u64()?;
    }
    let [sender, receiver, term, index, log_term, commit, commit_term, hint, read] = numbers;
    if sender != from || sender == 0 || sender == me || receiver != me {
        return Err(Malformed("it is from somebody else, or for somebody else"));
    }
    if term == 0 || numbers[2..8].iter().any(|number| *number >= NUMBER_MAX) {
        return Err(Malformed("a term or an index that cannot be"));
    }
    let has = |field: u8| shape.fields & field != 0;
    let optional = [
        (INDEX, index),
        (LOG_TERM, log_term),
        (COMMIT, commit),
        (COMMIT_TERM, commit_term),
        (HINT, hint),
        (READ, read),
        (ENTRIES, count as u64),
    ];
    if optional.iter().any(|(field, value)| !has(*field) && *value != 0) {
        return Err(Malformed("it has a field that its kind has not"));
    }
    let mut message = Message::default();
    message.set_msg_type(shape.kind);
    message.from = sender;
    message.to = receiver;
    message.term = term;
    message.index = index;
    message.log_term = log_term;
    message.commit = commit;
    message.commit_term = commit_term;
    message.reject_hint = hint;
    message.reject = flags & FLAG_REJECT != 0;
    if flags & FLAG_TRANSFER != 0 {
        if shape.kind != MessageType::MsgRequestVote {
            return Err(Malformed("it has unknown flags"));
        }
        message.context = Bytes::from_static(CAMPAIGN_TRANSFER);
    }
    if read != 0 {
        message.context = Bytes::copy_from_slice(&read.to_le_bytes());
    }
    if shape.kind == MessageType::MsgSnapshot {
        message.set_snapshot(snapshot(index, log_term, bytes.slice(HEADER_BYTES..))?);
        (message.index, message.log_term) = (0, 0);
    } else {
        message.set_entries(entries(&mut reader, bytes, count, index, log_term, term)?.into());
        reader.end()?;
    }
    Ok(message)
}

/// Entries after `index`, whose term is `before`; none can be of a later term than the message.
fn entries(
    reader: &mut Reader<'_>,
    bytes: &Bytes,
    count: usize,
    index: Index,
    mut before: u64,
    term: u64,
) -> Result<Vec<Entry>, Malformed> {
    if count > reader.left() / ENTRY_BYTES {
        return Err(Malformed("fewer entries than it says"));
    }
    let mut entries = Vec::with_capacity(count);
    for number in 1..=count as u64 {
        let entry_term = reader.u64()?;
        let length = reader.u32()? as usize;
        let kind = match reader.take(4)? {
            bytes if bytes == BATCH => Kind::Batch,
            bytes if bytes == MEMBERSHIP => Kind::Membership,
            _ => return Err(Malformed("an entry of unknown kind")),
        };
        let payload = bytes.slice_ref(reader.take(length)?);
        if entry_term < before.max(1) || entry_term > term {
            return Err(Malformed("an entry of a term that cannot be"));
        }
        if kind == Kind::Membership {
            membership::Statement::decode(&payload)?;
        }
        before = entry_term;
        entries.push(entry(index + number, entry_term, kind, payload));
    }
    Ok(entries)
}

fn snapshot(index: Index, term: u64, membership: Bytes) -> Result<Snapshot, Malformed> {
    if index == 0 || term == 0 || membership.len() > MEMBERSHIP_BYTES_MAX {
        return Err(Malformed("a snapshot that cannot be"));
    }
    let members = Members::from_bytes(&membership)?;
    if members.is_empty() {
        return Err(Malformed("a snapshot of nobody"));
    }
    let mut snapshot = Snapshot::default();
    snapshot.mut_metadata().index = index;
    snapshot.mut_metadata().term = term;
    snapshot.mut_metadata().set_conf_state(members.conf_state());
    snapshot.data = membership;
    Ok(snapshot)
}

impl Report {
    pub(crate) fn encode(&self, to: NodeId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REPORT_BYTES);
        bytes.extend_from_slice(&[VERSION, REPORT, REPORT_VERSION, 0, 0, 0, 0, 0]);
        for number in [self.from, to, self.checkpoint, self.hash, self.kept_from] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.sync_us, self.late_us, self.tick_us, self.stance as u32, self.hash_version] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

fn report(me: NodeId, from: NodeId, bytes: &Bytes) -> Result<Received, Malformed> {
    let mut reader = Reader::new(bytes);
    match *reader.take(8)? {
        [VERSION, REPORT, REPORT_VERSION, 0, 0, 0, 0, 0] => {}
        // The connection proves who sent it; the rest is for those who know that version.
        [VERSION, REPORT, version, ..] if version != REPORT_VERSION => {
            return Ok(Received::OtherReport { from, version });
        }
        _ => return Err(Malformed("it has unknown flags")),
    }
    let (sender, receiver) = (reader.u64()?, reader.u64()?);
    if sender != from || sender == 0 || sender == me || receiver != me {
        return Err(Malformed("it is from somebody else, or for somebody else"));
    }
    let report = Report {
        from,
        checkpoint: reader.u64()?,
        hash: reader.u64()?,
        kept_from: reader.u64()?,
        sync_us: reader.u32()?,
        late_us: reader.u32()?,
        tick_us: reader.u32()?,
        stance: match reader.u32()? {
            0 => Stance::Willing,
            1 => Stance::Unwilling,
            2 => Stance::Repairing,
            _ => return Err(Malformed("it has unknown flags")),
        },
        hash_version: reader.u32()?,
    };
    if report.checkpoint.max(report.kept_from) >= NUMBER_MAX {
        return Err(Malformed("a number that cannot be"));
    }
    reader.end()?;
    Ok(Received::Report(report))
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::replica::membership::{Member, Statement};

    const ME: NodeId = 2;
    const PEER: NodeId = 1;

    fn message(kind: MessageType) -> Message {
        let mut message = Message::default();
        message.set_msg_type(kind);
        (message.from, message.to, message.term) = (PEER, ME, 7);
        message
    }

    /// One of every kind, with everything it can have.
    fn all() -> Vec<Message> {
        let members = Members::first(&[Member::alone(1)]).unwrap();
        let statement = Bytes::from(Statement::encode(&Default::default(), &members));
        let mut append = message(MessageType::MsgAppend);
        (append.index, append.log_term, append.commit) = (10, 5, 9);
        append.set_entries(
            vec![
                entry(11, 5, Kind::Batch, Bytes::from_static(b"money")),
                entry(12, 7, Kind::Batch, Bytes::new()),
                entry(13, 7, Kind::Membership, statement),
                entry(14, 7, Kind::Membership, Bytes::new()),
            ]
            .into(),
        );
        let mut refusal = message(MessageType::MsgAppendResponse);
        (refusal.reject, refusal.index, refusal.reject_hint, refusal.log_term) = (true, 10, 8, 4);
        let mut vote = message(MessageType::MsgRequestVote);
        (vote.index, vote.log_term, vote.commit, vote.commit_term) = (10, 6, 9, 6);
        let mut transfer = vote.clone();
        transfer.context = Bytes::from_static(CAMPAIGN_TRANSFER);
        let mut beat = message(MessageType::MsgHeartbeat);
        (beat.commit, beat.context) = (9, Bytes::copy_from_slice(&3_u64.to_le_bytes()));
        let mut whole = message(MessageType::MsgSnapshot);
        whole.set_snapshot(snapshot(40, 6, Bytes::from(members.to_bytes())).unwrap());
        let mut all = vec![append, refusal, vote, transfer, beat, whole];
        for kind in [
            MessageType::MsgRequestVoteResponse,
            MessageType::MsgRequestPreVote,
            MessageType::MsgRequestPreVoteResponse,
            MessageType::MsgHeartbeatResponse,
            MessageType::MsgTimeoutNow,
        ] {
            all.push(message(kind));
        }
        all
    }

    #[test]
    fn every_kind_reads_back() {
        for message in all() {
            let bytes = Bytes::from(encode(&message));
            assert_eq!(decode(ME, PEER, &bytes), Ok(Received::Raft(message)));
        }
        let report = Report {
            from: PEER,
            checkpoint: 2048,
            hash: u64::MAX,
            hash_version: 9,
            kept_from: 17,
            sync_us: 1,
            late_us: 2,
            tick_us: 3,
            stance: Stance::Repairing,
        };
        assert_eq!(decode(ME, PEER, &Bytes::from(report.encode(ME))), Ok(Received::Report(report)));
    }

    /// The build before it was counted wrote 56 bytes, and later 68.
    #[test]
    fn a_report_of_another_build_is_known_as_such() {
        let mut bytes = Report { from: PEER, ..Report::default() }.encode(ME);
        assert_eq!(bytes.len(), REPORT_BYTES);
        for (version, length) in [(0, 56), (0, 68), (2, 68), (2, 8), (255, 68)] {
            bytes[2] = version;
            let other = Received::OtherReport { from: PEER, version };
            assert_eq!(decode(ME, PEER, &Bytes::copy_from_slice(&bytes[..length])), Ok(other), "{version}");
        }
        (bytes[2], bytes[3]) = (REPORT_VERSION, 1);
        assert!(decode(ME, PEER, &Bytes::from(bytes)).is_err(), "flags that are not known");
    }

    #[test]
    fn who_says_what_is_checked() {
        for bytes in all().iter().map(encode).chain([Report { from: PEER, ..Report::default() }.encode(ME)]) {
            let bytes = Bytes::from(bytes);
            assert!(decode(ME, 3, &bytes).is_err(), "another sender");
            assert!(decode(3, PEER, &bytes).is_err(), "another receiver");
            assert!(decode(PEER, PEER, &bytes).is_err(), "an echo");
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_refused() {
        for bytes in all().iter().map(encode) {
            for length in 0..bytes.len() {
                assert!(decode(ME, PEER, &Bytes::from(bytes[..length].to_vec())).is_err(), "cut at {length}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(decode(ME, PEER, &Bytes::from(longer)).is_err());
        }
    }

    /// Whatever bytes come: no panic, no large allocation, and what is taken can be written again to the same bytes.
    #[test]
    fn hostile_bytes() {
        let mut random = SmallRng::seed_from_u64(5);
        let originals: Vec<Vec<u8>> = all().iter().map(encode).collect();
        let mut taken = 0;
        for _ in 0..400_000 {
            let mut bytes = originals[random.random_range(0..originals.len())].clone();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..5) {
                    0 => bytes[at] ^= 1 << random.random_range(0..8),
                    1 => bytes[at] = [0, 1, 0x7F, 0xFF][random.random_range(0..4)],
                    2 => bytes.truncate(at + 1),
                    3 => bytes.insert(at, random.random()),
                    _ => {
                        let word = [0, 1, u64::MAX, 1 << 62, 1 << 32][random.random_range(0..5)];
                        let end = (at + 8).min(bytes.len());
                        bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
                    }
                }
            }
            let bytes = Bytes::from(bytes);
            if let Ok(Received::Raft(message)) = decode(ME, PEER, &bytes) {
                assert_eq!(encode(&message), bytes, "one message, one form");
                taken += 1;
            }
        }
        assert!(taken > 1000, "only {taken} were taken, so little was tried");
    }
}
