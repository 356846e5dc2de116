//! What everybody on the stage shares: clock, seed, measurements, news, and how far the play is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bank::Bank;
use super::characters::Character;
use super::draw::Draw;
use super::load::Pace;
use super::measured::Measured;
use super::news::{News, Often, Tone};

/// What is going on.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub(super) text: String,
    /// The switch's process, while it lives.
    pub(super) pid: Option<u32>,
}

/// See the file's head.
pub(super) struct Stage {
    pub(super) draw: Draw,
    pub(super) started: Instant,
    /// How long it all is to take.
    pub(super) length: Duration,
    /// When the load is to end, since `started`.
    pub(super) load_until: Duration,
    pub(super) pace: Mutex<Pace>,
    pub(super) measured: Mutex<Measured>,
    pub(super) news: Mutex<News>,
    pub(super) phase: Mutex<Phase>,
    /// When the switch was killed.
    pub(super) kills: Mutex<Vec<Duration>>,
    /// Things that banks will still do by themselves: answers that wait, second words, repeats.
    pub(super) scheduled: AtomicUsize,
    pub(super) banks: OnceLock<Arc<[Bank]>>,
    load_over: AtomicBool,
    /// Somebody pressed q.
    pub(super) ended_early: AtomicBool,
}

impl Stage {
    pub(super) fn new(seed: u64, length: Duration, load_until: Duration, pace: Pace) -> Stage {
        Stage {
            draw: Draw { seed },
            started: Instant::now(),
            length,
            load_until,
            pace: Mutex::new(pace),
            measured: Mutex::new(Measured::new()),
            news: Mutex::default(),
            phase: Mutex::default(),
            kills: Mutex::default(),
            scheduled: AtomicUsize::new(0),
            banks: OnceLock::new(),
            load_over: AtomicBool::new(false),
            ended_early: AtomicBool::new(false),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn load_is_over(&self) -> bool {
        self.load_over.load(Ordering::Relaxed)
    }

    pub(super) fn end_load(&self) {
        self.load_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, tone: Tone, text: impl Into<String>) {
        self.news.lock().tell(self.elapsed(), tone, text);
    }

    pub(super) fn example(&self, kind: Often, text: impl FnOnce(u64) -> String) {
        self.news.lock().example(kind, self.elapsed(), text);
    }

    pub(super) fn set_phase(&self, text: impl Into<String>) {
        self.phase.lock().text = text.into();
    }

    pub(super) fn banks(&self) -> &[Bank] {
        self.banks.get().map_or(&[], |banks| banks)
    }

    /// Payments that their debtor agents sent and have no outcome of.
    pub(super) fn in_process(&self) -> usize {
        self.banks().iter().map(|bank| bank.book.lock().open).sum()
    }

    /// Nothing is in process and nobody is about to do anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed) == 0
            && self.banks().iter().all(|bank| {
                let book = bank.book.lock();
                book.open == 0 && book.waiting == 0
            })
    }

    /// Everyone whose line holds.
    pub(super) fn all_signed_on_but_flaky(&self) -> bool {
        self.banks().iter().all(|bank| bank.is_signed_on() || bank.part().character == Character::Flaky)
    }

    /// The switch is up and everyone whose line holds is signed on.
    pub(super) fn all_back(&self) -> bool {
        self.phase.lock().pid.is_some() && self.all_signed_on_but_flaky()
    }
}

/// One thing scheduled; counted until dropped.
pub(super) struct Scheduled(Arc<Stage>);

impl Scheduled {
    pub(super) fn new(stage: &Arc<Stage>) -> Scheduled {
        stage.scheduled.fetch_add(1, Ordering::Relaxed);
        Scheduled(stage.clone())
    }

    /// It goes on counting until [`Scheduled::is_answered`].
    pub(super) fn until_it_is_answered(self) {
        self.0.scheduled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_answered(stage: &Stage) {
        stage.scheduled.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.0.scheduled.fetch_sub(1, Ordering::Relaxed);
    }
}
