//! The `head` file: which log this is and whose, how this node voted, which segment is the newest, what was begun on the
//! files and may be half done, and whether the log was closed in order.

use super::{Sector, Unreadable, put_u32, put_u64, put_u128, seal, u32_at, u64_at, u128_at, unseal};
use crate::fold::{Index, NodeId};
use crate::log::{Mark, Vote};

pub(crate) const FILE_NAME: &str = "head";
const MAGIC: &[u8; 8] = b"CTIE-HEA";
pub(crate) const VERSION: u32 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: u128,
    /// 0 before the first segment is made. May lag behind a rotation, never lead it.
    pub(crate) newest_segment: Index,
    /// Present after an orderly stop: the last entry there is.
    pub(crate) closed_at: Option<Mark>,
    pub(crate) vote: Vote,
    /// Entries from here on are being removed.
    pub(crate) truncating_from: Index,
    /// The snapshot of this index is taking the place of everything, unless it is not there.
    pub(crate) installing: Index,
    /// 0 while the node belongs to no cluster.
    pub(crate) cluster: u128,
    /// 0 while the node belongs to no cluster.
    pub(crate) node: NodeId,
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
        put_u64(&mut sector, 64, self.vote.term);
        put_u64(&mut sector, 72, self.vote.voted_for.unwrap_or_default());
        put_u64(&mut sector, 80, self.truncating_from);
        put_u64(&mut sector, 88, self.installing);
        put_u128(&mut sector, 96, self.cluster);
        put_u64(&mut sector, 112, self.node);
        seal(&mut sector, MAGIC, VERSION);
        sector
    }

    /// In version 1 everything from byte 64 on is zero, which means the same.
    pub(crate) fn decode(sector: &Sector) -> Result<Head, Unreadable> {
        unseal(sector, MAGIC, VERSION)?;
        let mark = Mark { index: u64_at(sector, 40), term: u64_at(sector, 48), chain: u32_at(sector, 56) };
        let unless_zero = |at| Some(u64_at(sector, at)).filter(|value| *value != 0);
        Ok(Head {
            identity: u128_at(sector, 16),
            newest_segment: u64_at(sector, 32),
            closed_at: (u32_at(sector, 60) == 1).then_some(mark),
            vote: Vote { term: u64_at(sector, 64), voted_for: unless_zero(72) },
            truncating_from: u64_at(sector, 80),
            installing: u64_at(sector, 88),
            cluster: u128_at(sector, 96),
            node: u64_at(sector, 112),
        })
    }
}
