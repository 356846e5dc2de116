//! The leader's region is cut off: its node lives, its banks stay connected, and nothing that it says may count. The others
//! elect and go on; when the roads are open again it follows them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::figures::{count, seconds};
use super::super::news::Tone;
use super::super::nodes::Presence;
use super::super::scene::{named, region};
use super::super::stage::Stage;
use super::{PATIENCE, catch_up, committed, tell_of_the_new_leader};
use crate::exit::Failure;
use crate::local::Cluster;

/// Longer than a payment's clock, when there is time: some run out.
const CUT_FOR: Duration = Duration::from_millis(4500);
const CUT_FOR_SHORT: Duration = Duration::from_millis(3000);
const SHORT_BELOW: Duration = Duration::from_secs(45);
/// What was committed before the cut is still told until then.
const GRACE: Duration = Duration::from_secs(1);

/// What a node did while it was cut off: for the proof.
#[derive(Clone, Debug)]
pub(crate) struct Silence {
    pub(crate) node: u64,
    /// How long it was looked at.
    pub(crate) length: Duration,
    /// The last entry it called committed, at the beginning and at the end.
    pub(crate) committed: (u64, u64),
    /// Banks that were connected there all the time, and the notices they heard.
    pub(crate) banks: usize,
    pub(crate) notices: u64,
}

pub(super) async fn play(stage: &Arc<Stage>, cluster: &mut Cluster) -> Result<(), Failure> {
    let (leader, _) = cluster.leader_among(&cluster.up(), PATIENCE).await?;
    let others: Vec<u64> = cluster.up().into_iter().filter(|node| *node != leader).collect();
    let since = (stage.elapsed(), Instant::now());
    stage.measured.lock().watch_from(since.0);
    stage.mark(since.0);
    cluster.cut_off([leader]);
    stage.with_node(leader, |seen| seen.presence = Presence::CutOff);
    let banks = stage.banks().iter().filter(|bank| bank.node() == Some(leader)).count();
    stage.set_phase(format!("region {} is cut off from the others", region(leader)));
    stage.tell(
        Tone::Drama,
        format!("region {} is cut off, with the leader, {}, and {banks} banks in it", region(leader), named(leader)),
    );
    let (begin, begun) = tokio::join!(heard_after(stage, cluster, leader, since.1 + GRACE), async {
        tell_of_the_new_leader(stage, cluster, &others, since, "the cut").await
    });
    let (begin, new_leader) = (begin?, begun?);
    let length = if stage.length < SHORT_BELOW { CUT_FOR_SHORT } else { CUT_FOR };
    sleep(length.saturating_sub(since.1.elapsed())).await;
    let end = hear(stage, cluster, leader).await?;
    let silence = begin.until(&end);
    stage.tell(Tone::Drama, format!("{}: {}", named(leader), silence.words()));
    *stage.silence.lock() = Some(silence);
    heal(stage, cluster, leader, new_leader).await
}

async fn heal(stage: &Stage, cluster: &mut Cluster, cut_off: u64, leader: u64) -> Result<(), Failure> {
    let healed = Instant::now();
    cluster.heal();
    stage.mark(stage.elapsed());
    stage.set_phase(format!("region {} is back; what waited there goes on", region(cut_off)));
    let missed = catch_up(cluster, cut_off, leader).await?;
    let took_ms = count(healed.elapsed().as_millis() as u64);
    stage.with_node(cut_off, |seen| seen.presence = Presence::Up);
    let missed = count(missed);
    stage
        .tell(Tone::Drama, format!("healed: {} has the {missed} entries it missed after {took_ms} ms", named(cut_off)));
    Ok(())
}

/// What could be heard of a node at one moment.
struct Heard {
    node: u64,
    at: Instant,
    committed: u64,
    /// Of each bank that is connected there: its place, how often it lost its line so far, its last notice.
    banks: Vec<(usize, u64, u64)>,
}

async fn heard_after(stage: &Stage, cluster: &Cluster, node: u64, at: Instant) -> Result<Heard, Failure> {
    sleep(at.saturating_duration_since(Instant::now())).await;
    hear(stage, cluster, node).await
}

async fn hear(stage: &Stage, cluster: &Cluster, node: u64) -> Result<Heard, Failure> {
    let committed = committed(cluster, node).await?;
    let there = stage.banks().iter().filter(|bank| bank.node() == Some(node));
    let banks = there.map(|bank| (bank.place, bank.lines_lost(), bank.book.lock().last_notice)).collect();
    Ok(Heard { node, at: Instant::now(), committed, banks })
}

impl Heard {
    fn until(&self, end: &Heard) -> Silence {
        // One that lost its line meanwhile may have heard another node.
        let stayed = end.banks.iter().filter_map(|(place, lost, last_notice)| {
            let before = self.banks.iter().find(|(own, before, _)| own == place && before == lost)?;
            Some(last_notice - before.2)
        });
        let heard: Vec<u64> = stayed.collect();
        Silence {
            node: self.node,
            length: end.at - self.at,
            committed: (self.committed, end.committed),
            banks: heard.len(),
            notices: heard.iter().sum(),
        }
    }
}

impl Silence {
    /// It acknowledged nothing.
    pub(crate) fn holds(&self) -> bool {
        self.committed.0 == self.committed.1 && self.notices == 0
    }

    pub(crate) fn words(&self) -> String {
        let (length, notices, banks) = (seconds(self.length), count(self.notices), self.banks);
        let entries = count(self.committed.1 - self.committed.0);
        format!("alone for {length}, it committed {entries} entries and told its {banks} banks {notices} notices")
    }
}
