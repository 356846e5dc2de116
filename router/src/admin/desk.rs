//! Carries out what operators ask: checks everything, then asks the switch. What changes a participant is a command like
//! any other: decided by its actor, committed to the log, then told.
//!
//! What changes the switch is done by the node that leads: another one forwards it. What is read comes from this node's own
//! book, and says so when this node does not lead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actors::relay::AskError;
use actors::{OwnedOperation, Switch};
use persistence::TransferRefused;
use serde::Serialize;
use serde_json::{Value, json};
use settlement::{Book, Key, Payments};
use tokio::sync::{Mutex, Notify, oneshot};
use wire::{BusinessDate, Currency, Money, ParticipantId, Reason};

use super::asked::{Forwarded, Who};
use super::figures::{archive, journal, recovery, report};
use super::logbook::Logbook;
use super::protocol::{Command, Day, Leadership, Participant, Problem, ProblemKind, Reply, Request, Status, Traffic};
use super::trail::{Asking, is_plain};
use crate::config::{Config, SETTINGS};
use crate::door::{Closed, Door};
use crate::ops::{self, Watcher};
use crate::tap::Taps;

/// What the answers are made from.
pub struct Desk {
    pub switch: Arc<Switch>,
    pub door: Arc<Door>,
    pub config: Config,
    pub address: SocketAddr,
    pub recovery: persistence::Recovery,
    pub started: Instant,
    pub watcher: Watcher,
    pub taps: Taps,
    /// Told when an operator asks the node to stop.
    pub stop: Arc<Notify>,
    /// Changes come one after another, so that what one of them read still holds when it writes.
    pub changing: Mutex<()>,
    /// Holds the file of entries of the audit trail that could not be written yet.
    pub waiting: Mutex<()>,
    /// So do readers of archive and log, so that however many ask they take no more than one thread.
    pub reading: Mutex<()>,
    pub logbook: Arc<Logbook>,
}

/// So far ahead of the calendar, or of the business date where that is ahead itself, it may be rolled to a date: over holidays.
const ROLL_DAYS_MAX: u32 = 7;
/// Of what was tried without the role for it, bytes as JSON.
const PARAMETERS_TRIED_MAX: usize = 512;
const STEP_DOWN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) type Answer = Result<Value, Problem>;

pub(crate) fn problem(kind: ProblemKind, message: impl Into<String>) -> Problem {
    Problem { kind, message: message.into(), next: None }
}

pub(crate) fn wrong(error: impl ToString) -> Problem {
    problem(ProblemKind::Usage, error.to_string())
}

pub(crate) fn unavailable(error: impl ToString) -> Problem {
    let next = Some("try again; if it stays so, look at the node's log".into());
    Problem { next, ..problem(ProblemKind::Unavailable, error.to_string()) }
}

impl From<actors::Error> for Problem {
    fn from(error: actors::Error) -> Problem {
        match error {
            actors::Error::Refused(what) => problem(ProblemKind::Refused, what),
            error => unavailable(error),
        }
    }
}

pub(super) fn value(of: impl Serialize) -> Answer {
    serde_json::to_value(of).map_err(unavailable)
}

impl Desk {
    /// Carries out one request of the user `uid`.
    pub async fn answer(&self, request: Request, uid: u32) -> Answer {
        let who = self.who(&request, uid)?;
        let command = request.command;
        if !command.changes() {
            let mut asking = Asking::new(&command, who);
            return self.carry_out(command, &mut asking).await;
        }
        if command.needs_leader() && self.switch.reign().is_none() {
            return self.forward(&Forwarded::Change { command, who }).await;
        }
        self.change(command, who).await
    }

    /// Keeps for the trail what was refused before it came to this desk, with or without a reason. What nobody could have
    /// carried out, for it cannot be read, is not worth an entry.
    pub async fn keep_refused(&self, mut request: Request, uid: u32, why: String) {
        if request.reason.trim().is_empty() {
            request.reason = "-".into();
        }
        let Ok(who) = self.who(&request, uid) else { return };
        let parameters = request.command.parameters();
        if parameters.len() > PARAMETERS_TRIED_MAX || !parameters.chars().all(is_plain) {
            return;
        }
        let refused = Err(problem(ProblemKind::Refused, why));
        self.logbook.acted(request.command.name(), &refused);
        if let Some(record) = Asking::new(&request.command, who).record(&refused) {
            self.record(record).await;
        }
    }

    /// Where this node stands, beside what was read from its book, unless it leads.
    pub fn read_on(&self) -> Option<Leadership> {
        Some(self.leadership()).filter(|leadership| leadership.role != "leader")
    }

    /// Carries out what operators asked of other nodes, as long as this one runs.
    pub async fn serve_others(&self) {
        let Some(mut asks) = self.switch.relay.take_asks() else { return };
        while let Some(asked) = asks.recv().await {
            let answer = match serde_json::from_slice::<Forwarded>(&asked.what) {
                Ok(forwarded) if !forwarded.may_come_from(asked.from) => {
                    Err(wrong("this is nothing that one node asks another"))
                }
                Ok(Forwarded::Change { command, who }) => self.change(command, who).await,
                Ok(Forwarded::Record(record)) => self.record_once(&record).await.map(|()| Value::Null),
                Err(error) => Err(wrong(format!("the request cannot be read: {error}"))),
            };
            let reply = answer.map_or_else(Reply::Error, Reply::Ok);
            asked.answer(&serde_json::to_vec(&reply).unwrap_or_default());
        }
    }

    pub(super) async fn forward(&self, forwarded: &Forwarded) -> Answer {
        let what = serde_json::to_vec(forwarded).map_err(unavailable)?;
        let answer = self.switch.relay.ask(&what).await;
        let name = match forwarded {
            Forwarded::Change { command, who } => {
                let (action, uid) = (command.name(), who.uid);
                tracing::info!(event = "operator_action_forwarded", action, uid, answered = answer.is_ok());
                action
            }
            Forwarded::Record(_) => "the audit trail",
        };
        let answer = answer.map_err(|error| {
            // The one that led last is asked until another one does.
            let error = match (error, self.leadership().leader) {
                (AskError::Unreachable(_), None) => AskError::NoLeader,
                (error, _) => error,
            };
            let message = format!("{name} is done by the node that leads, and this one does not: {error}");
            let next = Some("crosstie status tells who leads, as far as this node knows".into());
            Problem { next, ..problem(ProblemKind::Unavailable, message) }
        })?;
        match serde_json::from_slice(&answer).map_err(unavailable)? {
            Reply::Ok(value) => Ok(value),
            Reply::Error(problem) => Err(problem),
        }
    }

    /// Changes one thing at a time, and has it written down.
    async fn change(&self, command: Command, who: Who) -> Answer {
        let (name, uid, node) = (command.name(), who.uid, who.node);
        let (is_audited, is_last) = (command.is_audited(), matches!(command, Command::Stop));
        let mut asking = Asking::new(&command, who);
        let answer = {
            let _one_at_a_time = self.changing.lock().await;
            match command {
                // The leader itself is to go.
                Command::RemoveMember { node, dry_run: false } if node == self.switch.node() => {
                    self.remove_this(command, &mut asking).await
                }
                command if self.needs_second_person(&command) => self.propose(&command, &mut asking).await,
                command => self.carry_out(command, &mut asking).await,
            }
        };
        if let Some(record) = asking.record(&answer).filter(|_| is_audited) {
            self.record(record).await;
        }
        self.logbook.acted(name, &answer);
        if is_last && answer.is_ok() {
            self.stop.notify_one();
        }
        match &answer {
            Ok(_) => tracing::info!(event = "operator_action", action = name, uid, asked_at = node, result = "done"),
            // Whoever waits for it asks many times.
            Err(Problem { kind: ProblemKind::NotYet, message, .. }) => {
                tracing::debug!(
                    event = "operator_action",
                    action = name,
                    uid,
                    asked_at = node,
                    result = "not_yet",
                    message
                );
            }
            Err(problem) => {
                tracing::warn!(event = "operator_action", action = name, uid, asked_at = node, result = "refused", kind = ?problem.kind);
            }
        }
        answer
    }

    /// Asks, and waits until another node leads.
    pub(super) async fn step_down(&self, node: Option<u64>) -> Answer {
        if self.switch.reign().is_none() {
            return Err(problem(ProblemKind::Refused, "this node does not lead, so it has nothing to hand over"));
        }
        let (sender, told) = oneshot::channel();
        let tell = Box::new(move |told| _ = sender.send(told));
        self.switch.journal().transfer(node, tell).map_err(unavailable)?;
        match told.await.map_err(unavailable)? {
            Ok(_) => {}
            Err(refusal @ TransferRefused::NoVoter(_)) => return Err(wrong(refusal)),
            Err(refusal) => {
                let next = Some("crosstie cluster status shows how the other nodes fare".into());
                return Err(Problem { next, ..problem(ProblemKind::Refused, refusal.to_string()) });
            }
        }
        let handed_over = tokio::time::timeout(STEP_DOWN_PATIENCE, self.switch.until_reign_ends()).await;
        handed_over.map_err(|_| unavailable("nobody has taken over: the others are not there, or too far behind"))?;
        value(self.leadership())
    }

    pub(super) fn leadership(&self) -> Leadership {
        super::leading::leadership(&self.switch)
    }

    pub(super) async fn carry_out(&self, command: Command, asking: &mut Asking) -> Answer {
        let note = asking.note();
        match command {
            Command::Cluster => value(self.cluster()),
            Command::AddMember { member, dry_run } => self.add_member(&member, dry_run, &note).await,
            Command::Promote { node, instead_of, dry_run } => {
                self.promote_member(node, instead_of, dry_run, &note).await
            }
            Command::RemoveMember { node, dry_run } => self.remove_member(node, dry_run, &note).await,
            Command::DescribeMember { node, name, region, address, dry_run } => {
                self.describe_member(node, [name, region, address], dry_run, &note).await
            }
            Command::StepDown { node } => self.step_down(node).await,
            Command::Status => self.status().await,
            Command::Watch => value(&*self.snapshot().await?),
            Command::Actor { id } => value(self.actor(&id)?),
            Command::Participants => self.participants().await,
            Command::Participant { id } => self.participant(self.known(&id)?).await,
            Command::Register { id, currency } => self.register(&id, &currency, asking).await,
            Command::Fund { id, currency, amount } => {
                let (currency, amount_minor) = money(&currency, &amount)?;
                self.operate(&id, OwnedOperation::Fund { currency, amount_minor, note }, asking).await
            }
            Command::Defund { id, currency, amount } => {
                let (currency, amount_minor) = money(&currency, &amount)?;
                self.operate(&id, OwnedOperation::Defund { currency, amount_minor, note }, asking).await
            }
            Command::Limit { id, currency, net_debit_cap, payment_max } => {
                self.limit(&id, &currency, (net_debit_cap, payment_max), note, asking).await
            }
            Command::Suspend { id, direction } => {
                self.operate(&id, OwnedOperation::Suspend { direction: direction.into(), note }, asking).await
            }
            Command::Resume { id, direction } => {
                self.operate(&id, OwnedOperation::Resume { direction: direction.into(), note }, asking).await
            }
            Command::Payment { uetr, debtor } => value(self.stories(&uetr, debtor.as_deref()).await?),
            Command::Find { query, limit } => value(self.find(&query, limit).await?),
            Command::Tap(_) => Err(wrong("a tap is told line by line, on a connection of its own")),
            Command::Reports { participant, date } => {
                value(self.reports(participant.as_deref(), date.as_deref()).await?)
            }
            Command::Totals { participant, date } => value(self.totals(&participant, date.as_deref()).await?),
            Command::Lines { participant, date, until_ns } => value(self.lines(&participant, &date, until_ns).await?),
            Command::SelfCheck { date } => value(self.self_check(date.as_deref()).await?),
            Command::AuditLog(search) => self.audit_log(search).await,
            Command::AuditExport { after } => self.audit_export(after).await,
            Command::AuditVerify { number } => value(self.audit_verify(number).await?),
            Command::Tasks => self.tasks().await,
            Command::ApproveTask { number } => self.approve(number, asking).await,
            Command::RefuseTask { number } => self.refuse_task(number, asking).await,
            Command::WithdrawTask { number } => self.withdraw_task(number, asking).await,
            command @ (Command::AddOperator(_) | Command::RemoveOperator { .. }) => {
                let file = self.config.operators();
                let changed = tokio::task::spawn_blocking(move || super::operators::change(&file, command));
                changed.await.map_err(unavailable)?
            }
            Command::Day => value(self.day()),
            Command::Roll { date } => {
                let date = date.map(|date| date.parse::<BusinessDate>().map_err(wrong)).transpose()?;
                date.map_or(Ok(()), |date| self.is_near(date))?;
                self.switch.roll(date, asking.draft()).await?;
                asking.is_recorded = true;
                value(self.day())
            }
            Command::Snapshot => {
                self.switch.request_snapshot();
                Ok(json!({ "requested": true, "snapshot_index": self.switch.journal_statistics().snapshot_index }))
            }
            Command::Drain => self.drain().await,
            Command::Undrain => self.undrain(),
            // It ends once that is written down.
            Command::Stop => value(json!({ "stopping": true, "in_process": self.in_process().await? })),
        }
    }

    async fn snapshot(&self) -> Result<Arc<watch::Snapshot>, Problem> {
        self.watcher.first().await.ok_or_else(|| unavailable("the node is ending"))
    }

    /// The actor of a participant.
    pub(crate) fn actor(&self, id: &str) -> Result<watch::Actor, Problem> {
        let actor = ops::actor(&self.switch, self.known(id)?);
        let next = Some("ask the node that leads: crosstie status names it".into());
        let missing = || Problem { next, ..problem(ProblemKind::Refused, "only the node that leads has actors") };
        actor.ok_or_else(missing)
    }

    pub(super) fn cluster(&self) -> super::protocol::Cluster {
        super::cluster::cluster(&self.switch, &self.door, &self.config)
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Book) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.switch.read(read).await.map_err(unavailable)
    }

    /// The participant of this name, if it is registered.
    pub(crate) fn known(&self, id: &str) -> Result<ParticipantId, Problem> {
        let id: ParticipantId = id.parse().map_err(wrong)?;
        match self.switch.scheme().key(id) {
            Some(_) => Ok(id),
            None => Err(Problem {
                next: Some("crosstie participant list".into()),
                ..problem(ProblemKind::NotFound, format!("{id} is not registered"))
            }),
        }
    }

    pub(super) async fn in_process(&self) -> Result<usize, Problem> {
        self.query(|book| book.participants().iter().map(settlement::Participant::incoming_count).sum()).await
    }

    async fn status(&self) -> Answer {
        let remembered = |book: &Book| book.participants().iter().map(|own| own.payments().len()).sum::<usize>();
        let remembered = self.query(remembered).await?;
        let in_process = self.in_process().await?;
        let (switch, latest) = (&self.switch, self.watcher.latest());
        let traffic = switch.traffic();
        let (participants, business_date) = {
            let scheme = switch.scheme();
            (scheme.listings().len(), scheme.business_date().to_string())
        };
        value(Status {
            node: self.config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            address: self.address.to_string(),
            up_seconds: self.started.elapsed().as_secs(),
            closed: self.door.closed().map(Closed::name).map(Into::into),
            refusing: switch.refusing().map(|reason| reason.to_string()),
            leadership: self.leadership(),
            business_date,
            participants,
            sessions: switch.connected().len(),
            payments: super::protocol::Payments {
                in_process,
                remembered,
                remembered_bytes: remembered * Payments::bytes_per_record(),
            },
            archive: archive(&self.switch.archive.figures()),
            journal: journal(&switch.journal_statistics()),
            traffic: Traffic {
                instructions: traffic.instructions.load(Ordering::Relaxed),
                letters: traffic.letters.load(Ordering::Relaxed),
                messages: traffic.messages.load(Ordering::Relaxed),
                restarts: traffic.restarts.all(),
            },
            recovery: recovery(&self.recovery),
            verdict: latest.verdict.clone(),
            warnings: latest.warnings.clone(),
            settled_per_second: latest.payments.settled_per_second,
            settled: latest.payments.settled.clone(),
            checks: self.logbook.checks(),
            budget: latest.payments.budget,
        })
    }

    async fn participants(&self) -> Answer {
        let read = |book: &Book| -> Vec<_> { book.participants().iter().map(|own| report(book, own.key())).collect() };
        let mut all: Vec<(Key, Participant)> = self.query(read).await?.into_iter().flatten().collect();
        all.iter_mut().for_each(|(key, one)| one.connected = self.switch.line(*key).is_some());
        value(all.into_iter().map(|(_, one)| one).collect::<Vec<_>>())
    }

    async fn participant(&self, id: ParticipantId) -> Answer {
        let read = move |book: &Book| book.scheme().key(id).and_then(|key| report(book, key));
        let found = self.query(read).await?;
        let Some((key, mut one)) = found else {
            return Err(unavailable(format!("{id} is about to be registered")));
        };
        one.connected = self.switch.line(key).is_some();
        let latest = self.watcher.latest();
        one.session = latest.participants.iter().find(|own| own.id == one.id).and_then(|own| own.session.clone());
        value(one)
    }

    /// Who and why is in its entry of the audit trail.
    async fn register(&self, id: &str, currency: &str, asking: &mut Asking) -> Answer {
        let id: ParticipantId = id.parse().map_err(wrong)?;
        let currency: Currency = currency.parse().map_err(wrong)?;
        self.switch.register(id, currency, asking.draft()).await?;
        asking.is_recorded = true;
        self.participant(id).await
    }

    /// That a command about money can be understood and is about somebody who is registered.
    pub(super) fn check_money(&self, command: &Command) -> Result<(), Problem> {
        match command {
            Command::Fund { id, currency, amount } | Command::Defund { id, currency, amount } => {
                self.known(id)?;
                match money(currency, amount)? {
                    (_, 1..) => Ok(()),
                    // As the participant's actor would, once it is approved.
                    _ => Err(actors::Error::refused(Reason::AM01).into()),
                }
            }
            Command::Limit { id, currency, net_debit_cap, payment_max } => {
                self.known(id)?;
                let limits = [net_debit_cap, payment_max].into_iter().flatten();
                limits.filter(|limit| *limit != "none").try_for_each(|limit| money(currency, limit).map(drop))
            }
            _ => Ok(()),
        }
    }

    /// Asks the participant's actor; answers with the participant as it is then.
    async fn operate(&self, id: &str, operation: OwnedOperation, asking: &mut Asking) -> Answer {
        let id = self.known(id)?;
        self.switch.operate(id, operation, asking.draft()).await?;
        asking.is_recorded = true;
        self.participant(id).await
    }

    async fn limit(
        &self,
        id: &str,
        currency: &str,
        asked: (Option<String>, Option<String>),
        note: String,
        asking: &mut Asking,
    ) -> Answer {
        let known = self.known(id)?;
        let currency: Currency = currency.parse().map_err(wrong)?;
        if asked == (None, None) {
            return Err(wrong("name a limit to change: net_debit_cap or payment_max"));
        }
        let read = move |book: &Book| book.find(known).and_then(|own| own.position(currency)).map(|own| own.limits);
        let mut limits = self.query(read).await?.unwrap_or_default();
        for (asked, limit) in [(asked.0, &mut limits.net_debit_cap), (asked.1, &mut limits.payment_max)] {
            match asked.as_deref() {
                None => {}
                Some("none") => *limit = -1,
                Some(amount) => *limit = Money::parse(amount, currency).map_err(wrong)?.minor,
            }
        }
        self.operate(id, OwnedOperation::Limit { currency, limits, note }, asking).await
    }

    /// A date cannot be taken back: one that is far ahead is a slip of the pen.
    fn is_near(&self, date: BusinessDate) -> Result<(), Problem> {
        let begin = self.switch.scheme().business_date().max(self.switch.clock().now().date());
        let last = (0..ROLL_DAYS_MAX).fold(begin, |date, _| date.next());
        if date <= last {
            return Ok(());
        }
        let message =
            format!("{date} is more than {ROLL_DAYS_MAX} days ahead, and a business date cannot be taken back");
        Err(Problem { next: Some(format!("name a date up to {last}")), ..problem(ProblemKind::Refused, message) })
    }

    fn day(&self) -> Day {
        let rolls = SETTINGS.iter().find(|setting| setting.key == "day_roll");
        Day {
            business_date: self.switch.scheme().business_date().to_string(),
            rolls: rolls.map_or_else(String::new, |setting| (setting.show)(&self.config)),
        }
    }
}

fn money(currency: &str, amount: &str) -> Result<(Currency, i64), Problem> {
    let currency: Currency = currency.parse().map_err(wrong)?;
    Ok((currency, Money::parse(amount, currency).map_err(wrong)?.minor))
}
