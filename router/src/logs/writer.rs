//! The queue of lines and the thread that writes them.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use wire::Timestamp;

use super::EVENTS;
use super::limit::Limit;
use super::line::{Fields, Name, line, put};

/// How long whoever ends waits for stderr to take what was logged.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is said what was left out.
const SUM_UP_EVERY: Duration = Duration::from_secs(1);

enum Work {
    Line(String),
    /// Tell when everything before this is written.
    Flush(Sender<()>),
}

struct Lines {
    queue: Sender<Work>,
    node: String,
    /// As in [`EVENTS`].
    limits: Vec<Limit>,
}

static LINES: OnceLock<Lines> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Lines that found the queue full since the process began: stderr was not read fast enough.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Lines left out since the process began, because there were too many of their event in one second.
pub fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Waits until what was logged so far is written; true if it is. Whoever does not read stderr does not keep the process
/// alive: the wait is short.
pub fn flush() -> bool {
    let until = Instant::now() + FLUSH_PATIENCE;
    let (done, written) = bounded(1);
    let asked = LINES.get().is_some_and(|lines| lines.queue.send_deadline(Work::Flush(done), until).is_ok());
    asked && written.recv_deadline(until).is_ok()
}

/// Starts the thread; false when there is one already.
pub(super) fn start(lines_waiting_max: usize, node: &str) -> std::io::Result<bool> {
    let (queue, work) = bounded(lines_waiting_max);
    let limits = EVENTS.iter().map(|_| Limit::default()).collect();
    if LINES.set(Lines { queue, node: node.into(), limits }).is_err() {
        return Ok(false);
    }
    std::thread::Builder::new().name("logs".into()).spawn(move || write(&work))?;
    Ok(true)
}

fn write(work: &Receiver<Work>) {
    let Some(lines) = LINES.get() else { return };
    let (mut dropped_told, mut summed_up_at) = (0, Instant::now());
    // There is nobody else to tell that stderr is gone.
    let say = |line: String| _ = std::io::stderr().write_all(line.as_bytes());
    loop {
        let item = work.recv_timeout(SUM_UP_EVERY);
        let is_ending = matches!(item, Ok(Work::Flush(_)));
        if is_ending || summed_up_at.elapsed() >= SUM_UP_EVERY {
            summed_up_at = Instant::now();
            lines.left_out().for_each(say);
        }
        let dropped = dropped();
        if dropped > dropped_told {
            let count = dropped - std::mem::replace(&mut dropped_told, dropped);
            say(line("WARN", "log_lines_dropped", &lines.node, |out| out.push_str(&format!(",\"count\":{count}"))));
        }
        match item {
            Ok(Work::Line(line)) => say(line),
            Ok(Work::Flush(done)) => _ = done.send(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Lines {
    /// A line for each event that had too many.
    fn left_out(&self) -> impl Iterator<Item = String> {
        EVENTS.iter().zip(&self.limits).filter_map(|(event, limit)| {
            let count = Some(limit.take_left_out()).filter(|count| *count > 0)?;
            LEFT_OUT.fetch_add(count, Ordering::Relaxed);
            Some(line("WARN", "log_lines_left_out", &self.node, |out| {
                out.push_str(&format!(",\"of\":\"{}\",\"count\":{count}", event.name));
            }))
        })
    }
}

/// Makes lines of events.
pub(super) struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let Some(lines) = LINES.get() else { return };
        let (metadata, named) = (event.metadata(), Name::of(event));
        // Libraries do not name their events.
        let known = named.unwrap_or_else(super::Event::of_a_library);
        let second = Timestamp::now().nanoseconds() / 1_000_000_000;
        // Whoever asks for details wants all of them.
        let is_limited = *metadata.level() <= Level::INFO;
        if is_limited && !lines.limits[known.place()].admits(second) {
            return;
        }
        let fields = Fields::of(event);
        let line = line(metadata.level().as_str(), known.name, &lines.node, |out| {
            if named.is_none() {
                out.push_str(",\"library\":");
                put(out, metadata.target());
            }
            fields.write(out);
        });
        if let Err(TrySendError::Full(_)) = lines.queue.try_send(Work::Line(line)) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}
