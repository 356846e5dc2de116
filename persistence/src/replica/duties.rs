//! What a replica does as time goes by: ticks, and reports to the others.

use std::time::Duration;

use raft::{Progress, ProgressState};

use super::Replica;
use super::agreement::Compared;
use super::message::{REPORT_VERSION, Report, Stance};
use super::setup::{IN_FLIGHT_FROM_DISK_MAX, IN_FLIGHT_MAX};
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Index, NodeId};

/// A report goes out once in so many ticks.
const REPORT_TICKS: u64 = 4;

/// How another node fares, as the leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatistics {
    pub node: NodeId,
    /// How far it is, while it is there and has told this leader.
    pub progress: Option<PeerProgress>,
    /// It was heard in the last seconds.
    pub is_active: bool,
    /// How long ago it was heard of last; none if it never was since this node started.
    pub heard_ago: Option<Duration>,
    /// It says that it is being brought back: it holds nothing of what it had promised yet, and has no vote.
    pub is_repairing: bool,
    /// Version of its reports where it is another than this node's: it is there, and how it fares cannot be read.
    pub report_version: Option<u8>,
    /// It is being sent a snapshot.
    pub needs_snapshot: bool,
}

/// How far another node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// The last entry it is known to have.
    pub matched: Index,
    /// How long it has lacked what it lacks, within a tick.
    pub behind: Duration,
}

impl PeerStatistics {
    /// Whether its vote, if it has one, would be given now.
    pub fn can_vote(&self) -> bool {
        self.is_active && !self.is_repairing
    }
}

impl<D: Disk, F: Fold> Replica<D, F> {
    /// A tick of this length has passed; this call comes `late` after its end.
    pub fn tick(&mut self, length: Duration, late: Duration) {
        self.ticks += 1;
        self.tick = length;
        self.health.tick(length, late);
        self.now += length + late;
        self.pace.note(self.raw.store().log.last().index, self.now);
        self.raw.tick();
        self.after_step();
        if self.ticks.is_multiple_of(REPORT_TICKS) {
            self.tell_others();
        }
        if self.leads_now() {
            self.bound_flights();
            self.hand_over_if_unfit(length + late);
        }
    }

    /// By how much this node reaches a majority later than it need.
    pub(crate) fn set_detour(&mut self, detour: Duration) {
        self.health.set_detour(detour);
    }

    /// Whether the way to this node is one of those that a majority goes by: it has a vote, and is there.
    pub(crate) fn counts(&self, node: NodeId) -> bool {
        self.members.votes(node) && self.health.is_heard(node)
    }

    /// The tick that the leader goes by, if it is another node: followers go by no shorter one.
    pub fn leader_tick(&self) -> Option<Duration> {
        let leader = self.standing.leader.filter(|leader| *leader != self.node)?;
        self.health.tick_of(leader)
    }

    /// The others, as this node knows them while it leads.
    pub fn peers(&self) -> Vec<PeerStatistics> {
        if !self.leads_now() {
            return Vec::new();
        }
        let others = self.raw.raft.prs().iter().filter(|(id, _)| **id != self.node);
        let how_far = |id: NodeId, progress: &Progress| {
            let is_there = self.health.is_heard(id) || self.health.version_of(id).is_some();
            // A leader knows nothing of those that have not answered it since it leads. Who is sent a snapshot has.
            let has_told = progress.matched > 0 || progress.state == ProgressState::Snapshot;
            let matched = progress.matched;
            (is_there && has_told).then(|| PeerProgress { matched, behind: self.pace.age_after(matched, self.now) })
        };
        let mut peers: Vec<PeerStatistics> = others
            .map(|(id, progress)| PeerStatistics {
                node: *id,
                progress: how_far(*id, progress),
                is_active: self.health.is_heard(*id),
                heard_ago: self.health.heard_ago(*id),
                is_repairing: self.health.stance(*id) == Stance::Repairing,
                report_version: self.health.version_of(*id),
                needs_snapshot: progress.state == ProgressState::Snapshot,
            })
            .collect();
        peers.sort_unstable_by_key(|peer| peer.node);
        peers
    }

    /// The newest position at which a majority of the members had the same state as this node, and how long ago that was
    /// found. A node alone has nobody to agree with.
    pub fn agreed(&self) -> (Index, Duration) {
        if self.is_alone() {
            return (0, Duration::ZERO);
        }
        let (index, at) = self.agreement.agreed();
        (index, self.now.saturating_sub(at))
    }

    /// The last comparison with each other node.
    pub fn compared(&self) -> &[Compared] {
        self.agreement.compared()
    }

    /// The oldest entry that each other node keeps, as it said lately.
    pub fn kept_from(&self) -> Vec<(NodeId, Index)> {
        self.health.kept_from()
    }

    /// Positions are the same on every node, so the hashes can be compared.
    pub(super) fn checkpoint(&mut self, index: Index) -> Result<(), Error> {
        if let Some(hash) = self.fold.checkpoint(index) {
            (self.report.checkpoint, self.report.hash) = (index, hash);
            // Before it may be the last that is heard of this node.
            self.tell_others();
            self.agreement.take(&self.members, self.node, index, hash, self.now)?;
        }
        Ok(())
    }

    pub(super) fn heard(&mut self, report: Report) {
        if self.members.get(report.from).is_none() {
            return;
        }
        self.health.heard(report);
        if report.checkpoint > 0 && report.hash_version == F::CHECKPOINT_VERSION {
            let Report { from, checkpoint, hash, .. } = report;
            let taken = self.agreement.take(&self.members, from, checkpoint, hash, self.now);
            taken.unwrap_or_else(|error| _ = self.failure.get_or_insert(error));
        }
    }

    pub(super) fn heard_of_another_build(&mut self, from: NodeId, version: u8) {
        if self.members.get(from).is_some() && self.health.heard_of_another_build(from, version) {
            tracing::error!(
                event = "peer_of_another_build",
                peer = from,
                version,
                own_version = REPORT_VERSION,
                "it speaks another version of the report by which nodes tell how they fare, so here it counts as silent: upgrade \
                 the older of the two; stop all nodes, then start all"
            );
        }
    }

    pub(super) fn tell_others(&mut self) {
        let stance = match (self.is_repairing, self.is_unwilling) {
            (true, _) => Stance::Repairing,
            (false, true) => Stance::Unwilling,
            (false, false) => Stance::Willing,
        };
        let figures = self.health.report(self.tick, stance);
        let (Report { checkpoint, hash, .. }, kept_from) = (self.report, self.raw.store().log.first());
        let hash_version = F::CHECKPOINT_VERSION;
        let report = Report { checkpoint, hash, hash_version, kept_from, from: self.node, ..figures };
        for member in self.members.iter().filter(|member| member.id != self.node) {
            self.surroundings.peers.send(member.id, report.encode(member.id));
        }
    }

    fn bound_flights(&mut self) {
        let first_cached = self.raw.store().first_cached();
        let progress = self.raw.raft.prs().iter().filter(|(id, _)| **id != self.node);
        let bounds: Vec<(NodeId, usize)> = progress
            .map(|(id, progress)| {
                let from_disk = progress.next_idx < first_cached;
                (*id, if from_disk { IN_FLIGHT_FROM_DISK_MAX } else { IN_FLIGHT_MAX })
            })
            .collect();
        for (node, bound) in bounds {
            self.raw.raft.adjust_max_inflight_msgs(node, bound);
        }
    }
}
