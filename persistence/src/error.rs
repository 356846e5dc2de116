//! The ways the log fails, each with what a person should do about it.

use std::io;
use std::path::PathBuf;

use crate::fold::Index;

/// None of these lets the process go on with this log. [`Error::remedy`] says what lets the next one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("configuration of the log: {0}")]
    Configuration(String),

    #[error(
        "{directory}: this log is open in another process; stop that one first, or give this one its own directory"
    )]
    Locked { directory: PathBuf },

    #[error("{directory}: holds files but no log ({stray} is not ours); name an empty or a new directory")]
    NotALog { directory: PathBuf, stray: String },

    /// Acknowledged entries may be missing or changed. Nothing was written.
    #[error(
        "{file} at byte {offset}: {what}. Acknowledged entries may be affected, so this log is not opened. Leave the \
         directory as it is, copy it, then bring the file back from a backup or repair the node from its peers"
    )]
    Damaged { file: PathBuf, offset: u64, what: String },

    #[error("{file}: written in format version {version}, which this build does not read; use a newer build")]
    Unsupported { file: PathBuf, version: u32 },

    /// The file system is full, and what was set aside is used up.
    #[error("{directory}: no space left for the log, and the reserve is used up; make room, then start again")]
    DiskFull { directory: PathBuf },

    /// A write, a sync or a read failed. What was in flight is not acknowledged; recovery at the next start decides.
    #[error("{doing} {file}: {source}; the log stops here, check the disk and start again")]
    Disk { doing: &'static str, file: PathBuf, source: io::Error },

    /// The snapshot is whole, but the fold does not take it.
    #[error("{file}: the snapshot could not be restored: {what}")]
    Restore { file: PathBuf, what: String },

    /// The fold panicked; its state is not to be trusted any more.
    #[error("the fold of committed entries panicked: {what}; start again, the log is intact")]
    FoldPanicked { what: String },

    /// A reader asked for an entry that retention has removed.
    #[error("entry {wanted} is no longer kept; the oldest kept is {oldest}")]
    Gone { wanted: Index, oldest: Index },
}

/// What has to happen before this log can be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Change the configuration or the surroundings.
    Configure,
    /// Make room on the file system, then start.
    MakeRoom,
    /// Start again; recovery sorts it out.
    Restart,
    /// A person restores or repairs the files first.
    Repair,
    /// Only for readers: ask for a younger entry.
    AskLater,
}

impl Error {
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Configuration(_) | Error::Locked { .. } | Error::NotALog { .. } | Error::Unsupported { .. } => {
                Remedy::Configure
            }
            Error::DiskFull { .. } => Remedy::MakeRoom,
            Error::Disk { .. } | Error::FoldPanicked { .. } => Remedy::Restart,
            Error::Damaged { .. } | Error::Restore { .. } => Remedy::Repair,
            Error::Gone { .. } => Remedy::AskLater,
        }
    }

    pub(crate) fn disk(doing: &'static str, file: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Disk { doing, file: file.into(), source }
    }

    pub(crate) fn damaged(file: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.into(), offset, what: what.into() }
    }
}

/// Why a proposal was not taken. Nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The open batch is at its bound: the disk is behind. Try again after the next commit.
    #[error("the open batch is full")]
    Full,
    /// This proposal alone would not leave the batch fit for a segment; it never will.
    #[error("the proposal is larger than a segment can take")]
    TooLarge,
    /// This node does not lead in the term that was named.
    #[error("this node does not lead")]
    NotLeading,
    /// The journal failed or was stopped.
    #[error("the journal has stopped")]
    Stopped,
}
