//! Three real nodes under load from real connections, through the death, the pause and the orderly hand-over of a leader:
//! nothing is lost or doubled, no connection to a healthy node drops, and in the end all books are equal.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadgen::options::Trust;
use loadgen::units::Rate;
use loadgen::{Bank, Options, Outcome, Progress};
use tests::cluster::Cluster;
use tests::process::Setup;

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

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test]
async fn leaders_come_and_go_and_nothing_is_lost() -> Result<(), String> {
    let directory =
        tempfile::Builder::new().prefix("crosstie-cluster-").tempdir().map_err(|error| error.to_string())?;
    let program = Path::new(env!("CARGO_BIN_EXE_node"));
    let mut cluster = Cluster::start(program, directory.path(), 3, &setup()).await?;
    let first = cluster.leader_seen_by(1).await?;
    // The participants are there once the first leader has taken them in.
    while cluster.ask(1, &["participant", "list"])?.as_array().is_none_or(|all| all.len() < BANKS) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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

    let outcome = tokio::task::spawn_blocking(move || paying.join()).await.map_err(|error| error.to_string())?;
    let outcome = outcome.map_err(|_| "the load panicked")?;
    assert!(outcome.check.holds(), "{:?}", outcome.check);
    assert!(outcome.check.settled > 2_000, "{:?}", outcome.check);
    assert_eq!(outcome.reconnects, 0, "the node that they are connected to was healthy all the time");
    let books = cluster.at_rest().await?;
    assert_eq!(books.as_array().map(Vec::len), Some(BANKS), "{books}");
    Ok(())
}
