//! A node as a process: start, say that it is ready, run, stop in good order; or end at once when the journal fails.

use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use actors::{Draft, OwnedOperation, Switch};
use serde::Serialize;
use settlement::Book;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

use crate::admin::protocol::Command;
use crate::admin::{self, Desk, Logbook, own_draft};
use crate::config::{Config, Seed};
use crate::console::Counter;
use crate::exit::{Exit, Failure};
use crate::node::{self, Node};
use crate::office::Office;
use crate::tap::Taps;
use crate::{day, logs, ops, traces};

/// Runs a node until it is stopped.
pub fn run(config: Config) -> Result<Exit, Failure> {
    logs::start(&config.logs, &config.node.name)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::No, format!("the runtime cannot be started: {error}")))?;
    // A log whose facts cannot be applied panics while it is replayed.
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(config))));
    // Blocking reads of feeds may still run; nobody waits for them.
    runtime.shutdown_background();
    let ended = ended.unwrap_or_else(|_| {
        let next =
            "crosstie log verify --data DIR; report what it and the last log line say before you start the node again";
        Err(Failure::new(Exit::Integrity, "the node met something that cannot be and ended").next(next))
    });
    if let Err(failure) = &ended {
        tracing::error!(event = "ended", exit = failure.exit as u8, next = failure.next, "{}", failure.message);
    }
    let told = logs::flush();
    match ended {
        // stderr holds log lines and nothing else, unless a person is looking.
        Err(failure) if told && !std::io::stderr().is_terminal() => Ok(failure.exit),
        ended => ended,
    }
}

/// Why a node stops. Then that is an entry of the audit trail already.
const BY_OPERATOR: &str = "operator";

async fn live(config: Config) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut signals = Signals::new()?;
    warn_of(&config);
    allow_files(config.listen.connections_max);
    let counter = Arc::<Counter>::default();
    let console = open_console(&config, &counter);
    let own = config.node()?;
    warn_of_files(&own.switch);
    let node = node::start(own).await.map_err(|error| Failure::from(&error))?;
    node.switch.on_failure(|error| die(&error));
    let traces = traces::start(&config.traces, &config.node.name, &node.switch);
    let traces = traces.map_err(|error| Failure::new(Exit::No, format!("the threads for traces: {error}")))?;
    let server = admin::server::bind(&config.socket())?;
    if config.cluster.node == 0 {
        take_in(&node.switch, &config.participants).await?;
    }
    let taking_in = tokio::spawn(take_in_at_every_reign(node.switch.clone(), config.participants.clone()));

    let stop = Arc::new(Notify::new());
    let logbook = Arc::<Logbook>::default();
    let watcher = ops::start(ops::Sources {
        switch: node.switch.clone(),
        door: node.door.clone(),
        outlets: node.outlets.clone(),
        measured: node.measured.clone(),
        lines: node.lines.clone(),
        config: config.clone(),
        address: node.address,
        logbook: logbook.clone(),
        started,
    })?;
    let desk = Arc::new(Desk {
        switch: node.switch.clone(),
        door: node.door.clone(),
        config: config.clone(),
        address: node.address,
        recovery: node.recovery.clone(),
        started,
        watcher,
        taps: Taps::default(),
        stop: stop.clone(),
        changing: Mutex::new(()),
        waiting: Mutex::new(()),
        reading: Mutex::new(()),
        logbook,
    });
    counter.open(desk.clone());
    let own = desk.clone();
    say_ready(&config, &node, console.as_ref(), started);
    let rolling = tokio::spawn(day::roll_daily(node.switch.clone(), config.scheme.day_roll));
    let office = Office::open(async move {
        tokio::spawn(desk.clone().check_regularly());
        let others = desk.clone();
        tokio::spawn(async move { tokio::join!(others.serve_others(), others.record_what_waits()) });
        server.serve(desk).await;
    });
    let office = office.map_err(|error| Failure::new(Exit::No, format!("the thread for operators: {error}")))?;

    let why = tokio::select! {
        name = signals.next() => name,
        () = stop.notified() => BY_OPERATOR,
    };
    rolling.abort();
    taking_in.abort();
    let deadline_ms = config.drain.deadline.as_millis() as u64;
    tracing::info!(event = "stopping", why, deadline_ms, "no new payments; those in process may end");
    let stopping = async {
        if why != BY_OPERATOR {
            own.record_own("stop", why).await;
        }
        node.stop(config.drain.deadline).await
    };
    let exit = tokio::select! {
        left = stopping => {
            let left = left.map_err(|error| Failure::from(&error))?;
            if left > 0 {
                tracing::warn!(event = "stopped", payments_left = left, "the payments left go on when the node starts again");
            } else {
                tracing::info!(event = "stopped", payments_left = left);
            }
            Exit::Done
        }
        name = signals.next() => {
            tracing::warn!(event = "stopped", why = name, "a second signal: the node ends at once; nothing acknowledged is lost");
            Exit::Interrupted
        }
    };
    drop(console);
    if let Some(traces) = traces {
        traces.stop();
    }
    // Its end removes the socket.
    drop(office);
    Ok(exit)
}

/// The two signals that mean stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::No, format!("signals: {error}")));
        Ok(Signals { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The page for operators. A switch does not stay down because its page cannot be shown.
fn open_console(config: &Config, counter: &Arc<Counter>) -> Option<::console::Console> {
    let opened = ::console::start(config.console()?, counter.clone());
    match opened {
        Ok(console) => Some(console),
        Err(error) => {
            tracing::error!(
                event = "no_console",
                "{error}; the node runs without its page, health checks and metrics: set ops.address"
            );
            None
        }
    }
}

/// What is allowed and yet should not go unnoticed.
fn warn_of(config: &Config) {
    if !config.listen.address.ip().is_loopback() {
        let address = config.listen.address.to_string();
        tracing::warn!(
            event = "exposed",
            address,
            "sessions are neither encrypted nor authenticated; use a protected network"
        );
    }
    if let Some(address) = config.ops.address.filter(|address| !address.ip().is_loopback()) {
        let address = address.to_string();
        tracing::warn!(event = "exposed", address, "the console is not encrypted; put a proxy with TLS before it");
    }
    if config.log.sync == "none" {
        tracing::warn!(event = "not_durable", "log.sync is none: a power loss loses acknowledged payments");
    }
}

/// What was there before, or was made by others: what a node makes is read by nobody else.
fn warn_of_files(own: &actors::Config) {
    let log = &own.log.directory;
    for directory in [log.clone(), own.archive.directory_for(log)] {
        // What is not there yet is made right; what cannot be looked at is told when it is opened.
        if let Ok(Some((file, count))) = persistence::disk::read_by_others(&directory) {
            let file = file.display().to_string();
            let directory = directory.display();
            tracing::warn!(
                event = "files_exposed",
                file,
                count,
                "other users of this machine may read files of {directory}: chmod -R go= {directory}"
            );
        }
    }
}

/// Beside connections: the log, the socket, epoll, and a few that come and go.
const FILES_BESIDE: u64 = 64;

/// A connection is an open file, and systems allow few unless asked.
fn allow_files(connections_max: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = connections_max + FILES_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    if raised.is_err() || granted < wanted {
        tracing::warn!(
            event = "few_files",
            granted,
            wanted,
            "the system allows fewer open files than listen.connections_max needs: raise the limit (ulimit -n, LimitNOFILE=)"
        );
    }
}

/// The journal failed: nothing may be acknowledged any more, so the process ends here and now.
fn die(error: &persistence::Error) {
    let failure = Failure::from(error);
    tracing::error!(
        event = "journal_failed",
        exit = failure.exit as u8,
        next = failure.next,
        "{}; the node ends, what it acknowledged is safe",
        failure.message
    );
    logs::flush();
    std::process::exit(failure.exit as i32);
}

/// Participants of the configuration that are not registered yet, or were by a leader that was lost before it had furnished
/// them. All at once, so that they share commits.
async fn take_in(switch: &Arc<Switch>, seeds: &[Seed]) -> Result<(), Failure> {
    let known: Vec<_> = switch.scheme().listings().iter().map(|listing| listing.id).collect();
    let new = without_position(switch, seeds.to_vec()).await?;
    let mut registered = std::collections::HashSet::new();
    let mut tasks = JoinSet::new();
    let unknown = new.iter().filter(|seed| !known.contains(&seed.id));
    for seed in unknown.filter(|seed| registered.insert(seed.id)) {
        let (switch, id, currency) = (switch.clone(), seed.id, seed.currency);
        let register = Command::Register { id: id.to_string(), currency: currency.to_string() };
        let draft = of_configuration(&switch, &register);
        tasks.spawn(async move { switch.register(id, currency, Some(draft)).await.map(|_| ()) });
    }
    settle(&mut tasks).await?;
    let furnished: std::collections::HashSet<_> = new.iter().map(|seed| seed.id).collect();
    for seed in new {
        let switch = switch.clone();
        tasks.spawn(async move { furnish(&switch, seed).await });
    }
    settle(&mut tasks).await?;
    if !furnished.is_empty() {
        tracing::info!(event = "participants_taken_in", count = furnished.len());
    }
    Ok(())
}

/// Who is registered by hand has a position from then on, if an empty one.
async fn without_position(switch: &Switch, seeds: Vec<Seed>) -> Result<Vec<Seed>, Failure> {
    let read = move |book: &Book| {
        let position = |seed: &Seed| book.participant(book.scheme().key(seed.id)?)?.position(seed.currency).copied();
        seeds.into_iter().filter(|seed| position(seed).is_none()).collect()
    };
    switch.read(read).await.map_err(|error| Failure::from(&node::Error::Switch(error)))
}

/// The node that leads takes them in, whichever it is.
async fn take_in_at_every_reign(switch: Arc<Switch>, seeds: Vec<Seed>) {
    while switch.until_reign().await.is_ok() {
        if let Err(failure) = take_in(&switch, &seeds).await {
            tracing::warn!(event = "participants_not_taken_in", "{}; the next leader tries again", failure.message);
        }
        switch.until_reign_ends().await;
    }
}

/// Money and limits of a participant that was just registered.
async fn furnish(switch: &Switch, seed: Seed) -> Result<(), actors::Error> {
    let Seed { id, currency, funded_minor: amount_minor, limits } = seed;
    let note = || "the node's configuration".to_string();
    let decimal = |minor: i64| wire::Money::new(minor, currency).decimal().to_string();
    let (name, code) = (id.to_string(), currency.to_string());
    if amount_minor > 0 {
        let fund = Command::Fund { id: name.clone(), currency: code.clone(), amount: decimal(amount_minor) };
        let draft = of_configuration(switch, &fund);
        switch.operate(id, OwnedOperation::Fund { currency, amount_minor, note: note() }, Some(draft)).await?;
    }
    // Opens the position also when it holds nothing.
    if limits != settlement::Limits::default() || amount_minor == 0 {
        let limit = |minor: i64| (minor >= 0).then(|| decimal(minor));
        let (net_debit_cap, payment_max) = (limit(limits.net_debit_cap), limit(limits.payment_max));
        let draft = of_configuration(switch, &Command::Limit { id: name, currency: code, net_debit_cap, payment_max });
        switch.operate(id, OwnedOperation::Limit { currency, limits, note: note() }, Some(draft)).await?;
    }
    Ok(())
}

fn of_configuration(switch: &Switch, command: &Command) -> Draft {
    own_draft(switch, Some("configuration"), command, "the node's configuration")
}

async fn settle(tasks: &mut JoinSet<Result<(), actors::Error>>) -> Result<(), Failure> {
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| Failure::new(Exit::No, error.to_string()))?;
        done.map_err(|error| Failure::from(&node::Error::Switch(error)))?;
    }
    Ok(())
}

/// The line on stdout.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    node: &'a str,
    /// Where participants connect; with the port that was taken when 0 was asked for.
    address: String,
    admin: PathBuf,
    /// Of the page for operators; absent when there is none.
    console: Option<String>,
    pid: u32,
    participants: usize,
    business_date: String,
    /// The log: what was restored, what was replayed on top, where it ends, what was cut.
    snapshot_index: u64,
    last_index: u64,
    recovered_entries: u64,
    recovered_bytes: u64,
    torn_bytes: u64,
    snapshots_damaged: &'a [PathBuf],
    /// From the start of the process to this line.
    took_ms: u64,
}

/// One line on stdout, for programs that start nodes.
fn say_ready(config: &Config, node: &Node, console: Option<&::console::Console>, started: Instant) {
    let recovery = &node.recovery;
    let (participants, business_date) = {
        let scheme = node.switch.scheme();
        (scheme.listings().len(), scheme.business_date().to_string())
    };
    let ready = Ready {
        event: "ready",
        node: &config.node.name,
        address: node.address.to_string(),
        admin: std::path::absolute(config.socket()).unwrap_or_else(|_| config.socket()),
        console: console.map(|console| format!("http://{}", console.address)),
        pid: std::process::id(),
        participants,
        business_date,
        snapshot_index: recovery.snapshot_index,
        last_index: recovery.last_index,
        recovered_entries: recovery.entries_replayed,
        recovered_bytes: recovery.bytes_replayed,
        torn_bytes: recovery.torn_tail.as_ref().map_or(0, |torn| torn.bytes),
        snapshots_damaged: &recovery.snapshots_damaged,
        took_ms: started.elapsed().as_millis() as u64,
    };
    let line = serde_json::to_string(&ready).unwrap_or_default();
    // Nobody may be listening; that stops no node.
    _ = writeln!(std::io::stdout(), "{line}");
    tracing::info!(
        event = "ready",
        address = %node.address,
        recovered_entries = recovery.entries_replayed,
        participants,
        took_ms = ready.took_ms
    );
    if let Some(torn) = &recovery.torn_tail {
        tracing::warn!(
            event = "torn_tail_cut",
            file = %torn.file.display(),
            offset = torn.offset,
            bytes = torn.bytes,
            "an incomplete write at the end of the log was cut; nobody had been told of it"
        );
    }
}
