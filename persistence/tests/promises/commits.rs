//! What is proposed is committed in order and in groups, and is there after a restart. Passengers arrive once, after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use persistence::simulated::SimulatedDisk;
use persistence::{Nobody, Reader, Refused};

use crate::ledger::{Ledger, config, open_journal, open_log, propose};

#[test]
fn proposals_survive_a_restart_on_a_real_disk() {
    let directory = tempfile::tempdir().unwrap();
    let config = || persistence::Config { directory: directory.path().join("log"), ..config() };
    let mut expected = Vec::new();
    for round in 0..5_u64 {
        let ledger = Ledger::default();
        let (journal, recovery) = persistence::open(config(), ledger.clone(), Nobody).unwrap();
        assert_eq!(ledger.proposed().concat(), expected);
        assert_eq!(recovery.torn_tail, None);
        for number in 0..200_u64 {
            let bytes = (round * 1000 + number).to_le_bytes();
            while propose(&journal, |batch, _| batch.extend_from_slice(&bytes)) == Err(Refused::Full) {}
            expected.extend_from_slice(&bytes);
        }
        journal.stop();
        assert!(journal.failure().is_none());
        assert_eq!(ledger.proposed().concat(), expected);
        assert_eq!(propose(&journal, |_, _| ()), Err(Refused::Stopped));
        let mut reader = Reader::open(directory.path().join("log"), 1).unwrap();
        let mut read = Vec::new();
        while let Some(entry) = reader.next(journal.committed_index()).unwrap() {
            read.extend_from_slice(entry.payload);
        }
        assert_eq!(read, expected);
    }
}

#[test]
fn what_is_proposed_during_a_sync_becomes_one_entry() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, config());
    propose(&journal, |batch, _| batch.push(0)).unwrap();
    ledger.wait_for(|book| book.filled() == 1);
    let (before, syncs) = (journal.committed_index(), journal.statistics().syncs);
    disk.hold_syncs(true);
    propose(&journal, |batch, _| batch.push(1)).unwrap();
    while journal.statistics().open_batch_bytes > 0 {
        std::thread::yield_now();
    }
    for number in 2..100 {
        propose(&journal, |batch, _| batch.push(number)).unwrap();
    }
    assert_eq!(journal.committed_index(), before, "nothing is committed before its sync");
    disk.hold_syncs(false);
    journal.stop();
    assert_eq!(ledger.proposed(), [vec![0], vec![1], (2..100).collect()]);
    assert_eq!(journal.statistics().syncs, syncs + 2);
}

#[test]
fn passengers_arrive_once_in_order_and_after_their_entry() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, config());
    let proposed = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..500 {
                    // Numbered inside the lock; every third comes without bytes.
                    let propose = || {
                        propose(&journal, |batch, passengers| {
                            let number = proposed.fetch_add(1, Ordering::Relaxed);
                            passengers.push(number);
                            if turn % 3 > 0 {
                                batch.extend_from_slice(&number.to_le_bytes());
                            }
                        })
                    };
                    while propose() == Err(Refused::Full) {}
                }
            });
        }
    });
    journal.stop();
    let book = ledger.book();
    assert_eq!(book.passengers, (0..2000).collect::<Vec<u64>>());
    let payloads: Vec<(u64, &[u8])> =
        book.entries.iter().flat_map(|(index, payload)| payload.chunks(8).map(|bytes| (*index, bytes))).collect();
    assert_eq!(payloads.len(), 4 * 333);
    for (index, bytes) in payloads {
        let passenger = u64::from_le_bytes(bytes.try_into().unwrap()) as usize;
        assert_eq!(book.handed_over_at[passenger] as u64, index, "passenger {passenger} came with its entry");
    }
}

#[test]
fn a_batch_has_a_bound() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, config());
    disk.hold_syncs(true);
    propose(&journal, |batch, _| batch.push(0)).unwrap();
    while journal.statistics().open_batch_bytes > 0 {
        std::thread::yield_now();
    }
    let large = vec![1; 1500];
    assert_eq!(propose(&journal, |batch, _| batch.extend_from_slice(&large)), Ok(()));
    assert_eq!(propose(&journal, |batch, _| batch.extend_from_slice(&large)), Ok(()), "below the bound when it came");
    assert_eq!(propose(&journal, |batch, _| batch.extend_from_slice(&large)), Err(Refused::Full));
    assert_eq!(propose(&journal, |_, passengers| passengers.push(1)), Err(Refused::Full));
    disk.hold_syncs(false);
    ledger.wait_for(|book| book.filled() == 2);
    assert_eq!(propose(&journal, |batch, _| batch.resize(8000, 1)), Err(Refused::TooLarge));
    assert_eq!(propose(&journal, |batch, _| batch.push(2)), Ok(()));
    journal.stop();
    assert_eq!(ledger.proposed(), [vec![0], vec![1; 3000], vec![2]]);
}

#[test]
fn a_proposer_that_panics_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, config());
    propose(&journal, |batch, passengers| (batch.push(1), passengers.push(1))).unwrap();
    let other = journal.clone();
    let panicked = std::thread::spawn(move || {
        propose(&other, |batch, passengers| {
            batch.push(2);
            passengers.push(2);
            panic!("half-way");
        })
    });
    assert!(panicked.join().is_err());
    propose(&journal, |batch, passengers| (batch.push(3), passengers.push(3))).unwrap();
    journal.stop();
    assert_eq!(ledger.proposed().concat(), [1, 3]);
    assert_eq!(ledger.book().passengers, [1, 3]);
}

#[test]
fn the_last_handle_stops_the_journal() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, config());
    let other = journal.clone();
    drop(journal);
    propose(&other, |batch, _| batch.push(7)).unwrap();
    drop(other);
    assert_eq!(ledger.proposed(), [vec![7]]);
    assert_eq!(open_log(&disk, &config()).unwrap().ledger.proposed(), [vec![7]]);
}
