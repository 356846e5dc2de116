//! The audit trail at the desk: every change that an operator asked for becomes an entry, whatever came of it, and so does
//! what a node does of its own accord: participants of its configuration, the roll of the day by the clock, a stop by a signal.
//!
//! What is decided by an actor is committed together with its entry. Of everything else, and of what is refused, the entry
//! follows when the outcome is known. Where it cannot be committed just then, because nobody leads, it waits in a file of
//! this node and goes into the trail when somebody does: a node can be drained and stopped all the same. A request that
//! cannot be understood, one that only looks, and one that is to be asked again later make no entry.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actors::{Draft, Switch};
use settlement::{Broken, Head, Trail};
use tokio::time::{Instant, sleep, timeout_at};
use watch::AuditCheck;
use wire::Timestamp;

use super::Desk;
use super::desk::{Answer, problem, unavailable, wrong};

use super::asked::{AuditEntry, AuditHead, AuditSearch, Forwarded, Origin, Outcome, Record, Who, nameless};
use super::protocol::{Command, FIND_LIMIT_MAX, OPERATOR_LENGTH_MAX, Problem, ProblemKind, REASON_LENGTH_MAX, Request};
use crate::config::Config;
use crate::story::when::point;

/// How long an operator's answer waits for its entry.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// By so much clocks of nodes may differ.
const SKEW: Duration = Duration::from_secs(3600);
/// Of the file of entries that wait, bytes.
const WAITING_BYTES_MAX: u64 = 1 << 20;
/// Entries in one answer to an export.
const EXPORT_ENTRIES: usize = 1000;

/// What an operator asked, and whether the trail has it already.
pub(super) struct Asking {
    pub(super) who: Who,
    draft: Draft,
    pub(super) is_recorded: bool,
}

impl Asking {
    pub(super) fn new(command: &Command, who: Who) -> Asking {
        let draft = draft(command.name(), command.parameters(), &who);
        Asking { who, draft, is_recorded: false }
    }

    /// Who and why, as facts and log lines keep it.
    pub(super) fn note(&self) -> String {
        format!("{}: {}", self.who.told(), self.who.reason)
    }

    /// With what the second person gave as a reason, besides that of the proposal.
    pub(super) fn approved(mut self, reason: &str) -> Asking {
        if !reason.is_empty() {
            self.draft.why = format!("approved: {reason}");
        }
        self
    }

    pub(super) fn draft(&self) -> Option<Draft> {
        Some(self.draft.clone())
    }

    /// The entry of what came of it; none if there is to be none, or is one already.
    pub(super) fn record(&self, answer: &Answer) -> Option<Record> {
        let (outcome, why) = match answer {
            _ if self.is_recorded => return None,
            Ok(_) => (Outcome::Done, String::new()),
            Err(Problem { kind: ProblemKind::Usage | ProblemKind::NotYet, .. }) => return None,
            Err(Problem { kind: ProblemKind::Unavailable | ProblemKind::Integrity, message, .. }) => {
                (Outcome::Unknown, message.clone())
            }
            Err(Problem { kind: ProblemKind::Refused | ProblemKind::NotFound, message, .. }) => {
                (Outcome::Refused, message.clone())
            }
        };
        let Draft { action, parameters, why: approved, .. } = self.draft.clone();
        let why = [approved, why].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        Some(Record { action, parameters, who: self.who.clone(), outcome, why })
    }
}

fn draft(action: &str, parameters: String, who: &Who) -> Draft {
    Draft {
        asked_at: Timestamp(who.asked_at_ns),
        node: who.node,
        origin: who.origin.into(),
        operator: who.operator.clone(),
        uid: who.uid,
        action: action.into(),
        parameters,
        reason: who.reason.clone(),
        task: who.task,
        approver: who.approver.as_ref().map(|own| (own.operator.clone(), own.uid)),
        why: String::new(),
    }
}

/// Name and user id under which a node does something of its own accord.
fn of_itself(switch: &Switch) -> (String, u32) {
    (format!("node {}", switch.node()), rustix::process::getuid().as_raw())
}

/// An entry to be committed together with what the node does of its own accord: for `actor`, or else in its own name.
pub(crate) fn own_draft(switch: &Switch, actor: Option<&str>, command: &Command, reason: &str) -> Draft {
    let (own, uid) = of_itself(switch);
    Draft {
        asked_at: switch.clock().now(),
        node: switch.node(),
        origin: settlement::Origin::Node,
        operator: actor.map_or(own, Into::into),
        uid,
        action: command.name().into(),
        parameters: command.parameters(),
        reason: reason.into(),
        task: None,
        approver: None,
        why: String::new(),
    }
}

/// Neither a control character nor one that nobody sees and that makes others be read otherwise: those of the Unicode
/// categories Cc, Cf, Zl and Zp.
pub(super) fn is_plain(letter: char) -> bool {
    let is_format = matches!(letter,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}');
    !letter.is_control() && !is_format
}

/// Who asks node `node`, checked, also where it is not needed. Without a name it is the number that the system gives.
pub(super) fn who(request: &Request, uid: u32, node: u64, now: Timestamp) -> Result<Who, Problem> {
    let Request { command, operator, origin, reason } = request;
    if *origin == Origin::Node {
        return Err(wrong("origin: whoever asks is no node"));
    }
    let printable = |text: &str, length_max| text.len() <= length_max && text.chars().all(is_plain);
    if !printable(operator, OPERATOR_LENGTH_MAX) {
        return Err(wrong(format!(
            "operator: at most {OPERATOR_LENGTH_MAX} bytes without control and format characters"
        )));
    }
    if !printable(reason, REASON_LENGTH_MAX) {
        return Err(wrong(format!("reason: at most {REASON_LENGTH_MAX} bytes without control and format characters")));
    }
    if command.needs_reason() && reason.trim().is_empty() {
        let name = command.name();
        return Err(wrong(format!("{name} needs a reason: it is kept in the audit trail with your name")));
    }
    Ok(Who {
        operator: if operator.is_empty() { nameless(uid) } else { operator.clone() },
        uid,
        node,
        origin: *origin,
        reason: reason.trim().into(),
        asked_at_ns: now.nanoseconds(),
        task: None,
        approver: None,
    })
}

impl Desk {
    pub(crate) fn who(&self, request: &Request, uid: u32) -> Result<Who, Problem> {
        who(request, uid, self.switch.node(), self.switch.clock().now())
    }

    /// Writes what this node did of its own accord.
    pub async fn record_own(&self, action: &str, reason: &str) {
        let (operator, uid) = of_itself(&self.switch);
        let who = Who {
            operator,
            uid,
            node: self.switch.node(),
            origin: Origin::Node,
            reason: reason.into(),
            asked_at_ns: self.switch.clock().now().nanoseconds(),
            task: None,
            approver: None,
        };
        let (action, parameters, why) = (action.into(), String::new(), String::new());
        self.record(Record { action, parameters, who, outcome: Outcome::Done, why }).await;
    }

    /// Writes an entry: on the node that leads, or into the file of those that wait.
    pub(super) async fn record(&self, record: Record) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match timeout_at(until, self.try_record(&record)).await {
                Ok(Ok(())) => return,
                Ok(Err(_)) => sleep(Duration::from_millis(20)).await,
                Err(_) => break,
            }
        }
        let _alone = self.waiting.lock().await;
        let (path, action) = (waiting_path(&self.config), record.action.clone());
        let entry = serde_json::to_string(&record).unwrap_or_default();
        match tokio::task::spawn_blocking(move || keep(&path, &record)).await {
            Ok(Ok(())) => {
                tracing::warn!(event = "audit_entry_waits", action, "it goes into the trail when a node leads")
            }
            Ok(Err(error)) => {
                tracing::error!(event = "audit_entry_lost", entry, error, "it stands in this log line alone");
            }
            Err(error) => tracing::error!(event = "audit_entry_lost", action, error = %error),
        }
    }

    async fn try_record(&self, record: &Record) -> Result<(), Problem> {
        if self.switch.reign().is_none() {
            return self.forward(&Forwarded::Record(record.clone())).await.map(drop);
        }
        self.record_once(record).await
    }

    /// On the node that leads, unless the trail has it: what was committed though nobody heard of it is told again.
    pub(super) async fn record_once(&self, record: &Record) -> Result<(), Problem> {
        let trail = self.switch.read_behind(|book| book.trail().clone()).await?;
        let (own, since) = (record.clone(), Timestamp(record.who.asked_at_ns).minus(SKEW));
        let is_there = move || trail.entries_since(since).any(|entry| own.is_in(&entry));
        match tokio::task::spawn_blocking(is_there).await.map_err(unavailable)? {
            true => Ok(()),
            false => self.record_here(record).await,
        }
    }

    /// On the node that leads.
    pub(super) async fn record_here(&self, record: &Record) -> Result<(), Problem> {
        let Record { action, parameters, who, outcome, why } = record;
        let draft = draft(action, parameters.clone(), who);
        Ok(self.switch.record(&draft, (*outcome).into(), why).await?)
    }

    /// Brings entries that wait into the trail, as long as the node runs.
    pub async fn record_what_waits(&self) {
        loop {
            self.try_record_what_waits().await;
            sleep(RETRY_AFTER).await;
        }
    }

    async fn try_record_what_waits(&self) {
        let path = waiting_path(&self.config);
        let Ok(text) = std::fs::read_to_string(&path) else { return };
        let _alone = self.waiting.lock().await;
        for line in text.lines() {
            let Ok(record) = serde_json::from_str::<Record>(line) else {
                tracing::error!(
                    event = "audit_entry_lost",
                    entry = line,
                    "a line of {} cannot be read",
                    path.display()
                );
                continue;
            };
            let recorded = timeout_at(Instant::now() + PATIENCE, self.try_record(&record)).await;
            if !matches!(recorded, Ok(Ok(()))) {
                return;
            }
        }
        // More may have come since it was read.
        let rest = std::fs::read_to_string(&path).unwrap_or_default().split_off(text.len());
        let done = if rest.is_empty() { std::fs::remove_file(&path) } else { std::fs::write(&path, rest) };
        if let Err(error) = done {
            tracing::error!(event = "audit_entries_wait", error = %error, "{} cannot be emptied", path.display());
        }
    }

    /// As this node's book has it.
    async fn trail(&self) -> Result<Trail, Problem> {
        self.switch.read(|book| book.trail().clone()).await.map_err(unavailable)
    }

    /// Reads the trail on a thread that may take its time.
    async fn of_trail<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Trail) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Problem> {
        let trail = self.trail().await?;
        let read = tokio::task::spawn_blocking(move || read(&trail)).await.map_err(unavailable)?;
        read.map_err(|broken| {
            let next = Some("take this node out of service; crosstie node repair fetches the others' book".into());
            Problem { next, ..problem(ProblemKind::Integrity, broken.to_string()) }
        })
    }

    /// The latest entries that are asked for, the latest first.
    pub(super) async fn audit_log(&self, search: AuditSearch) -> Answer {
        let AuditSearch { since, operator, action, limit } = search;
        if limit == 0 || limit > FIND_LIMIT_MAX {
            return Err(wrong(format!("limit: from 1 to {FIND_LIMIT_MAX}")));
        }
        let now = self.switch.clock().now();
        let from = since.map_or(Ok(Timestamp(0)), |text| point(&text, now)).map_err(wrong)?;
        self.of_trail(move |trail| {
            let mut found = std::collections::VecDeque::new();
            for entry in trail.entries() {
                let entry = entry?;
                let audited = &entry.audited;
                let is_of = |asked: &Option<String>, own: &str| asked.as_ref().is_none_or(|asked| asked == own);
                if audited.at >= from && is_of(&operator, audited.operator) && is_of(&action, audited.action) {
                    found.truncate(limit - 1);
                    found.push_front(AuditEntry::new(&entry));
                }
            }
            Ok(serde_json::json!(found))
        })
        .await
    }

    /// The next entries after number `after`, with the bytes that their hashes are of.
    pub(super) async fn audit_export(&self, after: u64) -> Answer {
        self.of_trail(move |trail| {
            let entries = trail.entries().skip(after as usize).take(EXPORT_ENTRIES);
            let entries: Result<Vec<AuditEntry>, Broken> =
                entries.map(|entry| entry.map(|entry| AuditEntry::whole(&entry))).collect();
            Ok(serde_json::json!(entries?))
        })
        .await
    }

    /// Computes every hash again, and notes what came of it. `number` is that of an entry whose hash is asked for.
    pub async fn audit_verify(&self, number: Option<u64>) -> Result<AuditHead, Problem> {
        let checked = self.of_trail(move |trail| AuditHead::of(trail, number)).await;
        let at_ms = self.switch.clock().now().milliseconds();
        match &checked {
            Ok(head) => self.logbook.audit_checked(AuditCheck { at_ms, entries: head.entries, broken: None }),
            Err(Problem { kind: ProblemKind::Integrity, message, .. }) => {
                tracing::error!(event = "audit_broken", what = message, "the audit trail is not what was written");
                self.logbook.audit_checked(AuditCheck { at_ms, entries: 0, broken: Some(message.clone()) });
            }
            Err(_) => {}
        }
        checked
    }
}

impl AuditHead {
    /// Of a trail that holds together.
    pub fn of(trail: &Trail, number: Option<u64>) -> Result<AuditHead, Broken> {
        let Head { number: entries, hash } = trail.check()?;
        let asked = number.and_then(|number| trail.entries().flatten().find(|entry| entry.head.number == number));
        Ok(AuditHead { entries, hash: hex::encode(hash), asked: asked.map(|entry| hex::encode(entry.head.hash)) })
    }
}

/// The file of entries that wait.
pub(super) fn waiting_path(config: &Config) -> PathBuf {
    config.log.directory.join("audit.waiting")
}

/// Appends to it.
pub(super) fn keep(path: &Path, record: &Record) -> Result<(), String> {
    let write = || {
        let mut file = persistence::disk::creating().append(true).open(path)?;
        if file.metadata()?.len() >= WAITING_BYTES_MAX {
            return Err(std::io::Error::other(format!("more than {WAITING_BYTES_MAX} bytes wait already")));
        }
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}
