//! The first failed write or sync is final; a full disk stops new work first and the log last; one log, one process.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use persistence::simulated::{Fault, SimulatedDisk};
use persistence::{Config, Error, Nobody, Refused, Remedy};

use crate::ledger::{Ledger, config, open_journal, open_log, propose};

/// Waits for a state that another thread brings about.
#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Two spares are ready, so the keeper is at rest.
fn open_at_rest(disk: &SimulatedDisk, config: Config) -> (persistence::Journal<u64>, Ledger) {
    let (journal, _, ledger) = open_journal(disk, config);
    eventually(|| disk.files().iter().filter(|name| name.starts_with("spare-") && name.ends_with(".seg")).count() == 2);
    (journal, ledger)
}

#[test]
fn the_first_failure_is_final() {
    for (fault, doing) in [(Fault::Write { nth: 3 }, "writing"), (Fault::Sync { nth: 3 }, "syncing")] {
        let disk = SimulatedDisk::new();
        let (journal, ledger) = open_at_rest(&disk, config());
        disk.plan(fault);
        let (report, reported) = channel();
        journal.on_failure(move |error| report.send(error).unwrap());
        for number in 0..3 {
            propose(&journal, |batch, passengers| (batch.push(number), passengers.push(u64::from(number)))).unwrap();
            if number < 2 {
                ledger.wait_for(|book| book.passengers.len() == usize::from(number) + 1);
            }
        }
        let error = reported.recv().unwrap();
        assert!(matches!(&*error, Error::Disk { doing: d, .. } if *d == doing), "{error}");
        assert_eq!(error.remedy(), Remedy::Restart);
        assert!(journal.wait().is_err());
        assert!(Arc::ptr_eq(&error, &journal.failure().unwrap()));
        assert_eq!(propose(&journal, |_, _| ()), Err(Refused::Stopped));
        assert_eq!(journal.committed_index(), 4);
        journal.stop();
        assert_eq!(ledger.book().passengers, [0, 1], "nothing after the failure is acknowledged");
        let (late, told_late) = channel();
        journal.on_failure(move |error| late.send(error).unwrap());
        assert!(told_late.try_recv().is_ok(), "who asks later is told at once");

        let disk = disk.power_loss(1);
        let payloads = open_log(&disk, &config()).unwrap().ledger.proposed();
        assert_eq!(payloads[..2], [vec![0], vec![1]], "what was acknowledged is there");
    }
}

#[test]
fn a_fold_that_panics_stops_the_journal() {
    struct Panics(Ledger);
    impl persistence::Fold for Panics {
        type Passenger = u64;
        fn restore(&mut self, snapshot: &mut dyn std::io::Read) -> Result<(), String> {
            self.0.restore(snapshot)
        }
        fn committed(&mut self, entry: persistence::Entry<'_>, _: &mut Vec<u64>) {
            assert!(entry.payload.is_empty(), "entry {} is too much", entry.index);
        }
        fn delivered(&mut self, _: &mut Vec<u64>) {}
        fn freeze(&mut self) -> persistence::Freeze {
            self.0.freeze()
        }
    }
    let disk = SimulatedDisk::new();
    let (journal, _) = persistence::open_on(disk.clone(), config(), Panics(Ledger::default()), Nobody).unwrap();
    propose(&journal, |batch, _| batch.push(1)).unwrap();
    let error = journal.wait().unwrap_err();
    assert!(matches!(&*error, Error::FoldPanicked { what } if what == "entry 3 is too much"), "{error}");
    journal.stop();
    assert_eq!(open_log(&disk, &config()).unwrap().ledger.proposed(), [vec![1]], "the log is intact");
}

#[test]
fn a_full_disk_refuses_new_work_and_finishes_what_is_in_flight() {
    let disk = SimulatedDisk::new();
    let config = Config { free_bytes_min: 4 << 10, ..config() };
    let (journal, ledger) = open_at_rest(&disk, config.clone());
    assert!(journal.has_room());
    disk.set_capacity_bytes(Some(disk.used_bytes() + 1024));
    eventually(|| !journal.has_room());
    // Two spares of 8 KiB and the rest of the current segment: five entries of 2.5 KiB (six sectors each) fit for sure.
    for number in 1..=5 {
        propose(&journal, |batch, _| batch.resize(batch.len() + 2500, number)).unwrap();
        ledger.wait_for(|book| book.filled() == usize::from(number));
    }
    assert!(journal.failure().is_none());

    disk.set_capacity_bytes(None);
    eventually(|| journal.has_room());
    for number in 6..=20 {
        propose(&journal, |batch, _| batch.resize(batch.len() + 2500, number)).unwrap();
        ledger.wait_for(|book| book.filled() == usize::from(number));
    }

    disk.set_capacity_bytes(Some(disk.used_bytes()));
    while propose(&journal, |batch, _| batch.resize(batch.len() + 2500, 1)) != Err(Refused::Stopped) {}
    let error = journal.wait().unwrap_err();
    assert!(matches!(&*error, Error::DiskFull { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::MakeRoom);
    journal.stop();
    let disk = disk.kill();
    disk.set_capacity_bytes(None);
    assert_eq!(open_log(&disk, &config).unwrap().ledger.proposed(), ledger.proposed());
}

#[test]
fn a_log_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { directory: directory.path().into(), ..config() };
    let (journal, _) = persistence::open(config.clone(), Ledger::default(), Nobody).unwrap();
    let Err(error) = persistence::open(config.clone(), Ledger::default(), Nobody) else { panic!("opened twice") };
    assert!(matches!(&error, Error::Locked { .. }), "{error}");
    journal.stop();
    assert!(persistence::open(config, Ledger::default(), Nobody).is_ok());
}

#[test]
fn contradictions_in_the_configuration() {
    let refused = [
        Config { segment_bytes: 10_000, ..config() },
        Config { batch_bytes_max: 0, ..config() },
        Config { batch_bytes_max: 4 << 10, ..config() },
        Config { snapshot_every_bytes: 0, ..config() },
    ];
    for config in refused {
        let Err(error) = open_log(&SimulatedDisk::new(), &config) else { panic!("{config:?} was accepted") };
        assert_eq!(error.remedy(), Remedy::Configure);
    }
}
