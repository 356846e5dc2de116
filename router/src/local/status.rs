//! What the cluster looks like from outside: processes and roads, and what each node says of itself.

use serde::{Deserialize, Serialize};

use super::cluster::{Cluster, Life, ask};
use crate::admin::protocol::{self, Command};

const ASK_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(1500);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub directory: String,
    pub nodes: Vec<NodeStatus>,
    /// Between regions.
    pub roads: Vec<RoadStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    pub node: u64,
    pub region: String,
    /// voter or witness.
    pub kind: String,
    /// up, paused, killed, stopped, or how it ended by itself.
    pub state: String,
    pub is_cut_off: bool,
    pub pid: Option<u32>,
    /// Where participants connect; a witness serves none.
    pub address: Option<String>,
    pub data: String,
    /// leader or follower, by its own word; absent when it does not answer.
    pub role: Option<String>,
    pub term: Option<u64>,
    pub committed_index: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoadStatus {
    pub from: String,
    pub to: String,
    pub round_trip_us: u64,
    pub is_cut: bool,
}

impl Cluster {
    pub async fn status(&self) -> Status {
        let asks: Vec<_> = self
            .up()
            .into_iter()
            .map(|node| {
                let socket = self.place().admin(node);
                tokio::spawn(async move {
                    let said = ask::<protocol::Cluster>(socket, Command::Cluster, ASK_TIMEOUT).await;
                    said.ok().map(|said| (node, said.leadership))
                })
            })
            .collect();
        let mut said = Vec::new();
        for ask in asks {
            said.extend(ask.await.ok().flatten());
        }
        let nodes = self.place().plan().seats.iter().map(|seat| {
            let leadership = said.iter().find(|(node, _)| *node == seat.node).map(|(_, leadership)| leadership);
            self.node_status(seat, leadership)
        });
        Status {
            directory: self.place().directory().display().to_string(),
            nodes: nodes.collect(),
            roads: self.roads(),
        }
    }

    fn node_status(&self, seat: &super::Seat, leadership: Option<&protocol::Leadership>) -> NodeStatus {
        let state = match &self.lives[&seat.node] {
            Life::Up(_) => "up",
            Life::Paused(_) => "paused",
            Life::Away(why) => why,
        };
        let address = self.place().address(seat.node).filter(|_| !seat.is_witness);
        NodeStatus {
            node: seat.node,
            region: seat.region.clone(),
            kind: seat.kind().into(),
            state: state.into(),
            is_cut_off: self.is_cut_off(seat.node),
            pid: self.ready(seat.node).map(|(ready, _)| ready.pid),
            address: address.map(|address| address.to_string()),
            data: self.place().data(seat.node).display().to_string(),
            role: leadership.map(|leadership| leadership.role.clone()),
            term: leadership.map(|leadership| leadership.term),
            committed_index: leadership.map(|leadership| leadership.committed_index),
        }
    }

    fn roads(&self) -> Vec<RoadStatus> {
        let plan = self.place().plan();
        let first = |region: &str| plan.seats.iter().find(|seat| seat.region == region).map_or(0, |seat| seat.node);
        let road = |(from, to): (&str, &str)| {
            let (one, other) = (first(from), first(to));
            RoadStatus {
                from: from.into(),
                to: to.into(),
                round_trip_us: self.roads.round_trip(one, other).as_micros() as u64,
                is_cut: self.roads.is_cut(one, other),
            }
        };
        plan.pairs().into_iter().map(road).collect()
    }
}
