//! The end: every payment gets its outcome, the banks sign off, the nodes say what they hold and stop, their logs are read
//! from the first entry; and from all of it the proof.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::bank::Bank;
use super::characters::{Character, PAYMENT_TIMEOUT};
use super::figures::count;
use super::news::Tone;
use super::proof::{Proof, Told, prove};
use super::replay::{Replay, replay};
use super::stage::Stage;
use crate::exit::{Exit, Failure};
use crate::local::{Books, Cluster};

/// Beyond the payments' own clock, how long outcomes may take once the load has ended.
const QUIET_PATIENCE: Duration = Duration::from_secs(30);
const GOODBYE_PATIENCE: Duration = Duration::from_secs(10);
/// Until all nodes have folded the same entries.
const BOOKS_PATIENCE: Duration = Duration::from_secs(20);

/// What was proved, and how much it took on disk.
pub(super) async fn conclude(
    stage: &Arc<Stage>,
    cluster: &mut Cluster,
    banks: &Arc<[Bank]>,
    listening: Vec<JoinHandle<()>>,
) -> Result<(Proof, u64), Failure> {
    wind_up(stage, banks, listening).await;
    stage.set_phase("the nodes say what they hold");
    let books = cluster.books(BOOKS_PATIENCE).await?;
    let told = Told::all(&books.holdings)
        .ok_or_else(|| Failure::new(Exit::Integrity, "a node's answer does not name every bank and its positions"))?;
    stage.set_phase("the nodes stop; their logs are read from the first entry");
    cluster.stop_all().await?;
    let nodes: Vec<u64> = cluster.place().plan().nodes().collect();
    nodes.iter().for_each(|node| _ = stage.with_node(*node, |seen| seen.pid = None));
    let disk_bytes = nodes.iter().map(|node| bytes_in(&cluster.place().data(*node))).sum();
    let replays = replays(cluster, &nodes, books.index).await?;
    Ok((compare(stage, banks, &books, &told, &replays), disk_bytes))
}

fn compare(stage: &Stage, banks: &[Bank], books: &Books, told: &[Told], replays: &[(u64, Replay)]) -> Proof {
    let own: Vec<_> = banks.iter().map(|bank| bank.book.lock()).collect();
    let own: Vec<_> = own.iter().map(|book| &**book).collect();
    let mut proof = prove(&own, told, &replays[0].1);
    proof.nodes(books);
    proof.logs(replays);
    if let Some(silence) = &*stage.silence.lock() {
        proof.silence(silence);
    }
    proof
}

/// Lets every payment end, and signs the banks off.
async fn wind_up(stage: &Arc<Stage>, banks: &Arc<[Bank]>, listening: Vec<JoinHandle<()>>) {
    let in_process = count(stage.in_process() as u64);
    stage.set_phase("the load has ended; every payment gets its outcome");
    stage.tell(Tone::Plain, format!("the load has ended; waiting for the outcomes of {in_process} payments"));
    let quiet = async {
        while !stage.is_quiet() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(PAYMENT_TIMEOUT + QUIET_PATIENCE, quiet).await.is_err() {
        let left = count(stage.in_process() as u64);
        stage.tell(Tone::Alarm, format!("{left} payments still have no outcome; the proof will say which"));
    }
    stage.tell(Tone::Plain, "every payment has ended; the banks sign off");
    // The careful bank first: its last words reach the others before they go.
    let is_careful = |bank: &&Bank| bank.part().character == Character::Careful;
    for bank in banks.iter().filter(is_careful).chain(banks.iter().filter(|bank| !is_careful(bank))) {
        if let Err(error) = bank.sign_off().await {
            stage.tell(Tone::Alarm, format!("{} could not sign off: {error}", bank.part().name));
        }
    }
    for listening in listening {
        if timeout(GOODBYE_PATIENCE, listening).await.is_err() {
            stage.tell(Tone::Alarm, "a bank still waits for notices although it has signed off");
        }
    }
}

/// Each node's log, folded from nothing.
async fn replays(cluster: &Cluster, nodes: &[u64], last_index: u64) -> Result<Vec<(u64, Replay)>, Failure> {
    let folding: Vec<_> = nodes
        .iter()
        .map(|node| {
            let data = cluster.place().data(*node);
            (*node, tokio::task::spawn_blocking(move || replay(&data, last_index)))
        })
        .collect();
    let mut replays = Vec::new();
    for (node, folding) in folding {
        let folded = folding.await.map_err(|panic| {
            let data = cluster.place().data(node);
            Failure::new(Exit::Integrity, format!("the log of node {node} cannot be folded: {panic}"))
                .next(format!("crosstie log verify --data {}", data.display()))
        })??;
        replays.push((node, folded));
    }
    Ok(replays)
}

fn bytes_in(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
