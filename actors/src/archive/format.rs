//! The bytes of a run file: its header and how its sections follow each other. The table is in the module's head.

use super::Span;
use super::entry::ENTRY_BYTES;

pub(super) const MAGIC: [u8; 8] = *b"XTIE-RUN";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 128;
/// Participant, time, place and state.
pub(super) const KEY_BYTES: usize = 16;
pub(super) const ENTRIES_PER_BLOCK: usize = 64;
pub(super) const KEYS_PER_BLOCK: usize = 256;
/// First key of a block, checksum of the block.
pub(super) const GUIDE_BYTES: usize = 20;
/// A key leaves 28 bits for an entry's place.
pub(super) const ENTRIES_MAX: u64 = 1 << 28;

/// What stands at the front of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the log that the payments come from.
    pub(super) identity: u128,
    pub(super) span: Span,
    pub(super) entries: u64,
    pub(super) keys: u64,
    /// When the first and the last of its payments ended, nanoseconds since 1970.
    pub(super) ended_first: u64,
    pub(super) ended_last: u64,
    /// Of the guides.
    pub(super) guides_crc: u32,
}

/// Why a header is not one of ours.
pub(super) enum Unreadable {
    Bad(String),
    /// Whole, and of another version.
    Version(u32),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.identity.to_le_bytes());
        let numbers = [self.span.first, self.span.last, self.entries, self.keys, self.ended_first, self.ended_last];
        for (place, number) in out[32..80].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        out[80..84].copy_from_slice(&self.guides_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Unreadable> {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let small = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        if bytes[..8] != MAGIC {
            return Err(Unreadable::Bad("it does not begin as a run does".into()));
        }
        let mut plain = *bytes;
        plain[12..16].fill(0);
        if crc32c::crc32c(&plain) != small(12) {
            return Err(Unreadable::Bad("the checksum of the header is wrong".into()));
        }
        if small(8) != VERSION {
            return Err(Unreadable::Version(small(8)));
        }
        let header = Header {
            identity: u128::from_le_bytes(std::array::from_fn(|byte| bytes[16 + byte])),
            span: Span { first: number(32), last: number(40) },
            entries: number(48),
            keys: number(56),
            ended_first: number(64),
            ended_last: number(72),
            guides_crc: small(80),
        };
        if header.entries > ENTRIES_MAX || header.keys > 2 * header.entries {
            let what = format!("it claims {} entries and {} keys", header.entries, header.keys);
            return Err(Unreadable::Bad(what));
        }
        Ok(header)
    }

    pub(super) fn entries_offset(&self) -> u64 {
        HEADER_BYTES as u64
    }

    pub(super) fn keys_offset(&self) -> u64 {
        self.entries_offset() + self.entries * ENTRY_BYTES as u64
    }

    pub(super) fn guides_offset(&self) -> u64 {
        self.keys_offset() + self.keys * KEY_BYTES as u64
    }

    pub(super) fn guides_bytes(&self) -> u64 {
        let blocks = self.entries.div_ceil(ENTRIES_PER_BLOCK as u64) + self.keys.div_ceil(KEYS_PER_BLOCK as u64);
        blocks * GUIDE_BYTES as u64
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.guides_offset() + self.guides_bytes()
    }
}

pub(super) fn file_name(span: Span) -> String {
    format!("archive-{:020}-{:020}.run", span.first, span.last)
}

pub(super) fn parse_file_name(name: &str) -> Option<Span> {
    let (first, last) = name.strip_prefix("archive-")?.strip_suffix(".run")?.split_once('-')?;
    let span = Span { first: first.parse().ok()?, last: last.parse().ok()? };
    (file_name(span) == name && span.first <= span.last).then_some(span)
}
