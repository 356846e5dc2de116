//! The three nodes, as they say they are: asked four times a second over their admin sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::scene::region;
use super::stage::Stage;
use crate::admin::protocol::{Cluster, Command};
use crate::local::{Place, ask};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const ASK_TIMEOUT: Duration = Duration::from_millis(600);

/// What the script has made of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    #[default]
    Starting,
    Up,
    Killed,
    CutOff,
    Draining,
    Drained,
}

impl Presence {
    pub(super) fn words(self) -> &'static str {
        match self {
            Presence::Starting => "starting",
            Presence::Up => "up",
            Presence::Killed => "killed",
            Presence::CutOff => "cut off",
            Presence::Draining => "draining",
            Presence::Drained => "drained",
        }
    }
}

/// One node at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeSeen {
    pub(super) node: u64,
    pub(super) region: &'static str,
    pub(super) presence: Presence,
    pub(super) pid: Option<u32>,
    /// By its own word; `None` when it does not answer.
    pub(super) said: Option<Said>,
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) leads: bool,
    pub(super) term: u64,
    pub(super) committed_index: u64,
    /// To the other nodes, as it measured them.
    pub(super) round_trips_us: Vec<(u64, Option<u64>)>,
}

impl Said {
    fn of(cluster: &Cluster) -> Said {
        let others = cluster.members.iter().filter(|member| member.node != cluster.node);
        Said {
            leads: cluster.leadership.role == "leader",
            term: cluster.leadership.term,
            committed_index: cluster.leadership.committed_index,
            round_trips_us: others.map(|member| (member.node, member.round_trip_us)).collect(),
        }
    }
}

/// Before any of them runs.
pub(super) fn none_yet(nodes: impl Iterator<Item = u64>) -> Vec<NodeSeen> {
    nodes.map(|node| NodeSeen { node, region: region(node), ..NodeSeen::default() }).collect()
}

/// Looks at all of them until the runtime ends.
pub(super) fn watch(stage: &Arc<Stage>, place: &Place) {
    for node in place.plan().nodes() {
        tokio::spawn(watch_one(stage.clone(), node, place.admin(node)));
    }
}

async fn watch_one(stage: Arc<Stage>, node: u64, socket: PathBuf) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let said = ask::<Cluster>(socket.clone(), Command::Cluster, ASK_TIMEOUT).await;
        stage.with_node(node, |seen| seen.said = said.as_ref().ok().map(Said::of));
    }
}
