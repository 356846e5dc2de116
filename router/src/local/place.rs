//! The files of a cluster on this machine, all in one directory.
//!
//! | file | |
//! |---|---|
//! | `local.json` | what the cluster is: the plan, and where its nodes listen |
//! | `pki/` | its authority, and the certificates of its nodes |
//! | `node-1.toml` | configuration of node 1, written anew at every start |
//! | `node-1.log` | what node 1 says |
//! | `data-1/` | the data of node 1, with its admin socket |
//! | `control.sock` | how other shells reach the cluster while it runs |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use peers::pki;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::ports::{Giver, Ports};
use super::process::Launch;
use super::roads::Roads;
use crate::config::SETTINGS;
use crate::exit::{Exit, Failure};

const CERTIFICATE_DAYS: u32 = 365;
const USUAL_PORT_PARTICIPANTS: u16 = 7800;
const USUAL_PORT_CONSOLE: u16 = 7880;
const USUAL_PORT_NODES: u16 = 7900;

/// Where a node listens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Addresses {
    participants: SocketAddr,
    nodes: SocketAddr,
    /// Clusters of earlier versions have none until they start again.
    #[serde(default)]
    console: Option<SocketAddr>,
}

/// What `local.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    plan: Plan,
    addresses: BTreeMap<u64, Addresses>,
}

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    kept: Kept,
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::No, format!("{}: {error}", path.display()))
}

fn absolute(directory: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(directory).map_err(|error| unusable(directory, error))
}

impl Place {
    /// Gives every node its ports, and makes the directory with the certificates. `None` keeps what lies there.
    pub fn furnish(directory: &Path, plan: Option<Plan>, ports: Ports) -> Result<Place, Failure> {
        let directory = absolute(directory)?;
        let before = Place::read(&directory)?;
        let mut kept = match (plan, before) {
            (Some(plan), before) => {
                Kept { plan, addresses: before.map(|place| place.kept.addresses).unwrap_or_default() }
            }
            (None, Some(before)) => before.kept,
            (None, None) => {
                let what = format!("there is no cluster in {}", directory.display());
                return Err(Failure::new(Exit::NotFound, what).next("crosstie local up makes one"));
            }
        };
        let mut giver = Giver::new(ports);
        for node in kept.plan.nodes() {
            let before = kept.addresses.get(&node).copied();
            let mut address = |before: Option<SocketAddr>, usual: u16| match before {
                Some(before) if TcpListener::bind(before).is_ok() => Ok(before),
                _ => giver.give(usual + node as u16),
            };
            let participants = address(before.map(|own| own.participants), USUAL_PORT_PARTICIPANTS)?;
            let nodes = address(before.map(|own| own.nodes), USUAL_PORT_NODES)?;
            let console = address(before.and_then(|own| own.console), USUAL_PORT_CONSOLE)?;
            kept.addresses.insert(node, Addresses { participants, nodes, console: Some(console) });
        }
        let place = Place { directory, kept };
        place.certify()?;
        place.keep()?;
        Ok(place)
    }

    /// The cluster that lies in a directory, if one does.
    pub fn read(directory: &Path) -> Result<Option<Place>, Failure> {
        let directory = absolute(directory)?;
        let file = directory.join("local.json");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&file, error)),
        };
        let kept = serde_json::from_str(&text).map_err(|error| {
            let next = "crosstie local up --fresh makes the cluster anew, or choose another place by --dir";
            unusable(&file, format!("this is no cluster that crosstie local up has made: {error}")).next(next)
        })?;
        Ok(Some(Place { directory, kept }))
    }

    /// Removes the files of a cluster, and nothing else, from a directory that holds one.
    pub fn clear(directory: &Path) -> Result<(), Failure> {
        let directory = absolute(directory)?;
        if !directory.join("local.json").exists() {
            return Ok(());
        }
        for entry in std::fs::read_dir(&directory).map_err(|error| unusable(&directory, error))?.flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let of_a_node = |prefix: &str, suffix: &str| {
                let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
                number.is_some_and(|number| number.parse::<u64>().is_ok())
            };
            let removed = match name.as_str() {
                "pki" => std::fs::remove_dir_all(&path),
                "control.sock" => std::fs::remove_file(&path),
                _ if of_a_node("data-", "") => std::fs::remove_dir_all(&path),
                _ if of_a_node("node-", ".toml") || of_a_node("node-", ".log") => std::fs::remove_file(&path),
                _ => Ok(()),
            };
            removed.map_err(|error| unusable(&path, error))?;
        }
        // Last: while it is there, what is left can be removed.
        let kept = directory.join("local.json");
        std::fs::remove_file(&kept).map_err(|error| unusable(&kept, error))
    }

    pub fn plan(&self) -> &Plan {
        &self.kept.plan
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn config(&self, node: u64) -> PathBuf {
        self.directory.join(format!("node-{node}.toml"))
    }

    pub fn data(&self, node: u64) -> PathBuf {
        self.directory.join(format!("data-{node}"))
    }

    /// What the node writes to stderr.
    pub fn diary(&self, node: u64) -> PathBuf {
        self.directory.join(format!("node-{node}.log"))
    }

    /// The admin socket of a node.
    pub fn admin(&self, node: u64) -> PathBuf {
        self.data(node).join("admin.sock")
    }

    /// The control socket of the cluster.
    pub fn control(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// Where participants connect, in the order of the nodes.
    pub fn address(&self, node: u64) -> Option<SocketAddr> {
        self.kept.addresses.get(&node).map(|own| own.participants)
    }

    /// Where the node's page for operators is.
    pub fn console(&self, node: u64) -> Option<SocketAddr> {
        self.kept.addresses.get(&node)?.console
    }

    /// Lays the roads between the nodes.
    pub(super) fn lay_roads(&self) -> Result<Roads, Failure> {
        let listens: Vec<_> = self.kept.addresses.iter().map(|(node, own)| (*node, own.nodes)).collect();
        Roads::lay(&listens, |one, other| self.plan().round_trip(one, other))
            .map_err(|error| Failure::new(Exit::Unreachable, format!("the proxies between the nodes: {error}")))
    }

    /// Writes the configurations.
    pub(super) fn configure(&self, roads: &Roads) -> Result<(), Failure> {
        for node in self.plan().nodes() {
            let file = self.config(node);
            let routes = if self.plan().is_direct { String::new() } else { roads.routes(node) };
            std::fs::write(&file, self.configuration(node, &routes)).map_err(|error| unusable(&file, error))?;
        }
        Ok(())
    }

    pub(super) fn launch(&self, node: u64, program: &Path) -> Launch {
        Launch { node, program: program.into(), config: self.config(node), diary: self.diary(node) }
    }

    fn certify(&self) -> Result<(), Failure> {
        let authority = self.directory.join("pki");
        if !pki::Files::of_authority(&authority).certificate.exists() {
            pki::init(&authority, None).map_err(|error| Failure::from(&error))?;
        }
        for node in self.plan().nodes() {
            if !pki::Files::of_node(&authority, node).certificate.exists() {
                let request =
                    pki::Request { node, names: vec!["localhost".into()], days: CERTIFICATE_DAYS, renews: false };
                pki::issue(&authority, &request).map_err(|error| Failure::from(&error))?;
            }
        }
        Ok(())
    }

    fn keep(&self) -> Result<(), Failure> {
        let file = self.directory.join("local.json");
        let text = serde_json::to_string_pretty(&self.kept).map_err(|error| unusable(&file, error))?;
        std::fs::write(&file, text + "\n").map_err(|error| unusable(&file, error))
    }

    fn configuration(&self, node: u64, routes: &str) -> String {
        let authority = self.directory.join("pki");
        let own = pki::Files::of_node(&authority, node);
        let path = |path: PathBuf| path.display().to_string();
        let addresses = self.kept.addresses[&node];
        let settings = [
            ("node.name", format!("n{node}")),
            ("cluster.node", node.to_string()),
            ("cluster.listen", addresses.nodes.to_string()),
            ("cluster.routes", routes.into()),
            ("cluster.ca", path(pki::Files::of_authority(&authority).certificate)),
            ("cluster.certificate", path(own.certificate)),
            ("cluster.key", path(own.key)),
            ("listen.address", addresses.participants.to_string()),
            ("log.directory", path(self.data(node))),
            ("ops.address", addresses.console.map_or_else(|| "none".into(), |address| address.to_string())),
        ];
        let more = self.plan().settings.iter().map(|(setting, value)| (setting.as_str(), value.clone()));
        let mut text = String::from("# Written by crosstie; changes are lost at the next start of the cluster.\n");
        for (setting, value) in settings.into_iter().chain(more) {
            let known = SETTINGS.iter().find(|known| known.path() == setting);
            let literal = known.map_or_else(|| format!("{value:?}"), |known| known.literal(&value));
            _ = writeln!(text, "{setting} = {literal}");
        }
        for seat in &self.plan().seats {
            let (name, address) = (seat.name(), self.kept.addresses[&seat.node].nodes);
            _ = write!(
                text,
                "\n[[members]]\nid = {}\nname = \"{name}\"\nregion = \"{}\"\naddress = \"{address}\"\nkind = \"{}\"\n",
                seat.node,
                seat.region,
                seat.kind()
            );
        }
        for stake in &self.plan().stakes {
            let super::Stake { id, currency, funded, count } = stake;
            _ = write!(
                text,
                "\n[[participants]]\nid = \"{id}\"\ncurrency = \"{currency}\"\nfunded = \"{funded}\"\ncount = {count}\n"
            );
        }
        text
    }
}
