//! A snapshot as metrics: OpenMetrics text, made from one table that is the catalogue, too.
//!
//! Names end in their unit or in `_total`; times are in seconds, money in minor units. A participant's name is the only
//! label that is not from a closed list, so there are as many series as participants are registered, some 60 for each. No
//! UETR and no account stands in a label.

mod exemplars;
mod read;
mod table;

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::{Latency, Snapshot};
pub use read::{Reading, readings};
use table::METRICS;

/// What [`encode`] gives.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What [`plain`] gives.
pub const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A line of the catalogue.
#[derive(Clone, Copy, Serialize)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    #[serde(skip)]
    read: for<'a> fn(&'a Snapshot, &mut Series<'a>),
}

/// Every metric there is.
pub fn catalogue() -> &'static [Metric] {
    METRICS
}

enum Value<'a> {
    Number(f64),
    Times(&'a Latency),
}

/// What one metric reads from a snapshot: label values in the order of its labels.
#[derive(Default)]
struct Series<'a>(Vec<(Vec<&'a str>, Value<'a>)>);

impl<'a> Series<'a> {
    fn number(&mut self, labels: &[&'a str], number: f64) {
        self.0.push((labels.to_vec(), Value::Number(number)));
    }

    fn count(&mut self, labels: &[&'a str], count: u64) {
        self.number(labels, count as f64);
    }

    fn truth(&mut self, labels: &[&'a str], is_so: bool) {
        self.number(labels, f64::from(u8::from(is_so)));
    }

    /// One of these is 1, the others are 0.
    fn state(&mut self, labels: &[&'a str], states: &[&'a str], now: &str) {
        for state in states {
            self.truth(&[labels, &[*state]].concat(), *state == now);
        }
    }

    fn times(&mut self, labels: &[&'a str], latency: &'a Latency) {
        self.0.push((labels.to_vec(), Value::Times(latency)));
    }
}

/// The metrics of a snapshot as [`OPEN_METRICS`], with exemplars.
pub fn encode(snapshot: &Arc<Snapshot>) -> String {
    exemplars::add(&samples(snapshot), &snapshot.payments.exemplars)
}

/// The same without exemplars: no payment is named.
pub fn samples(snapshot: &Arc<Snapshot>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Of(snapshot.clone())));
    let mut out = String::with_capacity(64 << 10);
    text::encode(&mut out, &registry).expect("a string takes what is written");
    out
}

/// The metrics of a snapshot as [`PLAIN`], for readers that do not ask for OpenMetrics: there a counter's name has its `_total` everywhere, and
/// exemplars are not known.
pub fn plain(snapshot: &Arc<Snapshot>) -> String {
    let mut out = String::with_capacity(64 << 10);
    let is_counter = |name: &str| {
        METRICS.iter().any(|metric| metric.kind == Kind::Counter && metric.name.strip_suffix("_total") == Some(name))
    };
    for line in samples(snapshot).lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if is_counter(name) => {
                out.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[derive(Debug)]
struct Of(Arc<Snapshot>);

impl Collector for Of {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for metric in METRICS {
            let mut series = Series::default();
            (metric.read)(&self.0, &mut series);
            if series.0.is_empty() {
                continue;
            }
            let (name, kind) = match metric.kind {
                // The encoder adds it again.
                Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram => (metric.name, MetricType::Histogram),
            };
            let mut encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for (values, value) in &series.0 {
                assert_eq!(values.len(), metric.labels.len(), "{}: a value for each label", metric.name);
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values.iter().copied()).collect();
                match labels.is_empty() {
                    true => write(&mut encoder, metric.kind, value)?,
                    false => write(&mut encoder.encode_family(&labels)?, metric.kind, value)?,
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value<'_>) -> Result<(), std::fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Value::Number(number)) => encoder.encode_counter::<NoLabelSet, f64, f64>(number, None),
        (Kind::Gauge, Value::Number(number)) => encoder.encode_gauge(number),
        (Kind::Histogram, Value::Times(latency)) => {
            let edges = latency.buckets.iter().map(|(edge_us, _)| *edge_us as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = edges.zip(latency.parted()).collect();
            encoder.encode_histogram::<NoLabelSet>(latency.sum_us as f64 / 1e6, latency.count, &buckets, None)
        }
        (kind, _) => panic!("a value that is no {}", kind.name()),
    }
}

#[cfg(test)]
mod queries;
#[cfg(test)]
mod tests;
