//! A node whose book is not that of the others stops itself and says so; the others go on and bring it back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{directory, load, outcome_of, program, until_ready, with_banks};
use settlement::{Fact, Key, PositionMoved, restore};
use tests::cluster::Cluster;
use tests::process::Setup;
use wire::Currency;

const SECTOR_BYTES: usize = 512;
const FUNDED_MINOR: i64 = 1;

/// The newest snapshot in a node's directory.
fn newest_snapshot(log: &Path) -> PathBuf {
    let files = std::fs::read_dir(log).unwrap().map(|file| file.unwrap().path());
    let is_snapshot = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("snapshot-") && !name.ends_with(".tmp")
    };
    files.filter(is_snapshot).max().expect("there is a snapshot")
}

/// Gives a participant one cent more in a snapshot; all checksums are right (FORMAT.md, snapshots).
fn alter(snapshot: &Path) {
    let mut bytes = std::fs::read(snapshot).unwrap();
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let body_at = SECTOR_BYTES + number(&bytes, 64).next_multiple_of(SECTOR_BYTES);
    let body = bytes.split_off(body_at);
    let mut rest = body.as_slice();
    let mut book = restore(&mut rest).unwrap();
    let key = Key(1);
    let mut position = *book.participant(key).unwrap().position(Currency::EUR).unwrap();
    position.funded += FUNDED_MINOR;
    let at = book.scheme().last_at();
    let moved =
        PositionMoved { at, participant: key, currency: Currency::EUR, amount_minor: FUNDED_MINOR, position, note: "" };
    book.apply(&Fact::Funded(moved), &mut ());
    let mut altered = Vec::new();
    book.freeze().write(&mut altered).unwrap();
    // Where each feed can be read again.
    altered.extend_from_slice(rest);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(52, &crc32c::crc32c(&altered).to_le_bytes());
    put(56, &(altered.len() as u64).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..SECTOR_BYTES]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&altered);
    std::fs::write(snapshot, bytes).unwrap();
}

#[tokio::test]
async fn a_node_with_another_book_stops_and_is_brought_back() -> Result<(), String> {
    let directory = directory();
    let setup = Setup::default()
        .with("log.segment_bytes", "256KiB")
        .with("log.batch_bytes_max", "64KiB")
        .with("log.snapshot_every_bytes", "128KiB");
    let mut cluster = Cluster::start(program(), directory.path(), 3, &with_banks(setup)).await?;
    let leader = until_ready(&cluster).await?;
    let wrong = leader % 3 + 1;
    // At rest, too, they have compared: when the leader began.
    let agreed =
        cluster.until(|cluster| Ok(Some(cluster.view(leader)?.agreed_index).filter(|index| *index > 0))).await?;
    let others: Vec<u64> = (1..=3).filter(|node| *node != wrong).collect();
    let paying = load(&cluster, &others, Duration::from_secs(14), None);
    cluster
        .until(
            |cluster| Ok((cluster.ask(wrong, &["status"])?["journal"]["snapshots"].as_u64() > Some(0)).then_some(())),
        )
        .await?;
    cluster.kill(wrong);
    alter(&newest_snapshot(cluster.log(wrong)));
    // It may end before it is ready.
    let started = cluster.start_node(wrong).await;
    println!("{started:?}");

    let status = cluster.until_ended(wrong).await?;
    let diary = cluster.diary(wrong);
    assert_eq!(status.code(), Some(7), "{diary}");
    let last: Vec<&str> = diary.lines().rev().take(6).collect();
    println!("{last:#?}");
    for said in ["this node is not to be trusted", "crosstie node repair --even-if-whole"] {
        assert!(diary.contains(said), "{said}: {diary}");
    }
    // The others go on, and agree.
    cluster.until(|cluster| Ok((cluster.view(leader)?.agreed_index > agreed).then_some(()))).await?;

    // As the last words say.
    cluster.ask(wrong, &["node", "repair", "--even-if-whole"])?;
    cluster.start_node(wrong).await?;
    let outcome = outcome_of(paying).await;
    println!("{:?}", outcome.check);
    cluster.at_rest().await?;
    // A leader begins (for the repair one did, too): compared at once.
    let (leader, _) = cluster.leader_among(&[1, 2, 3]).await?;
    cluster.ask(leader, &["node", "step-down"])?;
    cluster
        .until(|cluster| {
            let shown = cluster.ask(others[0], &["cluster", "status"])?;
            let is_same = |node: &u64| shown["members"][*node as usize - 1]["book"]["is_same"] == true;
            Ok([1, 2, 3].iter().all(is_same).then_some(()))
        })
        .await
}
