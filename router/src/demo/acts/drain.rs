//! The leader is taken out in good order: leadership is handed over first, its banks are told to go elsewhere, it ends; and
//! it comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::figures::count;
use super::super::news::Tone;
use super::super::nodes::Presence;
use super::super::scene::named;
use super::super::stage::Stage;
use super::{AWAY_FOR, PATIENCE, bring_back};
use crate::admin::protocol::{Command, Leadership};
use crate::exit::Failure;
use crate::local::{Cluster, ask};

const STEP_DOWN_TIMEOUT: Duration = Duration::from_secs(10);

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
    let _: Leadership = ask(socket, Command::StepDown { node: None }, STEP_DOWN_TIMEOUT).await?;
    let (new_leader, term) = cluster.leader_among(&others, PATIENCE).await?;
    let handed_over_ms = count(started.elapsed().as_millis() as u64);
    stage.tell(Tone::Drama, format!("{} leads in term {term} after {handed_over_ms} ms", named(new_leader)));
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
