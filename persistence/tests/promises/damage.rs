//! Damage is named, with file and offset. A log that was changed never opens with fewer acknowledged entries.
//!
//! `CROSSTIE_ALL_BITS=1` flips every bit instead of a sample.

use std::path::Path;

use persistence::disk::Disk;
use persistence::simulated::SimulatedDisk;
use persistence::{Error, Remedy};

use crate::ledger::{config, open_log};

/// Payloads that are hard to tell from missing sectors, among ordinary ones.
fn payloads() -> Vec<Vec<u8>> {
    let mut one_bit_per_sector = vec![0; 2000];
    one_bit_per_sector.iter_mut().skip(460).step_by(512).for_each(|byte| *byte = 1);
    let ordinary = |length: usize| (0..length).map(|byte| (byte % 251) as u8 + 1).collect::<Vec<u8>>();
    vec![
        ordinary(3000),
        vec![0; 2500],
        ordinary(10),
        one_bit_per_sector,
        ordinary(448),
        vec![0; 1],
        ordinary(2900),
        ordinary(449),
        vec![0; 1500],
    ]
}

/// A log over several segments, its last entry as given; `closed` in order or left as a kill leaves it.
fn fixture(last: &[u8], closed: bool) -> (SimulatedDisk, Vec<Vec<u8>>) {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    let mut all = payloads();
    all.push(last.to_vec());
    for payload in &all {
        opened.commit(payload).unwrap();
    }
    if closed {
        opened.log.close().unwrap();
    }
    let disk = disk.kill();
    assert_eq!(disk.files().iter().filter(|name| name.starts_with("log-")).count(), 3);
    (disk, all)
}

fn newest(disk: &SimulatedDisk) -> String {
    disk.files().into_iter().rfind(|name| name.starts_with("log-")).unwrap()
}

#[track_caller]
fn assert_damaged(disk: &SimulatedDisk, name: &str, what: &str) -> u64 {
    match open_log(disk, &config()) {
        Err(error @ Error::Damaged { .. }) => {
            assert_eq!(error.remedy(), Remedy::Repair);
            let Error::Damaged { file, offset, .. } = error else { unreachable!() };
            assert_eq!(file, Path::new("/simulated").join(name), "{what}");
            offset
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(opened) => panic!("{what}: opened with {} entries", opened.ledger.payloads().len()),
    }
}

#[test]
fn a_segment_truncated_at_any_byte() {
    let (disk, _) = fixture(b"the last", false);
    for name in disk.files().iter().filter(|name| name.starts_with("log-")) {
        let whole = disk.content(name).unwrap();
        for length in 0..whole.len() {
            let cut = disk.duplicate();
            cut.set_content(name, whole[..length].to_vec());
            let offset = assert_damaged(&cut, name, &format!("{name} cut to {length} bytes"));
            assert_eq!(offset, length as u64);
        }
    }
}

#[test]
fn every_bit_flipped() {
    let stride = if std::env::var_os("CROSSTIE_ALL_BITS").is_some() { 1 } else { 61 };
    let mut one_bit = vec![0; 2000];
    one_bit[1500] = 0x10;
    for (last, closed) in [(vec![7; 1000], false), (vec![0; 1000], false), (one_bit, false), (vec![7; 100], true)] {
        let (disk, expected) = fixture(&last, closed);
        for name in disk.files() {
            let whole = disk.content(&name).unwrap();
            for bit in (0..whole.len() * 8).step_by(stride) {
                let flipped = disk.duplicate();
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                flipped.set_content(&name, bytes);
                match open_log(&flipped, &config()) {
                    Err(Error::Damaged { file, .. }) => assert!(file.ends_with(&name), "bit {bit} of {name}: {file:?}"),
                    Err(error) => panic!("bit {bit} of {name}: {error}"),
                    Ok(opened) => assert_eq!(opened.ledger.payloads(), expected, "bit {bit} of {name}"),
                }
            }
        }
    }
}

#[test]
fn a_missing_file() {
    for closed in [false, true] {
        let (disk, _) = fixture(b"the last", closed);
        for name in disk.files() {
            let lacking = disk.duplicate();
            lacking.remove(&name).unwrap();
            let Err(error) = open_log(&lacking, &config()) else { panic!("opened without {name}") };
            assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains(&name), "{name}: {error}");
        }
    }
}

#[test]
fn a_segment_of_another_log_or_another_place() {
    let (disk, _) = fixture(b"the last", false);
    let (other, _) = fixture(b"another end", false);
    let names: Vec<String> = disk.files().into_iter().filter(|name| name.starts_with("log-")).collect();
    // Another history under the same identity: it ends otherwise, so only what follows could tell. In the middle:
    let mut opened = open_log(&other, &config()).unwrap();
    opened.commit(&[9; 2900]).unwrap();
    opened.commit(&[9; 2900]).unwrap();
    let other = other.kill();
    let spliced = other.duplicate();
    spliced.set_content(&names[2], disk.content(&names[2]).unwrap());
    let after = newest(&other);
    assert_ne!(after, names[2]);
    assert!(matches!(open_log(&spliced, &config()), Err(Error::Damaged { .. })), "a segment of another history");

    let exchanged = disk.duplicate();
    exchanged.set_content(&names[0], disk.content(&names[1]).unwrap());
    assert_eq!(assert_damaged(&exchanged, &names[0], "in the wrong place"), 0);
}

#[test]
fn a_hole_is_torn_only_at_the_end_of_a_log_that_was_not_closed() {
    // The same damage, a sector of the last entry zeroed: what power loss leaves, or what it cannot have left.
    for (closed, is_torn) in [(false, true), (true, false)] {
        let (disk, expected) = fixture(&[7; 1000], closed);
        let name = newest(&disk);
        let mut bytes = disk.content(&name).unwrap();
        let last = bytes.windows(64).rposition(|sector| sector == [7; 64]).unwrap() / 512 * 512 - 512;
        bytes[last..last + 512].fill(0);
        disk.set_content(&name, bytes);
        if is_torn {
            let opened = open_log(&disk, &config()).unwrap();
            assert_eq!(opened.ledger.payloads(), expected[..expected.len() - 1]);
            let torn = opened.recovery.torn_tail.unwrap();
            assert!(torn.file.ends_with(&name) && torn.bytes > 512, "{torn:?}");
        } else {
            assert_damaged(&disk, &name, "a closed log has no torn tail");
        }
    }
}

#[test]
fn a_hole_in_the_middle() {
    let (disk, _) = fixture(b"the last", false);
    for name in disk.files().iter().filter(|name| name.starts_with("log-")) {
        let whole = disk.content(name).unwrap();
        for sector in 0..whole.len() / 512 {
            let range = sector * 512..(sector + 1) * 512;
            let is_last = whole[range.end..].iter().all(|byte| *byte == 0) && *name == newest(&disk);
            if is_last || whole[range.clone()].iter().all(|byte| *byte == 0) {
                continue;
            }
            let holed = disk.duplicate();
            let mut bytes = whole.clone();
            bytes[range].fill(0);
            holed.set_content(name, bytes);
            assert_damaged(&holed, name, &format!("sector {sector} of {name} zeroed"));
        }
    }
}

#[test]
fn a_directory_that_is_no_log() {
    let disk = SimulatedDisk::new();
    disk.set_content("letter.txt", b"Dear".to_vec());
    assert!(matches!(open_log(&disk, &config()), Err(Error::NotALog { stray, .. }) if stray == "letter.txt"));
    let newer = fixture(b"", false).0;
    let mut head = newer.content("head").unwrap();
    head[8] = 4; // the version, and the checksum to go with it
    let crc = crc32c(&[&head[..12], &head[16..]].concat());
    head[12..16].copy_from_slice(&crc.to_le_bytes());
    newer.set_content("head", head);
    assert!(matches!(open_log(&newer, &config()), Err(Error::Unsupported { version: 4, .. })));
}

/// CRC-32C, bit by bit: independent of the crate under test.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 })
    })
}
