//! Real nodes in a cluster on this machine: each a process of its own on a directory of its own, over mutual TLS.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use peers::pki;
use serde_json::Value;

use crate::process::{Place, Process, Setup};

const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes 1 to n, each in a region of its own.
pub struct Cluster {
    places: Vec<Place>,
    processes: Vec<Option<Process>>,
    addresses: Vec<SocketAddr>,
}

/// What one node says of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub term: u64,
    pub leader: Option<u64>,
    pub committed_index: u64,
    pub agreed_index: u64,
}

/// An address that nobody listens at just now, on this machine.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Certificate and configuration of a node in a directory of its own.
fn prepare(program: &Path, directory: &Path, node: u64, listen: SocketAddr, setup: Setup) -> Result<Place, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let authority = directory.join("pki");
    let request = pki::Request { node, names: vec!["localhost".into()], days: 2, renews: false };
    let (_, files) = pki::issue(&authority, &request).map_err(|error| failed(&error))?;
    let own: PathBuf = directory.join(format!("n{node}"));
    std::fs::create_dir_all(&own).map_err(|error| failed(&error))?;
    let path = |path: &Path| path.display().to_string();
    let setup = setup
        .with("node.name", format!("n{node}"))
        .with("cluster.node", node.to_string())
        .with("cluster.listen", listen.to_string())
        .with("cluster.ca", path(&authority.join("ca.pem")))
        .with("cluster.certificate", path(&files.certificate))
        .with("cluster.key", path(&files.key));
    Place::new(program, own, &setup).map_err(|error| failed(&error))
}

impl Cluster {
    /// Writes certificates and configurations for `nodes` nodes into `directory` and starts them all.
    pub async fn start(program: &Path, directory: &Path, nodes: u64, setup: &Setup) -> Result<Cluster, String> {
        Cluster::start_as(program, directory, &vec!["voter"; nodes as usize], setup).await
    }

    /// [`Cluster::start`] with as many nodes as kinds: `voter` or `witness`.
    pub async fn start_as(program: &Path, directory: &Path, kinds: &[&str], setup: &Setup) -> Result<Cluster, String> {
        let nodes = kinds.len() as u64;
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let authority = directory.join("pki");
        pki::init(&authority, None).map_err(|error| failed(&error))?;
        let listens =
            (0..nodes).map(|_| free_address()).collect::<io::Result<Vec<_>>>().map_err(|error| failed(&error))?;
        let mut members = String::new();
        for ((node, address), kind) in (1..).zip(&listens).zip(kinds) {
            let _ = write!(
                members,
                "\n[[members]]\nid = {node}\nname = \"n{node}\"\nregion = \"region-{node}\"\naddress = \"{address}\"\nkind = \"{kind}\"\n"
            );
        }
        let mut places = Vec::new();
        for (node, listen) in (1..).zip(&listens) {
            let setup = Setup { more: members.clone(), ..setup.clone() };
            places.push(prepare(program, directory, node, *listen, setup)?);
        }
        let mut cluster = Cluster { places, processes: (0..nodes).map(|_| None).collect(), addresses: Vec::new() };
        for node in 1..=nodes {
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
        self.processes.push(None);
        let address = self.start_node(node).await?;
        self.addresses.push(address);
        Ok((node, listen))
    }

    /// What a node has logged.
    pub fn diary(&self, node: u64) -> String {
        std::fs::read_to_string(self.place(node).diary()).unwrap_or_default()
    }

    fn place(&self, node: u64) -> &Place {
        &self.places[node as usize - 1]
    }

    /// Starts a node (again) and waits until participants can connect; where, it says.
    pub async fn start_node(&mut self, node: u64) -> Result<SocketAddr, String> {
        let process = self.place(node).start().map_err(|error| error.to_string())?;
        let ready = self.processes[node as usize - 1].insert(process).ready(PATIENCE).await?;
        Ok(ready.address)
    }

    /// Where participants reached it when it was first started.
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

    /// Asks a node by the command line.
    pub fn ask(&self, node: u64, arguments: &[&str]) -> Result<Value, String> {
        self.place(node).ask(arguments)
    }

    pub fn view(&self, node: u64) -> Result<View, String> {
        let answer = self.ask(node, &["cluster", "status"])?;
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let leadership = &answer["leadership"];
        Ok(View {
            term: number(&leadership["term"]),
            leader: leadership["leader"].as_u64(),
            committed_index: number(&leadership["committed_index"]),
            agreed_index: number(&answer["agreed_index"]),
        })
    }

    /// Waits until `node` knows a leader, and says which.
    pub async fn leader_seen_by(&self, node: u64) -> Result<u64, String> {
        self.until(|cluster| cluster.view(node).map(|view| view.leader)).await
    }

    /// Waits until all nodes have folded the same; what everybody then holds.
    pub async fn at_rest(&self) -> Result<Value, String> {
        self.at_rest_among(&(1..=self.places.len() as u64).collect::<Vec<_>>()).await
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
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
