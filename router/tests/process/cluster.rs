//! Three nodes on this machine, each a process.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Ended, Node, run};

/// See the file's head.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    pub(crate) nodes: Vec<Option<Node>>,
    /// Arguments of every node.
    more: Vec<&'static str>,
}

impl Cluster {
    pub(crate) fn start(more: &[&'static str]) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let pki = directory.path().join("pki").to_str().unwrap().to_string();
        run(&["pki", "init", "--dir", &pki]).with(0);
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let members: String = ports
            .iter()
            .zip(1..)
            .map(|(port, node)| {
                format!(
                    "[[members]]\nid = {node}\nname = \"n{node}\"\nregion = \"r\"\naddress = \"127.0.0.1:{port}\"\n"
                )
            })
            .collect();
        let mut cluster = Cluster { directory, nodes: Vec::new(), more: more.into() };
        for (port, node) in ports.iter().zip(1..) {
            run(&["pki", "issue", "--dir", &pki, "--node", &node.to_string()]).with(0);
            let own = format!(
                "cluster.node = {node}\ncluster.listen = \"127.0.0.1:{port}\"\ncluster.ca = \"{pki}/ca.pem\"\n\
                 cluster.certificate = \"{pki}/node-{node}.pem\"\ncluster.key = \"{pki}/node-{node}.key\"\n"
            );
            std::fs::write(cluster.config(node), own + &members).unwrap();
            cluster.nodes.push(None);
            cluster.start_node(node);
        }
        cluster
    }

    pub(crate) fn config(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}.toml"))
    }

    pub(crate) fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("data-{node}"))
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        let config = self.config(node);
        let arguments = [&["--config", config.to_str().unwrap()], self.more.as_slice()].concat();
        self.nodes[node - 1] = Some(Node::start(&self.data(node), &arguments));
    }

    pub(crate) fn stop_node(&mut self, node: usize) {
        self.nodes[node - 1].take().unwrap().stop();
    }

    pub(crate) fn kill_node(&mut self, node: usize) {
        let process = self.nodes[node - 1].take().unwrap();
        process.signal("KILL");
        process.ended();
    }

    pub(crate) fn node(&self, node: usize) -> &Node {
        self.nodes[node - 1].as_ref().unwrap()
    }

    pub(crate) fn repair(&self, node: usize, more: &[&str]) -> Ended {
        let (config, data) = (self.config(node), self.data(node));
        let fixed = ["node", "repair", "--config", config.to_str().unwrap(), "--data", data.to_str().unwrap()];
        run(&[&fixed[..], more].concat())
    }

    pub(crate) fn status(&self, node: usize) -> Value {
        let shown = self.node(node).ask(&["cluster", "status", "--json"]);
        let status = shown.json();
        let is_partial = status["members"].as_array().unwrap().iter().any(|member| member["error"].is_string());
        assert_eq!(shown.code, Some(if is_partial { 6 } else { 0 }), "{status}");
        status
    }

    /// What this node says of itself.
    pub(crate) fn state(&self, node: usize) -> String {
        let status = self.status(node);
        status["members"][node - 1]["state"].as_str().unwrap_or_default().into()
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Cluster) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}: it did not come to that");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn leader(&self) -> usize {
        let leads = |node: &usize| self.nodes[node - 1].is_some() && self.state(*node) == "leader";
        self.wait("somebody leads", |_| (1..=3).any(|node| leads(&node)));
        (1..=3).find(leads).unwrap()
    }

    pub(crate) fn committed(&self, node: usize) -> u64 {
        self.status(node)["leadership"]["committed_index"].as_u64().unwrap()
    }
}
