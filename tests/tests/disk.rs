//! A real switch whose disk runs full: new payments are refused with FULL, those in process finish, and it goes on when
//! space returns. Needs a file system of its own, so the right to mount one; without it the test says so and passes.
//!
//! Disks that fail are simulated: see `persistence::simulated`.

#![allow(clippy::unwrap_used)] // a test may panic, its helpers too

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::peer::{Peer, sign_on};
use tests::process::Setup;
use tests::witness::{House, NORTH, SOUTH, id, transfer};
use tokio::time::{sleep, timeout};
use wire::client::Error;
use wire::message::Answer;
use wire::{Message, MessageId, Reason, Status, Timestamp, Uetr};

const SLOW: &str = "SLOWBANK";
const PATIENCE: Duration = Duration::from_secs(30);

/// A small file system in memory, gone when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Result<SmallDisk, String> {
        let directory =
            tempfile::Builder::new().prefix("crosstie-disk-").tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(directory.path());
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(SmallDisk(directory)),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all the space there is but so many bytes.
    fn fill_but(&self, left_bytes: u64) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let block = vec![1; 64 << 10];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        let length_bytes = file.metadata().unwrap().len();
        file.set_len(length_bytes - left_bytes).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the switch may still have files open.
        _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn setup(disk: &SmallDisk) -> Setup {
    Setup::default()
        .with("log.directory", disk.0.path().join("log").display().to_string())
        .with("log.segment_bytes", "1MiB")
        .with("log.batch_bytes_max", "256KiB")
        .with("log.free_bytes_min", "8MiB")
        .with("scheme.payment_timeout", "5m")
        .with("scheme.creditor_share", "5s")
        .member(SLOW, "")
}

/// The creditor agent that answers when it is told to: waits for the offer, says yes.
async fn answer(slow: &mut Peer, uetr: Uetr) {
    loop {
        let frame = timeout(PATIENCE, slow.next()).await.unwrap().unwrap().unwrap();
        if matches!(frame.message().unwrap(), Message::TransferNotice(offer) if offer.transfer.uetr == uetr) {
            break;
        }
    }
    let now = Timestamp::now();
    let message_id = MessageId::compose(now.date(), id(SLOW), now.nanoseconds());
    let answer = Answer {
        message_id: message_id.as_str(),
        created_at: now,
        uetr,
        debtor_agent: id(NORTH),
        status: Status::ACTC,
        reason: Reason::NONE,
        additional_information: None,
    };
    slow.send(&Message::Answer(answer)).await.unwrap();
}

/// Waits until new payments are taken, or are not.
async fn until_taken(house: &House, expected: bool) {
    let patience = Instant::now() + PATIENCE;
    loop {
        match house.north.pay(&transfer(id(SOUTH), 1)).await {
            Ok(_) if expected => return,
            Err(Error::Refused { reason: Reason::FULL, text }) => {
                assert!(text.contains("disk space"), "{text}");
                if !expected {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < patience, "payments should be {}", if expected { "taken" } else { "refused" });
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_finishes_what_is_not() {
    let disk = match SmallDisk::mount(32) {
        Ok(disk) => disk,
        Err(reason) => return println!("SKIPPED: no file system of its own: {reason}"),
    };
    let mut house = House::start(env!("CARGO_BIN_EXE_node"), setup(&disk)).await;
    let (mut slow, _) = Peer::sign_on(house.address, &sign_on(id(SLOW), 0, 0)).await.unwrap();
    house.check().await;
    for round in 0..2 {
        let in_process = house.north.submit(&transfer(id(SLOW), 1)).await.unwrap();
        house.pay().await;
        disk.fill_but(0);
        until_taken(&house, false).await;
        answer(&mut slow, in_process.uetr()).await;
        let outcome = in_process.outcome().await.unwrap();
        assert!(outcome.is_settled(), "{outcome}");
        let status = house.place.ask(&["status"]).unwrap();
        assert_eq!(status["refusing"], "FULL", "{status}");
        disk.free();
        until_taken(&house, true).await;
        println!("round {round}: refused, finished, taken again");
    }
    let diary = std::fs::read_to_string(house.place.diary()).unwrap();
    assert!(diary.contains("log_short_of_space") && diary.contains("log_has_room"), "{diary}");
    assert!(!diary.contains("panicked"), "{diary}");
    assert_eq!(house.process.ended(), None);
}

#[tokio::test]
async fn a_switch_killed_on_a_full_disk_says_what_it_needs_and_has_lost_nothing() {
    let disk = match SmallDisk::mount(32) {
        Ok(disk) => disk,
        Err(reason) => return println!("SKIPPED: no file system of its own: {reason}"),
    };
    let mut house = House::start(env!("CARGO_BIN_EXE_node"), setup(&disk)).await;
    // It is signed on from here on, connected or not.
    drop(Peer::sign_on(house.address, &sign_on(id(SLOW), 0, 0)).await.unwrap());
    let in_process = house.north.submit(&transfer(id(SLOW), 1)).await.unwrap().uetr();
    house.check().await;
    disk.fill_but(0);
    until_taken(&house, false).await;

    // Without a single block it cannot start, and says so.
    let mut process = house.start_again();
    let error = process.ready(PATIENCE).await.unwrap_err();
    assert!(error.contains("exit status: 1") && error.contains("make room"), "{error}");

    // With little it starts, refuses what is new and finishes what is not.
    disk.free();
    disk.fill_but(1 << 20);
    let mut process = house.start_again();
    let ready = process.ready(PATIENCE).await.unwrap();
    let (mut slow, _) = Peer::sign_on(ready.address, &sign_on(id(SLOW), 0, 0)).await.unwrap();
    let patience = Instant::now() + PATIENCE;
    while house.place.ask(&["status"]).unwrap()["refusing"] != "FULL" {
        assert!(Instant::now() < patience, "it should refuse");
        sleep(Duration::from_millis(20)).await;
    }
    answer(&mut slow, in_process).await;
    let settled = timeout(PATIENCE, async {
        loop {
            let frame = slow.next().await.unwrap().unwrap();
            if let Message::StatusNotice(notice) = frame.message().unwrap() {
                return (notice.uetr, notice.status);
            }
        }
    });
    assert_eq!(settled.await.unwrap(), (in_process, Status::ACSC));
}
