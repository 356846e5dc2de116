//! Who a node is to its peers, and the limits within which it hears and speaks to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Identity};

/// A cluster; drawn once, when its certificate authority is made.
pub type ClusterId = u128;
/// A node of a cluster; never 0, never reused.
pub type NodeId = u64;

/// One node as its peers see it.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// `host:port` under which the others reach this node. Told to every member that is dialled, so that one that does
    /// not know this node yet can answer it. Empty: nobody is told.
    pub address: String,
    pub tls: Tls,
    pub limits: Limits,
}

/// PEM of the cluster's certificate authority, and of this node's certificate and key.
#[derive(Clone)]
pub struct Tls {
    pub(crate) ca: Pem,
    pub(crate) certificate: Pem,
    pub(crate) key: Pem,
}

/// PEM and the name of its file, for the words of an error.
#[derive(Clone)]
pub(crate) struct Pem {
    pub(crate) file: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Tls {
    /// Reads the three files.
    pub fn read(ca: &Path, certificate: &Path, key: &Path) -> Result<Tls, Error> {
        let read = |file: &Path| {
            let bytes = std::fs::read(file).map_err(|source| Error::File { file: file.into(), source })?;
            Ok::<_, Error>(Pem { file: file.into(), bytes })
        };
        Ok(Tls { ca: read(ca)?, certificate: read(certificate)?, key: read(key)? })
    }
}

impl Tls {
    /// Whom the certificate speaks for.
    pub fn identity(&self) -> Result<Identity, Error> {
        crate::tls::identity(&self.certificate)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("certificate", &self.certificate.file).finish_non_exhaustive()
    }
}

/// Bounds on what peers cost, and on how long they are waited for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What may wait for one peer on each channel, beyond the one message that is always taken.
    pub queue_bytes_max: usize,
    /// How often a round trip is measured.
    pub ping_every: Duration,
    /// A peer that is silent, or takes no bytes, for so long is disconnected.
    pub silence_max: Duration,
    /// From the first byte of a connection to the end of its hello, for both sides.
    pub handshake_timeout: Duration,
    /// Connections that have not said who they are; with one more, the oldest is closed.
    pub half_open_max: usize,
    /// Pauses between attempts to reach a peer: the first, doubled up to the last.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// A file's receiver may need so long for one chunk, and for what it does at the end.
    pub file_patience: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            queue_bytes_max: 32 << 20,
            ping_every: Duration::from_millis(100),
            silence_max: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(3),
            half_open_max: 64,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            file_patience: Duration::from_secs(60),
        }
    }
}
