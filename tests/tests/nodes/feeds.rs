//! A node that was brought up to date by a snapshot does not keep the notices before it: whoever needs them is sent to a
//! node that does, and hears that they are gone only when none has them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{directory, load, outcome_of, program, until_ready, with_banks};
use tests::cluster::Cluster;
use tests::process::Setup;
use wire::client::{Client, Options, State};

/// So little is kept that whoever was away needs a snapshot.
fn setup() -> Setup {
    let setup = Setup::default()
        .with("log.segment_bytes", "256KiB")
        .with("log.batch_bytes_max", "64KiB")
        .with("log.snapshot_every_bytes", "128KiB")
        .with("log.retained_bytes_max", "0B");
    with_banks(setup)
}

/// A participant that begins with its first notice at this node takes so many; where it is connected then.
async fn take_from_the_first(node: SocketAddr, count: u64) -> Result<String, String> {
    let options = Options::new(node.to_string(), "BANK-0001".parse().unwrap());
    let (client, mut notices) = Client::connect(options).await.map_err(|error| error.to_string())?;
    // The library goes on behind the last number, and a gap would be an error.
    for number in 1..=count {
        let next = tokio::time::timeout(Duration::from_secs(60), notices.next()).await;
        let notice = next.map_err(|_| format!("notice {number} does not come"))?;
        let notice = notice.map_err(|error| error.to_string())?.ok_or("the notices end")?;
        notices.processed(&notice);
    }
    let at = match &*client.state().borrow() {
        State::SignedOn { node, .. } => node.clone(),
        other => format!("{other:?}"),
    };
    drop(notices);
    client.close().await;
    Ok(at)
}

/// A session's end is logged once it is over, when its client may be elsewhere already.
async fn has_logged(cluster: &Cluster, node: u64, text: &str) -> Result<(), String> {
    cluster.until(|cluster| Ok(cluster.diary(node).contains(text).then_some(()))).await
}

#[tokio::test]
async fn notices_behind_a_snapshot_are_told_by_a_node_that_keeps_them() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup()).await?;
    let leader = until_ready(&cluster).await?;
    let (keeper, late) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    cluster.kill(keeper);
    cluster.reconfigure(keeper, "log.retained_bytes_max = \"0B\"", "log.retained_bytes_max = \"1GiB\"")?;
    cluster.start_node(keeper).await?;
    cluster.leader_seen_by(keeper).await?;
    cluster.kill(late);

    let outcome = outcome_of(load(&cluster, &[leader], Duration::from_secs(8), None)).await;
    println!("{:?}", outcome.check);
    cluster
        .until(|cluster| {
            Ok((cluster.ask(leader, &["status"])?["journal"]["snapshots"].as_u64() > Some(2)).then_some(()))
        })
        .await?;
    let address = cluster.start_node(late).await?;
    cluster.at_rest().await?;
    assert!(cluster.diary(late).contains("snapshot_coming"), "it was brought up to date by a snapshot");

    let at = take_from_the_first(address, 100).await?;
    assert_eq!(at, format!("n{keeper}"), "{}", cluster.diary(late));
    let sent_away = format!("is no longer kept on this node, but on node {keeper}: go on there");
    has_logged(&cluster, late, &sent_away).await?;

    // With that node gone, too, it is said as it is; the leader may have them in memory, and is asked.
    cluster.kill(keeper);
    cluster
        .until(|cluster| {
            let shown = cluster.ask(leader, &["cluster", "status"])?;
            Ok((shown["members"][keeper as usize - 1]["state"] == "silent").then_some(()))
        })
        .await?;
    let at = take_from_the_first(address, 100).await?;
    assert_eq!(at, format!("n{leader}"), "{}", cluster.diary(late));
    let gone = format!("no longer kept in the log of any node that is heard (node {keeper} is not)");
    has_logged(&cluster, late, &gone).await
}
