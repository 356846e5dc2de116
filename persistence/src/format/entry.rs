//! An entry: a header of 64 bytes, the payload, zeros up to the next sector.
//!
//! The header's own checksum makes its length trustworthy; the chain checksum runs from entry to entry, so an entry only
//! fits behind the one it was written behind.

use super::{SECTOR_BYTES, put_u32, put_u64, round_up_to_sector, u32_at, u64_at};
use crate::fold::{Index, Term};

/// Room for the header at the front of a batch's buffer.
pub const HEADER_BYTES: usize = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"CTen");

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For the fold.
    Batch = 1,
    /// The members of the cluster changed; nothing for the fold.
    Membership = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) payload_bytes: u32,
    /// Chain checksum of the entry before.
    pub(crate) previous: u32,
    /// Chain checksum of this one.
    pub(crate) chain: u32,
    pub(crate) sparse: Sparse,
    /// The highest entry that was known to be committed when this one was written.
    pub(crate) committed: Index,
    /// Bytes that the same write put before this entry: 0 for the first of its write.
    pub(crate) write_bytes: u32,
}

/// Counts of sectors that are hard to tell from missing ones, so that a missing one can be told after all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    pub(crate) zero: u32,
    /// With a single bit set: a flip of it must not pass for a missing sector.
    pub(crate) one_bit: u32,
}

impl Sparse {
    pub(crate) fn count(extent: &[u8]) -> Sparse {
        let mut sparse = Sparse::default();
        for sector in extent.chunks(SECTOR_BYTES) {
            match bits_up_to_two(sector) {
                0 => sparse.zero += 1,
                1 => sparse.one_bit += 1,
                _ => {}
            }
        }
        sparse
    }

    /// Whether an extent that was written with `self` and is found with `found` misses a sector that had at least two
    /// bits set. If all that is missing had one bit, it is the same bytes as after a flip, and must count as damage.
    pub(crate) fn misses_sectors(self, found: Sparse) -> bool {
        found.zero.saturating_sub(self.zero) > self.one_bit.saturating_sub(found.one_bit)
    }
}

/// Why there is no header here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Damaged(&'static str),
    Kind(u8),
}

impl Header {
    /// `bytes` begins with the header.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, Unreadable> {
        let bytes = &bytes[..HEADER_BYTES];
        if u32_at(bytes, 0) != MAGIC {
            return Err(Unreadable::Damaged("neither an entry nor zeros"));
        }
        if u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return Err(Unreadable::Damaged("the entry header's checksum is wrong"));
        }
        let kind = match bytes[40] {
            1 => Kind::Batch,
            5 => Kind::Membership,
            other => return Err(Unreadable::Kind(other)),
        };
        Ok(Header {
            kind,
            index: u64_at(bytes, 16),
            term: u64_at(bytes, 24),
            payload_bytes: u32_at(bytes, 32),
            previous: u32_at(bytes, 12),
            chain: u32_at(bytes, 8),
            sparse: Sparse { zero: u32_at(bytes, 36), one_bit: u32_at(bytes, 44) },
            committed: u64_at(bytes, 48),
            write_bytes: u32_at(bytes, 56),
        })
    }

    /// Header, payload and padding.
    pub(crate) fn extent_bytes(&self) -> usize {
        extent_bytes(self.payload_bytes as usize)
    }
}

pub(crate) fn extent_bytes(payload_bytes: usize) -> usize {
    round_up_to_sector(HEADER_BYTES + payload_bytes)
}

/// What a header is made of besides the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    pub(crate) kind: Kind,
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) payload_bytes: usize,
    pub(crate) previous: u32,
    pub(crate) committed: Index,
    pub(crate) write_bytes: usize,
}

/// Turns an extent (room for the header, the payload, zeros) into an entry, in place; returns its chain checksum.
pub(crate) fn seal(extent: &mut [u8], seal: Seal) -> u32 {
    let Seal { kind, index, term, payload_bytes, previous, committed, write_bytes } = seal;
    assert_eq!(extent.len(), extent_bytes(payload_bytes), "an extent is header, payload and padding");
    let fits = |bytes: usize| u32::try_from(bytes).expect("a write is smaller than a segment, and that than 4 GiB");
    extent[..HEADER_BYTES].fill(0);
    put_u32(extent, 0, MAGIC);
    put_u32(extent, 12, previous);
    put_u64(extent, 16, index);
    put_u64(extent, 24, term);
    put_u32(extent, 32, fits(payload_bytes));
    put_u64(extent, 48, committed);
    put_u32(extent, 56, fits(write_bytes));
    let sparse = Sparse::count(extent);
    put_u32(extent, 36, sparse.zero);
    put_u32(extent, 44, sparse.one_bit);
    extent[40] = kind as u8;
    let chain = chain(extent, previous);
    put_u32(extent, 8, chain);
    let header = crc32c::crc32c(&extent[8..HEADER_BYTES]);
    put_u32(extent, 4, header);
    chain
}

/// Chain checksum of an extent that follows an entry with checksum `previous`.
pub(crate) fn chain(extent: &[u8], previous: u32) -> u32 {
    crc32c::crc32c_append(previous, &extent[16..])
}

/// Ordinary data has two bits within its first bytes, so this looks at little of it.
fn bits_up_to_two(sector: &[u8]) -> u32 {
    let mut bits = 0;
    for byte in sector {
        bits += byte.count_ones();
        if bits > 1 {
            return 2;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_entry_reads_back() {
        for (payload_bytes, extent, sparse) in
            [(0, 512, 0), (1, 512, 0), (448, 512, 0), (449, 1024, 1), (5000, 5120, 9)]
        {
            let mut buffer = vec![0; extent_bytes(payload_bytes)];
            assert_eq!(buffer.len(), extent, "payload of {payload_bytes}");
            let (previous, committed, write_bytes) = (0xABCD, 5, 1024);
            let sealing =
                Seal { kind: Kind::Batch, index: 7, term: 3, payload_bytes, previous, committed, write_bytes };
            let chain_sealed = seal(&mut buffer, sealing);
            let header = Header::parse(&buffer).unwrap();
            assert_eq!((header.committed, header.write_bytes), (5, 1024));
            assert_eq!((header.index, header.term, header.payload_bytes as usize), (7, 3, payload_bytes));
            assert_eq!((header.sparse.zero, header.chain, header.previous), (sparse, chain_sealed, 0xABCD));
            assert_eq!(chain(&buffer, 0xABCD), chain_sealed);
            assert_ne!(chain(&buffer, 0xABCE), chain_sealed, "an entry fits behind one predecessor only");
        }
    }

    #[test]
    fn a_missing_sector_is_told_from_a_flipped_bit() {
        let cases = [
            // written: zero, one bit; found: zero, one bit
            ((0, 0), (0, 0), false),
            ((0, 0), (1, 0), true),
            ((3, 0), (3, 0), false),
            ((3, 0), (4, 0), true),
            ((0, 1), (1, 0), false),
            ((0, 1), (1, 1), true),
            ((0, 2), (3, 1), true),
            ((2, 2), (4, 0), false),
        ];
        let sparse = |(zero, one_bit)| Sparse { zero, one_bit };
        for (written, found, missing) in cases {
            assert_eq!(sparse(written).misses_sectors(sparse(found)), missing, "{written:?} {found:?}");
        }
    }
}
