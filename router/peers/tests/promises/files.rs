//! A file comes whole or not at all, no faster than it may, and messages do not wait for it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use peers::Channel;

use crate::support::{House, Node, limits, until};

const FAST: u64 = 1 << 30;

fn file(house: &House, name: &str, bytes: &[u8]) -> PathBuf {
    let path = house.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n / 3 + n * 5) as u8).collect()
}

fn outcome(node: &Node, number: usize) -> Result<(), String> {
    until("the outcome is told", || node.seen.outcomes.lock().unwrap().len() > number);
    node.seen.outcomes.lock().unwrap()[number].1.clone()
}

#[test]
fn files_of_all_sizes_come_whole() {
    let house = House::new();
    let nodes = house.mesh(2, &limits());
    for (number, bytes) in [0, 1, 256 << 10, (256 << 10) + 1, 9_000_000].into_iter().enumerate() {
        let path = file(&house, "snapshot", &pattern(bytes));
        let header = format!("header {number}").into_bytes();
        assert!(nodes[0].peers.send_file(2, header.clone(), path, FAST));
        assert_eq!(outcome(&nodes[0], number), Ok(()));
        let files = nodes[1].seen.files.lock().unwrap();
        assert!(files[number] == (header, Some(pattern(bytes))), "{bytes} bytes");
    }
}

#[test]
fn a_file_goes_as_fast_as_it_may_and_messages_pass_it() {
    const BYTES: usize = 3_000_000;
    let house = House::new();
    let nodes = house.mesh(2, &limits());
    let path = file(&house, "snapshot", &pattern(BYTES));
    let started = Instant::now();
    assert!(nodes[0].peers.send_file(2, Vec::new(), path.clone(), 1_500_000));
    assert!(!nodes[0].peers.send_file(2, Vec::new(), path, FAST), "one at a time");
    until("it is under way", || nodes[0].about(2).unwrap().file.is_some_and(|file| file.sent_bytes > 0));
    assert!(nodes[0].peers.send(2, Channel::Consensus, vec![1]));
    until("the message arrives", || nodes[1].seen.count(1) == 1);
    let progress = nodes[0].about(2).unwrap().file.expect("the file is still under way");
    assert!(progress.bytes == BYTES as u64 && progress.sent_bytes < progress.bytes, "{progress:?}");
    assert_eq!(outcome(&nodes[0], 0), Ok(()));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1900) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(nodes[0].about(2).unwrap().file, None);
    assert_eq!(nodes[1].seen.files.lock().unwrap()[0].1.as_deref(), Some(&pattern(BYTES)[..]));
}

#[test]
fn a_file_that_is_not_taken_is_told_why() {
    let house = House::new();
    let nodes = house.mesh(2, &limits());
    let large = file(&house, "large", &pattern(50_000_000));
    let poison = file(&house, "poison", &[&b"poison"[..], &pattern(50_000_000)].concat());
    assert!(nodes[0].peers.send_file(2, b"unwanted".into(), large.clone(), FAST));
    assert_eq!(outcome(&nodes[0], 0), Err("no room for 50000000 bytes".into()));
    assert!(nodes[0].peers.send_file(2, Vec::new(), poison, FAST));
    assert_eq!(outcome(&nodes[0], 1), Err("the disk says no".into()));
    assert!(nodes[0].peers.send_file(2, Vec::new(), house.path().join("none"), FAST));
    assert!(outcome(&nodes[0], 2).unwrap_err().contains("No such file"));
    assert!(nodes[1].seen.files.lock().unwrap().iter().all(|(_, file)| file.is_none()));

    // The receiver ends, and then the member goes.
    assert!(nodes[0].peers.send_file(2, b"slow".into(), large.clone(), 1_000_000));
    until("it has begun", || nodes[1].seen.files.lock().unwrap().len() == 2);
    nodes[1].peers.stop();
    assert!(outcome(&nodes[0], 3).is_err());
    assert!(nodes[0].peers.send_file(2, Vec::new(), large, FAST));
    nodes[0].knows(&[]);
    assert!(outcome(&nodes[0], 4).is_err());
    assert!(!nodes[0].peers.send_file(9, Vec::new(), PathBuf::new(), FAST), "unknown");
}
