//! The leader is taken out in good order, as before work on its machine: `node drain` hands leadership over and sends its
//! banks to other nodes; then it ends, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::figures::count;
use super::super::news::Tone;
use super::super::nodes::Presence;
use super::super::scene::named;
use super::super::stage::Stage;
use super::{AWAY_FOR, PATIENCE, bring_back};
use crate::admin::protocol::Command;
use crate::exit::{Exit, Failure};
use crate::local::{Cluster, ask};

const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn play(stage: &Arc<Stage>, cluster: &mut Cluster) -> Result<(), Failure> {
    let (leader, _) = cluster.leader_among(&cluster.up(), PATIENCE).await?;
    let others: Vec<u64> = cluster.up().into_iter().filter(|node| *node != leader).collect();
    let started = Instant::now();
    stage.mark(stage.elapsed());
    stage.with_node(leader, |seen| seen.presence = Presence::Draining);
    stage.set_phase(format!("{} is drained in good order", named(leader)));
    let banks = stage.banks().iter().filter(|bank| bank.node() == Some(leader)).count();
    stage.measured.lock().watch_pauses(stage.elapsed());
    stage.tell(
        Tone::Drama,
        format!("{}, the leader, with {banks} banks, is drained: it hands over first", named(leader)),
    );
    let socket = cluster.place().admin(leader);
    let drain = tokio::spawn(ask::<serde_json::Value>(socket, Command::Drain, DRAIN_TIMEOUT));
    let (new_leader, term) = cluster.leader_among(&others, PATIENCE).await?;
    let handed_over_ms = count(started.elapsed().as_millis() as u64);
    stage.tell(Tone::Drama, format!("{} leads in term {term} after {handed_over_ms} ms", named(new_leader)));
    drain.await.map_err(|error| Failure::new(Exit::No, format!("the drain ended: {error}")))??;
    let moved_ms = count(started.elapsed().as_millis() as u64);
    stage.tell(Tone::Drama, format!("its last bank has gone to another node after {moved_ms} ms; it can be stopped"));
    cluster.stop(leader).await?;
    stage.with_node(leader, |seen| (seen.pid, seen.presence) = (None, Presence::Drained));
    let ended_ms = count(started.elapsed().as_millis() as u64);
    sleep(AWAY_FOR).await;
    let pause_ms = count(stage.measured.lock().longest_pause(stage.elapsed()).as_millis() as u64);
    stage.tell(
        Tone::Drama,
        format!(
            "{} has ended after {ended_ms} ms; the longest pause between two outcomes was {pause_ms} ms",
            named(leader)
        ),
    );
    bring_back(stage, cluster, leader, new_leader).await
}
