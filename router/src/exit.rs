//! How the program ends: one table of exit codes for every subcommand.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// It ran, and the answer is no: unhealthy, or the node had to stop and may be started again.
    No = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Cannot listen, cannot be reached, took too long.
    Unreachable = 3,
    /// Refused: a rule, a right or a precondition is against it.
    Refused = 4,
    NotFound = 5,
    /// It answered for some nodes, or checked a part, and not all.
    Partial = 6,
    /// A log is damaged or money does not add up. A person must look before anything is started again.
    Integrity = 7,
    /// A node was asked and nobody can say what came of it: it may have been done.
    Unknown = 8,
    Interrupted = 130,
}

/// For `--help`.
pub const TABLE: &str = "Exit codes: 0 done · 1 ran, the answer is no or the node had to stop · 2 usage or configuration · 3 unreachable, \
    cannot listen, timeout · 4 refused · 5 not found · 6 partial: not all nodes are there, or not all could be checked · 7 integrity: damaged log or money that does not add up · \
    8 unknown: asked, and not answered; it may have been done · 130 interrupted";

impl Exit {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::No => "no",
            Exit::Usage => "usage",
            Exit::Unreachable => "unreachable",
            Exit::Refused => "refused",
            Exit::NotFound => "not_found",
            Exit::Partial => "partial",
            Exit::Integrity => "integrity",
            Exit::Unknown => "unknown",
            Exit::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An end that is not success: why, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// A command to try, or a step to take.
    pub next: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), next: None }
    }

    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Failure {
        Failure { next: Some(next.into()), ..self }
    }
}

impl From<&persistence::Error> for Failure {
    fn from(error: &persistence::Error) -> Failure {
        use persistence::{Error, Remedy};
        let (exit, next) = match (error, error.remedy()) {
            (Error::Locked { .. }, _) => {
                (Exit::Refused, "crosstie stop, then try again; or name another directory by --data")
            }
            (Error::Diverged { .. }, _) => {
                let next = "look at another node: crosstie cluster status. Then crosstie node repair --even-if-whole --dry-run, \
                    and without --dry-run: the others bring this node back. Report what lies in its set-aside directory";
                (Exit::Integrity, next)
            }
            (Error::FoldPanicked { .. }, _) => {
                (Exit::Integrity, "crosstie log verify --data DIR; report what it prints before you start the node")
            }
            (_, Remedy::Configure) => {
                (Exit::Usage, "crosstie config show --origin tells where each setting comes from")
            }
            (_, Remedy::MakeRoom) => (Exit::No, "make room on that file system, then start again"),
            (_, Remedy::Restart | Remedy::AskLater) => (Exit::No, "look at the disk, then start again"),
            (_, Remedy::Repair) => {
                let next = "keep the directory as it is; copy it, then crosstie log verify --data COPY. In a cluster: crosstie \
                    node repair --dry-run";
                (Exit::Integrity, next)
            }
        };
        Failure::new(exit, error.to_string()).next(next)
    }
}

impl From<&crate::node::Error> for Failure {
    fn from(error: &crate::node::Error) -> Failure {
        use crate::node::Error;
        match error {
            crate::node::Error::Peers(error) => {
                Failure::new(Exit::Usage, error.to_string()).next("crosstie pki show tells what a certificate says")
            }
            Error::Switch(actors::Error::Log(error)) => error.into(),
            Error::Switch(actors::Error::Refused(what)) => Failure::new(Exit::Refused, what.clone()),
            Error::Switch(error) => Failure::new(Exit::No, error.to_string()),
            Error::Listen { .. } => Failure::new(Exit::Unreachable, error.to_string())
                .next("another program, or a node of yours, has this address: choose another by --listen HOST:PORT"),
        }
    }
}

impl From<&peers::Error> for Failure {
    fn from(error: &peers::Error) -> Failure {
        use peers::Error;
        let (exit, next) = match error {
            Error::Exists { .. } => (
                Exit::Refused,
                "crosstie pki issue --renew replaces a node's certificate; an authority is made once, in a directory of its own",
            ),
            Error::File { .. } => {
                (Exit::Usage, "crosstie pki init makes an authority, crosstie pki issue the files of a node")
            }
            Error::Listener(_) | Error::Thread(_) => (Exit::No, "look at the machine's limits, then start again"),
            _ => (Exit::Usage, "crosstie pki show FILE tells what a certificate says"),
        };
        Failure::new(exit, error.to_string()).next(next)
    }
}
