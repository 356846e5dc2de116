//! What these tests share: a small cluster, and load on it.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use loadgen::options::Trust;
use loadgen::units::Rate;
use loadgen::{Bank, Options, Outcome, Progress};
use tempfile::TempDir;
use tests::cluster::Cluster;
use tests::process::Setup;

pub(crate) const BANKS: usize = 6;

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_node"))
}

pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("crosstie-nodes-").tempdir().unwrap()
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// Small files, and banks with money.
pub(crate) fn setup() -> Setup {
    with_banks(Setup::default().with("log.segment_bytes", "4MiB").with("log.batch_bytes_max", "1MiB"))
}

pub(crate) fn with_banks(setup: Setup) -> Setup {
    let setup = setup.with("log.free_bytes_min", "0B").with("drain.spread", "500ms");
    (1..=BANKS).fold(setup, |setup, bank| setup.member(format!("BANK-{bank:04}"), "1000000.00"))
}

/// Waits until there is a leader and it has taken in the participants; gives back the leader.
pub(crate) async fn until_ready(cluster: &Cluster) -> Result<u64, String> {
    cluster
        .until(|cluster| {
            let listed = cluster.ask(1, &["participant", "list"])?;
            Ok(listed.as_array().is_some_and(|all| all.len() == BANKS).then_some(()))
        })
        .await?;
    cluster.leader_seen_by(1).await
}

/// Pays over connections that are spread over these nodes. What is checked is money, not time.
pub(crate) fn load(
    cluster: &Cluster,
    nodes: &[u64],
    length: Duration,
    journal: Option<PathBuf>,
) -> JoinHandle<Outcome> {
    let options = Options {
        targets: nodes.iter().map(|node| cluster.address(*node).to_string()).collect(),
        banks: Bank::series("BANK-", BANKS).unwrap(),
        rate: Rate(150.0),
        length,
        warm_up: Duration::from_millis(500),
        drain: Duration::from_secs(20),
        verify: true,
        reconnect: true,
        trust: Trust { lag_p99_max: Duration::from_secs(10), lag_share_max: 1.0, busy_max: 2.0 },
        journal,
        ..Options::default()
    };
    std::thread::spawn(move || loadgen::run(&options, &Progress::default(), |_| {}).unwrap())
}

/// The load's outcome, in which money and notices add up and no payment failed.
pub(crate) async fn outcome_of(load: JoinHandle<Outcome>) -> Outcome {
    let outcome = tokio::task::spawn_blocking(move || load.join()).await.unwrap().unwrap();
    let check = &outcome.check;
    assert!(check.holds(), "{check:?}");
    assert_eq!((check.refused, check.rejected), (0, 0), "{check:?}");
    assert!(check.settled > 500, "{check:?}");
    outcome
}
