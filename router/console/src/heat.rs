//! What the map of latencies needs besides counts: its edges, and the payments that its marks lead to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value, json};
use watch::{Exemplar, Moment};

/// Of each band one payment in so long a time: as close as marks may stand on a wide screen, and some 100 KiB for an hour
/// with all bands in use.
const APART_MS: u64 = 60_000;

/// Upper edges of the bands in milliseconds, as the script reads them.
pub(crate) fn edges() -> String {
    let edges: Vec<String> = meter::EDGES_US.iter().map(|us| (*us as f64 / 1e3).to_string()).collect();
    edges.join(",")
}

/// The slowest of each band and minute, as they ended.
pub(crate) fn slowest(moments: &[Moment]) -> Vec<Value> {
    let mut kept = BTreeMap::<(u64, usize), Exemplar>::new();
    for own in moments.iter().flat_map(|moment| moment.exemplars.iter().flatten()) {
        match kept.entry((own.at_ms / APART_MS, meter::band(own.took_us))) {
            Entry::Vacant(place) => _ = place.insert(*own),
            Entry::Occupied(mut other) if other.get().took_us < own.took_us => _ = other.insert(*own),
            Entry::Occupied(_) => {}
        }
    }
    let told = |own: &Exemplar| {
        json!({
            "at": own.at_ms as f64 / 1e3,
            "ms": own.took_us as f64 / 1e3,
            "band": meter::band(own.took_us),
            "outcome": own.outcome.words(),
            "uetr": own.uetr.to_string(),
        })
    };
    kept.values().map(told).collect()
}

#[cfg(test)]
mod tests {
    use watch::Outcome;

    use super::*;

    #[test]
    fn one_of_each_band_and_minute_is_told() {
        let moment = |at_ms: u64, took_us: u64| {
            let uetr = "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f".parse().unwrap();
            let own = Exemplar { uetr, outcome: Outcome::TimedOut, took_us, at_ms };
            Moment { at_ms, exemplars: [Some(own), None, None, None], ..Moment::default() }
        };
        let moments = [(0, 9_000_000), (1_000, 9_900_000), (59_999, 300), (60_000, 9_000_000), (61_000, 5_000_001)];
        let told = slowest(&moments.map(|(at_ms, took_us)| moment(at_ms, took_us)));
        let seen: Vec<_> = told.iter().map(|own| (own["at"].as_f64().unwrap(), own["ms"].as_f64().unwrap())).collect();
        assert_eq!(seen, [(59.999, 0.3), (1.0, 9_900.0), (60.0, 9_000.0)]);
        assert_eq!((&told[1]["band"], &told[1]["outcome"]), (&15.into(), &"timed out".into()));
        assert!(edges().starts_with("0.1,0.25,") && edges().ends_with(",5000,10000"), "{}", edges());
    }
}
