//! The `head` file: which log this is, which segment is the newest, and whether it was closed in order.

use super::{Sector, Unreadable, put_u32, put_u64, put_u128, seal, u32_at, u64_at, u128_at, unseal};
use crate::fold::Index;
use crate::log::Mark;

pub(crate) const FILE_NAME: &str = "head";
const MAGIC: &[u8; 8] = b"CTIE-HEA";
pub(crate) const VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: u128,
    /// 0 before the first segment is made. May lag behind a rotation, never lead it.
    pub(crate) newest_segment: Index,
    /// Present after an orderly stop: the last entry there is.
    pub(crate) closed_at: Option<Mark>,
}

impl Head {
    pub(crate) fn encode(&self) -> Sector {
        let mut sector = [0; super::SECTOR_BYTES];
        put_u128(&mut sector, 16, self.identity);
        put_u64(&mut sector, 32, self.newest_segment);
        if let Some(mark) = self.closed_at {
            put_u64(&mut sector, 40, mark.index);
            put_u64(&mut sector, 48, mark.term);
            put_u32(&mut sector, 56, mark.chain);
            put_u32(&mut sector, 60, 1);
        }
        seal(&mut sector, MAGIC, VERSION);
        sector
    }

    pub(crate) fn decode(sector: &Sector) -> Result<Head, Unreadable> {
        unseal(sector, MAGIC, VERSION)?;
        let mark = Mark { index: u64_at(sector, 40), term: u64_at(sector, 48), chain: u32_at(sector, 56) };
        Ok(Head {
            identity: u128_at(sector, 16),
            newest_segment: u64_at(sector, 32),
            closed_at: (u32_at(sector, 60) == 1).then_some(mark),
        })
    }
}
