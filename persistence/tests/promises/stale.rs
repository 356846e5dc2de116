//! A reader never gives what was never committed: what it read ahead may be cut off, or be replaced by a snapshot.

use persistence::simulated::SimulatedDisk;
use persistence::{Error, Kind, Reader, Record, Term};

use crate::ledger::{Opened, config, open_log};

fn append(opened: &mut Opened, (index, term): (u64, Term), payload: &[u8], committed: u64) {
    opened.log.append(&[Record { index, term, kind: Kind::Batch, payload }], committed).unwrap();
    opened.log.sync().unwrap();
}

#[test]
fn what_was_cut_off_and_written_anew() {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    append(&mut opened, (1, 1), &[1; 100], 1);
    append(&mut opened, (2, 1), &[2; 100], 1);
    let mut reader = Reader::open_on(disk.clone(), 1).unwrap();
    assert_eq!(reader.next(1).unwrap().unwrap().payload, &[1; 100]);
    opened.log.truncate(2).unwrap();
    append(&mut opened, (2, 2), &[9; 100], 2);
    assert_eq!(reader.next(2).unwrap().unwrap().payload, &[9; 100]);
}

#[test]
fn what_a_snapshot_has_replaced() {
    let donor = SimulatedDisk::new();
    let mut other = open_log(&donor, &config()).unwrap();
    (1..=3).for_each(|number| other.commit(&[number + 100; 100]).unwrap());
    other.snapshot().unwrap();
    let name = donor.files().into_iter().find(|name| name.starts_with("snapshot-")).unwrap();

    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    (1..=3).for_each(|number| append(&mut opened, (number, 1), &[number as u8; 100], 1));
    let mut reader = Reader::open_on(disk.clone(), 1).unwrap();
    assert_eq!(reader.next(1).unwrap().unwrap().payload, &[1; 100]);
    disk.set_content("incoming.tmp", donor.content(&name).unwrap());
    opened.log.install("incoming.tmp", &mut opened.ledger).unwrap();
    assert!(matches!(reader.next(3), Err(Error::Gone { wanted: 2, oldest: 4 })));
}

/// From a leader with larger segments this would come from outside.
#[test]
fn an_entry_that_no_segment_takes_is_refused_before_anything_changes() {
    let mut opened = open_log(&SimulatedDisk::new(), &config()).unwrap();
    let refused = opened.log.append(&[Record { index: 1, term: 1, kind: Kind::Batch, payload: &[1; 9000] }], 0);
    assert!(matches!(refused, Err(Error::Configuration(what)) if what.contains("segment_bytes")));
    append(&mut opened, (1, 1), b"still there", 1);
}
