//! Load over real sockets, and a proof afterwards.
//!
//! The generator plays every bank: it pays, answers as creditor agent, and reads every notice. It is open loop: due times are fixed before the
//! run, latency counts from them, and how far the generator itself fell behind is measured beside it, so that a run says
//! of itself whether it can be believed. Afterwards the money check holds what every bank was told against what was sent.
//!
//! ```text
//!     Options -> run -> Engine (one thread: schedule, sockets, audit) --intervals--> watcher (percentiles, live view)
//!                  \-> Outcome -> text, result.json, series.ndjson, latency.hlog, report.html
//! ```
//!
//! It knows `wire` and nothing else: to the switch it is a number of participants like any other.

mod audit;
mod draw;
mod engine;
mod ledger;
mod machine;
mod peek;
mod schedule;
mod stats;
mod template;
mod uetr;

pub mod mix;
pub mod options;
pub mod outcome;
pub mod progress;
pub mod report;
mod run;
pub mod slo;
pub mod units;

pub use audit::Check;
pub use options::{Bank, Options, Shape};
pub use outcome::{Outcome, Verdict};
pub use progress::{Interval, Progress};
pub use run::run;

/// Why there is no outcome at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0}\nIs the switch running there? Try: crosstie-loadgen run --target HOST:PORT --connect-timeout 30s")]
    Unreachable(String),
    #[error("the switch does not let this bank in: {0}")]
    Refused(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// As in the table of exit codes of `crosstie-loadgen --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Unreachable(_) | Error::Refused(_) | Error::Io(_) => 3,
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
