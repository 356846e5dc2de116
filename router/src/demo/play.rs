//! The script, from the curtain to the proof.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Options;
use super::bank::{self, Bank};
use super::characters::{CAST, Character, PAYMENT_TIMEOUT};
use super::figures::{count, seconds};
use super::line;
use super::load::{self, Pace};
use super::measured::WINDOW;
use super::news::Tone;
use super::plain::{self, say};
use super::proof::{Proof, Told, prove};
use super::replay::replay;
use super::stage::Stage;
use super::summary::{conclude, introduce};
use super::switch::{Place, Switch};
use super::view::View;
use crate::admin::protocol::{Command, Participant, Status};
use crate::exit::{Exit, Failure};

/// At the end, at least: time-outs to wait for, goodbyes, the log to read.
const ENDING: Duration = Duration::from_secs(5);
/// And so much of the whole: a longer run leaves more to compare.
const ENDING_SHARE: u32 = 15;
/// A second kill, when there is that much load.
const SECOND_KILL_FROM: Duration = Duration::from_secs(30);
/// Beyond the payments' own clock, how long outcomes may take once the load has ended.
const QUIET_PATIENCE: Duration = Duration::from_secs(30);
const RETURN_PATIENCE: Duration = Duration::from_secs(30);
const GOODBYE_PATIENCE: Duration = Duration::from_secs(10);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Plays it all. Whatever happens, the switch does not outlive this.
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
    Err(Failure::new(Exit::Interrupted, "interrupted: the switch is stopped, nothing was proved"))
}

async fn perform(options: &Options, seed: u64, directory: &Path, interrupted: &Arc<Notify>) -> Result<Exit, Failure> {
    let place = Place::furnish(directory, seed)?;
    let load_until = options.length - ENDING - options.length / ENDING_SHARE;
    let stage = Arc::new(Stage::new(seed, options.length, load_until, Pace::new(options.rate)));
    let live = !options.headless && std::io::stdout().is_terminal();
    if !live {
        introduce(options, seed);
    }
    stage.set_phase("starting the switch");
    let view = if live {
        let view = View::open(stage.clone(), interrupted.clone());
        Some(view.map_err(|error| {
            Failure::new(Exit::No, format!("the terminal: {error}")).next("crosstie demo --headless")
        })?)
    } else {
        None
    };
    let printing = (!live).then(|| tokio::spawn(plain::print(stage.clone())));

    let ended = acts(&stage, &place).await;
    drop(view);
    if let Some(printing) = printing {
        printing.abort();
        _ = printing.await;
    }
    let (proof, disk_bytes) = ended?;
    if live {
        introduce(options, seed);
    }
    conclude(&stage, &proof, disk_bytes, &place, options.keep);
    Ok(if proof.holds() { Exit::Done } else { Exit::Integrity })
}

/// Everything between the first start of the switch and the proof.
async fn acts(stage: &Arc<Stage>, place: &Place) -> Result<(Proof, u64), Failure> {
    let mut switch = Switch::start(place).await?;
    up(stage, &switch);
    stage.tell(
        Tone::Plain,
        format!("the switch is up: process {}, data in {}", switch.ready.pid, place.data().display()),
    );
    let (banks, listening) = gather(stage, place).await?;
    stage.tell(Tone::Plain, "eight banks signed on; the load begins and looks for its rate");
    stage.set_phase("load");
    let sampling = tokio::spawn(sample(stage.clone()));
    let making = tokio::spawn(load::make(stage.clone(), banks.clone()));

    let begun = stage.elapsed();
    let span = stage.load_until.saturating_sub(begun);
    let mut kills = vec![begun + span / 3];
    if span >= SECOND_KILL_FROM {
        kills.push(begun + span * 2 / 3);
    }
    for at in kills {
        until(stage, at, &mut switch, place).await?;
        if stage.ended_early.load(Ordering::Relaxed) {
            break;
        }
        switch = kill_and_return(stage, place, switch).await?;
    }
    until(stage, stage.load_until, &mut switch, place).await?;
    stage.end_load();
    _ = making.await;

    let evidence = tokio::select! {
        evidence = wind_up(stage, place, &banks, listening) => evidence?,
        failure = switch.ended(place) => return Err(failure),
    };
    stage.set_phase("stopping the switch, reading its log from the first entry");
    switch.stop().await?;
    stage.phase.lock().pid = None;
    sampling.abort();
    let data = place.data();
    let disk_bytes = bytes_in(&data);
    let last_index = evidence.last_index;
    let replayed = tokio::task::spawn_blocking(move || replay(&data, last_index)).await;
    let replayed = replayed.map_err(|panic| {
        Failure::new(Exit::Integrity, format!("the log cannot be folded: {panic}"))
            .next("crosstie log verify --data DIR")
    })??;
    let books: Vec<_> = banks.iter().map(|bank| bank.book.lock()).collect();
    let books: Vec<_> = books.iter().map(|book| &**book).collect();
    Ok((prove(&books, &evidence.told, &replayed), disk_bytes))
}

fn up(stage: &Stage, switch: &Switch) {
    stage.phase.lock().pid = Some(switch.ready.pid);
}

/// Connects the cast, one of them over a line that breaks.
async fn gather(stage: &Arc<Stage>, place: &Place) -> Result<(Arc<[Bank]>, Vec<JoinHandle<()>>), Failure> {
    stage.set_phase("the banks sign on");
    let line = line::lay(place.address, stage.clone()).await;
    let line = line.map_err(|error| Failure::new(Exit::Unreachable, format!("the line of BANK-E: {error}")))?;
    let (mut banks, mut ears) = (Vec::new(), Vec::new());
    for (own, part) in CAST.iter().enumerate() {
        let address = if part.character == Character::Flaky { line } else { place.address };
        let (bank, its_ears) = Bank::connect(own, address.to_string(), stage.clone()).await?;
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
        let resting = {
            let mut pace = stage.pace.lock();
            if !is_over && !stage.all_back() {
                pace.rest();
            } else {
                pace.judge(&window);
            }
            pace.is_resting()
        };
        stage.measured.lock().disturbed = resting;
    }
}

/// Waits, while the switch lives. `q` ends the wait.
async fn until(stage: &Stage, at: Duration, switch: &mut Switch, place: &Place) -> Result<(), Failure> {
    let waiting = async {
        while stage.elapsed() < at && !stage.ended_early.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20).min(at.saturating_sub(stage.elapsed()))).await;
        }
    };
    tokio::select! {
        () = waiting => Ok(()),
        failure = switch.ended(place) => Err(failure),
    }
}

/// SIGKILL under load, and back on the same data.
async fn kill_and_return(stage: &Arc<Stage>, place: &Place, switch: Switch) -> Result<Switch, Failure> {
    let (killed, at) = (Instant::now(), stage.elapsed());
    let (pid, ran) = (switch.ready.pid, switch.started.elapsed());
    stage.kills.lock().push(at);
    stage.measured.lock().disturbed = true;
    stage.pace.lock().rest();
    stage.phase.lock().pid = None;
    switch.kill().await?;
    let in_process = stage.in_process();
    stage.set_phase("the switch was killed; the load goes on, the banks keep trying");
    stage.tell(
        Tone::Drama,
        format!(
            "SIGKILL to the switch (process {pid}, up {}): {} payments in process",
            seconds(ran),
            count(in_process as u64)
        ),
    );
    let ended_before = stage.measured.lock().outcomes.ended();

    let switch = Switch::start(place).await?;
    let away = killed.elapsed();
    up(stage, &switch);
    let ready = &switch.ready;
    stage.tell(
        Tone::Drama,
        format!(
            "the switch is back after {}: process {}, {} entries ({} MiB) of its log replayed",
            seconds(away),
            ready.pid,
            count(ready.recovered_entries),
            count(ready.recovered_bytes >> 20),
        ),
    );
    let back = async {
        while stage.measured.lock().outcomes.ended() == ended_before {
            sleep(Duration::from_millis(1)).await;
        }
        let first = killed.elapsed();
        while !stage.all_signed_on_but_flaky() {
            sleep(Duration::from_millis(1)).await;
        }
        (first, killed.elapsed())
    };
    let Ok((first, all)) = timeout(RETURN_PATIENCE, back).await else {
        stage.tell(Tone::Alarm, "no payment has ended since the switch came back");
        return Ok(switch);
    };
    stage.tell(
        Tone::Drama,
        format!(
            "first outcome {} after the kill, all banks back after {}; their feeds go on where they stopped",
            seconds(first),
            seconds(all)
        ),
    );
    stage.set_phase("load");
    Ok(switch)
}

/// What the switch says at the end.
struct Evidence {
    told: Vec<Told>,
    last_index: u64,
}

/// Lets every payment end, signs the banks off, asks the switch for its positions.
async fn wind_up(
    stage: &Arc<Stage>,
    place: &Place,
    banks: &Arc<[Bank]>,
    listening: Vec<JoinHandle<()>>,
) -> Result<Evidence, Failure> {
    let in_process = stage.in_process();
    stage.set_phase("the load has ended; every payment gets its outcome");
    stage.tell(
        Tone::Plain,
        format!("the load has ended; waiting for the outcomes of {} payments", count(in_process as u64)),
    );
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
    let participants: Vec<Participant> = ask(place, Command::Participants).await?;
    let status: Status = ask(place, Command::Status).await?;
    let told = Told::all(&participants).ok_or_else(|| {
        Failure::new(Exit::Integrity, "the switch's answer does not name every bank and its positions")
    })?;
    Ok(Evidence { told, last_index: status.journal.committed_index })
}

async fn ask<T: serde::de::DeserializeOwned>(place: &Place, command: Command) -> Result<T, Failure> {
    let socket = place.admin();
    let asked =
        tokio::task::spawn_blocking(move || crate::admin::client::ask(&socket, command, "", ADMIN_TIMEOUT)).await;
    let value = asked.map_err(|error| Failure::new(Exit::No, error.to_string()))??;
    serde_json::from_value(value)
        .map_err(|error| Failure::new(Exit::No, format!("the switch's answer cannot be read: {error}")))
}

fn bytes_in(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
