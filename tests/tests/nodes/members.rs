//! A fourth node joins under load, catches up by a snapshot, gets its vote; an old one dies and is removed.

use std::time::Duration;

use crate::support::{BANKS, directory, load, outcome_of, program, until_ready, with_banks};
use tests::cluster::Cluster;
use tests::process::Setup;

#[tokio::test]
async fn a_node_joins_by_a_snapshot_and_a_dead_one_is_removed() -> Result<(), String> {
    let directory = directory();
    // So little is kept that whoever joins needs a snapshot.
    let setup = Setup::default()
        .with("log.segment_bytes", "256KiB")
        .with("log.batch_bytes_max", "64KiB")
        .with("log.snapshot_every_bytes", "128KiB")
        .with("log.retained_bytes_max", "0B");
    let setup = with_banks(setup);
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup).await?;
    let leader = until_ready(&cluster).await?;
    let paying = load(&cluster, &[1, 2, 3], Duration::from_secs(25), None);
    cluster
        .until(|cluster| {
            Ok((cluster.ask(leader, &["status"])?["journal"]["snapshots"].as_u64() > Some(2)).then_some(()))
        })
        .await?;

    let before = cluster.view(leader)?;
    let (node, address) = cluster.join(program(), directory.path(), &setup).await?;
    let status = cluster.ask(node, &["status"])?;
    assert_eq!(status["closed"], "not_a_member", "{status}");
    let (id, address) = (node.to_string(), address.to_string());
    let add = ["cluster", "add", "--id", &id, "--name", "n4", "--region", "east", "--address", &address];
    let follower = leader % 3 + 1;
    let tried = cluster.ask(follower, &[&add[..], &["--dry-run"]].concat())?;
    assert_eq!(tried["members"].as_array().map(Vec::len), Some(3), "{tried}");
    let added = cluster.ask(follower, &[&add[..], &["--reason", "a test"]].concat())?;
    assert_eq!(added["members"][3]["kind"], "learner", "{added}");
    let again = cluster.ask(follower, &[&add[..], &["--reason", "asked twice"]].concat())?;
    assert_eq!(again["members"].as_array().map(Vec::len), Some(4), "{again}");
    let other = ["cluster", "add", "--id", &id, "--name", "n5", "--region", "east", "--address", &address];
    let other = cluster.ask(follower, &[&other[..], &["--reason", "a test"]].concat()).unwrap_err();
    assert!(other.contains("never used again"), "{other}");
    let promoted = cluster.ask(follower, &["cluster", "promote", &id, "--wait", "60s", "--reason", "a test"])?;
    assert_eq!(promoted["members"][3]["kind"], "voter", "{promoted}");
    let after = cluster.view(leader)?;
    assert_eq!((before.term, before.leader), (after.term, after.leader), "the join caused no election");
    assert!(cluster.diary(node).contains("snapshot_coming"), "{}", cluster.diary(node));
    cluster.until(|cluster| Ok(cluster.ask(node, &["status"])?["closed"].is_null().then_some(()))).await?;

    // One that does not lead dies; of the four voters three are left, and of the remaining ones no majority must go.
    cluster.kill(follower);
    let old = follower.to_string();
    cluster
        .until(|cluster| {
            let status = cluster.ask(leader, &["cluster", "status"])?;
            let of_old =
                status["members"].as_array().and_then(|all| all.iter().find(|one| one["node"] == follower).cloned());
            Ok(of_old.filter(|old| old["state"] == "silent").map(|_| ()))
        })
        .await?;
    cluster.ask(node, &["cluster", "remove", &old, "--reason", "it died"])?;
    cluster.ask(node, &["cluster", "remove", &old, "--reason", "asked twice"])?;

    // It comes back without having heard of that.
    cluster.start_node(follower).await?;
    cluster.until(|cluster| Ok((cluster.ask(follower, &["status"])?["closed"] == "removed").then_some(()))).await?;
    assert!(cluster.diary(follower).contains("its number is not used again"));

    let outcome = outcome_of(paying).await;
    println!("{:?}", outcome.check);
    let rest: Vec<u64> = (1..=4).filter(|other| *other != follower).collect();
    let books = cluster.at_rest_among(&rest).await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");

    // Of three, one is silent: without another one no majority would be heard.
    let silent = rest.iter().copied().find(|other| *other != leader && *other != node).unwrap();
    cluster.kill(silent);
    cluster
        .until(|cluster| {
            let refused = cluster.ask(leader, &["cluster", "remove", &id, "--dry-run"]).err();
            Ok(refused.filter(|refused| {
                refused.contains("only 1 are heard") || refused.contains("nothing could be acknowledged")
            }))
        })
        .await?;
    // The leader goes by itself, once the silent one is gone: the other one leads and does it.
    cluster.ask(leader, &["cluster", "remove", &silent.to_string(), "--reason", "it died"])?;
    let removed = cluster.ask(leader, &["cluster", "remove", &leader.to_string(), "--reason", "its time has come"])?;
    let left: Vec<_> = removed["members"].as_array().unwrap().iter().map(|one| one["node"].as_u64()).collect();
    assert_eq!(left, [Some(node)], "{removed}");
    Ok(())
}
