//! The roads between the nodes: for each two of them a proxy each way, because either may dial. A region is a word; how far
//! it is from another one is what the proxies make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use peers::proxy::{Proxy, Way};

/// From one node to another.
struct Road {
    proxy: Proxy,
    round_trip: Duration,
    is_cut: bool,
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Roads {
    roads: BTreeMap<(u64, u64), Road>,
    /// Nodes that were cut off from the others.
    cut_off: BTreeSet<u64>,
}

impl Roads {
    /// Between all nodes, which listen for each other at these addresses.
    pub(super) fn lay(nodes: &[(u64, SocketAddr)], round_trip: impl Fn(u64, u64) -> Duration) -> io::Result<Roads> {
        let mut roads = Roads::default();
        for (from, _) in nodes {
            for (to, address) in nodes.iter().filter(|(to, _)| to != from) {
                let proxy = Proxy::start(TcpListener::bind("127.0.0.1:0")?, *address)?;
                roads.roads.insert((*from, *to), Road { proxy, round_trip: Duration::ZERO, is_cut: false });
            }
        }
        for (from, to) in roads.roads.keys().copied().collect::<Vec<_>>() {
            roads.set_round_trip(from, to, round_trip(from, to));
        }
        Ok(roads)
    }

    /// Where a node reaches the others: `2=127.0.0.1:41234,3=…`.
    pub(super) fn routes(&self, from: u64) -> String {
        let own = self.roads.iter().filter(|((own, _), _)| *own == from);
        own.map(|((_, to), road)| format!("{to}={}", road.proxy.address())).collect::<Vec<_>>().join(",")
    }

    /// Half of it each way, whoever dialled.
    pub(super) fn set_round_trip(&mut self, one: u64, other: u64, length: Duration) {
        for pair in [(one, other), (other, one)] {
            let Some(road) = self.roads.get_mut(&pair) else { continue };
            road.round_trip = length;
            road.proxy.set_delay(Way::Forth, length / 2);
            road.proxy.set_delay(Way::Back, length / 2);
        }
    }

    pub(super) fn round_trip(&self, one: u64, other: u64) -> Duration {
        self.roads.get(&(one, other)).map_or(Duration::ZERO, |road| road.round_trip)
    }

    /// Cuts every road that leads in or out, both ways.
    pub(super) fn cut_off(&mut self, inside: &BTreeSet<u64>) {
        for ((from, to), road) in &mut self.roads {
            if inside.contains(from) != inside.contains(to) {
                road.is_cut = true;
                road.proxy.cut(Way::Forth);
                road.proxy.cut(Way::Back);
            }
        }
        self.cut_off.extend(inside);
    }

    /// Opens all; how many were cut.
    pub(super) fn heal(&mut self) -> usize {
        let mut healed = 0;
        self.cut_off.clear();
        for road in self.roads.values_mut().filter(|road| road.is_cut) {
            road.is_cut = false;
            road.proxy.heal();
            healed += 1;
        }
        healed
    }

    /// So many of a thousand reads come late on every road that leads to this node or from it.
    pub(super) fn set_loss(&self, node: u64, per_mille: u32) {
        for way in [Way::Forth, Way::Back] {
            self.of(node).for_each(|road| road.proxy.set_loss(way, per_mille));
        }
    }

    /// How many have come late so.
    pub(super) fn late_reads(&self, node: u64) -> u64 {
        let both = |road: &Road| [Way::Forth, Way::Back].map(|way| road.proxy.passage(way).late_reads);
        self.of(node).flat_map(both).sum()
    }

    fn of(&self, node: u64) -> impl Iterator<Item = &Road> {
        self.roads.iter().filter(move |((from, to), _)| *from == node || *to == node).map(|(_, road)| road)
    }

    pub(super) fn is_cut(&self, one: u64, other: u64) -> bool {
        self.roads.get(&(one, other)).is_some_and(|road| road.is_cut)
    }

    pub(super) fn is_cut_off(&self, node: u64) -> bool {
        self.cut_off.contains(&node)
    }
}
