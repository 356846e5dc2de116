//! What happens to the nodes while the banks pay. Each act begins and ends with three healthy nodes; what it says of times
//! is measured in it.

mod cut;
mod drain;
mod kill;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;

pub(super) use cut::Silence;

use super::figures::count;
use super::news::Tone;
use super::nodes::Presence;
use super::scene::named;
use super::stage::Stage;
use crate::admin::protocol::{self, Command};
use crate::exit::{Exit, Failure};
use crate::local::Cluster;

/// For an election, a start, catching up.
const PATIENCE: Duration = Duration::from_secs(40);
/// With one node away, so that it can be seen that the others go on.
const AWAY_FOR: Duration = Duration::from_millis(1500);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const UNTIL_LOOK: Duration = Duration::from_millis(50);

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The leader is killed.
    Kill,
    /// The leader's region is cut off, and healed.
    Cut,
    /// The leader is drained and brought back.
    Drain,
}

/// From 30 s on all three; from 20 s on without the drain; below that the kill alone.
pub(super) fn programme(length: Duration) -> &'static [Act] {
    match length.as_secs() {
        30.. => &[Act::Kill, Act::Cut, Act::Drain],
        20.. => &[Act::Kill, Act::Cut],
        _ => &[Act::Kill],
    }
}

/// When act number `place` begins: about as long before the first and after each as an act takes.
pub(super) fn begins(place: usize, of: usize, begun: Duration, span: Duration) -> Duration {
    begun + span * (2 * place as u32 + 1) / (2 * of as u32 + 1)
}

impl Act {
    pub(super) async fn play(self, stage: &Arc<Stage>, cluster: &mut Cluster) -> Result<(), Failure> {
        stage.disturb();
        match self {
            Act::Kill => kill::play(stage, cluster).await?,
            Act::Cut => cut::play(stage, cluster).await?,
            Act::Drain => drain::play(stage, cluster).await?,
        }
        stage.set_phase("load");
        stage.acting.store(false, Ordering::Relaxed);
        all_run(cluster)
    }
}

/// Waits, while all nodes that should run do. `q` ends the wait.
pub(super) async fn until(stage: &Stage, at: Duration, cluster: &mut Cluster) -> Result<(), Failure> {
    while stage.elapsed() < at && !stage.ended_early.load(Ordering::Relaxed) {
        all_run(cluster)?;
        sleep(UNTIL_LOOK.min(at.saturating_sub(stage.elapsed()))).await;
    }
    Ok(())
}

fn all_run(cluster: &mut Cluster) -> Result<(), Failure> {
    match cluster.ended_by_themselves().pop() {
        None => Ok(()),
        Some((node, how)) => {
            let next = format!("read {}", cluster.place().diary(node).display());
            Err(Failure::new(Exit::Integrity, format!("{} ended by itself, {how}", named(node))).next(next))
        }
    }
}

/// Waits for the first payment that was made and settled since then: how long after `since` its payer's bank was told.
async fn first_settled(stage: &Stage, since: Duration) -> Option<Duration> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE && !stage.load_is_over() {
        if let Some(at) = stage.measured.lock().first_settled() {
            return Some(at.saturating_sub(since));
        }
        sleep(LOOK_EVERY).await;
    }
    None
}

/// A new leader was elected, and payments go on: both told, with their times.
async fn tell_of_the_new_leader(
    stage: &Stage,
    cluster: &Cluster,
    others: &[u64],
    since: (Duration, Instant),
    what: &str,
) -> Result<u64, Failure> {
    let (leader, term) = cluster.leader_among(others, PATIENCE).await?;
    let elected_ms = since.1.elapsed().as_millis() as u64;
    stage.tell(Tone::Drama, format!("{} leads in term {term}, {} ms after {what}", named(leader), count(elected_ms)));
    match first_settled(stage, since.0).await {
        Some(first) => {
            let first_ms = count(first.as_millis() as u64);
            stage.tell(Tone::Drama, format!("first payment made and acknowledged since: {first_ms} ms after {what}"));
        }
        None => stage.tell(Tone::Alarm, format!("no payment was made and acknowledged after {what}")),
    }
    Ok(leader)
}

/// Starts a node again and waits until it has what the others have.
async fn bring_back(stage: &Stage, cluster: &mut Cluster, node: u64, leader: u64) -> Result<(), Failure> {
    stage.set_phase(format!("{} starts again", named(node)));
    stage.with_node(node, |seen| seen.presence = Presence::Starting);
    let started = Instant::now();
    let ready = cluster.start_node(node).await?;
    let (pid, replayed, up_ms) = (ready.pid, ready.recovered_entries, started.elapsed().as_millis() as u64);
    stage.with_node(node, |seen| (seen.pid, seen.presence) = (Some(pid), Presence::Up));
    let behind = catch_up(cluster, node, leader).await?;
    let all_ms = started.elapsed().as_millis() as u64;
    stage.tell(
        Tone::Drama,
        format!(
            "{} is back as process {pid}: {} entries of its own log read in {} ms, {} more from the others, level after {} ms",
            named(node),
            count(replayed),
            count(up_ms),
            count(behind),
            count(all_ms)
        ),
    );
    Ok(())
}

/// Waits until `node` has committed what `leader` had when this began; how many entries that were.
async fn catch_up(cluster: &Cluster, node: u64, leader: u64) -> Result<u64, Failure> {
    let started = Instant::now();
    let goal = committed(cluster, leader).await?;
    let mut first = None;
    loop {
        // It may be busy with just that.
        if let Ok(own) = committed(cluster, node).await {
            let first = *first.get_or_insert(own);
            if own >= goal {
                return Ok(goal.saturating_sub(first));
            }
        }
        if started.elapsed() > PATIENCE {
            let what = format!("{} has not caught up with entry {goal} after {PATIENCE:?}", named(node));
            return Err(Failure::new(Exit::Integrity, what));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn committed(cluster: &Cluster, node: u64) -> Result<u64, Failure> {
    let said: protocol::Cluster = cluster.ask(node, Command::Cluster).await?;
    Ok(said.leadership.committed_index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_demo_leaves_acts_out_in_their_order() {
        for (seconds, acts) in [(15, 1), (19, 1), (20, 2), (29, 2), (30, 3), (3600, 3)] {
            assert_eq!(programme(Duration::from_secs(seconds)).len(), acts, "{seconds}");
        }
        let second = Duration::from_secs(1);
        let begin = |place| begins(place, 3, 3 * second, 49 * second).as_secs();
        assert_eq!([begin(0), begin(1), begin(2)], [10, 24, 38]);
    }
}
