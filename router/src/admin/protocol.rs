//! What can be asked over the admin socket, and what comes back.
//!
//! ```text
//! {"command":"status"}
//! {"command":{"fund":{"id":"BANK-0001","currency":"EUR","amount":"1000.00"}},"operator":"ann","reason":"ticket 7"}
//! {"ok":{…}}
//! {"ok":{…},"read_on":{"role":"follower","term":7,"leader":2,"committed_index":91244}}
//! {"working_seconds":7}
//! {"error":{"kind":"not_found","message":"BANK-0001 is not registered","next":"crosstie participant list"}}
//! ```
//!
//! Amounts are decimal text in the currency's own decimals.

use console::operators::Operator;
use serde::{Deserialize, Serialize};

use super::asked::{AuditSearch, Origin};

/// Bytes of one request at most, with its newline.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
pub const REASON_LENGTH_MAX: usize = 200;
pub const OPERATOR_LENGTH_MAX: usize = 32;
/// Payments in one answer to `find`, unless asked for, and at most.
pub const FIND_LIMIT: usize = 100;
pub const FIND_LIMIT_MAX: usize = 10_000;

/// One line of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub command: Command,
    /// Who asks. The node adds the user id that the system tells it.
    #[serde(default)]
    pub operator: String,
    #[serde(default)]
    pub origin: Origin,
    /// Why; needed by [some commands](Command::needs_reason).
    #[serde(default)]
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Status,
    /// The latest snapshot, a [`watch::Snapshot`].
    Watch,
    /// The actor of a participant, a [`watch::Actor`].
    Actor {
        id: String,
    },
    /// The nodes, as this one knows them.
    Cluster,
    /// Hands leadership over, to `node` or to whoever does best.
    StepDown {
        node: Option<u64>,
    },
    /// Takes in a node, as a learner at first.
    AddMember {
        member: NewMember,
        dry_run: bool,
    },
    /// Gives a learner that has caught up its vote; in the same step another may be removed.
    Promote {
        node: u64,
        instead_of: Option<u64>,
        dry_run: bool,
    },
    /// For good: the number is not used again.
    RemoveMember {
        node: u64,
        dry_run: bool,
    },
    /// Names a member anew, or where it is; what is left out stays as it is.
    DescribeMember {
        node: u64,
        name: Option<String>,
        region: Option<String>,
        /// Where other nodes reach it from now on.
        address: Option<String>,
        dry_run: bool,
    },
    Participants,
    Participant {
        id: String,
    },
    Register {
        id: String,
        currency: String,
    },
    Fund {
        id: String,
        currency: String,
        amount: String,
    },
    Defund {
        id: String,
        currency: String,
        amount: String,
    },
    /// What is left out stays as it is; `none` lifts a limit.
    Limit {
        id: String,
        currency: String,
        net_debit_cap: Option<String>,
        payment_max: Option<String>,
    },
    Suspend {
        id: String,
        direction: Direction,
    },
    Resume {
        id: String,
        direction: Direction,
    },
    Payment {
        uetr: String,
        debtor: Option<String>,
    },
    /// Payments that fit all words of `query`, those in process first, then the latest.
    Find {
        query: String,
        limit: Option<usize>,
    },
    /// Payments as they end, from now on: one [`watch::tap::Tapped`] after another, a line each, as long as the connection stands.
    Tap(watch::tap::Filter),
    /// The latest entries of the audit trail.
    AuditLog(AuditSearch),
    /// The next entries after this number, the oldest first, each with the bytes that its hash is of.
    AuditExport {
        after: u64,
    },
    /// Computes every hash again; and tells that of entry `number`.
    AuditVerify {
        number: Option<u64>,
    },
    /// Which reports there are: business dates with movements.
    Reports {
        participant: Option<String>,
        date: Option<String>,
    },
    /// What a participant's positions began and ended a business date with, and what moved.
    Totals {
        participant: String,
        date: Option<String>,
    },
    /// Payments that settled on a business date, the latest first, of those that ended at `until_ns` or before.
    Lines {
        participant: String,
        date: String,
        until_ns: Option<u64>,
    },
    /// Adds every position of a business date up again; of the one before the present unless another is named.
    SelfCheck {
        date: Option<String>,
    },
    /// What waits for a second person.
    Tasks,
    ApproveTask {
        number: u64,
    },
    RefuseTask {
        number: u64,
    },
    /// By the one who proposed it.
    WithdrawTask {
        number: u64,
    },
    /// Lets somebody sign in at this node's console; of one who may already, roles and passphrase are replaced.
    AddOperator(Operator),
    RemoveOperator {
        name: String,
    },
    Day,
    /// To `date` (2026-11-23), or by a day.
    Roll {
        date: Option<String>,
    },
    Snapshot,
    /// Among others: hands leadership over and sends participants elsewhere. Alone: takes no new payments; those in process go
    /// on.
    Drain,
    Undrain,
    /// Ends the node in good order.
    Stop,
}

/// A node that is to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    pub id: u64,
    pub name: String,
    pub region: String,
    /// Where other nodes reach it.
    pub address: String,
    pub role: MemberRole,
}

/// What a node is to be once it is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    Voter,
    /// Votes and keeps the log, but serves no participants.
    Witness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Send,
    Receive,
    Both,
}

impl From<Direction> for settlement::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Send => settlement::Direction::Send,
            Direction::Receive => settlement::Direction::Receive,
            Direction::Both => settlement::Direction::Both,
        }
    }
}

#[derive(PartialEq)]
struct DryRun(bool);

impl Command {
    /// Changes something of a participant, the members, the business date or the operators, so that who and why are kept.
    pub fn needs_reason(&self) -> bool {
        use Command::{RefuseTask, Register, Resume, Roll, Suspend, WithdrawTask};
        self.is_of_members() == Some(DryRun(false))
            || self.is_of_money()
            || self.is_of_operators()
            || matches!(self, Register { .. } | Suspend { .. } | Resume { .. } | Roll { .. })
            || matches!(self, RefuseTask { .. } | WithdrawTask { .. })
    }

    /// Changes a node's own file, whoever leads.
    fn is_of_operators(&self) -> bool {
        matches!(self, Command::AddOperator(_) | Command::RemoveOperator { .. })
    }

    /// Money in or out, or a limit: what a second person may be needed for.
    pub fn is_of_money(&self) -> bool {
        matches!(self, Command::Fund { .. } | Command::Defund { .. } | Command::Limit { .. })
    }

    /// Done twice it is more than done once.
    pub fn adds_up(&self) -> bool {
        matches!(self, Command::Fund { .. } | Command::Defund { .. } | Command::Roll { .. })
    }

    /// Of a command about the members, whether it only says what would be against it.
    fn is_of_members(&self) -> Option<DryRun> {
        use Command::{AddMember, DescribeMember, Promote, RemoveMember};
        match self {
            AddMember { dry_run, .. }
            | Promote { dry_run, .. }
            | RemoveMember { dry_run, .. }
            | DescribeMember { dry_run, .. } => Some(DryRun(*dry_run)),
            _ => None,
        }
    }

    /// For the log line about it; a name from this list, never text of the operator's.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Status => "status",
            Command::Watch => "watch",
            Command::Actor { .. } => "actor",
            Command::Cluster => "cluster",
            Command::StepDown { .. } => "step_down",
            command if command.is_of_members() == Some(DryRun(true)) => "members_dry_run",
            Command::AddMember { .. } => "member_add",
            Command::Promote { .. } => "member_promote",
            Command::RemoveMember { .. } => "member_remove",
            Command::DescribeMember { .. } => "member_describe",
            Command::Participants => "participants",
            Command::Participant { .. } => "participant",
            Command::Register { .. } => "register",
            Command::Fund { .. } => "fund",
            Command::Defund { .. } => "defund",
            Command::Limit { .. } => "limit",
            Command::Suspend { .. } => "suspend",
            Command::Resume { .. } => "resume",
            Command::Payment { .. } => "payment",
            Command::Find { .. } => "find",
            Command::Tap(_) => "tap",
            Command::AuditLog(_) => "audit_log",
            Command::AuditExport { .. } => "audit_export",
            Command::AuditVerify { .. } => "audit_verify",
            Command::Reports { .. } => "reports",
            Command::Totals { .. } => "totals",
            Command::Lines { .. } => "lines",
            Command::SelfCheck { .. } => "self_check",
            Command::Tasks => "tasks",
            Command::ApproveTask { .. } => "approve_task",
            Command::RefuseTask { .. } => "refuse_task",
            Command::WithdrawTask { .. } => "withdraw_task",
            Command::AddOperator(_) => "operator_add",
            Command::RemoveOperator { .. } => "operator_remove",
            Command::Day => "day",
            Command::Roll { .. } => "roll",
            Command::Snapshot => "snapshot",
            Command::Drain => "drain",
            Command::Undrain => "undrain",
            Command::Stop => "stop",
        }
    }

    /// Changes what is in the log, so that the node that leads must do it.
    pub fn needs_leader(&self) -> bool {
        let is_reasoned = self.needs_reason() && !self.is_of_operators();
        is_reasoned || self.is_of_members().is_some() || matches!(self, Command::ApproveTask { .. })
    }

    pub fn changes(&self) -> bool {
        use Command::{Drain, Snapshot, StepDown, Stop, Undrain};
        self.needs_leader()
            || self.is_of_operators()
            || matches!(self, StepDown { .. } | Snapshot | Drain | Undrain | Stop)
    }

    /// Becomes an entry of the audit trail.
    pub fn is_audited(&self) -> bool {
        self.changes() && self.is_of_members() != Some(DryRun(true))
    }

    /// Grows with what the node keeps: minutes, where that is millions of payments.
    pub fn takes_long(&self) -> bool {
        matches!(self, Command::SelfCheck { .. } | Command::AuditVerify { .. })
    }

    /// What was asked besides its name, as JSON, without what is secret; empty when that is all.
    pub fn parameters(&self) -> String {
        let mut asked = serde_json::to_value(self).unwrap_or_default();
        let fields = asked.as_object_mut().and_then(|asked| asked.values_mut().next()).map(serde_json::Value::take);
        let Some(serde_json::Value::Object(mut fields)) = fields else { return String::new() };
        fields.retain(|name, value| !value.is_null() && name != "dry_run" && name != "passphrase");
        serde_json::Value::Object(fields).to_string()
    }
}

/// One line of the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub reply: Reply,
    /// Set when the answer was read from the book of a node that does not lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_on: Option<Leadership>,
}

/// A line before the answer to what [may take long](Command::takes_long), once a second: the node is still at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Working {
    pub working_seconds: u64,
}

/// Where a node stands in its switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// `leader` when its actors are ready, else `follower`.
    pub role: String,
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<u64>,
    /// The last entry of the log that this node knows to be committed.
    pub committed_index: u64,
}

/// What a command led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Ok(serde_json::Value),
    Error(Problem),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request is wrong.
    Usage,
    /// A rule or the state of things is against it.
    Refused,
    NotFound,
    /// It will be possible later.
    NotYet,
    /// What this node keeps is not what was written.
    Integrity,
    /// The node cannot answer now.
    Unavailable,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    pub kind: ProblemKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub node: String,
    pub version: String,
    pub pid: u32,
    pub address: String,
    pub up_seconds: u64,
    /// Why no participant is served here, if none is: drained, witness, …
    pub closed: Option<String>,
    /// Why new payments are refused just now, if they are: DRAN or FULL.
    pub refusing: Option<String>,
    pub leadership: Leadership,
    pub business_date: String,
    pub participants: usize,
    pub sessions: usize,
    pub payments: Payments,
    pub archive: Archive,
    pub journal: Journal,
    pub traffic: Traffic,
    pub recovery: Recovery,
    /// Of the latest snapshot, as all pages tell it.
    #[serde(default)]
    pub verdict: watch::Verdict,
    #[serde(default)]
    pub warnings: Vec<watch::Warning>,
    #[serde(default)]
    pub settled_per_second: f64,
    #[serde(default)]
    pub settled: watch::Latency,
    #[serde(default)]
    pub checks: watch::Checks,
    #[serde(default)]
    pub budget: watch::Budget,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// The node that answers.
    pub node: u64,
    pub leadership: Leadership,
    pub last_index: u64,
    /// The newest entry after which a majority was found to have the same book as the node that answers; 0 before the first.
    pub agreed_index: u64,
    /// How long ago that was found; absent before.
    #[serde(default)]
    pub agreed_ago_ms: Option<u64>,
    /// How many more nodes may be lost; known to the leader alone.
    pub quorum_margin: Option<i64>,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub node: u64,
    pub name: String,
    pub region: String,
    pub address: String,
    /// voter, witness or learner.
    pub kind: String,
    /// The address at which it serves participants, or why it does not; absent when it is not connected.
    pub serves: Option<String>,
    /// leader, follower, silent when the leader has not heard it, or repairing, which a node says of itself; absent where
    /// this node cannot know.
    pub state: Option<String>,
    /// How long nothing has been heard of it, milliseconds; while it is silent, and if it was heard of since the node that
    /// answers started.
    #[serde(default)]
    pub silent_ms: Option<u64>,
    /// Entries that it lacks; known to the leader alone, of nodes that are there.
    pub lag_entries: Option<u64>,
    /// How long it has lacked them, milliseconds; known to the leader alone, of nodes that are there.
    pub lag_ms: Option<u64>,
    /// Its book and that of the node that answers, compared after the same entry; absent before the first time.
    #[serde(default)]
    pub book: Option<ComparedBook>,
    /// From the node that answers and back, smoothed; absent until it was measured, and of a node that is not there.
    #[serde(default)]
    pub round_trip_us: Option<u64>,
    /// Why nothing is known of how it fares now; absent when it is there.
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ComparedBook {
    pub index: u64,
    pub is_same: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payments {
    pub in_process: usize,
    /// Known by their UETR, in process or ended.
    pub remembered: usize,
    /// What they cost in the book; the actors hold the same again.
    pub remembered_bytes: usize,
}

/// Ended payments on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archive {
    pub payments: u64,
    pub runs: u64,
    pub run_bytes: u64,
    /// Everything that ended up to this entry of the log is found.
    pub covered_index: u64,
    /// Log entries that were gone before the archive had read them.
    pub log_entries_lost: u64,
    pub failures: u64,
    pub files_set_aside: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journal {
    pub committed_index: u64,
    pub entries: u64,
    #[serde(default)]
    pub written_bytes: u64,
    pub syncs: u64,
    pub sync_mean_us: u64,
    pub sync_max_us: u64,
    pub open_batch_bytes: u64,
    pub snapshot_index: u64,
    pub snapshots: u64,
    pub snapshots_failed: u64,
}

/// Since start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Traffic {
    pub instructions: u64,
    pub letters: u64,
    pub messages: u64,
    /// Actors that died and were rebuilt from the book.
    pub restarts: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recovery {
    pub snapshot_index: u64,
    pub last_index: u64,
    pub entries_replayed: u64,
    pub bytes_replayed: u64,
    pub torn_bytes: u64,
    pub took_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    pub id: String,
    pub connected: bool,
    pub signed_on: bool,
    pub suspended_sending: bool,
    pub suspended_receiving: bool,
    pub positions: Vec<Position>,
    /// Payments it sent that have not ended.
    pub outgoing: u32,
    /// Payments offered to it that have not ended.
    pub incoming: usize,
    /// Payments it sent that are remembered.
    pub remembered: usize,
    /// Number of the last notice in its feed.
    pub last_notice: u64,
    /// Its connection to the node that answers, as the latest snapshot has it; told when it is asked for alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<watch::Session>,
}

/// Amounts as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub currency: String,
    pub balance: String,
    pub reserved: String,
    pub available: String,
    pub funded: String,
    /// Settled received less settled sent.
    pub net: String,
    pub net_debit_cap: Option<String>,
    pub payment_max: Option<String>,
}

impl Position {
    pub fn new(currency: wire::Currency, position: &settlement::Position) -> Position {
        let amount = |minor| wire::Money::new(minor, currency).decimal().to_string();
        let limit = |minor| (minor >= 0).then(|| amount(minor));
        Position {
            currency: currency.to_string(),
            balance: amount(position.balance()),
            reserved: amount(position.reserved),
            available: amount(position.available()),
            funded: amount(position.funded),
            net: amount(position.net),
            net_debit_cap: limit(position.limits.net_debit_cap),
            payment_max: limit(position.limits.payment_max),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Day {
    pub business_date: String,
    /// A time of day in UTC, or `manual`.
    pub rolls: String,
}
