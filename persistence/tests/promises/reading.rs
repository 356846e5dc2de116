//! A reader sees every committed entry, while the journal writes; it is told when what it wants is gone.

use persistence::simulated::SimulatedDisk;
use persistence::{Config, Error, Reader};

use crate::ledger::{config, open_journal, open_log};

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
            while journal.propose(1, |batch, _| batch.resize(batch.len() + 700, number as u8)).is_err() {}
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
