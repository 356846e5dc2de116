//! A snapshot as metrics for programs that have no reader of Prometheus' text: the same figures as values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Kind, METRICS, Series, Value};
use crate::{Latency, Snapshot};

/// One metric and all its series.
#[derive(Serialize)]
pub struct Reading<'a> {
    pub name: &'static str,
    pub kind: Kind,
    series: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    labels: BTreeMap<&'static str, &'a str>,
    #[serde(flatten)]
    told: Told,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Number {
        value: f64,
    },
    /// In seconds: how many were at most so long, by edge. The last is `+Inf`, and all.
    Times {
        count: u64,
        sum: f64,
        buckets: Vec<(String, u64)>,
    },
}

/// Those of which something is known, in the order of the catalogue.
pub fn readings(snapshot: &Snapshot) -> Vec<Reading<'_>> {
    let of = |metric: &super::Metric| {
        let mut series = Series::default();
        (metric.read)(snapshot, &mut series);
        let one = |(values, value): (Vec<_>, _)| One {
            labels: metric.labels.iter().copied().zip(values).collect(),
            told: match value {
                Value::Number(value) => Told::Number { value },
                Value::Times(latency) => times(latency),
            },
        };
        Reading { name: metric.name, kind: metric.kind, series: series.0.into_iter().map(one).collect() }
    };
    METRICS.iter().map(of).filter(|own| !own.series.is_empty()).collect()
}

fn times(latency: &Latency) -> Told {
    let edges = latency.buckets.iter().map(|(edge_us, count)| ((*edge_us as f64 / 1e6).to_string(), *count));
    let buckets = edges.chain([("+Inf".to_string(), latency.count)]).collect();
    Told::Times { count: latency.count, sum: latency.sum_us as f64 / 1e6, buckets }
}
