//! Real nodes in a cluster on this machine: each a process of its own on a directory of its own, over mutual TLS.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
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

impl Cluster {
    /// Writes certificates and configurations for `nodes` nodes into `directory` and starts them all.
    pub async fn start(program: &Path, directory: &Path, nodes: u64, setup: &Setup) -> Result<Cluster, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let authority = directory.join("pki");
        pki::init(&authority, None).map_err(|error| failed(&error))?;
        let listens =
            (0..nodes).map(|_| free_address()).collect::<io::Result<Vec<_>>>().map_err(|error| failed(&error))?;
        let mut members = String::new();
        for (node, address) in (1..).zip(&listens) {
            let _ = write!(
                members,
                "\n[[members]]\nid = {node}\nname = \"n{node}\"\nregion = \"region-{node}\"\naddress = \"{address}\"\n"
            );
        }
        let mut places = Vec::new();
        for (node, listen) in (1..).zip(&listens) {
            let request = pki::Request { node, names: vec!["localhost".into()], days: 2, renews: false };
            let (_, files) = pki::issue(&authority, &request).map_err(|error| failed(&error))?;
            let own: PathBuf = directory.join(format!("n{node}"));
            std::fs::create_dir_all(&own).map_err(|error| failed(&error))?;
            let path = |path: &Path| path.display().to_string();
            let setup = Setup { more: members.clone(), ..setup.clone() }
                .with("node.name", format!("n{node}"))
                .with("cluster.node", node.to_string())
                .with("cluster.listen", listen.to_string())
                .with("cluster.ca", path(&authority.join("ca.pem")))
                .with("cluster.certificate", path(&files.certificate))
                .with("cluster.key", path(&files.key));
            places.push(Place::new(program, own, &setup).map_err(|error| failed(&error))?);
        }
        let mut cluster = Cluster { places, processes: (0..nodes).map(|_| None).collect(), addresses: Vec::new() };
        for node in 1..=nodes {
            let address = cluster.start_node(node).await?;
            cluster.addresses.push(address);
        }
        Ok(cluster)
    }

    fn place(&self, node: u64) -> &Place {
        &self.places[node as usize - 1]
    }

    /// Starts a node (again) and waits until participants can connect; where, it says.
    pub async fn start_node(&mut self, node: u64) -> Result<SocketAddr, String> {
        let mut process = self.place(node).start().map_err(|error| error.to_string())?;
        let ready = process.ready(PATIENCE).await?;
        self.processes[node as usize - 1] = Some(process);
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
        let nodes = 1..=self.places.len() as u64;
        self.until(|cluster| {
            let indexes = nodes.clone().map(|node| cluster.view(node).map(|view| view.committed_index));
            let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
            Ok(indexes.windows(2).all(|pair| pair[0] == pair[1]).then_some(()))
        })
        .await?;
        let mut books = Vec::new();
        for node in nodes {
            let mut book = self.ask(node, &["participant", "list"])?;
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

    async fn until<T>(&self, look: impl Fn(&Cluster) -> Result<Option<T>, String>) -> Result<T, String> {
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
