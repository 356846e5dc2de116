//! A trace of each payment for a collector of OpenTelemetry: its trace id is the payment's UETR, so a UETR without hyphens
//! is pasted into Tempo or Jaeger. Spans are made of what this node's ledger folds, on a thread of their own, never where a
//! payment waits; whatever does not fit is dropped and counted.
//!
//! ```text
//!  trail ──> assemble ──> bounded queue ──> export ──> collector
//!            (thread)     full: dropped     (thread; a collector that is slow or away stops nobody else)
//!
//!  payment      |------------------------------------------------------|
//!  reserve      |--------|                       decided, synced by a majority, folded
//!  creditor              |-------------------|   asked, until its answer or the clock decides
//!  settle                                    |---------|   or reject, or time_out
//!  told debtor, told creditor                          |---|   until its socket has taken the notice
//! ```
//!
//! The node that leads exports the stages, each node the tellings of participants connected to it. All choose the same
//! payments: the slow, the failed, and of the rest a share by random bytes of the UETR. No amount, name, account or text of
//! customers is in a span.
//!
//! In reading order: `span`, `share` (which are kept), `assemble`, `otlp` (a span as the collector wants it), `export`.

mod assemble;
mod export;
mod otlp;
mod share;
mod span;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actors::Switch;
use actors::trail::{Follower, Interest};
use crossbeam::channel::{Receiver, Sender, bounded};

use crate::config;
use assemble::{Assembler, Surroundings};
use share::Share;
use span::Span;

/// How long a stop waits for what is on its way to the collector.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
/// Lower than everything that a payment waits for.
const NICE: i32 = 5;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Spans dropped since the process began: the queue was full, the collector was away or refused them.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

fn drop_spans(count: usize) {
    DROPPED.fetch_add(count as u64, Ordering::Relaxed);
}

/// The threads, while traces are made.
pub(crate) struct Traces {
    is_stopping: Arc<AtomicBool>,
    assembling: JoinHandle<()>,
    /// Closed when everything is sent or dropped.
    exported: Receiver<()>,
}

/// Starts making traces of what happens at this node from now on; `None` when none are wanted.
pub(crate) fn start(config: &config::Traces, node: &str, switch: &Arc<Switch>) -> std::io::Result<Option<Traces>> {
    if config.endpoint.is_empty() {
        return Ok(None);
    }
    let follower = switch.trail.follow(Interest::Everything);
    let is_stopping = Arc::<AtomicBool>::default();
    let (queue, spans) = bounded(config.queue as usize);
    let (exporting, exported) = bounded(0);
    let exporter = export::Exporter::new(config, node, is_stopping.clone());
    thread("traces-export", move || {
        exporter.run(&spans);
        drop(exporting);
    })?;
    let assembler = Assembler::new(Share::of(config.share), config.slow);
    let (weak, stopping) = (Arc::downgrade(switch), is_stopping.clone());
    let assembling = thread("traces", move || assemble(assembler, &follower, &weak, &queue, &stopping))?;
    Ok(Some(Traces { is_stopping, assembling, exported }))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        _ = rustix::process::nice(NICE);
        work();
    })
}

impl Traces {
    /// Ends both threads once what has happened so far is sent, or could not be in a second.
    pub(crate) fn stop(self) {
        let until = Instant::now() + STOP_PATIENCE;
        self.is_stopping.store(true, Ordering::Relaxed);
        _ = self.assembling.join();
        _ = self.exported.recv_deadline(until);
    }
}

/// Until it is told to stop and nothing more waits.
fn assemble(
    mut assembler: Assembler,
    follower: &Follower,
    switch: &Weak<Switch>,
    queue: &Sender<Span>,
    is_stopping: &AtomicBool,
) {
    let mut lost = 0;
    loop {
        let Some(news) = follower.next(TICK) else {
            if is_stopping.load(Ordering::Relaxed) {
                return;
            }
            continue;
        };
        let Some(switch) = switch.upgrade() else { return };
        assembler.take(news, &*switch, &mut |span| {
            if queue.try_send(span).is_err() {
                drop_spans(1);
            }
        });
        let now_lost = follower.lost();
        drop_spans((now_lost - std::mem::replace(&mut lost, now_lost)) as usize);
    }
}

impl Surroundings for Switch {
    fn id(&self, key: settlement::Key) -> wire::ParticipantId {
        self.scheme().id(key)
    }

    fn is_connected(&self, key: settlement::Key) -> bool {
        self.line(key).is_some()
    }
}
