//! A fourth node joins under load, catches up by a snapshot, gets its vote; an old one dies and is removed. A node moves.

use std::time::Duration;

use crate::support::{BANKS, directory, load, outcome_of, program, setup, until_ready, with_banks};
use tests::cluster::{Cluster, free_address};
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

#[tokio::test]
async fn a_node_moves_to_another_address() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup()).await?;
    let leader = until_ready(&cluster).await?;
    let (moving, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let members =
        |cluster: &Cluster, node| Ok::<_, String>(cluster.ask(node, &["cluster", "status"])?["members"].take());
    let before = members(&cluster, leader)?;
    let address_of = |node: u64| before[node as usize - 1]["address"].as_str().unwrap();
    let described = |seen: &serde_json::Value| {
        let of = |what: &str| seen[moving as usize - 1][what].as_str().unwrap().to_string();
        (of("name"), of("region"), of("address"))
    };
    let (id, address) = (moving.to_string(), free_address().map_err(|error| error.to_string())?.to_string());
    let describe = |cluster: &Cluster, arguments: &[&str]| {
        cluster.ask(other, &[&["cluster", "describe"], arguments].concat()) // forwarded to the leader
    };

    let refused: [(&[&str], &str); 6] = [
        (&["9", "--name", "n9", "--reason", "a test"], "node 9 is no member"),
        (&[&id, "--address", "nowhere", "--reason", "a test"], "no HOST:PORT"),
        (&[&id, "--address", address_of(leader), "--reason", "a test"], "already"),
        (&[&id, "--region", "", "--reason", "a test"], "region is 1 to 255 bytes"),
        (&[&id, "--reason", "a test"], "required"),
        (&[&id, "--address", &address], "--reason"),
    ];
    for (arguments, why) in refused {
        let refused = describe(&cluster, arguments).unwrap_err();
        assert!(refused.contains(why), "{arguments:?}: {refused}");
    }
    describe(&cluster, &[&id, "--address", &address, "--dry-run"])?;
    assert_eq!(described(&members(&cluster, leader)?), described(&before), "nothing was changed");

    let shown = describe(&cluster, &[&id, "--address", &address, "--region", "attic", "--reason", "a test"])?;
    let expected = (described(&before).0, "attic".to_string(), address.clone());
    assert_eq!(described(&shown["members"]), expected);
    cluster.kill(moving);
    let listen = |address: &str| format!("cluster.listen = \"{address}\"");
    cluster.reconfigure(moving, &listen(address_of(moving)), &listen(&address))?;
    cluster.start_node(moving).await?;
    cluster.at_rest().await?;
    assert_eq!(described(&members(&cluster, moving)?), expected);

    // Of three, one is silent: nobody else may move now, though a name may change.
    cluster.kill(other);
    cluster
        .until(|cluster| {
            let moves = ["cluster", "describe", &id, "--address", address_of(moving), "--dry-run"];
            let refused = cluster.ask(leader, &moves).err();
            Ok(refused.filter(|refused| refused.contains("only 1 are heard")))
        })
        .await?;
    let shown = cluster.ask(leader, &["cluster", "describe", &id, "--name", "moved", "--reason", "a test"])?;
    assert_eq!(described(&shown["members"]).0, "moved");
    Ok(())
}
