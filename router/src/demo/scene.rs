//! The scene: three nodes in three regions, the scheme's clock shortened, the cast registered with its money.

use std::time::Duration;

use super::characters::{CAST, CREDITOR_SHARE, CURRENCIES, PAYMENT_TIMEOUT};
use crate::local::{Plan, Stake};

pub(super) const REGIONS: [&str; 3] = ["north", "south", "west"];
/// North to south, north to west, south to west.
pub(super) const ROUND_TRIPS_MS: [u64; 3] = [30, 40, 70];

/// What the nodes add to what the distances take, at most, while all is well: then the rate may grow.
const NODES_SHARE: Duration = Duration::from_millis(80);

pub(super) fn plan() -> Plan {
    let round_trips = ROUND_TRIPS_MS.map(Duration::from_millis);
    let plan = Plan::new(REGIONS.len(), &REGIONS.map(String::from), &round_trips, false);
    let mut plan = plan.expect("three nodes in three regions");
    plan.stakes = CAST.iter().flat_map(stakes).collect();
    plan.with("scheme.payment_timeout", format!("{}s", PAYMENT_TIMEOUT.as_secs()))
        .with("scheme.creditor_share", format!("{}s", CREDITOR_SHARE.as_secs()))
        .with("scheme.duplicate_window", "1h")
        .with("scheme.day_roll", "manual")
        // The proof reads it from the first entry on.
        .with("log.retained_bytes_max", "1024GiB")
        .with("log.free_bytes_min", "256MiB")
        .with("drain.deadline", format!("{}s", PAYMENT_TIMEOUT.as_secs() + 1))
}

fn stakes(part: &super::characters::Part) -> Vec<Stake> {
    let stake = |(code, funded): (&&str, i64)| Stake {
        id: part.name.into(),
        currency: (*code).into(),
        funded: format!("{}.{:02}", funded / 100, funded % 100),
        count: 1,
    };
    CURRENCIES.iter().zip(part.funded_minor).map(stake).collect()
}

/// The rate grows while the 99th percentile stays below this.
pub(super) fn goal() -> Duration {
    plan().longest_payment() + NODES_SHARE
}

pub(super) fn region(node: u64) -> &'static str {
    REGIONS.get(node as usize - 1).copied().unwrap_or("nowhere")
}

/// As the news call it.
pub(super) fn named(node: u64) -> String {
    format!("node {node} ({})", region(node))
}

/// The node that a bank's client tries first.
pub(super) fn home(place: usize) -> u64 {
    (place % REGIONS.len()) as u64 + 1
}
