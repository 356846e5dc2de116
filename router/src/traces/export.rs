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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use actors::trail::What;
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message;
    use settlement::Key;
    use wire::{ParticipantId, Timestamp, Uetr};

    use super::super::span::{About, Kept, Stage};
    use super::*;

    /// A collector that answers one request after another with these status codes and bodies; gives what it was sent.
    fn collector(answers: Vec<(u16, Vec<u8>)>) -> (String, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = std::thread::spawn(move || {
            let serve = |(status, answer): (u16, Vec<u8>)| {
                let mut reader = BufReader::new(listener.accept().unwrap().0);
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                    let value =
                        line.to_lowercase().strip_prefix("content-length:").map(|value| value.trim().to_string());
                    length = value.map_or(length, |value| value.parse().unwrap());
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let head =
                    format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
                reader.get_mut().write_all(&[head.as_bytes(), &answer].concat()).unwrap();
                body
            };
            answers.into_iter().map(serve).collect()
        });
        (endpoint, requests)
    }

    fn span(number: u8) -> Span {
        let nobody = ParticipantId::NONE;
        let about = About {
            uetr: Uetr::from_random([number; 16]),
            debtor: Key(1),
            creditor: Key(2),
            debtor_agent: nobody,
            creditor_agent: nobody,
            original: None,
            end: What::Settled,
            kept: Kept::Share,
            entry: 1,
        };
        Span::new(about, Stage::Payment, Timestamp(1), Timestamp(2))
    }

    #[test]
    fn what_may_help_is_tried_again_and_what_is_lost_is_counted() {
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans: 2, error_message: String::new() });
        let partly = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        let (endpoint, requests) = collector(vec![(503, vec![]), (200, vec![]), (400, vec![]), (200, partly)]);
        let config = config::Traces { endpoint, batch: 3, ..config::Config::default().traces };
        let exporter = Exporter::new(&config, "n1", Arc::default());
        let (sender, queue) = crossbeam::channel::unbounded();
        (1..=9).for_each(|number| sender.send(span(number)).unwrap());
        drop(sender);
        let before = dropped();
        exporter.run(&queue);
        let requests = requests.join().unwrap();
        assert_eq!(requests[0], requests[1], "it was busy, and gets the same again");
        assert!(requests[1] != requests[2] && requests[2] != requests[3], "what it never takes is not sent again");
        // Three of the request that it refused, two of the last.
        assert!(dropped() - before >= 5);
    }

    #[test]
    fn a_stop_does_not_wait_for_a_collector_that_is_away() {
        let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let config = config::Traces { endpoint, ..config::Config::default().traces };
        let exporter = Exporter::new(&config, "n1", Arc::new(AtomicBool::new(true)));
        let (sender, queue) = crossbeam::channel::unbounded();
        sender.send(span(1)).unwrap();
        drop(sender);
        let (before, began) = (dropped(), Instant::now());
        exporter.run(&queue);
        assert!(dropped() > before && began.elapsed() < Duration::from_secs(2));
    }
}
