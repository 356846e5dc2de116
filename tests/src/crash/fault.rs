//! What is done to a cluster, and whether what is left of it must go on meanwhile.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::cluster::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    KillLeader,
    KillFollower,
    /// The leader and another one, at once.
    KillTwo,
    KillAll,
    CutLeader,
    CutFollower,
    /// Between the leader and another one: one of them is heard and does not hear.
    CutOneWay,
    /// The leader's, where more than one node stands.
    CutRegion,
    PauseLeader,
    Transfer,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Fault::KillLeader => "kill leader",
            Fault::KillFollower => "kill follower",
            Fault::KillTwo => "kill two",
            Fault::KillAll => "kill all",
            Fault::CutLeader => "cut off leader",
            Fault::CutFollower => "cut off follower",
            Fault::CutOneWay => "cut one way",
            Fault::CutRegion => "cut off region",
            Fault::PauseLeader => "pause leader",
            Fault::Transfer => "hand over",
        }
    }
}

/// Each fault once in random order, then again.
#[derive(Default)]
pub(super) struct Bag(Vec<Fault>);

impl Bag {
    pub(super) fn draw(&mut self, has_region: bool, random: &mut SmallRng) -> Fault {
        use Fault::{
            CutFollower, CutLeader, CutOneWay, CutRegion, KillAll, KillFollower, KillLeader, KillTwo, PauseLeader,
            Transfer,
        };
        if self.0.is_empty() {
            self.0 = vec![KillLeader, KillFollower, KillTwo, KillAll, CutLeader, CutFollower, CutOneWay];
            self.0.extend([PauseLeader, Transfer]);
            self.0.extend(has_region.then_some(CutRegion));
            self.0.shuffle(random);
        }
        self.0.pop().unwrap_or(KillLeader)
    }
}

/// A fault with the nodes that it hits.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    pub(super) fault: Fault,
    pub(super) victims: Vec<u64>,
    /// Of a one-way cut: from whom to whom.
    pub(super) way: (u64, u64),
    /// Those that work and hear each other.
    pub(super) rest: Vec<u64>,
    pub(super) leader: u64,
    pub(super) term: u64,
}

impl Stroke {
    pub(super) fn aim(fault: Fault, cluster: &Cluster, (leader, term): (u64, u64), random: &mut SmallRng) -> Stroke {
        let others: Vec<u64> = cluster.nodes().filter(|node| *node != leader).collect();
        let other = others.choose(random).copied().unwrap_or(leader);
        let victims = match fault {
            Fault::KillLeader | Fault::CutLeader | Fault::PauseLeader => vec![leader],
            Fault::KillFollower | Fault::CutFollower => vec![other],
            Fault::KillTwo => vec![leader, other],
            Fault::KillAll => cluster.nodes().collect(),
            Fault::CutRegion => cluster.nodes_in(&cluster.seat(leader).region),
            Fault::CutOneWay | Fault::Transfer => Vec::new(),
        };
        let way = if random.random() { (leader, other) } else { (other, leader) };
        let rest = cluster.nodes().filter(|node| !victims.contains(node)).collect();
        Stroke { fault, victims, way, rest, leader, term }
    }

    pub(super) fn kills(&self) -> bool {
        matches!(self.fault, Fault::KillLeader | Fault::KillFollower | Fault::KillTwo | Fault::KillAll)
    }

    pub(super) fn cuts(&self) -> bool {
        matches!(self.fault, Fault::CutLeader | Fault::CutFollower | Fault::CutOneWay | Fault::CutRegion)
    }

    /// A majority is left: payments go on.
    pub(super) fn goes_on(&self, nodes: usize) -> bool {
        self.rest.len() > nodes / 2
    }

    /// Another node has to lead.
    pub(super) fn moves_leadership(&self, nodes: usize) -> bool {
        self.goes_on(nodes) && (self.victims.contains(&self.leader) || self.fault == Fault::Transfer)
    }
}
