//! The table of all metrics: name, kind, labels, what it means, and where a snapshot has it.

use std::collections::BTreeMap;

use super::Kind::{Counter, Gauge, Histogram};
use super::{Kind, Metric, Series};
use crate::{Messages, Outcomes, Position, Snapshot, StageName};

type Labels = &'static [&'static str];

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: Labels,
    help: &'static str,
    read: for<'a> fn(&'a Snapshot, &mut Series<'a>),
) -> Metric {
    Metric { name, kind, labels, help, read }
}

/// A function item may borrow from the snapshot for as long as the series live; a closure's signature cannot say so.
macro_rules! metrics {
    ($( $name:literal $kind:ident [$($label:literal),*] $help:literal, |$now:ident, $out:ident| $read:expr; )+) => {
        pub(super) const METRICS: &[Metric] = &[$({
            fn read<'a>($now: &'a Snapshot, $out: &mut Series<'a>) { $read }
            metric($name, $kind, &[$($label),*], $help, read)
        }),+];
    };
}

const STATES: &[&str] = &["signed_on", "suspended", "suspended_sending", "suspended_receiving", "signed_off"];
const ROLES: &[&str] = &["leader", "follower", "candidate", "learner", "witness"];
const SERVING: &[&str] =
    &["serving", "starting", "stopping", "drained", "witness", "learner", "not_a_member", "removed"];

metrics! {
    // Payments. Each node counts what its own book folds, so every node says the same: take the largest, not the sum.
    "crosstie_transfers_started_total" Counter ["debtor", "currency"] "Payments and returns decided: funds set aside, or refused at once; other is a currency in which it had no position.", |now, out| {
        for own in &now.participants {
            own.started_in.iter().for_each(|(currency, count)| out.count(&[&own.id, currency], *count));
        }
    };
    "crosstie_transfers_finished_total" Counter ["debtor", "outcome"] "Payments and returns that reached their end.", |now, out| {
        now.participants.iter().for_each(|own| outcomes(out, &own.id, own.outcomes));
    };
    "crosstie_transfer_slo_total" Counter ["debtor", "within"] "Ends within 10 s of the decision, and others: later, or because the payment's clock had run out.", |now, out| {
        for own in &now.participants {
            out.count(&[&own.id, "true"], own.within_objective);
            out.count(&[&own.id, "false"], own.beyond_objective);
        }
    };
    "crosstie_transfer_rejects_total" Counter ["reason", "by"] "Rejections by reason code, and whether the creditor agent or the switch decided.", |now, out| {
        for (reason, all) in &now.payments.reasons {
            let creditor = now.payments.reasons_by_creditor.get(reason).copied().unwrap_or(0);
            out.count(&[reason, "creditor"], creditor);
            out.count(&[reason, "switch"], all - creditor);
        }
    };
    "crosstie_transfer_duration_seconds" Histogram ["outcome"] "From the decision about the reservation to the end. As OpenMetrics with exemplars: trace_id is a payment's UETR without hyphens.", |now, out| {
        out.times(&["settled"], &now.payments.settled);
        out.times(&["failed"], &now.payments.failed);
    };
    "crosstie_transfer_stage_duration_seconds" Histogram ["stage"] "Time spent in one part of the way; creditor_wait is the creditor agent's own.", |now, out| {
        now.stages.iter().for_each(|stage| out.times(&[stage.name.label()], &stage.latency));
    };
    "crosstie_transfers_in_flight" Gauge [] "Payments and returns that have not ended.", |now, out| out.count(&[], now.payments.in_flight);
    "crosstie_transfers_in_flight_oldest_age_seconds" Gauge [] "Age of the oldest of them by its own timestamp; on the leader, and on every node while nobody leads.", |now, out| {
        now.payments.oldest_in_flight_us.iter().for_each(|us| out.number(&[], seconds(*us)));
    };
    "crosstie_transfer_duplicates_total" Counter ["debtor", "verdict"] "Instructions with a UETR seen before, with the same content and with another; on the leader.", |now, out| {
        for own in &now.participants {
            out.count(&[&own.id, "same"], own.duplicates_same);
            out.count(&[&own.id, "conflict"], own.duplicates_conflict);
        }
    };
    "crosstie_admission_refused_total" Counter ["participant", "reason"] "Instructions that were not taken; the same may be sent again. On the leader.", |now, out| {
        for own in &now.participants {
            out.count(&[&own.id, "draining"], own.refused_draining);
            out.count(&[&own.id, "full"], own.refused_full);
        }
    };
    "crosstie_drain_remaining_transfers" Gauge [] "Payments and returns that have not ended, while the node takes no new ones.", |now, out| {
        if now.node.is_draining {
            out.count(&[], now.payments.in_flight);
        }
    };

    // Participants.
    "crosstie_participant_state" Gauge ["participant", "state"] "1 for the state it is in.", |now, out| {
        now.participants.iter().for_each(|own| out.state(&[&own.id], STATES, &own.state));
    };
    "crosstie_participant_sessions" Gauge ["participant"] "Connections to this node.", |now, out| {
        now.participants.iter().for_each(|own| out.count(&[&own.id], own.sessions));
    };
    "crosstie_session_last_heard_timestamp_seconds" Gauge ["participant"] "When something was last heard of it on this node; 0 if it never was.", |now, out| {
        now.participants.iter().for_each(|own| out.number(&[&own.id], own.last_heard_ms as f64 / 1e3));
    };
    "crosstie_session_send_buffer_bytes" Gauge ["participant"] "Bytes that wait for its socket on this node.", |now, out| {
        now.participants.iter().for_each(|own| out.count(&[&own.id], own.send_buffer_bytes));
    };
    "crosstie_session_events_total" Counter ["participant", "event"] "Connections to this node: begun, ended, refused at sign-on; ended for silence, ended by the switch; notices read again from the log.", |now, out| {
        messages(now, out, |own| &own.events);
    };
    "crosstie_messages_total" Counter ["participant", "direction", "type"] "Messages on its connections to this node, read and written; kinds of which there was one.", |now, out| {
        for own in &now.participants {
            for (direction, kinds) in [("in", &own.messages.received), ("out", &own.messages.sent)] {
                kinds.iter().for_each(|(kind, count)| out.count(&[&own.id, direction, kind], *count));
            }
        }
    };
    "crosstie_message_errors_total" Counter ["participant", "error"] "Messages to this node that were refused before they were instructions: no frame, not to be read, or for another agent.", |now, out| {
        messages(now, out, |own| &own.errors);
    };
    "crosstie_creditor_offers_total" Counter ["creditor"] "Payments and returns offered to it.", |now, out| {
        now.participants.iter().for_each(|own| out.count(&[&own.id], own.received));
    };
    "crosstie_creditor_finished_total" Counter ["creditor", "outcome"] "Ends of what was offered to it.", |now, out| {
        now.participants.iter().for_each(|own| outcomes(out, &own.id, own.answered));
    };
    "crosstie_creditor_response_duration_seconds" Histogram ["creditor"] "How long it takes to answer, while its leader stayed the same; on the node that leads less what it held up itself.", |now, out| {
        now.participants.iter().for_each(|own| out.times(&[&own.id], &own.answer));
    };
    "crosstie_position_minor_units" Gauge ["participant", "currency"] "Balance. For alerts only: exact up to 2^53; the log has the books.", |now, out| {
        positions(now, out, |own| Some(own.balance_minor as f64));
    };
    "crosstie_position_reserved_minor_units" Gauge ["participant", "currency"] "Set aside for payments in flight.", |now, out| {
        positions(now, out, |own| Some(own.reserved_minor as f64));
    };
    "crosstie_position_available_minor_units" Gauge ["participant", "currency"] "What it can pay with.", |now, out| {
        positions(now, out, |own| Some(own.available_minor as f64));
    };
    "crosstie_position_limit_minor_units" Gauge ["participant", "currency"] "Net debit cap, where there is one.", |now, out| {
        positions(now, out, |own| own.net_debit_cap_minor.map(|minor| minor as f64));
    };
    "crosstie_position_headroom_ratio" Gauge ["participant", "currency"] "The free part of what it could use at most, 0 to 1.", |now, out| {
        positions(now, out, |own| Some(own.headroom));
    };
    "crosstie_conservation_imbalance_minor_units" Gauge ["currency"] "What the positions do not add up by; must be 0.", |now, out| {
        now.node.imbalance_minor.iter().for_each(|(currency, minor)| out.number(&[currency], *minor as f64));
    };

    // Actors.
    "crosstie_actor_instances" Gauge ["kind"] "Live actors.", |now, out| {
        now.actors.iter().for_each(|own| out.count(&[&own.kind], own.instances));
    };
    "crosstie_actor_mailbox_messages" Gauge ["kind"] "Messages in all mailboxes.", |now, out| {
        now.actors.iter().for_each(|own| out.count(&[&own.kind], own.queued));
    };
    "crosstie_actor_mailbox_messages_max" Gauge ["kind"] "Messages in the longest mailbox.", |now, out| {
        now.actors.iter().for_each(|own| out.count(&[&own.kind], own.queued_longest));
    };
    "crosstie_actor_mailbox_capacity_messages" Gauge ["kind"] "Capacity of one mailbox, where it has one.", |now, out| {
        now.actors.iter().filter(|own| own.capacity > 0).for_each(|own| out.count(&[&own.kind], own.capacity));
    };
    "crosstie_actor_mailbox_wait_seconds" Histogram ["kind"] "From being sent until an actor took it up.", |now, out| {
        now.actors.iter().filter(|own| !own.wait.buckets.is_empty()).for_each(|own| out.times(&[&own.kind], &own.wait));
    };
    "crosstie_actor_handle_duration_seconds" Histogram ["kind", "message"] "How long an actor was at it.", |now, out| {
        for own in &now.actors {
            own.handle.iter().for_each(|(message, latency)| out.times(&[&own.kind, message], latency));
        }
    };
    "crosstie_actor_messages_total" Counter ["kind", "message"] "Messages handled.", |now, out| {
        for own in &now.actors {
            own.handled.iter().for_each(|(message, count)| out.count(&[&own.kind, message], *count));
        }
    };
    "crosstie_actor_dropped_messages_total" Counter ["kind", "reason"] "Messages that no actor took.", |now, out| {
        for own in &now.actors {
            own.dropped.iter().for_each(|(reason, count)| out.count(&[&own.kind, reason], *count));
        }
    };
    "crosstie_actor_restarts_total" Counter ["kind", "reason"] "Actors that died (failed: of an error or a panic; stopped: otherwise) and were made anew from the book.", |now, out| {
        for own in &now.actors {
            own.restarts_by.iter().for_each(|(reason, count)| out.count(&[&own.kind, reason], *count));
        }
    };
    "crosstie_actor_busy_seconds_total" Counter ["kind"] "Time spent on messages.", |now, out| {
        now.actors.iter().for_each(|own| out.number(&[&own.kind], seconds(own.busy_us)));
    };

    // Replication and the log.
    "crosstie_replica_state" Gauge ["state"] "1 for what this node is in its cluster.", |now, out| out.state(&[], ROLES, &now.node.role);
    "crosstie_leader_known" Gauge [] "1 when this node knows who leads.", |now, out| out.truth(&[], now.node.leader.is_some());
    "crosstie_leader_changes_total" Counter [] "How often another node came to lead.", |now, out| out.count(&[], now.node.leader_changes);
    "crosstie_peer_heard" Gauge ["peer"] "1 when the other node was heard of lately; on the leader.", |now, out| {
        if now.node.role == "leader" {
            others(now).for_each(|peer| out.truth(&[&peer.name], peer.is_heard));
        }
    };
    "crosstie_peer_round_trip_seconds" Gauge ["peer"] "To the other node and back; of nodes that are there.", |now, out| {
        for peer in others(now) {
            peer.round_trip_us.iter().for_each(|us| out.number(&[&peer.name], seconds(*us)));
        }
    };
    "crosstie_clock_offset_seconds" Gauge ["peer"] "The other node's clock less this one's; of nodes that are connected.", |now, out| {
        for peer in others(now) {
            peer.clock_offset_us.iter().for_each(|us| out.number(&[&peer.name], *us as f64 / 1e6));
        }
    };
    "crosstie_clock_offset_uncertainty_seconds" Gauge ["peer"] "By how much that may be wrong, either way: half of the quickest round trip.", |now, out| {
        for peer in others(now) {
            peer.clock_uncertainty_us.iter().for_each(|us| out.number(&[&peer.name], seconds(*us)));
        }
    };
    "crosstie_replication_lag_entries" Gauge ["peer"] "Entries of the log that the other node lacks; on the leader, of nodes that are there.", |now, out| {
        for peer in others(now) {
            peer.lag_entries.iter().for_each(|entries| out.count(&[&peer.name], *entries));
        }
    };
    "crosstie_replication_lag_seconds" Gauge ["peer"] "How long it has lacked the first of them; on the leader, of nodes that are there.", |now, out| {
        for peer in others(now) {
            peer.lag_ms.iter().for_each(|ms| out.number(&[&peer.name], *ms as f64 / 1e3));
        }
    };
    "crosstie_replication_commit_duration_seconds" Histogram [] "From the proposal of an entry until it was committed; on the leader.", |now, out| {
        let commit = now.stages.iter().find(|stage| stage.name == StageName::Commit);
        commit.iter().for_each(|stage| out.times(&[], &stage.latency));
    };
    "crosstie_log_sync_duration_seconds" Histogram [] "Writing and syncing a batch.", |now, out| out.times(&[], &now.log.sync);
    "crosstie_log_written_bytes_total" Counter [] "Written to the log.", |now, out| out.count(&[], now.log.written_bytes);
    "crosstie_log_entries_total" Counter [] "Entries committed and folded.", |now, out| out.count(&[], now.log.entries);
    "crosstie_storage_free_bytes" Gauge ["volume"] "Free on the file system.", |now, out| out.count(&["log"], now.log.free_bytes);
    "crosstie_storage_size_bytes" Gauge ["volume"] "Size of the file system.", |now, out| out.count(&["log"], now.log.size_bytes);
    "crosstie_snapshot_last_success_timestamp_seconds" Gauge [] "When the newest snapshot was written; 0 when there is none.", |now, out| {
        out.number(&[], now.log.snapshot_at_ms as f64 / 1e3);
    };
    "crosstie_snapshots_failed_total" Counter [] "Snapshots that could not be written.", |now, out| out.count(&[], now.log.snapshots_failed);
    "crosstie_archive_payments" Gauge [] "Ended payments on disk.", |now, out| out.count(&[], now.archive.payments);
    "crosstie_archive_failures_total" Counter [] "Reads and writes of the archive that failed.", |now, out| out.count(&[], now.archive.failures);
    "crosstie_certificate_expiry_timestamp_seconds" Gauge ["usage"] "When this node's certificate ends.", |now, out| {
        now.log.certificate_expires_ms.iter().for_each(|ms| out.number(&["peer"], *ms as f64 / 1e3));
    };

    // The node.
    "crosstie_node_state" Gauge ["state"] "1 for serving, or why it serves no participants.", |now, out| {
        let otherwise = if now.node.is_draining { "drained" } else { "serving" };
        out.state(&[], SERVING, now.node.closed.as_deref().unwrap_or(otherwise));
    };
    "crosstie_node_ready" Gauge [] "1 when no check of /readyz fails.", |now, out| out.truth(&[], now.node.is_ready());
    "crosstie_operator_actions_total" Counter ["action", "result"] "What operators asked for and this node carried out, and what came of it.", |now, out| {
        now.actions.iter().for_each(|own| out.count(&[&own.action, &own.result], own.count));
    };
    "crosstie_report_last_success_timestamp_seconds" Gauge ["report"] "When a report was last made in full, whatever it found; absent before the first.", |now, out| {
        now.checks.self_check_whole_ms.iter().for_each(|ms| out.number(&["self_check"], *ms as f64 / 1e3));
    };
    "crosstie_reconciliation_differences" Gauge [] "What did not add up when each date was last checked; must be 0.", |now, out| {
        now.checks.self_check.iter().for_each(|_| out.count(&[], now.checks.differences()));
    };
    "crosstie_reconciliation_unchecked_participants" Gauge [] "Whose positions the last self-check could not add up again here; must be 0.", |now, out| {
        now.checks.self_check.iter().for_each(|check| out.count(&[], check.unchecked));
    };
    "crosstie_audit_last_verified_timestamp_seconds" Gauge [] "When the chain of the audit trail was computed again and held.", |now, out| {
        let held = now.checks.audit.iter().filter(|check| check.broken.is_none());
        held.for_each(|check| out.number(&[], check.at_ms as f64 / 1e3));
    };
    "crosstie_audit_broken" Gauge [] "1 when the audit trail was found to be other than it was written.", |now, out| {
        now.checks.audit.iter().for_each(|check| out.truth(&[], check.broken.is_some()));
    };
    "crosstie_telemetry_dropped_total" Counter ["signal"] "Dropped so that no payment waits: spans, log lines that stderr was too slow for, and lines of an event that had more than a hundred in a second.", |now, out| {
        out.count(&["span"], now.telemetry.spans_dropped);
        out.count(&["log"], now.telemetry.log_lines_dropped);
        out.count(&["event"], now.telemetry.events_dropped);
    };
    "crosstie_observed_timestamp_seconds" Gauge [] "When these figures were taken.", |now, out| out.number(&[], now.at_ms as f64 / 1e3);
    "crosstie_build_info" Gauge ["version", "revision", "rustc", "protocol"] "1. Of what was built, by which compiler; protocol is the newest that participants may speak.", |now, out| {
        let node = &now.node;
        out.count(&[&node.version, &node.revision, &node.rustc, &node.protocol], 1);
    };
    "process_cpu_seconds_total" Counter [] "Processor time.", |now, out| out.number(&[], now.node.cpu_seconds);
    "process_resident_memory_bytes" Gauge [] "Resident memory.", |now, out| out.count(&[], now.node.resident_bytes);
    "process_open_fds" Gauge [] "Open files.", |now, out| out.count(&[], now.node.open_files);
    "process_max_fds" Gauge [] "Open files at most.", |now, out| out.count(&[], now.node.open_files_max);
    "process_start_time_seconds" Gauge [] "When the process started.", |now, out| {
        out.number(&[], (now.at_ms / 1000).saturating_sub(now.node.up_seconds) as f64);
    };
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn others(now: &Snapshot) -> impl Iterator<Item = &crate::Peer> {
    now.peers.iter().filter(|peer| peer.id != now.node.id)
}

fn outcomes<'a>(out: &mut Series<'a>, participant: &'a str, of: Outcomes) {
    let ends =
        [("settled", of.settled), ("rejected", of.rejected), ("timed_out", of.timed_out), ("returned", of.returned)];
    ends.iter().for_each(|(outcome, count)| out.count(&[participant, outcome], *count));
}

fn messages<'a>(now: &'a Snapshot, out: &mut Series<'a>, of: fn(&Messages) -> &BTreeMap<String, u64>) {
    for own in &now.participants {
        of(&own.messages).iter().for_each(|(what, count)| out.count(&[&own.id, what], *count));
    }
}

fn positions<'a>(now: &'a Snapshot, out: &mut Series<'a>, of: fn(&Position) -> Option<f64>) {
    for own in &now.participants {
        for position in &own.positions {
            of(position).iter().for_each(|figure| out.number(&[&own.id, &position.currency], *figure));
        }
    }
}
