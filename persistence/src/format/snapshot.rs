//! The first sector of a snapshot file, and the file's name. The membership follows it in whole sectors, then the body to
//! the end of the file.

use super::segment::parse_numbered;
use super::{
    Sector, Unreadable, put_u32, put_u64, put_u128, round_up_to_sector, seal, u32_at, u64_at, u128_at, unseal,
};
use crate::fold::Index;
use crate::log::Mark;

pub(crate) const HEADER_BYTES: usize = super::SECTOR_BYTES;
/// The membership of the cluster as raft writes it, opaque here.
pub(crate) const MEMBERSHIP_BYTES_MAX: usize = 64 << 10;
const MAGIC: &[u8; 8] = b"CTIE-SNA";
pub(crate) const VERSION: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: u128,
    /// The last entry the snapshot contains.
    pub(crate) mark: Mark,
    pub(crate) body_bytes: u64,
    pub(crate) body_crc: u32,
    pub(crate) membership_bytes: u32,
    pub(crate) membership_crc: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> Sector {
        let mut sector = [0; HEADER_BYTES];
        put_u128(&mut sector, 16, self.identity);
        put_u64(&mut sector, 32, self.mark.index);
        put_u64(&mut sector, 40, self.mark.term);
        put_u32(&mut sector, 48, self.mark.chain);
        put_u32(&mut sector, 52, self.body_crc);
        put_u64(&mut sector, 56, self.body_bytes);
        put_u32(&mut sector, 64, self.membership_bytes);
        put_u32(&mut sector, 68, self.membership_crc);
        seal(&mut sector, MAGIC, VERSION);
        sector
    }

    /// In version 1 there is no membership, and zeros say so.
    pub(crate) fn decode(sector: &Sector) -> Result<Header, Unreadable> {
        unseal(sector, MAGIC, VERSION)?;
        let membership_bytes = u32_at(sector, 64);
        if membership_bytes as usize > MEMBERSHIP_BYTES_MAX {
            return Err(Unreadable::Bad("the membership is too long"));
        }
        Ok(Header {
            identity: u128_at(sector, 16),
            mark: Mark { index: u64_at(sector, 32), term: u64_at(sector, 40), chain: u32_at(sector, 48) },
            body_bytes: u64_at(sector, 56),
            body_crc: u32_at(sector, 52),
            membership_bytes,
            membership_crc: u32_at(sector, 68),
        })
    }

    /// Where the body begins.
    pub(crate) fn body_at(&self) -> u64 {
        body_at(self.membership_bytes as usize)
    }
}

pub(crate) fn body_at(membership_bytes: usize) -> u64 {
    (HEADER_BYTES + round_up_to_sector(membership_bytes)) as u64
}

/// Of the snapshot after entry `index`, in the directory of the log.
pub fn file_name(index: Index) -> String {
    format!("snapshot-{index:016x}.snap")
}

pub(crate) fn parse_file_name(name: &str) -> Option<Index> {
    parse_numbered(name, "snapshot-", ".snap")
}
