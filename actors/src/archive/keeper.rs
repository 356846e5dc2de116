//! The archive's thread: takes what the ledger hands over, fills holes from the log, writes runs, lets the oldest go.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use persistence::Index;
use wire::Timestamp;

use super::entry::Entry;
use super::error::Error;
use super::figures::Work;
use super::gather::{Chunk, Message};
use super::merge;
use super::run::Run;
use super::search::Searcher;
use super::shelf::{Recent, Shelf};
use super::walk::Walk;
use super::writer::{self, Pace};
use super::{Config, LogEnd, Shared, Span, opening};

/// How often it looks whether something is due when nobody sends anything.
const TICK: Duration = Duration::from_millis(200);
/// After a failure the disk is left alone for so long; what comes meanwhile is read from the log afterwards.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Lower than everything that a payment waits for, and still a share when all cores are busy.
const NICE: i32 = 5;
/// Merges can wait for ever: they take what nobody else wants. Together with the other one a thread's limit, 19.
const NICE_OF_MERGES: i32 = 14;

pub(super) struct Keeper {
    pub(super) config: Config,
    pub(super) log: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) identity: u128,
    pub(super) shared: Arc<Shared>,
    /// Everything up to here is in a run or among the recent entries.
    pub(super) covered: Index,
    /// Everything up to here is committed, as far as was heard.
    pub(super) known: Index,
    pub(super) recent: usize,
    pub(super) recent_since: Instant,
    pub(super) merging: Option<Merging>,
    pub(super) retry_at: Option<Instant>,
    pub(super) removal: Removal,
}

/// Files of runs that are no longer needed, until they are gone.
#[derive(Default)]
pub(super) struct Removal {
    files: Vec<PathBuf>,
    pub(super) retry_at: Option<Instant>,
}

pub(super) struct Merging {
    inputs: Vec<Arc<Run>>,
    thread: JoinHandle<Result<Run, Error>>,
}

impl Keeper {
    /// Until it is told to stop, or nobody is left who could.
    pub(super) fn run(mut self, receiver: &Receiver<Message>, holes: Vec<Span>) {
        _ = rustix::process::nice(NICE);
        self.repair(holes);
        let searcher = Searcher::start();
        loop {
            self.tend();
            match receiver.recv_timeout(TICK) {
                Ok(Message::Ended(chunk)) => self.take(chunk),
                Ok(Message::Ask(question)) if self.covered < self.known => (question.answer)(Err(Error::Behind)),
                Ok(Message::Ask(question)) => searcher.ask(question, self.shared.shelf()),
                Ok(Message::Pass(sender)) => _ = sender.send(()),
                Ok(Message::Stop) if self.abandoned() => break self.abandon_merge(),
                Ok(Message::Stop) => break self.stop(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break self.abandon_merge(),
            }
            if self.abandoned() {
                break self.abandon_merge();
            }
        }
    }

    fn abandoned(&self) -> bool {
        self.shared.abandon.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        self.abandon_merge();
        if self.recent > 0 && self.retry_at.is_none() {
            self.write_recent(true);
        }
    }

    fn abandon_merge(&mut self) {
        self.shared.abandon.store(true, Ordering::Relaxed);
        if let Some(merging) = self.merging.take() {
            _ = merging.thread.join();
        }
    }

    /// What is due besides messages.
    pub(super) fn tend(&mut self) {
        if self.retry_at.is_some_and(|retry_at| Instant::now() >= retry_at) {
            self.retry_at = None;
        }
        if self.removal.retry_at.is_some_and(|retry_at| Instant::now() >= retry_at) {
            self.remove_files();
        }
        self.finish_merge();
        if self.retry_at.is_some() {
            return;
        }
        if self.covered < self.known {
            self.catch_up(self.known);
        } else {
            // Also when what could not be read is gone by now: that is told as a hole.
            self.went_well(Work::ReadLog);
        }
        self.write_if_due();
        self.begin_merge();
    }

    pub(super) fn take(&mut self, chunk: Chunk) {
        self.known = self.known.max(chunk.span.last);
        if self.retry_at.is_some() {
            return; // memory is bounded; the log has it
        }
        if chunk.span.first > self.covered + 1 {
            self.catch_up(chunk.span.first - 1);
        }
        if chunk.span.first <= self.covered + 1 && chunk.span.last > self.covered {
            self.add(chunk);
            self.write_if_due();
        }
    }

    fn add(&mut self, chunk: Chunk) {
        let Chunk { span, mut entries } = chunk;
        let covered = self.covered;
        self.covered = covered.max(span.last);
        entries.retain(|entry| entry.index > covered);
        if entries.is_empty() {
            return;
        }
        if self.recent == 0 {
            self.recent_since = Instant::now();
        }
        self.recent += entries.len();
        self.shared.shelf.write().recent.push(Arc::new(Recent::new(entries)));
        self.tell();
    }

    /// Reads from the log what is not covered up to `to`.
    fn catch_up(&mut self, to: Index) {
        let mut walk: Option<Walk> = None;
        while self.covered < to && self.retry_at.is_none() && !self.abandoned() {
            let chunk = match &mut walk {
                Some(walk) => walk.chunk(to),
                none => Walk::open(&self.log, self.covered + 1).and_then(|walk| none.insert(walk).chunk(to)),
            };
            match chunk {
                Ok(chunk) => {
                    self.went_well(Work::ReadLog);
                    self.add(chunk);
                    self.write_if_due();
                }
                Err(Error::Log(persistence::Error::Gone { oldest, .. })) => {
                    walk = None;
                    self.skip_to(oldest.min(to + 1));
                }
                Err(error) => self.fail(Work::ReadLog, &error),
            }
        }
    }

    /// What lies before `next` is gone. No run may cover it.
    fn skip_to(&mut self, next: Index) {
        if self.recent > 0 {
            self.write_recent(false);
        }
        if self.retry_at.is_none() {
            self.lose(Span { first: self.covered + 1, last: next - 1 });
            self.covered = next - 1;
            self.shared.shelf.write().recent_first = next;
        }
    }

    fn lose(&self, span: Span) {
        self.shared.figures.lock().log_entries_lost += span.last + 1 - span.first;
        tracing::error!(
            event = "archive_hole",
            first = span.first,
            last = span.last,
            "the archive lacks these log entries and the log no longer has them: payments that ended in them are not \
             found once memory forgets them; raise log.retained_bytes_max"
        );
    }

    fn write_if_due(&mut self) {
        let full = self.recent >= self.config.run_entries;
        if self.recent > 0 && (full || self.recent_since.elapsed() >= self.config.run_age_max) {
            self.write_recent(false);
            self.retain();
        }
    }

    fn write_recent(&mut self, stopping: bool) {
        let shelf = self.shared.shelf();
        let span = Span { first: shelf.recent_first, last: self.covered };
        let pieces: Vec<&[Entry]> = shelf.recent.iter().map(|recent| &recent.entries[..]).collect();
        match self.write(span, &pieces, stopping) {
            Ok(run) => {
                let mut shelf = self.shared.shelf.write();
                shelf.runs.push(Arc::new(run));
                shelf.recent.clear();
                shelf.recent_first = span.last + 1;
                drop(shelf);
                self.recent = 0;
                self.went_well(Work::Write);
                self.tell();
            }
            Err(error) => self.fail(Work::Write, &error),
        }
    }

    fn write(&self, span: Span, pieces: &[&[Entry]], stopping: bool) -> Result<Run, Error> {
        let entries: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.check_room(entries as u64 * super::BYTES_PER_PAYMENT)?;
        let pace = if stopping { Pace::Full } else { Pace::Gentle { abandon: &self.shared.abandon } };
        writer::write(&self.directory, self.identity, span, pieces, pace)
    }

    /// The archive must not take the room that the log needs.
    fn check_room(&self, bytes: u64) -> Result<(), Error> {
        let failed = |error: rustix::io::Errno| Error::disk("measuring", &self.directory, error.into());
        let system = rustix::fs::statvfs(&self.directory).map_err(failed)?;
        let (free_bytes, wanted_bytes) = (system.f_bavail * system.f_frsize, bytes + self.config.free_bytes_min);
        if free_bytes < wanted_bytes {
            return Err(Error::Full { directory: self.directory.clone(), free_bytes, wanted_bytes });
        }
        Ok(())
    }

    fn fail(&mut self, work: Work, error: &Error) {
        if !matches!(error, Error::Stopped) {
            self.complain(work, error);
            self.retry_at = Some(Instant::now() + RETRY_AFTER);
        }
    }

    fn complain(&self, work: Work, error: &Error) {
        self.shared.figures.lock().failed(work, Timestamp::now());
        tracing::error!(event = "archive_failed", %error, "payments go on; the archive tries again and reads from the log what it missed");
    }

    fn went_well(&self, work: Work) {
        self.shared.figures.lock().went_well(work);
    }

    fn begin_merge(&mut self) {
        if self.merging.is_some() {
            return;
        }
        let shelf = self.shared.shelf();
        let Some(chosen) = merge::choose(&shelf.runs) else { return self.went_well(Work::Merge) };
        let inputs = shelf.runs[chosen].to_vec();
        let bytes = inputs.iter().map(|run| run.header.file_bytes()).sum();
        if let Err(error) = self.check_room(bytes) {
            return self.fail(Work::Merge, &error);
        }
        let (directory, runs, shared) = (self.directory.clone(), inputs.clone(), self.shared.clone());
        let work = move || {
            _ = rustix::process::nice(NICE_OF_MERGES);
            merge::merge(&directory, &runs, Pace::Gentle { abandon: &shared.abandon })
        };
        match std::thread::Builder::new().name("archive-merge".into()).spawn(work) {
            Ok(thread) => {
                self.merging = Some(Merging { inputs, thread });
                self.tell();
            }
            Err(error) => self.fail(Work::Merge, &Error::disk("starting a thread for", &self.directory, error)),
        }
    }

    fn finish_merge(&mut self) {
        let Some(Merging { inputs, thread }) = self.merging.take_if(|merging| merging.thread.is_finished()) else {
            return;
        };
        let merged = match thread.join() {
            Ok(Ok(merged)) => Arc::new(merged),
            Ok(Err(error)) => return self.fail(Work::Merge, &error),
            Err(_) => return self.fail(Work::Merge, &Error::Stopped),
        };
        self.went_well(Work::Merge);
        let mut shelf = self.shared.shelf.write();
        let first = shelf.runs.iter().position(|run| Arc::ptr_eq(run, &inputs[0]));
        if let Some(first) = first {
            shelf.runs.splice(first..first + inputs.len(), [merged]);
        }
        drop(shelf);
        // Their entries are in the merged run; whoever still searches them has them open.
        self.remove(&inputs);
        self.tell();
        self.retain();
    }

    /// Lets the oldest runs go until the rest fits. Not while neighbours are being merged: they may be among them.
    fn retain(&mut self) {
        if self.merging.is_some() {
            return;
        }
        let mut shelf = self.shared.shelf.write();
        let mut bytes: u64 = shelf.runs.iter().map(|run| run.header.file_bytes()).sum();
        let mut gone = 0;
        while bytes > self.config.retained_bytes_max && gone + 1 < shelf.runs.len() {
            bytes -= shelf.runs[gone].header.file_bytes();
            gone += 1;
        }
        let gone: Vec<Arc<Run>> = shelf.runs.drain(..gone).collect();
        drop(shelf);
        self.remove(&gone);
        self.tell();
    }

    fn remove(&mut self, runs: &[Arc<Run>]) {
        if !runs.is_empty() {
            self.removal.files.extend(runs.iter().map(|run| run.path().to_path_buf()));
            self.remove_files();
        }
    }

    /// Whatever cannot be removed is tried again later.
    fn remove_files(&mut self) {
        let mut failed = None;
        self.removal.files.retain(|file| match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                failed = Some(Error::disk("removing", file, error));
                true
            }
            _ => false,
        });
        self.removal.retry_at = failed.is_some().then(|| Instant::now() + RETRY_AFTER);
        match failed {
            Some(error) => self.complain(Work::Remove, &error),
            None => self.went_well(Work::Remove),
        }
    }

    /// Makes the runs anew that were missing or damaged at the start, as far as the log goes back.
    fn repair(&mut self, holes: Vec<Span>) {
        for hole in holes {
            if let Err(error) = self.fill(hole) {
                self.fail(Work::Repair, &error);
            }
        }
        self.retry_at = None;
        self.tell();
    }

    fn fill(&mut self, hole: Span) -> Result<(), Error> {
        let oldest = persistence::Reader::oldest(&self.log)?;
        if oldest > hole.first {
            self.lose(Span { first: hole.first, last: hole.last.min(oldest - 1) });
        }
        // Of a log that was begun anew and comes back from the other nodes nothing can be read yet.
        let last = hole.last.min(self.known);
        let mut first = hole.first.max(oldest);
        if last < hole.last && first <= hole.last {
            self.lose(Span { first: first.max(last + 1), last: hole.last });
        }
        if first > last {
            return Ok(());
        }
        let (mut read_from, mut entries) = (first, Vec::new());
        let mut walk = Walk::open(&self.log, read_from)?;
        while read_from <= last {
            if self.abandoned() {
                return Err(Error::Stopped);
            }
            let chunk = walk.chunk(last)?;
            entries.extend(chunk.entries);
            read_from = read_from.max(chunk.span.last + 1);
            if entries.len() >= self.config.run_entries && read_from <= last {
                self.insert(Span { first, last: read_from - 1 }, &mut entries)?;
                first = read_from;
            }
        }
        self.insert(Span { first, last }, &mut entries)
    }

    fn insert(&mut self, span: Span, entries: &mut Vec<Entry>) -> Result<(), Error> {
        let run = self.write(span, &[entries], false)?;
        entries.clear();
        let mut shelf = self.shared.shelf.write();
        let place = shelf.runs.partition_point(|run| run.span().first < span.first);
        shelf.runs.insert(place, Arc::new(run));
        Ok(())
    }

    /// Brings the figures up to date.
    fn tell(&self) {
        let shelf = self.shared.shelf.read();
        let mut figures = self.shared.figures.lock();
        figures.covered_index = self.covered;
        figures.merging = self.merging.is_some();
        figures.runs = shelf.runs.len() as u64;
        figures.run_bytes = shelf.runs.iter().map(|run| run.header.file_bytes()).sum();
        figures.payments = shelf.runs.iter().map(|run| run.header.entries).sum::<u64>() + self.recent as u64;
    }
}

impl Keeper {
    /// Opens what the directory holds; with what it lacks.
    pub(super) fn open(
        config: Config,
        log: PathBuf,
        end: LogEnd,
        shared: Arc<Shared>,
    ) -> Result<(Keeper, Vec<Span>), Error> {
        let directory = config.directory_for(&log);
        persistence::disk::create_directory(&directory).map_err(|error| Error::disk("creating", &directory, error))?;
        let identity = persistence::Reader::identity(&log)?;
        let opening::Opened { runs, holes, set_aside } = opening::open(&directory, identity, end)?;
        shared.figures.lock().files_set_aside = set_aside;
        let covered = runs.last().map_or(0, |run| run.span().last);
        *shared.shelf.write() = Shelf { runs, recent: Vec::new(), recent_first: covered + 1 };
        let (LogEnd::At(known) | LogEnd::NotBefore(known)) = end;
        let (recent, recent_since, merging, retry_at) = (0, Instant::now(), None, None);
        let removal = Removal::default();
        let keeper = Keeper {
            config,
            log,
            directory,
            identity,
            shared,
            covered,
            known,
            recent,
            recent_since,
            merging,
            retry_at,
            removal,
        };
        Ok((keeper, holes))
    }

    /// On a thread of its own.
    pub(super) fn start(self, receiver: Receiver<Message>, holes: Vec<Span>) -> Result<JoinHandle<()>, Error> {
        let directory = self.directory.clone();
        let thread = std::thread::Builder::new().name("archive".into());
        let thread = thread.spawn(move || self.run(&receiver, holes));
        thread.map_err(|error| Error::disk("starting a thread for", &directory, error))
    }
}
