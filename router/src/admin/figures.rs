//! Figures of the book and the journal as the admin socket tells them.

use settlement::{Book, Key};

use super::protocol::{Archive, Journal, Participant, Position, Recovery};

pub(super) fn report(book: &Book, key: Key) -> Option<(Key, Participant)> {
    let own = book.participant(key)?;
    let listing = book.scheme().listing(key)?;
    let report = Participant {
        id: listing.id.to_string(),
        connected: false,
        signed_on: listing.signed_on,
        suspended_sending: listing.suspended_sending,
        suspended_receiving: listing.suspended_receiving,
        positions: own.positions().iter().map(|(currency, position)| Position::new(*currency, position)).collect(),
        outgoing: own.payments().in_flight(),
        incoming: own.incoming_count(),
        remembered: own.payments().len(),
        last_notice: book.last_notice(key),
        session: None,
    };
    Some((key, report))
}

pub(super) fn journal(statistics: &persistence::Statistics) -> Journal {
    Journal {
        committed_index: statistics.committed_index,
        entries: statistics.entries,
        written_bytes: statistics.written_bytes,
        syncs: statistics.syncs,
        sync_mean_us: statistics.sync_ns_sum / statistics.syncs.max(1) / 1000,
        sync_max_us: statistics.sync_ns_max / 1000,
        open_batch_bytes: statistics.open_batch_bytes,
        snapshot_index: statistics.snapshot_index,
        snapshots: statistics.snapshots,
        snapshots_failed: statistics.snapshots_failed,
    }
}

pub(super) fn archive(figures: &actors::archive::Figures) -> Archive {
    Archive {
        payments: figures.payments,
        runs: figures.runs,
        run_bytes: figures.run_bytes,
        covered_index: figures.covered_index,
        log_entries_lost: figures.log_entries_lost,
        failures: figures.failures,
        files_set_aside: figures.files_set_aside,
    }
}

pub(super) fn recovery(recovery: &persistence::Recovery) -> Recovery {
    Recovery {
        snapshot_index: recovery.snapshot_index,
        last_index: recovery.last_index,
        entries_replayed: recovery.entries_replayed,
        bytes_replayed: recovery.bytes_replayed,
        torn_bytes: recovery.torn_tail.as_ref().map_or(0, |torn| torn.bytes),
        took_ms: recovery.took.as_millis() as u64,
    }
}
