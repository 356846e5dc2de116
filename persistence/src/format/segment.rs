//! The first sector of a segment file, and the file's name.

use super::{Sector, Unreadable, put_u32, put_u64, put_u128, seal, u32_at, u64_at, u128_at, unseal};
use crate::fold::{Index, Term};
use crate::log::Mark;

pub(crate) const HEADER_BYTES: usize = super::SECTOR_BYTES;
const MAGIC: &[u8; 8] = b"CTIE-SEG";
pub(crate) const VERSION: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: u128,
    pub(crate) first_index: Index,
    pub(crate) segment_bytes: u64,
    /// Chain checksum of the last entry of the segment before; 0 in the first.
    pub(crate) previous: u32,
    /// Its term; 0 in the first, and in files of version 1.
    pub(crate) previous_term: Term,
}

impl Header {
    pub(crate) fn encode(&self) -> Sector {
        let mut sector = [0; HEADER_BYTES];
        put_u128(&mut sector, 16, self.identity);
        put_u64(&mut sector, 32, self.first_index);
        put_u64(&mut sector, 40, self.segment_bytes);
        put_u32(&mut sector, 48, self.previous);
        put_u64(&mut sector, 56, self.previous_term);
        seal(&mut sector, MAGIC, VERSION);
        sector
    }

    pub(crate) fn decode(sector: &Sector) -> Result<Header, Unreadable> {
        unseal(sector, MAGIC, VERSION)?;
        Ok(Header {
            identity: u128_at(sector, 16),
            first_index: u64_at(sector, 32),
            segment_bytes: u64_at(sector, 40),
            previous: u32_at(sector, 48),
            previous_term: u64_at(sector, 56),
        })
    }

    /// The entry before the first. Before there were terms, all were 1.
    pub(crate) fn before(&self) -> Mark {
        let index = self.first_index - 1;
        Mark { index, term: self.previous_term.max(1).min(index), chain: self.previous }
    }
}

pub(crate) fn file_name(first_index: Index) -> String {
    format!("log-{first_index:016x}.seg")
}

pub(crate) fn parse_file_name(name: &str) -> Option<Index> {
    parse_numbered(name, "log-", ".seg")
}

pub(super) fn parse_numbered(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let canonical = digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u64::from_str_radix(digits, 16).ok() } else { None }
}
