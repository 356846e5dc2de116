//! SIGKILL to the leader under load: the others elect, payments go on, it comes back and catches up.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use super::super::figures::{count, seconds};
use super::super::news::Tone;
use super::super::nodes::Presence;
use super::super::scene::named;
use super::super::stage::Stage;
use super::{AWAY_FOR, PATIENCE, bring_back, tell_of_the_new_leader};
use crate::exit::Failure;
use crate::local::Cluster;

pub(super) async fn play(stage: &Arc<Stage>, cluster: &mut Cluster) -> Result<(), Failure> {
    let (leader, term) = cluster.leader_among(&cluster.up(), PATIENCE).await?;
    let ran = cluster.ready(leader).map_or_else(String::new, |(ready, started)| {
        format!("process {}, up {}", ready.pid, seconds(started.elapsed()))
    });
    let since = (stage.elapsed(), Instant::now());
    stage.measured.lock().watch_from(since.0);
    stage.mark(since.0);
    cluster.kill(leader).await?;
    stage.with_node(leader, |seen| (seen.pid, seen.presence) = (None, Presence::Killed));
    stage.set_phase(format!("{} was killed; the others elect, the banks move on", named(leader)));
    let in_process = count(stage.in_process() as u64);
    stage.tell(
        Tone::Drama,
        format!("SIGKILL to {}, the leader of term {term} ({ran}): {in_process} payments in process", named(leader)),
    );
    let others = cluster.up();
    let new_leader = tell_of_the_new_leader(stage, cluster, &others, since, "the kill").await?;
    sleep(AWAY_FOR).await;
    bring_back(stage, cluster, leader, new_leader).await
}
