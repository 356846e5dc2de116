//! The folder of a run.
//!
//! | file | what |
//! |---|---|
//! | `result.json` | [`Outcome`]: verdict, check, percentiles, steps, settings, machine; times in ns where the name says so |
//! | `series.ndjson` | one [`crate::Interval`] per line and second |
//! | `latency.hlog` | response times per second, HdrHistogram's interval log (V2, deflated), ns |
//! | `latency.hgrm` | response times of all measured steps, HdrHistogram's percentile table, ms |
//! | `report.html` | the page |

use std::fs;
use std::io::Write;
use std::path::Path;

use hdrhistogram::Histogram;

use crate::outcome::Outcome;

pub fn write_folder(outcome: &Outcome, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("result.json"), serde_json::to_vec_pretty(outcome)?)?;
    let mut series = Vec::new();
    for interval in &outcome.intervals {
        serde_json::to_writer(&mut series, interval)?;
        series.push(b'\n');
    }
    fs::write(folder.join("series.ndjson"), series)?;
    fs::write(folder.join("latency.hlog"), &outcome.hlog)?;
    fs::write(folder.join("latency.hgrm"), &outcome.hgrm)?;
    fs::write(folder.join("report.html"), super::html(outcome))
}

/// The percentile distribution as HdrHistogram's tools print it, values in milliseconds.
pub fn hgrm(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write_hgrm(histogram, &mut out);
    out
}

fn write_hgrm(histogram: &Histogram<u64>, out: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    for value in histogram.iter_quantiles(5) {
        let quantile = value.quantile();
        let total = histogram.count_between(0, value.value_iterated_to());
        let inverse = if quantile < 1.0 { format!("{:>14.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_string() };
        writeln!(out, "{:>12.3} {quantile:>14.12} {total:>10} {inverse:>14}", value.value_iterated_to() as f64 / 1e6)?;
    }
    writeln!(out, "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]", histogram.mean() / 1e6, histogram.stdev() / 1e6)?;
    writeln!(out, "#[Max     = {:>12.3}, Total count    = {:>12}]", histogram.max() as f64 / 1e6, histogram.len())?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), histogram.distinct_values())
}
