//! Log lines: JSON on stderr, one per event. Written by a thread of their own, so that a reader who stops reading stops
//! nobody else; what had to be dropped is counted and said.
//!
//! ```text
//!  whoever logs ── limit per event ── line ──> bounded queue ── thread ──> stderr
//!                      │ left out, counted        │ full: dropped, counted
//! ```
//!
//! Keys, those that apply: `ts level event node`, then `uetr trace_id participant session actor code took_ms` and what else
//! the event carries, `msg` last. `event` is one of [`EVENTS`].
//!
//! Never in a line: names, accounts or remittance information of customers, nor anything else that a participant wrote as it
//! likes.
//!
//! In reading order: `events` (the table), `line` (an event as text), `limit` (per event), `writer` (queue and thread).

mod events;
mod limit;
mod line;
#[cfg(test)]
mod sources;
mod writer;

pub use events::{EVENTS, Event};
pub use writer::{dropped, flush, left_out};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use crate::config;
use crate::exit::{Exit, Failure};

/// Begins logging as the node of this name: at `RUST_LOG` if it is set, else at `logs.level`. Panics are logged too.
pub fn start(config: &config::Logs, node: &str) -> Result<(), Failure> {
    let directives =
        std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| config.level.clone());
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| Failure::new(Exit::Usage, format!("RUST_LOG={directives:?}: {error}")))?;
    let is_first = writer::start(config.queue as usize, node)
        .map_err(|error| Failure::new(Exit::No, format!("the thread for log lines cannot be started: {error}")))?;
    if is_first {
        registry().with(filter).with(writer::JsonLines).init();
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
