//! What a cluster is made of, and the files that its nodes begin with.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use peers::pki;

use super::free_address;
use crate::process::{Place, Setup};

/// Where a node stands, and whether it is a `voter` or a `witness`.
#[derive(Clone, Debug)]
pub struct Seat {
    pub region: String,
    pub kind: &'static str,
}

/// What a cluster is made of.
pub struct Plan<'a> {
    pub seats: Vec<Seat>,
    pub setup: &'a Setup,
    /// Proxies between the nodes.
    pub has_roads: bool,
}

impl<'a> Plan<'a> {
    /// Each node in a region of its own, the roads between them direct.
    pub fn of(kinds: &[&'static str], setup: &'a Setup) -> Plan<'a> {
        let seat = |(node, kind): (usize, &&'static str)| Seat { region: format!("region-{}", node + 1), kind };
        let seats = kinds.iter().enumerate().map(seat).collect();
        Plan { seats, setup, has_roads: false }
    }

    /// Two nodes in one region, two in another, a witness in a third.
    pub fn two_two_witness(setup: &'a Setup) -> Plan<'a> {
        let places =
            [("north", "voter"), ("north", "voter"), ("south", "voter"), ("south", "voter"), ("west", "witness")];
        let seats = places.map(|(region, kind)| Seat { region: region.into(), kind }).to_vec();
        Plan { seats, setup, has_roads: false }
    }

    #[must_use]
    pub fn with_roads(mut self) -> Plan<'a> {
        self.has_roads = true;
        self
    }
}

/// Certificate and configuration of a node in a directory of its own.
pub(super) fn prepare(
    program: &Path,
    directory: &Path,
    node: u64,
    listen: SocketAddr,
    setup: Setup,
) -> Result<Place, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let authority = directory.join("pki");
    let request = pki::Request { node, names: vec!["localhost".into()], days: 2, renews: false };
    let (_, files) = pki::issue(&authority, &request).map_err(|error| failed(&error))?;
    let own: PathBuf = directory.join(format!("n{node}"));
    std::fs::create_dir_all(&own).map_err(|error| failed(&error))?;
    let path = |path: &Path| path.display().to_string();
    let setup = setup
        .with("node.name", format!("n{node}"))
        .with("listen.address", free_address().map_err(|error| failed(&error))?.to_string())
        .with("cluster.node", node.to_string())
        .with("cluster.listen", listen.to_string())
        .with("cluster.ca", path(&authority.join("ca.pem")))
        .with("cluster.certificate", path(&files.certificate))
        .with("cluster.key", path(&files.key));
    Place::new(program, own, &setup).map_err(|error| failed(&error))
}

/// `[[members]]`, the same for all.
pub(super) fn members(seats: &[Seat], listens: &[SocketAddr]) -> String {
    let mut members = String::new();
    for ((node, address), Seat { region, kind }) in (1..).zip(listens).zip(seats) {
        let _ = write!(
            members,
            "\n[[members]]\nid = {node}\nname = \"n{node}\"\nregion = \"{region}\"\naddress = \"{address}\"\nkind = \"{kind}\"\n"
        );
    }
    members
}
