//! Where else the figures of a table are found: what is shown over its headings.

/// Table, column, metric. What has no metric of its own is not in it.
#[rustfmt::skip] // a table
const METRICS: &[(&str, &str, &str)] = &[
    ("participants", "STATE", "crosstie_participant_state"),
    ("participants", "SESSIONS", "crosstie_participant_sessions"),
    ("participants", "OUT/S", "crosstie_transfers_started_total"),
    ("participants", "IN/S", "crosstie_creditor_offers_total"),
    ("participants", "REJECTED", "crosstie_transfers_finished_total"),
    ("participants", "TIMED OUT", "crosstie_transfers_finished_total"),
    ("participants", "ANSWER P99", "crosstie_creditor_response_duration_seconds"),
    ("participants", "POSITION", "crosstie_position_minor_units"),
    ("participants", "FREE", "crosstie_position_headroom_ratio"),
    ("actors", "LIVE", "crosstie_actor_instances"),
    ("actors", "QUEUED", "crosstie_actor_mailbox_messages"),
    ("actors", "LONGEST", "crosstie_actor_mailbox_messages_max"),
    ("actors", "CAPACITY", "crosstie_actor_mailbox_capacity_messages"),
    ("actors", "WAIT P99", "crosstie_actor_mailbox_wait_seconds"),
    ("actors", "HANDLED/S", "crosstie_actor_messages_total"),
    ("actors", "BUSY", "crosstie_actor_busy_seconds_total"),
    ("actors", "RESTARTS", "crosstie_actor_restarts_total"),
    ("nodes", "ROLE", "crosstie_replica_state"),
    ("nodes", "HEARD", "crosstie_peer_heard"),
    ("nodes", "LAG", "crosstie_replication_lag_entries"),
    ("nodes", "LAG TIME", "crosstie_replication_lag_seconds"),
    ("nodes", "ROUND TRIP", "crosstie_peer_round_trip_seconds"),
    ("nodes", "CLOCK", "crosstie_clock_offset_seconds"),
];

/// Table, command that tells the same.
const COMMANDS: &[(&str, &str)] = &[
    ("participants", "crosstie top"),
    ("actors", "crosstie actor kinds"),
    ("busiest actors", "crosstie actor top"),
    ("nodes", "crosstie cluster status"),
];

pub(crate) fn over(table: &str, column: &str) -> Option<String> {
    let metric = METRICS.iter().find(|own| (own.0, own.1) == (table, column)).map(|own| own.2);
    let command = COMMANDS.iter().find(|own| own.0 == table).map(|own| own.1);
    let found: Vec<&str> = metric.into_iter().chain(command).collect();
    (!found.is_empty()).then(|| found.join(" · "))
}

#[cfg(test)]
mod tests {
    use watch::rows::{Pair, Rows};
    use watch::{Snapshot, metrics};

    use super::*;

    #[test]
    fn whatever_is_named_is_there() {
        let now = Snapshot::default();
        let pair = Pair { now: &now, before: None };
        let tables: [Rows; 4] = [pair.participants(), pair.actors(), pair.busiest(""), pair.nodes()];
        let table =
            |name: &str| tables.iter().find(|own| own.name == name).unwrap_or_else(|| panic!("no table {name}"));
        for (name, column, metric) in METRICS {
            assert!(table(name).heading.contains(column), "{name} has no {column}");
            assert!(metrics::catalogue().iter().any(|own| own.name == *metric), "there is no {metric}");
        }
        COMMANDS.iter().for_each(|(name, _)| assert_eq!(table(name).name, *name));
        assert_eq!(over("actors", "LIVE").as_deref(), Some("crosstie_actor_instances · crosstie actor kinds"));
        assert_eq!((over("busiest actors", "QUEUED").as_deref(), over("else", "")), (Some("crosstie actor top"), None));
    }
}
