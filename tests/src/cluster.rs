//! Real nodes in a cluster on this machine: each a process of its own on a directory of its own, over mutual TLS; with
//! `roads` between them that can be made long, lossy or cut.

pub mod plan;
pub mod roads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crosstie::admin::client::exchange;
use crosstie::admin::protocol::{self, Command};
use peers::pki;
use rand::Rng;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::process::{Place, Process, Setup, stands_still};
use plan::{Plan, Seat, members, prepare};
use roads::Roads;

const PATIENCE: Duration = Duration::from_secs(60);
/// A node that does not answer a question so soon is paused, or as good as that.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Below the ports that the system gives to those who connect: a node that is away keeps its own.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Nodes 1 to n.
pub struct Cluster {
    seats: Vec<Seat>,
    places: Vec<Place>,
    processes: Vec<Option<Process>>,
    addresses: Vec<SocketAddr>,
    roads: Option<Roads>,
}

/// What one node says of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub term: u64,
    pub leader: Option<u64>,
    /// It leads, and its actors are ready.
    pub leads: bool,
    pub committed_index: u64,
    pub agreed_index: u64,
}

/// An address that nobody listens at just now, on this machine.
pub fn free_address() -> io::Result<SocketAddr> {
    let mut error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        match TcpListener::bind(("127.0.0.1", rand::rng().random_range(PORTS))) {
            Ok(listener) => return listener.local_addr(),
            Err(taken) => error = taken,
        }
    }
    Err(error)
}

impl Cluster {
    /// Writes certificates and configurations for `nodes` nodes into `directory` and starts them all.
    pub async fn start(program: &Path, directory: &Path, nodes: u64, setup: &Setup) -> Result<Cluster, String> {
        Cluster::start_as(program, directory, &vec!["voter"; nodes as usize], setup).await
    }

    /// [`Cluster::start`] with as many nodes as kinds: `voter` or `witness`.
    pub async fn start_as(
        program: &Path,
        directory: &Path,
        kinds: &[&'static str],
        setup: &Setup,
    ) -> Result<Cluster, String> {
        Cluster::start_by(program, directory, &Plan::of(kinds, setup)).await
    }

    /// Writes certificates and configurations into `directory` and starts all nodes of a plan.
    pub async fn start_by(program: &Path, directory: &Path, plan: &Plan<'_>) -> Result<Cluster, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        pki::init(&directory.join("pki"), None).map_err(|error| failed(&error))?;
        let listens = plan.seats.iter().map(|_| free_address()).collect::<io::Result<Vec<_>>>();
        let listens = listens.map_err(|error| failed(&error))?;
        let roads = plan.has_roads.then(|| Roads::lay(&listens)).transpose().map_err(|error| failed(&error))?;
        let members = members(&plan.seats, &listens);
        let mut places = Vec::new();
        for (node, listen) in (1..).zip(&listens) {
            let mut setup = Setup { more: members.clone(), ..plan.setup.clone() };
            if let Some(roads) = &roads {
                setup = setup.with("cluster.routes", roads.routes(node));
            }
            places.push(prepare(program, directory, node, *listen, setup)?);
        }
        let processes = places.iter().map(|_| None).collect();
        let mut cluster = Cluster { seats: plan.seats.clone(), places, processes, addresses: Vec::new(), roads };
        for node in cluster.nodes() {
            let address = cluster.start_node(node).await?;
            cluster.addresses.push(address);
        }
        Ok(cluster)
    }

    /// Prepares and starts one more node, which waits to be named by `crosstie cluster add`; gives back its number and where
    /// the others will reach it.
    pub async fn join(&mut self, program: &Path, directory: &Path, setup: &Setup) -> Result<(u64, SocketAddr), String> {
        let node = self.places.len() as u64 + 1;
        let listen = free_address().map_err(|error| error.to_string())?;
        let setup = setup.clone().with("cluster.join", "yes");
        self.places.push(prepare(program, directory, node, listen, setup)?);
        self.seats.push(Seat { region: format!("region-{node}"), kind: "learner" });
        self.processes.push(None);
        let address = self.start_node(node).await?;
        self.addresses.push(address);
        Ok((node, listen))
    }

    /// What a node has logged.
    pub fn diary(&self, node: u64) -> String {
        std::fs::read_to_string(self.place(node).diary()).unwrap_or_default()
    }

    pub fn nodes(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.places.len() as u64
    }

    pub fn seat(&self, node: u64) -> &Seat {
        &self.seats[node as usize - 1]
    }

    /// Those of a region.
    pub fn nodes_in(&self, region: &str) -> Vec<u64> {
        self.nodes().filter(|node| self.seat(*node).region == region).collect()
    }

    pub fn place(&self, node: u64) -> &Place {
        &self.places[node as usize - 1]
    }

    /// Between the nodes; it was planned that there are some.
    pub fn roads(&self) -> &Roads {
        self.roads.as_ref().expect("a cluster that was planned with roads")
    }

    /// Starts a node (again) and waits until participants can connect; where, it says.
    pub async fn start_node(&mut self, node: u64) -> Result<SocketAddr, String> {
        let process = self.place(node).start().map_err(|error| error.to_string())?;
        let ready = self.processes[node as usize - 1].insert(process).ready(PATIENCE).await?;
        Ok(ready.address)
    }

    /// Where participants reach it, while it runs.
    pub fn address(&self, node: u64) -> SocketAddr {
        self.addresses[node as usize - 1]
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: u64) {
        self.processes[node as usize - 1] = None;
    }

    pub fn process_id(&self, node: u64) -> Option<u32> {
        self.processes[node as usize - 1].as_ref().map(Process::id)
    }

    /// The directory of its log.
    pub fn log(&self, node: u64) -> &Path {
        self.place(node).log()
    }

    /// Replaces a line of its configuration; it counts from the node's next start.
    pub fn reconfigure(&self, node: u64, line: &str, by: &str) -> Result<(), String> {
        let file = self.place(node).configuration();
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let count = text.lines().filter(|one| *one == line).count();
        if count != 1 {
            return Err(format!("{line:?} stands {count} times in {}", file.display()));
        }
        std::fs::write(&file, text.replace(line, by)).map_err(|error| error.to_string())
    }

    /// Waits until a node has ended by itself, and says how.
    pub async fn until_ended(&mut self, node: u64) -> Result<ExitStatus, String> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.processes[node as usize - 1].as_mut().and_then(Process::ended) {
                return Ok(status);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("node {node} does not end\n{}", self.place(node).diary_tail()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether there is a process.
    pub fn runs(&self, node: u64) -> bool {
        self.process_id(node).is_some()
    }

    /// SIGSTOP, and waits until it has taken hold.
    pub async fn pause(&self, node: u64) -> Result<(), String> {
        let process = self.processes[node as usize - 1].as_ref().ok_or("it does not run")?;
        process.signal(Signal::STOP).map_err(|error| error.to_string())?;
        self.until(|_| Ok(stands_still(process.id()).then_some(()))).await
    }

    /// SIGCONT.
    pub fn resume(&self, node: u64) -> Result<(), String> {
        let process = self.processes[node as usize - 1].as_ref().ok_or("it does not run")?;
        process.signal(Signal::CONT).map_err(|error| error.to_string())
    }

    /// How it ended, when nobody asked it to.
    pub fn ended(&mut self, node: u64) -> Option<String> {
        let status = self.processes[node as usize - 1].as_mut()?.ended()?;
        Some(format!("node {node} ended by itself, {status}\n{}", self.place(node).diary_tail()))
    }

    /// Asks a node over its socket.
    pub fn exchange<T: DeserializeOwned>(&self, node: u64, command: Command) -> Result<T, String> {
        let socket = self.place(node).log().join("admin.sock");
        let line = exchange(&socket, command, "", ANSWER_PATIENCE).map_err(|failure| failure.to_string())?;
        let value = line.reply.result().map_err(|failure| failure.to_string())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Asks a node by the command line.
    pub fn ask(&self, node: u64, arguments: &[&str]) -> Result<Value, String> {
        self.place(node).ask(arguments)
    }

    pub fn view(&self, node: u64) -> Result<View, String> {
        let protocol::Cluster { leadership, agreed_index, .. } = self.exchange(node, Command::Cluster)?;
        let protocol::Leadership { role, term, leader, committed_index } = leadership;
        Ok(View { term, leader, leads: role == "leader", committed_index, agreed_index })
    }

    /// Waits until one of these nodes leads and is ready for work; which, and in which term.
    pub async fn leader_among(&self, nodes: &[u64]) -> Result<(u64, u64), String> {
        self.until(|cluster| {
            let views = nodes.iter().filter_map(|node| cluster.view(*node).ok().map(|view| (*node, view)));
            let leading = views.filter(|(_, view)| view.leads).map(|(node, view)| (node, view.term));
            Ok(leading.max_by_key(|(_, term)| *term))
        })
        .await
    }

    /// Waits until `node` knows a leader, and says which.
    pub async fn leader_seen_by(&self, node: u64) -> Result<u64, String> {
        self.until(|cluster| cluster.view(node).map(|view| view.leader)).await
    }

    /// Waits until all nodes have folded the same; what everybody then holds.
    pub async fn at_rest(&self) -> Result<Value, String> {
        self.at_rest_among(&self.nodes().collect::<Vec<_>>()).await
    }

    /// [`Cluster::at_rest`] for some of the nodes.
    pub async fn at_rest_among(&self, nodes: &[u64]) -> Result<Value, String> {
        self.until(|cluster| {
            let indexes = nodes.iter().map(|node| cluster.view(*node).map(|view| view.committed_index));
            let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
            Ok(indexes.windows(2).all(|pair| pair[0] == pair[1]).then_some(()))
        })
        .await?;
        let mut books = Vec::new();
        for node in nodes {
            let mut book = self.ask(*node, &["participant", "list"])?;
            // Where somebody is connected is the node's own affair.
            for one in book.as_array_mut().into_iter().flatten() {
                one.as_object_mut().map(|one| one.remove("connected"));
            }
            books.push(book);
        }
        match books.windows(2).all(|pair| pair[0] == pair[1]) {
            true => books.pop().ok_or("there are no nodes".into()),
            false => Err(format!("the books differ: {books:#?}")),
        }
    }

    pub async fn until<T>(&self, look: impl Fn(&Cluster) -> Result<Option<T>, String>) -> Result<T, String> {
        let started = Instant::now();
        loop {
            let seen = look(self);
            if let Ok(Some(seen)) = seen {
                return Ok(seen);
            }
            if started.elapsed() > PATIENCE {
                let diaries: Vec<String> = self.places.iter().map(Place::diary_tail).collect();
                let why = seen.err().unwrap_or_else(|| "it did not come".into());
                return Err(format!("{why}\n{}", diaries.join("\n---\n")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
