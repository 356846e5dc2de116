//! Behind a bucket one payment that fell into it, so that whoever sees a slow tail finds a payment of it. An exemplar is no
//! label: it makes no series, and Prometheus keeps a bounded number of them.
//!
//! They are added to the text, since the encoder takes none but those of its own histograms.

use std::fmt::Write;

use meter::EDGES_US;

use crate::Exemplar;

/// The metric that has them.
const OF: &str = "crosstie_transfer_duration_seconds_bucket{";

pub(super) fn add(text: &str, exemplars: &[Exemplar]) -> String {
    let mut out = String::with_capacity(text.len() + 128 * exemplars.len());
    for line in text.lines() {
        out.push_str(line);
        let labels = line.strip_prefix(OF).and_then(|rest| rest.split_once('}')).map(|(labels, _)| labels);
        if let Some(own) = labels.and_then(|labels| exemplars.iter().find(|own| is_in(own, labels))) {
            let (took, at) = (own.took_us as f64 / 1e6, own.at_ms as f64 / 1e3);
            _ = write!(out, " # {{trace_id=\"{}\"}} {took} {at:.3}", own.trace_id());
        }
        out.push('\n');
    }
    out
}

/// Whether a bucket is the one that an exemplar falls into.
fn is_in(exemplar: &Exemplar, labels: &str) -> bool {
    let label = |name: &str| labels.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let edge = EDGES_US.get(exemplar.band()).map_or(f64::INFINITY, |edge| *edge as f64 / 1e6);
    let outcome = if exemplar.outcome.is_settled() { "\"settled\"" } else { "\"failed\"" };
    label("outcome") == Some(outcome) && label("le").and_then(|le| le.trim_matches('"').parse().ok()) == Some(edge)
}
