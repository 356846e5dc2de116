//! Real nodes under load from real connections: three through the death, the pause and the orderly hand-over of a leader,
//! five that lose two, two regions and a witness that lose a region. Nothing is lost or doubled, no connection to a healthy
//! node drops, and in the end all books are equal.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{BANKS, directory, load, program, seconds, setup, until_ready};
use loadgen::Outcome;
use tests::cluster::Cluster;
use tests::cluster::plan::Plan;
use tests::peer::{Peer, sign_on};
use wire::{Message, Reason};

/// The load has ended: the money check holds, and nobody was disconnected from the node that the load was at.
async fn nothing_was_lost(paying: JoinHandle<Outcome>, settled_least: u64) -> Result<(), String> {
    let outcome = tokio::task::spawn_blocking(move || paying.join()).await.map_err(|error| error.to_string())?;
    let outcome = outcome.map_err(|_| "the load panicked")?;
    assert!(outcome.check.holds() && outcome.check.settled > settled_least, "{:?}", outcome.check);
    assert_eq!(outcome.reconnects, 0, "the node that they are connected to was healthy all the time");
    Ok(())
}

#[tokio::test]
async fn leaders_come_and_go_and_nothing_is_lost() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup()).await?;
    let first = until_ready(&cluster).await?;
    let near = first % 3 + 1;
    let before = cluster.view(near)?;
    let paying = load(&cluster, &[near], Duration::from_secs(16), None);

    seconds(3).await;
    cluster.kill(first);
    seconds(3).await;
    let second = cluster.view(near)?;
    assert!(second.term > before.term && second.leader.is_some_and(|leader| leader != first), "{second:?}");
    cluster.start_node(first).await?;
    seconds(3).await;

    // Whoever leads now, unless the load is there, stands still for a while: the others go on without it.
    let leader = cluster.leader_seen_by(near).await?;
    if leader == near {
        let other = if first == near { near % 3 + 1 } else { first };
        cluster.ask(near, &["node", "step-down", "--to", &other.to_string()])?;
    } else {
        cluster.pause(leader).await?;
        seconds(3).await;
        let third = cluster.view(near)?;
        cluster.resume(leader)?;
        assert!(third.term > second.term && third.leader != Some(leader), "{third:?}");
    }

    nothing_was_lost(paying, 1_500).await?;
    let books = cluster.at_rest().await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");
    Ok(())
}

#[tokio::test]
async fn of_five_nodes_two_may_be_lost() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 5, &setup()).await?;
    let leader = until_ready(&cluster).await?;
    let term = cluster.view(leader)?.term;
    let (near, other) = (leader % 5 + 1, (leader + 1) % 5 + 1);
    let paying = load(&cluster, &[near], Duration::from_secs(9), None);

    seconds(2).await;
    cluster.kill(leader);
    cluster.kill(other);
    let left: Vec<u64> = cluster.nodes().filter(|node| ![leader, other].contains(node)).collect();
    let (next, after) = cluster.leader_among(&left).await?;
    assert!(after > term && left.contains(&next), "node {next} leads in term {after}");
    let before = cluster.view(next)?.committed_index;
    cluster.until(|cluster| Ok((cluster.view(next)?.committed_index > before + 20).then_some(()))).await?;

    nothing_was_lost(paying, 1_000).await?;
    for node in [leader, other] {
        cluster.start_node(node).await?;
    }
    let books = cluster.at_rest().await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");
    Ok(())
}

/// Recovery point zero: a region dies as a whole, and everything that was acknowledged is in the other one, which goes on.
#[tokio::test]
async fn of_two_regions_and_a_witness_one_may_be_lost() -> Result<(), String> {
    let directory = directory();
    let setup = setup();
    let plan = Plan::two_two_witness(&setup).with_roads();
    let mut cluster = Cluster::start_by(program(), directory.path(), &plan).await?;
    let leader = until_ready(&cluster).await?;
    let term = cluster.view(leader)?.term;
    let lost = cluster.nodes_in(&cluster.seat(leader).region);
    let left: Vec<u64> = cluster.nodes().filter(|node| !lost.contains(node)).collect();
    let (near, witness) = (left[0], cluster.nodes_in("west")[0]);
    assert_eq!((lost.len(), cluster.seat(leader).kind, witness), (2, "voter", 5), "node {leader} leads");
    for (one, other) in lost.iter().flat_map(|one| left.iter().map(move |other| (*one, *other))) {
        cluster.roads().set_round_trip(one, other, Duration::from_millis(10));
    }
    let paying = load(&cluster, &[near], Duration::from_secs(9), None);

    seconds(2).await;
    lost.iter().for_each(|node| cluster.kill(*node));
    let serving: Vec<u64> = left.iter().copied().filter(|node| *node != witness).collect();
    let (next, after) = cluster.leader_among(&serving).await?;
    assert!(after > term, "node {next} leads in term {after}");
    let before = cluster.view(next)?.committed_index;
    cluster.until(|cluster| Ok((cluster.view(next)?.committed_index > before + 20).then_some(()))).await?;

    let bank = "BANK-0001".parse().map_err(|error| format!("{error}"))?;
    let signed_on = Peer::sign_on(cluster.address(witness), &sign_on(bank, 0, 0)).await;
    let (_, answer) = signed_on.map_err(|error| error.to_string())?;
    assert!(matches!(answer.message(), Ok(Message::GoAway(end)) if end.reason == Reason::DRAN), "{answer:?}");

    nothing_was_lost(paying, 1_000).await?;
    for node in lost {
        cluster.start_node(node).await?;
    }
    let books = cluster.at_rest().await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");
    Ok(())
}
