//! The roads between the nodes of a cluster: for each two of them a proxy each way, because either may dial. They can be
//! made long, lossy, or cut, and they count what was lost on them, so that a fault can be proven to have happened.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use peers::proxy::{Passage, Proxy, Way};

/// See the file's head. By who dials and who is dialled.
pub struct Roads(BTreeMap<(u64, u64), Proxy>);

impl Roads {
    /// Between nodes 1 to n, which listen for each other at these addresses.
    pub(super) fn lay(listens: &[SocketAddr]) -> io::Result<Roads> {
        let mut roads = BTreeMap::new();
        for (to, address) in (1..).zip(listens) {
            for from in (1..=listens.len() as u64).filter(|from| *from != to) {
                roads.insert((from, to), Proxy::start(TcpListener::bind("127.0.0.1:0")?, *address)?);
            }
        }
        Ok(Roads(roads))
    }

    /// Where a node reaches the others: `2=127.0.0.1:41234,3=…`.
    pub(super) fn routes(&self, from: u64) -> String {
        let own = self.0.iter().filter(|((dialling, _), _)| *dialling == from);
        own.map(|((_, to), road)| format!("{to}={}", road.address())).collect::<Vec<_>>().join(",")
    }

    /// Half of it each way, whoever dialled.
    pub fn set_round_trip(&self, one: u64, other: u64, length: Duration) {
        for road in self.between(one, other) {
            road.set_delay(Way::Forth, length / 2);
            road.set_delay(Way::Back, length / 2);
        }
    }

    /// A share of what a node says and hears comes late, as if packets were lost.
    pub fn set_loss(&self, node: u64, per_mille: u32) {
        for ((from, to), road) in &self.0 {
            if *from == node || *to == node {
                road.set_loss(Way::Forth, per_mille);
                road.set_loss(Way::Back, per_mille);
            }
        }
    }

    /// What `from` says to `to` vanishes; the other way stays open.
    pub fn cut(&self, from: u64, to: u64) {
        for (pair, way) in [((from, to), Way::Forth), ((to, from), Way::Back)] {
            if let Some(road) = self.0.get(&pair) {
                road.cut(way);
            }
        }
    }

    /// Cuts every road that leads in or out, both ways.
    pub fn cut_off(&self, inside: &[u64]) {
        for ((from, to), road) in &self.0 {
            if inside.contains(from) != inside.contains(to) {
                road.cut(Way::Forth);
                road.cut(Way::Back);
            }
        }
    }

    /// Opens all.
    pub fn heal(&self) {
        self.0.values().for_each(Proxy::heal);
    }

    /// What all roads together have swallowed.
    pub fn lost_bytes(&self) -> u64 {
        self.passages().map(|passage| passage.lost_bytes).sum()
    }

    /// Reads that came late on lossy roads.
    pub fn late_reads(&self) -> u64 {
        self.passages().map(|passage| passage.late_reads).sum()
    }

    fn passages(&self) -> impl Iterator<Item = Passage> {
        self.0.values().flat_map(|road| [road.passage(Way::Forth), road.passage(Way::Back)])
    }

    fn between(&self, one: u64, other: u64) -> impl Iterator<Item = &Proxy> {
        [(one, other), (other, one)].into_iter().filter_map(|pair| self.0.get(&pair))
    }
}
