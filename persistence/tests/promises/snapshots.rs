//! A snapshot and the log after it are as good as the whole log; an older snapshot stands in for a damaged one; commits
//! go on while one is written.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::SystemTime;

use persistence::simulated::SimulatedDisk;
use persistence::{Config, Entry, Error, Fold, Freeze, Nobody};

use crate::ledger::{Ledger, config, open_journal, open_log, propose};

fn names(disk: &SimulatedDisk, prefix: &str) -> Vec<String> {
    disk.files().into_iter().filter(|name| name.starts_with(prefix)).collect()
}

/// Three snapshots with entries between and after them; returns everything that was committed.
fn with_snapshots(config: &Config) -> (SimulatedDisk, Vec<Vec<u8>>) {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, config).unwrap();
    for number in 0..40_u8 {
        opened.commit(&vec![number; 1500]).unwrap();
        if [9, 19, 29].contains(&number) {
            opened.snapshot().unwrap();
        }
    }
    (disk.kill(), opened.ledger.payloads())
}

#[test]
fn snapshot_and_rest_equal_the_whole_log() {
    for (retained_bytes_max, first_kept) in [(u64::MAX, 1), (0, 19)] {
        let config = Config { retained_bytes_max, ..config() };
        let (disk, expected) = with_snapshots(&config);
        assert_eq!(names(&disk, "snapshot-"), ["snapshot-0000000000000014.snap", "snapshot-000000000000001e.snap"]);
        let opened = open_log(&disk, &config).unwrap();
        assert_eq!(opened.ledger.payloads(), expected);
        assert_eq!((opened.recovery.snapshot_index, opened.recovery.entries_replayed), (30, 10));
        assert_eq!(names(&disk, "log-")[0], format!("log-{first_kept:016x}.seg"), "retaining {retained_bytes_max}");
    }
}

#[test]
fn an_older_snapshot_stands_in_for_a_damaged_one() {
    let (disk, expected) = with_snapshots(&config());
    let newest = names(&disk, "snapshot-").pop().unwrap();
    let whole = disk.content(&newest).unwrap();
    for byte in (0..whole.len()).step_by(509) {
        let damaged = disk.duplicate();
        let mut bytes = whole.clone();
        bytes[byte] ^= 4;
        damaged.set_content(&newest, bytes);
        let opened = open_log(&damaged, &config()).unwrap();
        assert_eq!(opened.ledger.payloads(), expected, "byte {byte}");
        assert_eq!(opened.recovery.snapshot_index, 20);
        assert_eq!(opened.recovery.snapshots_damaged.len(), 1);
        assert_eq!(names(&damaged, &newest), [format!("{newest}.damaged")]);
    }
    for name in names(&disk, "snapshot-") {
        disk.set_content(&name, b"gone".to_vec());
    }
    let Err(error) = open_log(&disk, &config()) else { panic!("opened without its past") };
    assert!(matches!(&error, Error::Damaged { file, .. } if file.ends_with("log-0000000000000001.seg")), "{error}");
    assert_eq!(names(&disk, "snapshot-").len(), 2, "a refused open changes nothing");
}

#[test]
fn a_snapshot_of_entries_the_log_lacks() {
    let (disk, _) = with_snapshots(&Config { retained_bytes_max: u64::MAX, ..config() });
    let snapshot = names(&disk, "snapshot-").pop().unwrap();
    let other = SimulatedDisk::new();
    open_log(&other, &config()).unwrap().commit(b"one entry").unwrap();
    let other = other.kill();
    other.set_content(&snapshot, disk.content(&snapshot).unwrap());
    assert!(matches!(open_log(&other, &config()), Err(Error::Damaged { .. })));
}

#[test]
fn the_journal_takes_them_by_itself() {
    let disk = SimulatedDisk::new();
    let config = Config { snapshot_every_bytes: 20_000, ..config() };
    let (journal, _, ledger) = open_journal(&disk, config.clone());
    for number in 0..100_u8 {
        propose(&journal, |batch, _| batch.resize(batch.len() + 1500, number)).unwrap();
        ledger.wait_for(|book| book.filled() > usize::from(number));
    }
    while journal.statistics().snapshots < 2 {
        journal.request_snapshot();
        std::thread::yield_now();
    }
    journal.stop();
    assert!(names(&disk, "log-").len() < 30, "old segments go");
    let opened = open_log(&disk, &config).unwrap();
    assert_eq!(opened.ledger.payloads(), ledger.payloads());
    assert!(opened.recovery.snapshot_index > 0);
    assert_eq!(names(&disk, "snapshot-").len(), 2);
}

/// What comes before a snapshot is written.
type First = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Its snapshots are written, or not, as the test says.
struct Held<F>(Ledger, F);

impl<F: FnMut() -> First + Send + 'static> Fold for Held<F> {
    type Passenger = u64;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.0.restore(snapshot)
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<u64>) {
        self.0.committed(entry, passengers);
    }

    fn delivered(&mut self, passengers: &mut Vec<u64>) {
        self.0.delivered(passengers);
    }

    fn freeze(&mut self) -> Freeze {
        let (first, frozen) = ((self.1)(), self.0.freeze());
        Box::new(move |output: &mut dyn Write| -> io::Result<()> {
            first()?;
            frozen(output)
        })
    }
}

#[test]
fn those_that_fail_count_until_one_is_written() {
    let (ledger, fails) = (Ledger::default(), Arc::new(AtomicBool::new(true)));
    let failing = fails.clone();
    let fold = Held(ledger.clone(), move || -> First {
        let fails = failing.clone();
        Box::new(move || if fails.load(Relaxed) { Err(io::Error::other("as the test says")) } else { Ok(()) })
    });
    let (journal, _) = persistence::open_on(SimulatedDisk::new(), config(), fold, Nobody).unwrap();
    let began_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    propose(&journal, |batch, _| batch.push(1)).unwrap();
    ledger.wait_for(|book| book.filled() > 0);
    while journal.statistics().snapshots_failing < 2 {
        journal.request_snapshot();
        std::thread::yield_now();
    }
    assert!(journal.statistics().snapshot_failed_at_ms >= began_ms);
    fails.store(false, Relaxed);
    while journal.statistics().snapshots == 0 {
        journal.request_snapshot();
        std::thread::yield_now();
    }
    let statistics = journal.statistics();
    assert_eq!(statistics.snapshots_failing, 0, "that is over");
    assert!(statistics.snapshots_failed >= 2, "and is not forgotten");
    journal.stop();
}

#[test]
fn commits_go_on_while_one_is_written() {
    let disk = SimulatedDisk::new();
    let (go, wait) = channel();
    let ledger = Ledger::default();
    let mut wait = Some(wait);
    let slow = Held(ledger.clone(), move || -> First {
        let wait = wait.take();
        Box::new(move || {
            let _ = wait.map(|wait| wait.recv());
            Ok(())
        })
    });
    let (journal, _) = persistence::open_on(disk.clone(), config(), slow, Nobody).unwrap();
    for number in 0..50 {
        propose(&journal, |batch, _| batch.resize(batch.len() + 1000, number)).unwrap();
        if number == 10 {
            journal.request_snapshot();
        }
        ledger.wait_for(|book| book.filled() > usize::from(number));
    }
    assert_eq!(journal.statistics().snapshots, 0);
    go.send(()).unwrap();
    while journal.statistics().snapshots == 0 {
        std::thread::yield_now();
    }
    let index = journal.statistics().snapshot_index;
    assert!((12..=14).contains(&index), "it holds what was committed when it was asked for, not {index}");
    journal.stop();
    assert_eq!(open_log(&disk, &config()).unwrap().ledger.payloads(), ledger.payloads());
}
