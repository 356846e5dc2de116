//! Why peers cannot be started, or a certificate cannot be made: a person has to change something.

use std::path::PathBuf;

use crate::NodeId;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{file}: {source}")]
    File { file: PathBuf, source: std::io::Error },

    #[error("{file}: {what}")]
    Certificate { file: PathBuf, what: String },

    #[error(
        "{file} is the certificate of {found}, but this is {expected}; name the certificate that was issued for it"
    )]
    OtherNode { file: PathBuf, found: String, expected: String },

    #[error("{file} is there already; nothing was changed")]
    Exists { file: PathBuf },

    #[error("{0} is no node id: they count from 1")]
    NodeId(NodeId),

    #[error("{address:?} is too long for the address of a node: at most {bytes_max} bytes")]
    Address { address: String, bytes_max: usize },

    #[error("the peers' listener: {0}")]
    Listener(std::io::Error),

    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Error {
    pub(crate) fn certificate(file: impl Into<PathBuf>, what: impl ToString) -> Error {
        Error::Certificate { file: file.into(), what: what.to_string() }
    }
}
