//! Ports for nodes: the same over all their lives, so that participants find them again.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use crate::exit::{Exit, Failure};

/// Below the ports that systems give to outgoing connections: while a node is away, a bank that tries again must not be
/// given its port.
const ANY: std::ops::Range<u16> = 20_000..30_000;

/// Which ports nodes get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// 7801, 7802, … for participants, 7881, 7882, … for consoles and 7901, 7902, … between nodes, others where those are taken.
    Usual,
    Any,
}

/// Gives out ports that nobody listens at, none of them twice.
pub(super) struct Giver {
    ports: Ports,
    given: BTreeSet<u16>,
    state: u64,
}

impl Giver {
    pub(super) fn new(ports: Ports) -> Giver {
        let state = wire::Timestamp::now().nanoseconds() ^ u64::from(std::process::id()) << 32;
        Giver { ports, given: BTreeSet::new(), state }
    }

    /// `usual` if it is free and usual ports are wanted.
    pub(super) fn give(&mut self, usual: u16) -> Result<SocketAddr, Failure> {
        let first = (self.ports == Ports::Usual).then_some(usual);
        let drawn: Vec<u16> = (0..200).map(|_| self.draw()).collect();
        for port in first.into_iter().chain(drawn) {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            if !self.given.contains(&port) && TcpListener::bind(address).is_ok() {
                self.given.insert(port);
                return Ok(address);
            }
        }
        Err(Failure::new(Exit::Unreachable, format!("no port of {ANY:?} is free on 127.0.0.1")))
    }

    /// Clusters that start at the same moment should not try the same ports.
    fn draw(&mut self) -> u16 {
        // Xorshift.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ANY.start + (self.state % u64::from(ANY.end - ANY.start)) as u16
    }
}
