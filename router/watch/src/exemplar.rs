//! One payment that stands for many: behind a bar of a histogram, on the map of latencies.

use serde::{Deserialize, Serialize};
use wire::Uetr;

use crate::Outcome;

/// A payment that ended: the slowest of its band and second. Its UETR is a random number and no personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    #[serde(with = "as_text")]
    pub uetr: Uetr,
    pub outcome: Outcome,
    /// From the decision about the reservation to the end.
    pub took_us: u64,
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
}

impl Exemplar {
    /// As traces name it (W3C Trace Context): the UETR without hyphens.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.uetr.number())
    }

    pub(crate) fn band(&self) -> usize {
        meter::band(self.took_us)
    }
}

mod as_text {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use wire::Uetr;

    pub(super) fn serialize<S: Serializer>(uetr: &Uetr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(uetr)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uetr, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
