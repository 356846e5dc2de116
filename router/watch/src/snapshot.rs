//! The snapshot. Times are in microseconds unless the name says otherwise, money in minor units, counts since the node's
//! start; a count goes on from one snapshot to the next and is never set back, so rates are differences of two.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Actions, Budget, Checks, Exemplar};

/// One node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts the snapshots since the node's start, from 1.
    pub number: u64,
    /// Milliseconds since 1970, by the node's clock.
    pub at_ms: u64,
    pub verdict: Verdict,
    /// Worst first.
    pub warnings: Vec<Warning>,
    pub node: Node,
    pub payments: Payments,
    /// In the order of the corridor.
    pub stages: Vec<Stage>,
    /// By name.
    pub participants: Vec<Participant>,
    pub actors: Vec<ActorKind>,
    /// The nodes of the cluster, this one among them; a node alone is its only one.
    pub peers: Vec<Peer>,
    pub log: Log,
    pub archive: Archive,
    pub telemetry: Telemetry,
    pub checks: Checks,
    /// What was carried out at this node, by name and then by result.
    pub actions: Vec<Actions>,
}

/// Is it fine, in one sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub severity: Severity,
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    Fine,
    /// Somebody should look at it today.
    Degraded,
    /// Somebody must act now.
    Critical,
}

/// What is wrong, for whom, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Of a closed list, and the anchor in the runbook: `headroom_low`, `no_leader`.
    pub code: String,
    pub severity: Severity,
    /// The participant, node or file that it is about; empty when it is about the node itself.
    pub subject: String,
    pub sentence: String,
    pub advice: String,
    /// Since when it has been so, milliseconds since 1970.
    pub since_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: u64,
    pub name: String,
    pub region: String,
    /// `dev`, `uat`, `cert`, `prod`, or as configured.
    pub environment: String,
    pub version: String,
    /// Of the source it was built from, the compiler, and the newest protocol that participants may speak.
    #[serde(default)]
    pub revision: String,
    #[serde(default)]
    pub rustc: String,
    #[serde(default)]
    pub protocol: String,
    pub pid: u32,
    pub address: String,
    pub up_seconds: u64,
    /// `leader`, `follower`, `candidate`, `learner`, `witness`.
    pub role: String,
    pub term: u64,
    /// Name of the node that leads, if this one knows.
    pub leader: Option<String>,
    pub leader_changes: u64,
    /// Why participants are not served here, if they are not: `draining`, `stopping`, `witness`…
    pub closed: Option<String>,
    /// It takes no new payments, and those in process go on.
    pub is_draining: bool,
    pub business_date: String,
    pub sessions: u64,
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub open_files: u64,
    /// 0 when nothing bounds them.
    pub open_files_max: u64,
    /// The sum of all balances and of what is between them less what was funded, by currency. Must be 0.
    pub imbalance_minor: BTreeMap<String, i64>,
    /// The checks of `/readyz`; ready when none fails.
    #[serde(default)]
    pub readiness: Vec<Readiness>,
}

/// Something without which a load balancer should send nobody here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub check: String,
    /// Why it fails, in words; none when it holds.
    pub failure: Option<String>,
}

impl Node {
    /// What fails of [`Node::readiness`], in words.
    pub fn not_ready(&self) -> impl Iterator<Item = &str> {
        self.readiness.iter().filter_map(|own| own.failure.as_deref())
    }

    pub fn is_ready(&self) -> bool {
        self.not_ready().next().is_none()
    }
}

/// Payments and returns, as this node's book has folded them: every node counts the same, so over several nodes take the
/// largest and not the sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Payments {
    pub started: u64,
    pub outcomes: Outcomes,
    /// Final within the objective of 10 s, and not: later, or because the payment's own clock had run out.
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// The same over the last hour, against the goal.
    pub budget: Budget,
    pub in_flight: u64,
    /// Since the time that its instruction says; 0 when none is in flight. Known to the leader, and by its book to every node
    /// while nobody leads.
    pub oldest_in_flight_us: Option<u64>,
    /// From the decision about the reservation to the end, of payments that settled.
    pub settled: Latency,
    /// The same of those that ended otherwise after funds had been set aside.
    pub failed: Latency,
    /// Of each bucket of those two the payment that was the slowest of the latest second in which there was one.
    pub exemplars: Vec<Exemplar>,
    /// Rejections by reason code; codes that are not ISO's or ours count as `other`.
    pub reasons: BTreeMap<String, u64>,
    /// Of those, what the creditor agent answered; the rest the switch decided.
    pub reasons_by_creditor: BTreeMap<String, u64>,
    /// Per second, over the last second.
    pub started_per_second: f64,
    pub settled_per_second: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    pub settled: u64,
    pub rejected: u64,
    pub timed_out: u64,
    /// Settled returns; not among `settled`.
    pub returned: u64,
}

/// A distribution: counts since start for rates and alerts, percentiles of the last ten seconds for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub sum_us: u64,
    /// How many were at most so long, since start: (edge in microseconds, count), edges ascending; all is `count`.
    pub buckets: Vec<(u64, u64)>,
    /// How many the percentiles are of; they are 0 when it is 0.
    pub recent: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Latency {
    /// How many were in each bucket and in none before it; at last those longer than all edges.
    pub(crate) fn parted(&self) -> impl Iterator<Item = u64> {
        let mut below = 0;
        self.buckets.iter().map(|(_, count)| *count).chain([self.count]).map(move |count| {
            let own = count.saturating_sub(below);
            below = count;
            own
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    Decode,
    /// In the mailbox of an actor.
    Wait,
    Decide,
    /// From a proposal until the journal takes it up with others.
    Append,
    Sync,
    /// From the write until a majority has it.
    Replicate,
    /// From the proposal until the fold.
    Commit,
    Apply,
    /// From the ring of the bell until the socket has it.
    Write,
    /// From the creditor's notice being known until its answer. A node that does not lead counts from the decision, by the
    /// leader's clock.
    CreditorWait,
}

impl StageName {
    /// Where the switch waits for somebody else it is said loudly.
    pub fn words(self) -> &'static str {
        match self {
            StageName::CreditorWait => "CREDITOR",
            own => own.label(),
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            StageName::Decode => "decode",
            StageName::Wait => "wait",
            StageName::Decide => "decide",
            StageName::Append => "append",
            StageName::Sync => "sync",
            StageName::Replicate => "replicate",
            StageName::Commit => "commit",
            StageName::Apply => "apply",
            StageName::Write => "write",
            StageName::CreditorWait => "creditor_wait",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: StageName,
    pub latency: Latency,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    pub id: String,
    /// `signed_on`, `suspended`, `suspended_sending`, `suspended_receiving`, `signed_off`.
    pub state: String,
    /// Connected to this node.
    pub sessions: u64,
    /// To whatever node. Known to the one that leads, once participants have had time to come back to it or to others.
    #[serde(default)]
    pub is_connected: Option<bool>,
    /// When something was last heard of it here, milliseconds since 1970; 0 when it never was.
    pub last_heard_ms: u64,
    pub send_buffer_bytes: u64,
    /// Its connection to this node, if there is one.
    pub session: Option<Session>,
    /// Sent by it as debtor agent; by currency, `other` being those in which it had no position.
    pub started: u64,
    #[serde(default)]
    pub started_in: BTreeMap<String, u64>,
    pub outcomes: Outcomes,
    pub within_objective: u64,
    pub beyond_objective: u64,
    /// Received by it as creditor agent, and how those ended.
    pub received: u64,
    pub answered: Outcomes,
    /// Payments to it that timed out in the last 5 to 10 s though it was told of them in time.
    #[serde(default)]
    pub unanswered_recently: u64,
    /// How long it takes to answer as creditor agent.
    pub answer: Latency,
    /// Total of the payments that it sent.
    pub total: Latency,
    pub in_flight_out: u64,
    pub in_flight_in: u64,
    /// Its instructions with a UETR seen before, and those that were not taken because the node drained or its log had no
    /// room. Known to the leader alone.
    pub duplicates_same: u64,
    pub duplicates_conflict: u64,
    pub refused_draining: u64,
    pub refused_full: u64,
    pub messages: Messages,
    pub positions: Vec<Position>,
}

/// What went over the connections of a participant to this node. Empty when there has been none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// By kind, as in `wire/PROTOCOL.md`; kinds of which there was none are left out.
    pub received: BTreeMap<String, u64>,
    pub sent: BTreeMap<String, u64>,
    /// Refused before they were instructions: `frame`, `schema`, `agent`.
    pub errors: BTreeMap<String, u64>,
    /// `connect`, `disconnect`, `sign_on_refused`, `heartbeat_missed`, `goaway`, `resync`.
    pub events: BTreeMap<String, u64>,
}

/// A participant's connection to this node, from its sign-on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Counts the node's connections; log lines have it as `session`.
    pub number: u64,
    /// Where it comes from.
    pub address: String,
    /// Name and version of the client, as it says.
    pub software: String,
    pub protocol: u16,
    /// Nobody but the two ends can read it.
    pub is_encrypted: bool,
    /// Milliseconds since 1970.
    pub since_ms: u64,
    pub last_heard_ms: u64,
    /// Instructions that were read and are not decided and committed yet, and how many may be.
    pub outstanding: u64,
    pub window: u64,
    /// Number of the last notice that was taken from its feed to be sent, and of the last there is.
    pub notice_sent: u64,
    pub notice_last: u64,
    /// What was taken to be sent, and its socket has not taken yet.
    pub unsent_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub currency: String,
    /// Digits behind the point.
    pub decimals: u8,
    pub balance_minor: i64,
    pub reserved_minor: i64,
    pub available_minor: i64,
    pub net_debit_cap_minor: Option<i64>,
    pub payment_max_minor: Option<i64>,
    /// The free part of what could be used at most, 0 to 1.
    pub headroom: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActorKind {
    /// `participant`, `supervisor`, `session`, `journal`, `archive`.
    pub kind: String,
    pub instances: u64,
    pub queued: u64,
    pub queued_longest: u64,
    /// How long the message that waits longest has been there, in whatever mailbox of the kind; and whose that is.
    #[serde(default)]
    pub oldest_us: u64,
    #[serde(default)]
    pub oldest_in: String,
    /// Messages that one mailbox holds at most; 0 when nothing bounds it.
    pub capacity: u64,
    pub wait: Latency,
    /// By message.
    pub handle: BTreeMap<String, Latency>,
    pub handled: BTreeMap<String, u64>,
    pub dropped: BTreeMap<String, u64>,
    pub restarts: u64,
    /// The same by reason: `failed`, `stopped`.
    #[serde(default)]
    pub restarts_by: BTreeMap<String, u64>,
    pub busy_us: u64,
    /// The worst twenty, by queue and then by what they handled.
    pub busiest: Vec<BusiestActor>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BusiestActor {
    pub name: String,
    pub queued: u64,
    /// None in kinds where it is not measured; so are the others.
    pub oldest_us: Option<u64>,
    /// Of a session: its instructions.
    pub handled: u64,
    pub in_flight: Option<u64>,
    pub restarts: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub id: u64,
    pub name: String,
    pub region: String,
    pub address: String,
    /// As in `Node::role`, and `unknown`.
    pub role: String,
    /// Heard of within the last election timeout.
    pub is_heard: bool,
    /// Why nothing is known of how it fares now.
    #[serde(default)]
    pub error: Option<String>,
    /// How long nothing has been heard of it; while it is silent and that is known.
    #[serde(default)]
    pub silent_ms: Option<u64>,
    /// None of a node that is silent, like the next two.
    pub lag_entries: Option<u64>,
    pub lag_ms: Option<u64>,
    pub round_trip_us: Option<u64>,
    /// Its clock less this node's; none of a node that is not connected.
    pub clock_offset_us: Option<i64>,
    /// By how much that may be wrong: half of the quickest round trip.
    #[serde(default)]
    pub clock_uncertainty_us: Option<u64>,
    /// Its book was last found to be the same as this node's at this entry; this node's agreed with the majority's.
    pub agreed_index: Option<u64>,
    pub serves: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub committed_index: u64,
    pub entries: u64,
    pub written_bytes: u64,
    pub sync: Latency,
    pub snapshot_index: u64,
    /// Milliseconds since 1970; 0 when there is none.
    pub snapshot_at_ms: u64,
    pub snapshots_failed: u64,
    #[serde(default)]
    pub snapshots_failing: Failing,
    pub free_bytes: u64,
    pub size_bytes: u64,
    /// Certificate of this node for its peers: milliseconds since 1970; none without peers.
    pub certificate_expires_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    pub payments: u64,
    pub covered_index: u64,
    pub failures: u64,
    /// By what it cannot do.
    #[serde(default)]
    pub failing: BTreeMap<String, Failing>,
}

/// What has not gone well since it last did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// 0 when it went well the last time.
    pub times: u64,
    /// Of the last failure, milliseconds since 1970.
    pub last_ms: u64,
}

/// What had to be dropped so that no payment waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    pub spans_dropped: u64,
    pub log_lines_dropped: u64,
    pub events_dropped: u64,
}

/// One actor, for whoever looks into one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: String,
    /// Its first participant's.
    pub name: String,
    pub participants: Vec<String>,
    pub queued: u64,
    pub oldest_us: u64,
    pub handled: u64,
    /// Payments offered to its participants that have not ended.
    pub in_flight: u64,
    /// When the first of those runs out, milliseconds since 1970.
    pub next_deadline_ms: Option<u64>,
    pub restarts: u64,
    /// What it decided last, the latest first.
    pub deeds: Vec<Deed>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    pub at_ms: u64,
    /// `reserved`, `settled`, `rejected`, `timed_out`…
    pub what: String,
    pub uetr: Option<String>,
}
