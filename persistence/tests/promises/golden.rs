//! Logs written by earlier versions stay readable, and this version writes the same bytes. The files are in `golden/`;
//! `CROSSTIE_WRITE_GOLDEN=1` writes those of a new version (the old ones stay).

use std::fs;
use std::path::PathBuf;

use persistence::simulated::SimulatedDisk;

use crate::ledger::{config, open_journal, open_log, propose};

const VERSION: u32 = 3;

fn folder(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/version-{version}"))
}

fn payloads() -> Vec<Vec<u8>> {
    (0..12_usize).map(|number| (0..number * 200).map(|byte| (byte * 7 + number) as u8).collect()).collect()
}

/// Two segments, one snapshot, closed in order.
fn write() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    for (number, payload) in payloads().iter().enumerate() {
        opened.commit(payload).unwrap();
        if number == 3 {
            opened.snapshot().unwrap();
        }
    }
    opened.log.close().unwrap();
    disk
}

#[test]
fn this_version_writes_its_golden_files() {
    let disk = write();
    if std::env::var_os("CROSSTIE_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(folder(VERSION)).unwrap();
        for name in disk.files() {
            fs::write(folder(VERSION).join(&name), disk.content(&name).unwrap()).unwrap();
        }
    }
    for name in disk.files() {
        let golden = fs::read(folder(VERSION).join(&name)).unwrap();
        assert!(disk.content(&name).unwrap() == golden, "{name} is written differently than version {VERSION} says");
    }
}

#[test]
fn every_version_reads_back() {
    for version in 1..=VERSION {
        let disk = SimulatedDisk::new();
        for file in fs::read_dir(folder(version)).unwrap() {
            let path = file.unwrap().path();
            disk.set_content(&path.file_name().unwrap().to_string_lossy(), fs::read(&path).unwrap());
        }
        let opened = open_log(&disk, &config()).unwrap();
        assert_eq!(opened.ledger.payloads(), payloads(), "version {version}");
        assert_eq!((opened.recovery.snapshot_index, opened.recovery.last_index), (4, 12));
    }
}

/// Version 1 knew no clusters: nothing says which of its entries were committed. A node alone commits them all.
#[test]
fn a_log_of_version_1_goes_on() {
    let disk = SimulatedDisk::new();
    for file in fs::read_dir(folder(1)).unwrap() {
        let path = file.unwrap().path();
        disk.set_content(&path.file_name().unwrap().to_string_lossy(), fs::read(&path).unwrap());
    }
    let (journal, _, ledger) = open_journal(&disk, config());
    propose(&journal, |batch, _| batch.push(7)).unwrap();
    ledger.wait_for(|book| book.entries.last().is_some_and(|(_, payload)| *payload == [7]));
    journal.stop();
    let mut expected: Vec<_> = payloads().into_iter().filter(|payload| !payload.is_empty()).collect();
    expected.push(vec![7]);
    assert_eq!(ledger.proposed(), expected);
    assert!(journal.statistics().term > 1);
    let (journal, _, ledger) = open_journal(&disk, config());
    assert_eq!(ledger.proposed(), expected);
    journal.stop();
}
