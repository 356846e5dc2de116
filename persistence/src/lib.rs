//! A log of opaque entries on one disk: appended in batches, synced once per batch, given back in order after a crash.
//!
//! ```text
//!  proposers            journal thread                                   threads beside it
//!  ---------            --------------                                   -----------------
//!  propose ─┐
//!  propose ─┼─> open batch ──swap──> frame, write, sync ──> Fold::committed   keeper: zero-filled segments ahead of
//!  propose ─┘        ^                                            │                   need, head file, free space
//!                    └────────── recycled buffers <───────────────┘           snapshot: what Fold::freeze() captured
//! ```
//!
//! What it does not know: payments, participants, what an entry means. One entry is one batch; with replication it will
//! be one Raft entry, driven from the same journal thread behind the same [`Journal`] and [`Fold`].
//!
//! Its promise: an entry that was handed to [`Fold::committed`] is on the disk and comes back, in order, exactly once,
//! at every later [`open`]; or `open` refuses with [`Error::Damaged`], naming file and offset. It never starts on less.
//!
//! In reading order: [`Fold`] (what the owner brings), [`Journal`] (what proposers hold), [`Log`] (the same without
//! threads), `recovery`, `snapshot`, [`Reader`], [`disk`] and [`simulated`] (a disk that fails on demand).
//! The bytes on disk are described in `FORMAT.md`.

mod config;
pub mod disk;
mod error;
mod fold;
mod format;
mod head;
mod journal;
mod log;
mod map;
mod reader;
mod recovery;
pub mod repair;
pub mod replica;
mod segment;
pub mod simulated;
mod snapshot;

pub use config::{Config, Sync};
pub use error::{Error, Refused, Remedy};
pub use fold::{Entry, Fold, Freeze, Index, NodeId, Standing, Term};
pub use format::entry::HEADER_BYTES as ENTRY_HEADER_BYTES;
pub use format::snapshot::file_name as snapshot_file_name;
pub use journal::{Cluster, IncomingError, IncomingSnapshot, Journal, Role, Statistics, Times, open, open_on};
pub use log::{Kind, Log, Mark, OwnedRecord, Record, SnapshotMark, Vote};
pub use reader::Reader;
pub use recovery::{Recovery, TornTail};
pub use replica::membership::{ChangeRefused, Member, MemberChange, MemberKind, Members};
pub use replica::message::{Malformed, REPORT_VERSION};
pub use replica::peers::{Nobody, Peers};
pub use replica::{
    Changed, Compared, PeerProgress, PeerStatistics, Replica, Surroundings, TransferRefused, Transferred,
};
