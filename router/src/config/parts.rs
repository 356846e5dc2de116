//! The configuration as the parts of the node want it.

use std::path::PathBuf;

use peers::Tls;

use super::Config;
use crate::cluster;
use crate::exit::{Exit, Failure};

/// The number of a node alone.
const ALONE: u64 = 1;

impl Config {
    /// The admin socket's path.
    pub fn socket(&self) -> PathBuf {
        match self.admin.socket.as_os_str().is_empty() {
            true => self.log.directory.join("admin.sock"),
            false => self.admin.socket.clone(),
        }
    }

    /// The file of operators who may sign in to the console.
    pub fn operators(&self) -> PathBuf {
        match self.ops.operators.as_os_str().is_empty() {
            true => self.log.directory.join("operators.toml"),
            false => self.ops.operators.clone(),
        }
    }

    /// What the console is started with, if there is to be one.
    pub fn console(&self) -> Option<console::Config> {
        let (hosts, operators) = (self.ops.hosts.clone(), self.operators());
        let is_always = self.ops.exemplars == "always";
        self.ops.address.map(|address| console::Config {
            // A name means that there is a proxy, to which everybody is on this machine.
            gives_exemplars: is_always || address.ip().is_loopback() && hosts.is_empty(),
            address,
            hosts,
            operators,
        })
    }

    /// Of the node in its cluster; also a node alone has one.
    pub fn number(&self) -> u64 {
        if self.cluster.node == 0 { ALONE } else { self.cluster.node }
    }

    /// What [`crate::node::start`] is given. Reads the certificates.
    pub fn node(&self) -> Result<crate::node::Config, Failure> {
        let Config { node, listen, scheme, actors, .. } = self;
        let among = self.among()?;
        Ok(crate::node::Config {
            listen: listen.address,
            advertise: Some(listen.advertise.clone()).filter(|address| !address.is_empty()),
            spread: self.drain.spread,
            connections_max: listen.connections_max as usize,
            session: crate::session::Limits {
                node: node.name.clone(),
                window: listen.window as u32,
                silence_max: listen.silence_max,
                sign_on_timeout: listen.sign_on_timeout,
                read_bytes: listen.read_bytes as usize,
            },
            switch: actors::Config {
                node: self.number(),
                log: self.persistence(among.as_ref()),
                rules: settlement::Rules {
                    payment_timeout: scheme.payment_timeout,
                    creditor_share: scheme.creditor_share,
                    skew_max: scheme.skew_max,
                    duplicate_window: scheme.duplicate_window,
                    payment_minor_max: scheme.payment_minor_max as i64,
                    in_flight_max: scheme.in_flight_max as u32,
                    unposted_max: scheme.unposted_max as u32,
                },
                participants_per_actor: actors.participants_per_actor as usize,
                feed_tail_bytes_max: actors.feed_tail_bytes_max as usize,
                archive: actors::archive::Config {
                    directory: Some(self.archive.directory.clone()).filter(|path| !path.as_os_str().is_empty()),
                    retained_bytes_max: self.archive.retained_bytes_max,
                    free_bytes_min: self.log.free_bytes_min,
                    ..Default::default()
                },
            },
            cluster: among,
        })
    }

    fn among(&self) -> Result<Option<cluster::Config>, Failure> {
        let own = &self.cluster;
        if own.node == 0 {
            return Ok(None);
        }
        let next = "crosstie pki issue makes a node's certificate, crosstie pki show tells what one says";
        let wrong = |what: String| Failure::new(Exit::Usage, what).next(next);
        let tls = Tls::read(&own.ca, &own.certificate, &own.key).map_err(|error| wrong(error.to_string()))?;
        let identity = tls.identity().map_err(|error| wrong(error.to_string()))?;
        if identity.node != own.node {
            let what = format!(
                "{} speaks for node {}, and cluster.node is {}",
                own.certificate.display(),
                identity.node,
                own.node
            );
            return Err(wrong(what));
        }
        let (node, listen, members, routes) = (own.node, own.listen, self.members.clone(), own.routes.clone());
        Ok(Some(cluster::Config { cluster: identity.cluster, node, listen, tls, members, routes }))
    }

    fn persistence(&self, among: Option<&cluster::Config>) -> persistence::Config {
        let log = &self.log;
        let mut config = persistence::Config::new(&log.directory);
        config.segment_bytes = log.segment_bytes;
        config.batch_bytes_max = log.batch_bytes_max as usize;
        config.retained_bytes_max = log.retained_bytes_max;
        config.snapshot_every_bytes = log.snapshot_every_bytes;
        config.free_bytes_min = log.free_bytes_min;
        config.spin_us = log.spin.as_micros() as u32;
        if let Some(among) = among {
            (config.cluster, config.node, config.members) = (among.cluster, among.node, among.members.clone());
        }
        config.sync = if log.sync == "none" { persistence::Sync::None } else { persistence::Sync::Real };
        config
    }
}
