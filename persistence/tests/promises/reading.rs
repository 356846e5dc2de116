//! A reader sees every committed entry, while the journal writes; it is told when what it wants is gone.

use persistence::simulated::SimulatedDisk;
use persistence::{Config, Error, Index, Kind, Reader, Record, Term};

use crate::ledger::{Opened, config, open_journal, open_log, propose};

#[test]
fn while_the_journal_writes() {
    let disk = SimulatedDisk::new();
    let (journal, _, ledger) = open_journal(&disk, Config { retained_bytes_max: u64::MAX, ..config() });
    let read = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = Reader::open_on(disk.clone(), 1).unwrap();
            let mut payloads: Vec<u8> = Vec::new();
            while payloads.len() < 300 * 700 {
                while let Some(entry) = reader.next(journal.committed_index()).unwrap() {
                    payloads.extend_from_slice(entry.payload);
                }
            }
            payloads
        });
        for number in 0..300_u64 {
            while propose(&journal, |batch, _| batch.resize(batch.len() + 700, number as u8)).is_err() {}
        }
        reading.join().unwrap()
    });
    journal.stop();
    assert_eq!(read, ledger.payloads().concat());
}

#[test]
fn from_anywhere() {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    for number in 1..=50_u8 {
        opened.commit(&vec![number; usize::from(number) * 40]).unwrap();
    }
    for from in 1..=51 {
        let mut reader = Reader::open_on(disk.clone(), from).unwrap();
        for index in from..=50 {
            let entry = reader.next(50).unwrap().unwrap();
            assert_eq!((entry.index, entry.payload), (index, &vec![index as u8; index as usize * 40][..]));
        }
        assert_eq!(reader.position(), 51);
        assert!(reader.next(50).unwrap().is_none());
    }
    assert!(matches!(Reader::open_on(disk.clone(), 52), Err(Error::Damaged { .. })), "nothing stands before it");

    opened.snapshot().unwrap();
    opened.commit(b"between").unwrap();
    opened.snapshot().unwrap();
    let Err(Error::Gone { wanted: 1, oldest }) = Reader::open_on(disk.clone(), 1) else { panic!("not gone") };
    assert_eq!(Reader::open_on(disk.clone(), oldest).unwrap().next(51).unwrap().unwrap().index, oldest);
}

#[test]
fn damage_is_named() {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    opened.commit(&[1; 600]).unwrap();
    opened.commit(&[2; 600]).unwrap();
    let name = "log-0000000000000001.seg";
    let mut bytes = disk.content(name).unwrap();
    bytes[2000] ^= 1; // in the second entry, which begins at 512 + 1024
    disk.set_content(name, bytes);
    let mut reader = Reader::open_on(disk, 1).unwrap();
    assert!(reader.next(2).is_ok());
    assert!(matches!(reader.next(2), Err(Error::Damaged { offset: 1536, .. })));
}

/// Of every segment but the newest a start sees the header alone.
fn reopened() -> (SimulatedDisk, Opened, Config) {
    let config = Config { retained_bytes_max: u64::MAX, message_bytes_max: 2 << 10, ..config() };
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config).unwrap();
    for index in 1..=LAST {
        let payload = vec![index as u8; index as usize * 40];
        let record = Record { index, term: term(index), kind: Kind::Batch, payload: &payload };
        opened.log.append(&[record], index).unwrap();
        opened.log.sync().unwrap();
    }
    opened.snapshot().unwrap();
    let disk = disk.kill();
    let opened = open_log(&disk, &config).unwrap();
    assert_eq!(opened.recovery.entries_replayed, 0);
    (disk, opened, config)
}

const LAST: Index = 50;

/// It changes within segments, several times within the first.
fn term(index: Index) -> Term {
    [0, 1, 1, 2, 2, 4, 4, 5].get(index as usize).copied().unwrap_or(5 + index / 7)
}

#[test]
fn all_that_is_kept_after_a_restart() {
    for first in (1..=LAST).rev() {
        let (_, opened, _) = reopened();
        assert_eq!(opened.log.first(), 1);
        assert_eq!(opened.log.mark(LAST).unwrap(), opened.log.last());
        for from in (first..=LAST).chain(1..first) {
            let records = opened.log.entries(from, LAST + 1, 1).unwrap();
            let [record] = &records[..] else { panic!("{} entries from {from}", records.len()) };
            assert_eq!((record.index, record.term), (from, term(from)));
            assert_eq!(record.payload, vec![from as u8; from as usize * 40]);
            assert_eq!((opened.log.term(from), opened.log.term(from - 1)), (Some(term(from)), Some(term(from - 1))));
            assert_eq!(opened.log.mark(from).unwrap().term, term(from));
        }
        let mut next = 1;
        while next <= LAST {
            let records = opened.log.entries(next, LAST + 1, 10_000).unwrap();
            assert!(!records.is_empty());
            assert!(
                records.iter().zip(next..).all(|(record, index)| (record.index, record.term) == (index, term(index)))
            );
            next += records.len() as Index;
        }
        assert_eq!(next, LAST + 1);
    }
}

/// Damage that the start cannot see is named by whoever meets it, and nothing of the entry is given out.
#[test]
fn old_damage_is_named_when_it_is_met() {
    let (disk, opened, config) = reopened();
    drop(opened);
    let name = disk.files().into_iter().filter(|name| name.starts_with("log-")).nth(2).unwrap();
    let whole = disk.content(&name).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut refused = 0;
    for at in (0..used).step_by(97) {
        let damaged = disk.duplicate();
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        damaged.set_content(&name, bytes);
        let opened = open_log(&damaged, &config).unwrap();
        for from in opened.log.first()..=LAST {
            match opened.log.entries(from, LAST + 1, 1) {
                Ok(records) => {
                    assert_eq!(records[0].payload, vec![from as u8; from as usize * 40], "byte {at}");
                    assert_eq!(records[0].term, term(from), "byte {at}");
                }
                Err(Error::Damaged { file, .. }) => {
                    assert!(file.ends_with(&name), "byte {at}: {file:?}");
                    refused += 1;
                }
                Err(error) => panic!("byte {at}, entry {from}: {error}"),
            }
        }
        // A header that cannot be read ends what the log reaches back to.
        assert_eq!(opened.log.first() > 1, at < 512, "byte {at}");
    }
    assert!(refused > used / 97 / 2, "{refused}");
}
