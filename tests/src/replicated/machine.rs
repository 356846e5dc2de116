//! One node of the simulated cluster: its disk, its replica, its clock, the actors while it leads, and what the banks
//! connected to it have asked and not been told to be done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persistence::simulated::SimulatedDisk;
use persistence::{Config, Error, Member, MemberKind, NodeId, Replica, Surroundings, Sync, Term};
use settlement::{Book, Key};

use super::court::Court;
use super::ledger::Ledger;
use super::network::{Outbox, Time, Way};
use super::reign::Reign;
use crate::simulation::node::{Ask, Asker};

pub(super) const START_NS: u64 = 1_795_442_531_000_000_000;

/// What a bank asked, on its way to the leader.
#[derive(Clone)]
pub(super) struct Instruction {
    pub(super) to: Key,
    pub(super) asker: Asker,
    pub(super) ask: Ask,
}

/// See the file's head.
pub(super) struct Machine {
    pub(super) id: NodeId,
    pub(super) disk: SimulatedDisk,
    pub(super) replica: Option<Replica<SimulatedDisk, Ledger>>,
    pub(super) outbox: Outbox,
    config: Config,
    /// Counts its lives, so that what was meant for an earlier one finds nobody.
    pub(super) life: u64,
    pub(super) paused_until: Time,
    /// How far its clock is off.
    pub(super) skew_ns: i64,
    pub(super) reign: Option<Reign>,
    /// Asked here and not done, in the order it was asked.
    pub(super) outstanding: BTreeMap<Asker, Instruction>,
    /// Its actors are about to work.
    pub(super) is_called: bool,
    /// Where all of that was sent, and when.
    pub(super) route: Option<(Term, NodeId, Time)>,
    /// Why its last life ended, if by itself.
    pub(super) failure: Option<Error>,
}

pub(super) fn members(count: u64) -> Vec<Member> {
    let member = |id| Member {
        id,
        kind: MemberKind::Voter,
        name: format!("n{id}"),
        region: format!("r{}", id % 3),
        address: format!("n{id}:7"),
    };
    (1..=count).map(member).collect()
}

fn config(node: NodeId, members: &[Member]) -> Config {
    Config {
        segment_bytes: 16 << 10,
        batch_bytes_max: 4 << 10,
        retained_bytes_max: 16 << 10,
        snapshot_every_bytes: u64::MAX,
        free_bytes_min: 0,
        spin_us: 0,
        sync: Sync::Real,
        cluster: 7,
        node,
        members: members.to_vec(),
        uncommitted_bytes_max: 64 << 10,
        cache_bytes_max: 32 << 10,
        message_bytes_max: 16 << 10,
        checkpoint_every: 16,
        ..Config::new("unused")
    }
}

impl Machine {
    pub(super) fn new(id: NodeId, members: &[Member]) -> Machine {
        Machine {
            id,
            disk: SimulatedDisk::new(),
            replica: None,
            outbox: Outbox::default(),
            config: config(id, members),
            life: 0,
            paused_until: 0,
            skew_ns: 0,
            reign: None,
            outstanding: BTreeMap::new(),
            is_called: false,
            route: None,
            failure: None,
        }
    }

    /// What its clock says.
    pub(super) fn clock(&self, now: Time) -> u64 {
        (START_NS + now * 1000).saturating_add_signed(self.skew_ns)
    }

    /// When, in the world's time, its clock says so.
    pub(super) fn when(&self, clock_ns: u64) -> Time {
        clock_ns.saturating_add_signed(-self.skew_ns).saturating_sub(START_NS).div_ceil(1000)
    }

    pub(super) fn book(&mut self) -> Option<&Book> {
        self.replica.as_mut().map(|replica| &replica.fold().book)
    }

    /// A new life on what the disk holds. It may find the disk stopping while it opens.
    pub(super) fn open(&mut self, now: Arc<AtomicU64>, seed: u64, hosted_together: usize, court: Arc<Mutex<Court>>) {
        self.life += 1;
        self.outbox.lock().clear();
        let clock = Box::new(move || Duration::from_micros(now.load(Ordering::Relaxed)));
        let surroundings = Surroundings { peers: Box::new(Way(Arc::clone(&self.outbox))), clock, seed };
        let ledger = Ledger::new(self.id, hosted_together, court);
        match Replica::open(self.disk.clone(), &self.config, ledger, surroundings) {
            Ok((opened, _)) => self.replica = Some(opened),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Its process is gone, with everything that was in memory.
    pub(super) fn close(&mut self) {
        (self.replica, self.reign, self.route, self.is_called) = (None, None, None, false);
        self.outstanding.clear();
    }

    /// What there is to send to the leader it knows of: to a new one everything, to the same again what has waited for
    /// `patience`, for it may be lost.
    pub(super) fn take_letters(&mut self, now: Time, patience: Time) -> Option<(NodeId, Vec<Instruction>)> {
        let standing = self.replica.as_ref()?.standing();
        let leader = standing.leader?;
        let is_new = self.route.is_none_or(|(term, node, _)| (term, node) != (standing.term, leader));
        let is_late = self.route.is_some_and(|(.., at)| at + patience < now);
        if !is_new && !is_late {
            return None;
        }
        self.route = Some((standing.term, leader, now));
        Some((leader, self.outstanding.values().cloned().collect()))
    }
}
