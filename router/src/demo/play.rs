//! The script, from the curtain to the proof.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::acts::{self, begins, programme};
use super::bank::{self, Bank};
use super::characters::{CAST, Character};
use super::load::{self, Pace};
use super::measured::WINDOW;
use super::news::Tone;
use super::nodes::{self, Presence};
use super::plain::{self, say};
use super::proof::Proof;
use super::scene::{self, home, named};
use super::stage::Stage;
use super::summary::{conclude, introduce};
use super::view::View;
use super::{Options, ending, line};
use crate::admin::protocol::{Command, Participant};
use crate::exit::{Exit, Failure};
use crate::local::{Cluster, Place, Ports};

/// At the end, at least: time-outs to wait for, goodbyes, the logs to read.
const ENDING: Duration = Duration::from_secs(5);
/// And so much of the whole: a longer run leaves more to compare.
const ENDING_SHARE: u32 = 15;
/// For the first election, and the cast's registration.
const BEGINNING_PATIENCE: Duration = Duration::from_secs(40);

/// Plays it all. Whatever happens, no node outlives this.
pub(super) async fn play(options: &Options) -> Result<Exit, Failure> {
    let seed = options.seed.unwrap_or_else(|| wire::Timestamp::now().nanoseconds() % 1_000_000);
    let temporary = tempfile::Builder::new().prefix("crosstie-demo-").tempdir();
    let temporary = temporary.map_err(|error| Failure::new(Exit::No, format!("no directory for the data: {error}")))?;
    let directory = temporary.path().to_path_buf();

    let interrupted = Arc::new(Notify::new());
    let ended = tokio::select! {
        ended = perform(options, seed, &directory, &interrupted) => ended,
        ended = interruption(&interrupted) => ended,
    };
    // A failure without its evidence helps nobody.
    let worth_keeping = match &ended {
        Ok(exit) => *exit != Exit::Done,
        Err(failure) => failure.exit != Exit::Interrupted,
    };
    if options.keep || worth_keeping {
        _ = temporary.keep();
        say(&format!("kept: {}", directory.display()));
    }
    ended
}

async fn interruption(by_key: &Notify) -> Result<Exit, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::No, format!("signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        () = by_key.notified() => {}
    }
    Err(Failure::new(Exit::Interrupted, "interrupted: the nodes are stopped, nothing was proved"))
}

async fn perform(options: &Options, seed: u64, directory: &Path, interrupted: &Arc<Notify>) -> Result<Exit, Failure> {
    let place = Place::furnish(directory, Some(scene::plan()), Ports::Any)?;
    let load_until = options.length - ENDING - options.length / ENDING_SHARE;
    let pace = Pace::new(options.rate, scene::goal());
    let nodes = nodes::none_yet(place.plan().nodes());
    let stage = Arc::new(Stage::new(seed, options.length, load_until, pace, nodes));
    let live = !options.headless && std::io::stdout().is_terminal();
    if !live {
        introduce(options, seed);
    }
    stage.set_phase("starting three nodes");
    let view = if live {
        let view = View::open(stage.clone(), interrupted.clone());
        Some(view.map_err(|error| {
            Failure::new(Exit::No, format!("the terminal: {error}")).next("crosstie demo --headless")
        })?)
    } else {
        None
    };
    let printing = (!live).then(|| tokio::spawn(plain::print(stage.clone())));

    let ended = from_start_to_proof(&stage, place.clone()).await;
    drop(view);
    if let Some(printing) = printing {
        printing.abort();
        _ = printing.await;
        plain::print_rest(&stage);
    }
    let (proof, disk_bytes) = ended?;
    if live {
        introduce(options, seed);
    }
    conclude(&stage, &proof, disk_bytes, &place, options.keep);
    Ok(if proof.holds() { Exit::Done } else { Exit::Integrity })
}

/// Where a browser sees it.
fn consoles(place: &Place) -> String {
    let pages = place.plan().nodes().filter_map(|node| place.console(node));
    let pages: Vec<String> = pages.map(|address| format!("http://{address}")).collect();
    format!("the nodes in a browser: {}", pages.join(", "))
}

/// Everything between the first start of the nodes and the proof.
async fn from_start_to_proof(stage: &Arc<Stage>, place: Place) -> Result<(Proof, u64), Failure> {
    let mut cluster = begin(stage, place).await?;
    stage.tell(Tone::Plain, consoles(cluster.place()));
    let (banks, listening) = gather(stage, cluster.place()).await?;
    signed_on(&cluster).await?;
    stage.tell(Tone::Plain, "eight banks signed on at three nodes; the load begins and looks for its rate");
    stage.set_phase("load");
    let sampling = tokio::spawn(sample(stage.clone()));
    let making = tokio::spawn(load::make(stage.clone(), banks.clone()));

    let begun = stage.elapsed();
    let span = stage.load_until.saturating_sub(begun);
    let programme = programme(stage.length);
    for (place, act) in programme.iter().enumerate() {
        acts::until(stage, begins(place, programme.len(), begun, span), &mut cluster).await?;
        if stage.ended_early.load(Ordering::Relaxed) {
            break;
        }
        act.play(stage, &mut cluster).await?;
    }
    acts::until(stage, stage.load_until, &mut cluster).await?;
    stage.end_load();
    _ = making.await;
    let concluded = ending::conclude(stage, &mut cluster, &banks, listening).await;
    sampling.abort();
    concluded
}

/// Waits until the log says that all are signed on: before that nobody can pay them.
async fn signed_on(cluster: &Cluster) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let (leader, _) = cluster.leader_among(&cluster.up(), BEGINNING_PATIENCE).await?;
        let all: Vec<Participant> = cluster.ask(leader, Command::Participants).await?;
        if all.iter().all(|one| one.signed_on) {
            return Ok(());
        }
        if began.elapsed() > BEGINNING_PATIENCE {
            return Err(Failure::new(Exit::No, format!("node {leader} has not signed all banks on")));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Starts the nodes, and waits until one of them leads and all know the cast.
async fn begin(stage: &Arc<Stage>, place: Place) -> Result<Cluster, Failure> {
    let cluster = Cluster::start(place, None).await?;
    nodes::watch(stage, cluster.place());
    for node in cluster.up() {
        let pid = cluster.ready(node).map(|(ready, _)| ready.pid);
        stage.with_node(node, |seen| (seen.pid, seen.presence) = (pid, Presence::Up));
        let (named, pid, data) = (named(node), pid.unwrap_or_default(), cluster.place().data(node));
        stage.tell(Tone::Plain, format!("{named} is up: process {pid}, data in {}", data.display()));
    }
    let (leader, term) = cluster.leader_among(&cluster.up(), BEGINNING_PATIENCE).await?;
    stage.tell(Tone::Plain, format!("{} leads in term {term}", named(leader)));
    let began = Instant::now();
    for node in cluster.up() {
        while cluster.ask::<Vec<Participant>>(node, Command::Participants).await?.len() < CAST.len() {
            if began.elapsed() > BEGINNING_PATIENCE {
                let next = format!("read {}", cluster.place().diary(node).display());
                return Err(Failure::new(Exit::No, format!("node {node} does not know all banks")).next(next));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(cluster)
}

/// Connects the cast: each to a node of its own choice first, one of them over lines that break.
async fn gather(stage: &Arc<Stage>, place: &Place) -> Result<(Arc<[Bank]>, Vec<JoinHandle<()>>), Failure> {
    stage.set_phase("the banks sign on");
    let nodes: Vec<_> = place.plan().nodes().filter_map(|node| place.address(node)).collect();
    let lines = line::lay(&nodes, stage.clone()).await;
    let lines = lines.map_err(|error| Failure::new(Exit::Unreachable, format!("the lines of BANK-E: {error}")))?;
    let (mut banks, mut ears) = (Vec::new(), Vec::new());
    for (own, part) in CAST.iter().enumerate() {
        let addresses = if part.character == Character::Flaky { &lines } else { &nodes };
        let mut addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        addresses.rotate_left(home(own) as usize - 1);
        let (bank, its_ears) = Bank::connect(own, addresses, stage.clone()).await?;
        banks.push(bank);
        ears.push(its_ears);
    }
    let banks: Arc<[Bank]> = banks.into();
    let listening = ears.into_iter().enumerate().map(|(own, ears)| bank::play(&banks, own, ears)).collect();
    _ = stage.banks.set(banks.clone());
    Ok((banks, listening))
}

/// Closes a window of measurement twice a second, and lets the rate follow.
async fn sample(stage: Arc<Stage>) {
    let mut tick = tokio::time::interval(WINDOW);
    tick.tick().await;
    loop {
        tick.tick().await;
        let is_over = stage.load_is_over();
        let wanted = if is_over { 0.0 } else { stage.pace.lock().per_second() };
        let window = stage.measured.lock().close(stage.elapsed(), wanted);
        let all_back = stage.all_back();
        let is_calm = {
            let mut pace = stage.pace.lock();
            if !is_over && !all_back {
                pace.rest();
            } else {
                pace.judge(&window);
            }
            all_back && pace.is_calm(&window)
        };
        let mut measured = stage.measured.lock();
        if is_calm && measured.is_disturbed() {
            measured.calm(stage.elapsed());
        }
    }
}
