//! What goes wrong with the archive's own files. None of it stops a payment.

use std::io;
use std::path::{Path, PathBuf};

/// See the file's head.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{doing} {file}: {source}")]
    Disk { doing: &'static str, file: PathBuf, source: io::Error },
    #[error("{file} at byte {offset}: {what}; move it away and start again, the archive makes it anew from the log")]
    Damaged { file: PathBuf, offset: u64, what: String },
    #[error("{file}: written in version {version}, which this build does not read; use a newer build, or move it away")]
    Unsupported { file: PathBuf, version: u32 },
    #[error("{directory}: {free_bytes} bytes are free, {wanted_bytes} are wanted; make room")]
    Full { directory: PathBuf, free_bytes: u64, wanted_bytes: u64 },
    #[error(transparent)]
    Log(#[from] persistence::Error),
    #[error("the log holds what cannot be read as facts: {0}")]
    Facts(#[from] settlement::Unreadable),
    /// The node is being stopped.
    #[error("the archive is being stopped")]
    Stopped,
    /// The archive has not come as far as was asked for in time; ask again.
    #[error("the archive is behind; ask again")]
    Behind,
}

impl Error {
    pub(super) fn disk(doing: &'static str, file: &Path, source: io::Error) -> Error {
        Error::Disk { doing, file: file.into(), source }
    }

    pub(super) fn damaged(file: &Path, offset: u64, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.into(), offset, what: what.into() }
    }
}
