//! Log lines: JSON on stderr, one per event, keys `ts level event` first. Written by a thread of their own, so that a
//! reader who stops reading stops nobody else; what had to be dropped is counted and said.
//!
//! Never in a line: names, accounts or remittance information of customers.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use crate::exit::{Exit, Failure};

const LINES_WAITING_MAX: usize = 8192;
const TEXT_BYTES_MAX: usize = 2048;

enum Work {
    Line(String),
    /// Tell when everything before this is written.
    Flush(SyncSender<()>),
}

static WORK: OnceLock<SyncSender<Work>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static DROPPED_EVER: AtomicU64 = AtomicU64::new(0);

/// Lines that found no room since the start of the process.
pub(crate) fn dropped() -> u64 {
    DROPPED_EVER.load(Ordering::Relaxed)
}

/// Begins logging: `RUST_LOG` if it is set, else `level`. Panics are logged too.
pub fn start(level: &str) -> Result<(), Failure> {
    let directives = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| level.into());
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| Failure::new(Exit::Usage, format!("RUST_LOG={directives:?}: {error}")))?;
    let (sender, receiver) = sync_channel(LINES_WAITING_MAX);
    let spawned = std::thread::Builder::new().name("logs".into()).spawn(move || write(&receiver));
    spawned.map_err(|error| Failure::new(Exit::No, format!("the thread for log lines cannot be started: {error}")))?;
    if WORK.set(sender).is_ok() {
        registry().with(filter).with(JsonLines).init();
        std::panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string);
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("");
            tracing::error!(event = "panic", at, "{text}");
        }));
    }
    Ok(())
}

/// Waits until what was logged so far is written; true if it is. Whoever does not read stderr does not keep the process
/// alive: the wait is short.
pub fn flush() -> bool {
    let (done, written) = sync_channel(1);
    let asked = WORK.get().is_some_and(|work| work.try_send(Work::Flush(done)).is_ok());
    asked && written.recv_timeout(Duration::from_secs(1)).is_ok()
}

fn write(work: &Receiver<Work>) {
    for item in work {
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let line = line("WARN", "log_lines_dropped", |out| _ = write!(out, ",\"count\":{dropped}"));
            _ = std::io::stderr().write_all(line.as_bytes());
        }
        match item {
            // There is nobody else to tell that stderr is gone.
            Work::Line(line) => _ = std::io::stderr().write_all(line.as_bytes()),
            Work::Flush(done) => _ = done.send(()),
        }
    }
}

fn line(level: &str, event: &str, rest: impl FnOnce(&mut String)) -> String {
    let mut out = format!("{{\"ts\":\"{}\",\"level\":\"{level}\",\"event\":", wire::Timestamp::now());
    put(&mut out, event);
    rest(&mut out);
    out.push_str("}\n");
    out
}

fn put(out: &mut String, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let target = event.metadata().target();
        let component = target.split("::").next().unwrap_or(target);
        // Libraries do not name their events: theirs go by the library's name.
        let name = fields.event.as_deref().unwrap_or(component);
        let line = line(event.metadata().level().as_str(), name, |out| {
            if !fields.message.is_empty() {
                out.push_str(",\"msg\":");
                put(out, &fields.message);
            }
            out.push_str(&fields.others);
        });
        if let Some(work) = WORK.get()
            && let Err(TrySendError::Full(_)) = work.try_send(Work::Line(line))
        {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            DROPPED_EVER.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Default)]
struct Fields {
    event: Option<String>,
    message: String,
    /// As they stand in the line.
    others: String,
}

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "event" => self.event = Some(text.into()),
            "message" => self.message = text.into(),
            name => {
                _ = write!(self.others, ",\"{name}\":");
                put(&mut self.others, text);
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_stands_in_it() {
        let made = line("WARN", "ev\"ent\n", |out| {
            out.push_str(",\"msg\":");
            put(out, "a \u{1} b \\ ü");
        });
        assert!(made.ends_with("}\n") && made.lines().count() == 1);
        let parsed: serde_json::Value = serde_json::from_str(&made).unwrap();
        assert_eq!((&parsed["event"], &parsed["msg"]), (&"ev\"ent\n".into(), &"a \u{1} b \\ ü".into()));
    }
}
