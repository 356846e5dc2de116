//! Real nodes under load from real connections: three through the death, the pause and the orderly hand-over of a leader,
//! five that lose two, two regions and a witness that lose a region. Nothing is lost or doubled, no connection to a healthy
//! node drops, and in the end all books are equal.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadgen::options::Trust;
use loadgen::units::Rate;
use loadgen::{Bank, Options, Outcome, Progress};
use tests::cluster::Cluster;
use tests::cluster::plan::Plan;
use tests::peer::{Peer, sign_on};
use tests::process::Setup;
use wire::{Message, Reason};

const BANKS: usize = 6;

fn setup() -> Setup {
    let setup = Setup::default().with("log.segment_bytes", "4MiB").with("log.batch_bytes_max", "1MiB");
    (1..=BANKS).fold(setup, |setup, bank| setup.member(format!("BANK-{bank:04}"), "1000000.00"))
}

/// Pays over connections to one node. What is checked is money, not time.
fn load(cluster: &Cluster, node: u64, length: Duration) -> std::thread::JoinHandle<Outcome> {
    let options = Options {
        targets: vec![cluster.address(node).to_string()],
        banks: Bank::series("BANK-", BANKS).expect("names"),
        rate: Rate(200.0),
        length,
        warm_up: Duration::from_millis(500),
        drain: Duration::from_secs(20),
        verify: true,
        reconnect: true,
        trust: Trust { lag_p99_max: Duration::from_secs(10), lag_share_max: 1.0, busy_max: 2.0 },
        ..Options::default()
    };
    std::thread::spawn(move || loadgen::run(&options, &Progress::default(), |_| {}).expect("the node is there"))
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to {process}");
}

/// Waits until there is a leader that has taken in the participants; which node it is, and its term.
async fn ready(cluster: &Cluster) -> Result<(u64, u64), String> {
    cluster
        .until(|cluster| {
            let listed = cluster.ask(1, &["participant", "list"])?;
            Ok(listed.as_array().is_some_and(|all| all.len() == BANKS).then_some(()))
        })
        .await?;
    cluster.leader_among(&cluster.nodes().collect::<Vec<_>>()).await
}

/// The load has ended: the money check holds, and nobody was disconnected from the node that the load was at.
async fn nothing_was_lost(paying: std::thread::JoinHandle<Outcome>, settled_least: u64) -> Result<(), String> {
    let outcome = tokio::task::spawn_blocking(move || paying.join()).await.map_err(|error| error.to_string())?;
    let outcome = outcome.map_err(|_| "the load panicked")?;
    assert!(outcome.check.holds() && outcome.check.settled > settled_least, "{:?}", outcome.check);
    assert_eq!(outcome.reconnects, 0, "the node that they are connected to was healthy all the time");
    Ok(())
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test]
async fn leaders_come_and_go_and_nothing_is_lost() -> Result<(), String> {
    let directory =
        tempfile::Builder::new().prefix("crosstie-cluster-").tempdir().map_err(|error| error.to_string())?;
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let mut cluster = Cluster::start(program, directory.path(), 3, &setup()).await?;
    let (first, _) = ready(&cluster).await?;
    let near = first % 3 + 1;
    let before = cluster.view(near)?;
    let paying = load(&cluster, near, Duration::from_secs(16));

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
        let process = cluster.process_id(leader).ok_or("it runs")?;
        signal(process, "STOP");
        seconds(3).await;
        let third = cluster.view(near)?;
        signal(process, "CONT");
        assert!(third.term > second.term && third.leader != Some(leader), "{third:?}");
    }

    nothing_was_lost(paying, 2_000).await?;
    let books = cluster.at_rest().await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");
    Ok(())
}

#[tokio::test]
async fn of_five_nodes_two_may_be_lost() -> Result<(), String> {
    let directory =
        tempfile::Builder::new().prefix("crosstie-cluster-").tempdir().map_err(|error| error.to_string())?;
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let mut cluster = Cluster::start(program, directory.path(), 5, &setup()).await?;
    let (leader, term) = ready(&cluster).await?;
    let (near, other) = (leader % 5 + 1, (leader + 1) % 5 + 1);
    let paying = load(&cluster, near, Duration::from_secs(9));

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
    let directory =
        tempfile::Builder::new().prefix("crosstie-cluster-").tempdir().map_err(|error| error.to_string())?;
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let setup = setup();
    let plan = Plan::two_two_witness(&setup).with_roads();
    let mut cluster = Cluster::start_by(program, directory.path(), &plan).await?;
    let (leader, term) = ready(&cluster).await?;
    let lost = cluster.nodes_in(&cluster.seat(leader).region);
    let left: Vec<u64> = cluster.nodes().filter(|node| !lost.contains(node)).collect();
    let (near, witness) = (left[0], cluster.nodes_in("west")[0]);
    assert_eq!((lost.len(), cluster.seat(leader).kind, witness), (2, "voter", 5), "node {leader} leads");
    for (one, other) in lost.iter().flat_map(|one| left.iter().map(move |other| (*one, *other))) {
        cluster.roads().set_round_trip(one, other, Duration::from_millis(10));
    }
    let paying = load(&cluster, near, Duration::from_secs(9));

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
