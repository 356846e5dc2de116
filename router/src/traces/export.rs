//! Sends spans to the collector, as OTLP by HTTP. Its thread may wait for a collector that is slow or away; nobody waits for
//! the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::span::Span;
use super::{drop_spans, dropped, otlp};
use crate::config;

/// How long the first span of a request waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_millis(500);
/// Pauses before a collector that takes nothing is tried again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often a pause looks whether the node stops.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Why a request failed.
enum Trouble {
    /// Trying again may help.
    Now(String),
    /// The collector will never take it.
    Always(String),
}

pub(super) struct Exporter {
    agent: ureq::Agent,
    url: String,
    node: String,
    batch: usize,
    is_stopping: Arc<AtomicBool>,
    /// It was said that the collector does not take traces.
    is_told: bool,
}

impl Exporter {
    pub(super) fn new(config: &config::Traces, node: &str, is_stopping: Arc<AtomicBool>) -> Exporter {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Exporter {
            agent: agent.into(),
            url: format!("{}/v1/traces", config.endpoint),
            node: node.into(),
            batch: config.batch as usize,
            is_stopping,
            is_told: false,
        }
    }

    /// Until the queue is closed and everything in it is sent or dropped.
    pub(super) fn run(mut self, queue: &Receiver<Span>) {
        let mut spans = Vec::with_capacity(self.batch);
        while let Ok(first) = queue.recv() {
            spans.push(first);
            let until = Instant::now() + BATCH_AGE_MAX;
            while spans.len() < self.batch {
                match queue.recv_deadline(until) {
                    Ok(span) => spans.push(span),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.deliver(&spans);
            spans.clear();
        }
    }

    /// Sends until it succeeds, or never will, or the node stops.
    fn deliver(&mut self, spans: &[Span]) {
        let body = otlp::request(&self.node, spans);
        let mut pause = PAUSES.0;
        loop {
            match self.send(&body) {
                Ok(refused) => {
                    drop_spans(refused);
                    if std::mem::take(&mut self.is_told) {
                        tracing::info!(event = "traces_sent_again", spans_dropped = dropped());
                    }
                    return;
                }
                Err(Trouble::Always(why)) => {
                    self.tell(&why, spans.len());
                    return drop_spans(spans.len());
                }
                Err(Trouble::Now(why)) => {
                    self.tell(&why, spans.len());
                    if !self.wait(pause) {
                        return drop_spans(spans.len());
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// How many of the spans the collector did not take.
    fn send(&self, body: &[u8]) -> Result<usize, Trouble> {
        let now = |error: ureq::Error| Trouble::Now(error.to_string());
        let mut answer = self.agent.post(&self.url).content_type("application/x-protobuf").send(body).map_err(now)?;
        let status = answer.status().as_u16();
        match status {
            200..=299 => {
                let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(now)?;
                Ok(otlp::refused(&body))
            }
            // Those of which OTLP says that a client may try again.
            429 | 502..=504 => Err(Trouble::Now(format!("it answers with status {status}"))),
            _ => Err(Trouble::Always(format!("it answers with status {status}"))),
        }
    }

    fn tell(&mut self, why: &str, spans: usize) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                event = "traces_not_sent",
                why,
                spans,
                "payments go on; what does not fit the queue is dropped"
            );
        }
    }

    /// False when the node stops meanwhile.
    fn wait(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.is_stopping.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }
}
