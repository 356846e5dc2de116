//! `crosstie node repair`: a damaged log is named, refused, given up, and brought back by the other nodes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::support::{run, serve};

/// Flips a bit in the middle of what the newest segment holds.
fn damage(data: &Path) {
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let segment = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-")).max().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used / 2 / 512 * 512 + 20] ^= 1;
    std::fs::write(segment, bytes).unwrap();
}

#[test]
fn a_damaged_node_is_brought_back_by_the_others() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    for number in 1..=5 {
        let bank = format!("BANK-000{number}");
        cluster.node(leader).ask(&["participant", "register", &bank, "--currency", "EUR", "--reason", "test"]).with(0);
    }
    let node = leader % 3 + 1;
    let locked = cluster.repair(node, &[]).with(4);
    assert!(locked.stderr.contains("open in another process"), "{locked:#?}");
    cluster.stop_node(node);
    let whole = cluster.repair(node, &[]).with(4);
    assert!(whole.stderr.contains("--even-if-whole"), "{whole:#?}");

    let data = cluster.data(node);
    damage(&data);
    let config = cluster.config(node);
    let refused = serve(&data, &["--config", config.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(7), "{said}");
    assert!(said.contains("log-0000000000000001.seg at byte") && said.contains("node repair"), "{said}");

    let planned = cluster.repair(node, &["--dry-run", "--json"]).with(0).json();
    assert_eq!((&planned["node"], &planned["done"]), (&node.into(), &false.into()));
    assert!(planned["damage"].as_str().unwrap().contains("at byte"), "{planned}");
    assert!(data.join("log-0000000000000001.seg").exists(), "that was dry");
    let done = cluster.repair(node, &["--json"]).with(0);
    assert!(done.stderr.contains("repairing"), "{done:#?}");
    let aside = PathBuf::from(done.json()["directory"].as_str().unwrap());
    assert!(
        aside.starts_with(&data)
            && aside.join("log-0000000000000001.seg").exists()
            && aside.join("head.before").exists()
    );
    let again = cluster.repair(node, &[]).with(4);
    assert!(again.stderr.contains("nothing is wrong"), "{again:#?}");

    cluster.start_node(node);
    cluster.wait("it is brought back", |cluster| {
        cluster.state(node) != "repairing" && cluster.committed(node) == cluster.committed(cluster.leader())
    });
    // With the third one gone, nothing goes on without the one that came back.
    let third = (1..=3).find(|other| *other != node && *other != cluster.leader()).unwrap();
    cluster.stop_node(third);
    let leader = cluster.leader();
    cluster
        .node(leader)
        .ask(&["participant", "register", "BANK-0006", "--currency", "EUR", "--reason", "test"])
        .with(0);
    cluster.wait("it has that too", |cluster| cluster.committed(node) == cluster.committed(leader));
    // All are listed all the same, and who is missing is marked, by the leader and by who follows it.
    let is_missed = |status: Value| {
        let of = |member: usize| status["members"][member - 1]["error"].clone();
        of(third).is_string() && of(node).is_null() && of(leader).is_null()
    };
    cluster.wait("the third is missed", |cluster| [leader, node].iter().all(|asked| is_missed(cluster.status(*asked))));
    let listed = cluster.node(node).ask(&["participant", "list", "--plain"]).with(0).stdout;
    assert_eq!(listed.lines().count(), 6, "{listed}");
    cluster.stop_node(node);
    run(&["log", "verify", "--data", data.to_str().unwrap()]).with(0);
}

/// While the others are away it follows nobody and says so.
#[test]
fn a_node_that_is_repaired_and_alone_waits() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let node = leader % 3 + 1;
    for node in 1..=3 {
        cluster.stop_node(node);
    }
    cluster.repair(node, &["--even-if-whole"]).with(0);
    cluster.start_node(node);
    assert_eq!(cluster.state(node), "repairing");
    for other in (1..=3).filter(|other| *other != node) {
        cluster.start_node(other);
    }
    cluster.wait("it is brought back", |cluster| cluster.state(node) != "repairing");
}
