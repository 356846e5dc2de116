//! `crosstie local up`: the cluster in the foreground, until Ctrl-C, SIGTERM or `crosstie local down`.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::control::{Answer, Asked, Control, Order};
use super::introduction::introduce;
use super::place::Place;
use super::plan::Plan;
use super::ports::Ports;
use crate::admin::protocol::{Command, Participant};
use crate::exit::{Exit, Failure};

const LEADER_PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks whether a node has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Up {
    pub directory: PathBuf,
    /// What the cluster is to be if there is none yet, or if it is to be made anew.
    pub plan: Plan,
    /// The plan was asked for, so that another one that lies there is refused; else that one is taken.
    pub insists: bool,
    /// Round trips asked for; else those of the plan that lies there.
    pub round_trips: Option<Vec<Duration>>,
    /// Forget the data that is there.
    pub fresh: bool,
    pub ports: Ports,
}

/// Runs it.
pub fn up(wanted: &Up) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::No, format!("the runtime cannot be started: {error}")))?;
    let ended = runtime.block_on(live(wanted));
    runtime.shutdown_background();
    ended
}

async fn live(wanted: &Up) -> Result<Exit, Failure> {
    let directory = &wanted.directory;
    persistence::disk::create_directory(directory)
        .map_err(|error| Failure::new(Exit::No, format!("{}: {error}", directory.display())))?;
    let control = std::path::absolute(directory).unwrap_or_else(|_| directory.clone()).join("control.sock");
    // First of all: it is how one learns that another one runs here.
    let mut control = Control::open(control)?;
    let plan = settle(wanted)?;
    let place = Place::furnish(directory, Some(plan), wanted.ports)?;
    let mut stop = Box::pin(asked_to_stop()?);
    say(&format!("starting {} nodes in {} …", place.plan().seats.len(), place.directory().display()));
    let mut cluster = tokio::select! {
        cluster = Cluster::start(place, None) => cluster?,
        _ = &mut stop => return Err(interrupted()),
    };
    let named = introduce(&cluster, directory);
    tokio::select! {
        ready = ready(&cluster) => say(&ready?),
        _ = &mut stop => return Err(interrupted()),
    }
    say(&named);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let answer = loop {
        tokio::select! {
            _ = &mut stop => break None,
            _ = look.tick() => tend(&mut cluster),
            Some(asked) = control.orders.recv() => {
                let down = matches!(asked.order, Order::Down);
                let answer = obey(&mut cluster, asked).await;
                if down {
                    break answer;
                }
            }
        }
    };
    leave(cluster, answer).await
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted before the cluster was up")
}

/// What is to be started: the plan that lies there, or a new one.
fn settle(wanted: &Up) -> Result<Plan, Failure> {
    let directory = &wanted.directory;
    if wanted.fresh {
        Place::clear(directory)?;
    }
    let Some(before) = Place::read(directory)? else {
        let strangers = std::fs::read_dir(directory).into_iter().flatten().flatten();
        if let Some(stranger) = strangers.map(|entry| entry.file_name()).find(|name| name != "control.sock") {
            let what = format!("{} holds {stranger:?} and no cluster", directory.display());
            return Err(Failure::new(Exit::Refused, what).next("name an empty or a new directory by --dir"));
        }
        return Ok(wanted.plan.clone());
    };
    let mut plan = before.plan().clone();
    if wanted.insists && (&plan.seats, &plan.stakes) != (&wanted.plan.seats, &wanted.plan.stakes) {
        let what = format!("{} holds a cluster of another shape or with other participants", directory.display());
        let next = "leave the options out to start that one, name another place by --dir, or lose its data by --fresh";
        return Err(Failure::new(Exit::Refused, what).next(next));
    }
    if let Some(round_trips) = &wanted.round_trips {
        plan.set_round_trips(round_trips).map_err(|what| Failure::new(Exit::Usage, what))?;
    }
    Ok(plan)
}

fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::No, format!("signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Waits until somebody leads and the participants are taken in.
async fn ready(cluster: &Cluster) -> Result<String, Failure> {
    let nodes = cluster.up();
    let (leader, term) = cluster.leader_among(&nodes, LEADER_PATIENCE).await?;
    let expected: usize = cluster.place().plan().stakes.iter().map(|stake| stake.count as usize).sum();
    let until = Instant::now() + LEADER_PATIENCE;
    for node in nodes {
        loop {
            let known: Vec<Participant> = cluster.ask(node, Command::Participants).await?;
            if known.len() >= expected {
                break;
            }
            if Instant::now() > until {
                let what = format!("node {node} knows {} of {expected} participants", known.len());
                let next = format!("read {}", cluster.place().diary(node).display());
                return Err(Failure::new(Exit::Unreachable, what).next(next));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(format!("node {leader} leads in term {term}; {expected} participants are registered and have money"))
}

fn tend(cluster: &mut Cluster) {
    for (node, how) in cluster.ended_by_themselves() {
        let diary = cluster.place().diary(node).display().to_string();
        say(&format!("node {node} ended by itself: {how}; read {diary}, then crosstie local start {node}"));
    }
}

/// Carries an order out. The answer to `down` is given when all is down.
async fn obey(cluster: &mut Cluster, asked: Asked) -> Option<oneshot::Sender<Result<Answer, Failure>>> {
    let Asked { order, answer } = asked;
    let down = matches!(order, Order::Down);
    let done = cluster.carry_out(order).await;
    match &done {
        Ok(said) if !said.is_empty() => say(said),
        Ok(_) => {}
        Err(failure) => say(&format!("asked, and not done: {failure}")),
    }
    if down {
        return Some(answer);
    }
    let done = match done {
        Ok(said) => Ok(Answer { said, status: cluster.status().await }),
        Err(failure) => Err(failure),
    };
    // Who asked may have gone.
    drop(answer.send(done));
    None
}

/// Stops all, unless it is asked to a second time.
async fn leave(
    mut cluster: Cluster,
    answer: Option<oneshot::Sender<Result<Answer, Failure>>>,
) -> Result<Exit, Failure> {
    say("stopping all nodes in good order; once more ends them at once …");
    let mut again = Box::pin(asked_to_stop()?);
    let stopped = tokio::select! {
        stopped = cluster.stop_all() => stopped,
        () = &mut again => Err(Failure::new(Exit::Interrupted, "a second signal: the nodes are ended at once; nothing acknowledged is lost")),
    };
    let directory = cluster.place().directory().display().to_string();
    let said = format!("stopped; the data stays in {directory}, crosstie local up goes on with it");
    if stopped.is_ok() {
        say(&said);
    }
    if let Some(answer) = answer {
        let done = match &stopped {
            Ok(()) => Ok(Answer { said, status: cluster.status().await }),
            Err(failure) => Err(Failure::new(failure.exit, failure.message.clone())),
        };
        drop(answer.send(done));
        // The answer leaves before the runtime ends.
        _ = timeout(Duration::from_secs(1), sleep(Duration::from_millis(100))).await;
    }
    stopped.map(|()| Exit::Done)
}

/// To stdout; nobody who has stopped reading stops the cluster.
fn say(line: &str) {
    use std::io::Write;
    _ = writeln!(std::io::stdout(), "{line}");
}
