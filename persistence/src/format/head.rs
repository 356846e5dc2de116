//! The `head` file: which log this is, which segment is the newest, whether it was closed in order, for whom the node
//! voted, what it was about to do to its segments, and whether it was given up to be filled anew by its peers.

use super::{Sector, Unreadable, put_u32, put_u64, put_u128, seal, u32_at, u64_at, u128_at, unseal};
use crate::fold::{Index, NodeId, Term};
use crate::log::{Mark, Vote};

pub(crate) const FILE_NAME: &str = "head";
const MAGIC: &[u8; 8] = b"CTIE-HEA";
pub(crate) const VERSION: u32 = 3;
pub(crate) const SETTING_ASIDE_AT: u64 = 128;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: u128,
    /// 0 before the first segment is made. May lag behind a rotation, never lead it.
    pub(crate) newest_segment: Index,
    /// Present after an orderly stop: the last entry there is.
    pub(crate) closed_at: Option<Mark>,
    pub(crate) vote: Vote,
    /// Cluster and number of the node; 0 before they were given.
    pub(crate) cluster: u128,
    pub(crate) node: NodeId,
    /// Entries from this one on are being cut off; 0 when nothing is.
    pub(crate) truncating_from: Index,
    /// The snapshot after this entry is replacing all segments, if its file has come to stand under its name; 0 when none is.
    pub(crate) installing: Index,
    /// The latest term in which this node may have promised something that it does not have any more: it was given up, and
    /// comes back. 0 when nothing is missing.
    pub(crate) repairing: Term,
    /// Its files are being set aside for that.
    pub(crate) is_setting_aside: bool,
    /// A leader knew that this node had entries up to there, and they are gone. 0 when nothing is.
    pub(crate) lost: Index,
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
        put_u64(&mut sector, 72, self.vote.voted_for.unwrap_or(0));
        put_u128(&mut sector, 80, self.cluster);
        put_u64(&mut sector, 96, self.node);
        put_u64(&mut sector, 104, self.truncating_from);
        put_u64(&mut sector, 112, self.installing);
        put_u64(&mut sector, 120, self.repairing);
        put_u32(&mut sector, 128, u32::from(self.is_setting_aside));
        put_u64(&mut sector, 136, self.lost);
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
            vote: Vote { term: u64_at(sector, 64), voted_for: Some(u64_at(sector, 72)).filter(|node| *node != 0) },
            cluster: u128_at(sector, 80),
            node: u64_at(sector, 96),
            truncating_from: u64_at(sector, 104),
            installing: u64_at(sector, 112),
            repairing: u64_at(sector, 120),
            is_setting_aside: u32_at(sector, 128) == 1,
            lost: u64_at(sector, 136),
        })
    }
}
