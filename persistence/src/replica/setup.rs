//! How raft is set up.

use crate::config::Config;
use crate::error::Error;
use crate::fold::Index;

/// Heartbeats and elections, in ticks. A follower waits at least `ELECTION_TICKS`; one that does not want to lead, twice
/// that.
const HEARTBEAT_TICKS: usize = 1;
pub(super) const ELECTION_TICKS: usize = 10;
/// Messages with entries that a follower has not answered. One that has to be served from the disk gets few at a time, so
/// that it does not keep the leader from its work.
pub(super) const IN_FLIGHT_MAX: usize = 1024;
pub(super) const IN_FLIGHT_FROM_DISK_MAX: usize = 8;

pub(super) fn raft_config(config: &Config, applied: Index) -> raft::Config {
    raft::Config {
        id: config.node,
        election_tick: ELECTION_TICKS,
        min_election_tick: ELECTION_TICKS,
        max_election_tick: 3 * ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        applied,
        max_size_per_msg: config.message_bytes_max as u64,
        max_inflight_msgs: IN_FLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        // A follower learns of a commit at once.
        skip_bcast_commit: false,
        max_committed_size_per_ready: config.uncommitted_bytes_max as u64,
        ..raft::Config::default()
    }
}

pub(super) fn cannot_start(error: raft::Error) -> Error {
    Error::Configuration(format!("consensus does not start: {error}"))
}

/// Raft's own words go to the trace, for whoever looks into an election.
pub(super) fn logger() -> slog::Logger {
    slog::Logger::root(slog::Fuse(ToTracing), slog::o!())
}

struct ToTracing;

impl slog::Drain for ToTracing {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        tracing::debug!(target: "raft", event = "raft", "{}", record.msg());
        Ok(())
    }

    fn is_enabled(&self, _: slog::Level) -> bool {
        tracing::enabled!(target: "raft", tracing::Level::DEBUG)
    }
}
