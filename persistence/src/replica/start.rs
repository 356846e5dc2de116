//! What a replica finds out from its log before raft begins: whose log it is, who the members are, what is folded.

use super::membership::{Members, Statement};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::Index;
use crate::log::{Kind, Log};

/// Entries read at once while looking for statements of the members.
const STEP_BYTES: usize = 8 << 20;

/// A log belongs to one node of one cluster for good: two nodes with one number could both vote. A node alone needs no
/// number until it becomes the first of a cluster; `stated` says whether its log knows who the members are.
pub(super) fn claim<D: Disk>(log: &mut Log<D>, config: &Config, stated: bool) -> Result<(), Error> {
    match log.node() {
        own if own == (config.cluster, config.node) => Ok(()),
        (0, 0) if config.cluster == 0 => Ok(()),
        (0, 0) if log.last().index == 0 || stated => log.set_node(config.cluster, config.node),
        (0, 0) => Err(Error::Configuration(
            "the log in this directory is older than its cluster: start the node once without one, then add the others"
                .into(),
        )),
        (cluster, node) => Err(Error::Configuration(format!(
            "this is to be node {} of cluster {:032x}, but the log in this directory is that of node {node} of {cluster:032x}",
            config.node, config.cluster
        ))),
    }
}

/// The members after the last folded entry, and the entry that stated them; `first` while none has.
pub(super) fn members<D: Disk>(log: &Log<D>, first: Members) -> Result<(Members, Index), Error> {
    let wrong = |index: Index, what: &str| Error::Consensus(format!("members stated by entry {index}: {what}"));
    let (mut members, mut since) = (first, 0);
    let snapshot = log.newest_snapshot();
    let index = snapshot.mark.index;
    if !snapshot.membership.is_empty() {
        members = Members::from_bytes(&snapshot.membership).map_err(|cut| wrong(index, cut.0))?;
        since = index;
    }
    let mut next = index + 1;
    while next <= log.folded() {
        let records = log.entries(next, log.folded() + 1, STEP_BYTES)?;
        for record in &records {
            if record.kind == Kind::Membership {
                let statement = Statement::decode(&record.payload).map_err(|cut| wrong(record.index, cut.0))?;
                members = statement.apply(&members);
                since = record.index;
            }
            next = record.index + 1;
        }
    }
    Ok((members, since))
}
