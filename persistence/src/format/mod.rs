//! Bytes of every file, little endian: `FORMAT.md` has the tables. Nothing here touches a disk.

pub(crate) mod entry;
pub(crate) mod head;
pub(crate) mod segment;
pub(crate) mod snapshot;

/// What the disk writes whole or not at all. Entries and headers start at a multiple of it, so no write ever touches a
/// sector that holds something older.
pub(crate) const SECTOR_BYTES: usize = 512;

pub(crate) type Sector = [u8; SECTOR_BYTES];

/// Why a file's first sector is not a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Version(u32),
    Bad(&'static str),
}

pub(crate) fn round_up_to_sector(bytes: usize) -> usize {
    bytes.next_multiple_of(SECTOR_BYTES)
}

/// All files but entries open the same way: magic, version, CRC32C of the rest of the sector.
const VERSION_AT: usize = 8;
const CRC_AT: usize = 12;
const BODY_AT: usize = 16;

fn seal(sector: &mut Sector, magic: &[u8; 8], version: u32) {
    sector[..8].copy_from_slice(magic);
    put_u32(sector, VERSION_AT, version);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&sector[..CRC_AT]), &sector[BODY_AT..]);
    put_u32(sector, CRC_AT, crc);
}

/// Version 2 gave meaning to bytes that were zero, so that older files read as what they are.
const VERSION_MIN: u32 = 1;

fn unseal(sector: &Sector, magic: &[u8; 8], version: u32) -> Result<(), Unreadable> {
    if &sector[..8] != magic {
        return Err(Unreadable::Bad("the magic number is wrong"));
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&sector[..CRC_AT]), &sector[BODY_AT..]);
    if crc != u32_at(sector, CRC_AT) {
        return Err(Unreadable::Bad("the header's checksum is wrong"));
    }
    match u32_at(sector, VERSION_AT) {
        found if (VERSION_MIN..=version).contains(&found) => Ok(()),
        found => Err(Unreadable::Version(found)),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from(u64_at(bytes, at)) | u128::from(u64_at(bytes, at + 8)) << 64
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn put_u128(bytes: &mut [u8], at: usize, value: u128) {
    bytes[at..at + 16].copy_from_slice(&value.to_le_bytes());
}

/// Length of `bytes` without the zeros at its end.
pub(crate) fn length_without_trailing_zeros(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while end >= SECTOR_BYTES && is_zero(&bytes[end - SECTOR_BYTES..end]) {
        end -= SECTOR_BYTES;
    }
    while end > 0 && bytes[end - 1] == 0 {
        end -= 1;
    }
    end
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
