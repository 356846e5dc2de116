//! What everybody on the stage shares: clock, seed, measurements, news, and how far the play is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::acts::Silence;
use super::bank::Bank;
use super::characters::Character;
use super::draw::Draw;
use super::load::Pace;
use super::measured::Measured;
use super::news::{News, Often, Tone};
use super::nodes::{NodeSeen, Presence};

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
    /// How many of the news were printed.
    pub(super) printed: Mutex<u64>,
    /// What is going on.
    pub(super) phase: Mutex<String>,
    pub(super) nodes: Mutex<Vec<NodeSeen>>,
    /// An act is being played.
    pub(super) acting: AtomicBool,
    /// When something was done to a node.
    pub(super) marks: Mutex<Vec<Duration>>,
    /// What the node did that was cut off.
    pub(super) silence: Mutex<Option<Silence>>,
    /// Things that banks will still do by themselves: answers that wait, second words, repeats.
    pub(super) scheduled: AtomicUsize,
    pub(super) banks: OnceLock<Arc<[Bank]>>,
    load_over: AtomicBool,
    /// Somebody pressed q.
    pub(super) ended_early: AtomicBool,
}

impl Stage {
    pub(super) fn new(seed: u64, length: Duration, load_until: Duration, pace: Pace, nodes: Vec<NodeSeen>) -> Stage {
        Stage {
            draw: Draw { seed },
            started: Instant::now(),
            length,
            load_until,
            pace: Mutex::new(pace),
            measured: Mutex::new(Measured::new()),
            news: Mutex::default(),
            printed: Mutex::default(),
            phase: Mutex::default(),
            nodes: Mutex::new(nodes),
            acting: AtomicBool::new(false),
            marks: Mutex::default(),
            silence: Mutex::default(),
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
        *self.phase.lock() = text.into();
    }

    pub(super) fn with_node<T>(&self, node: u64, look: impl FnOnce(&mut NodeSeen) -> T) -> Option<T> {
        self.nodes.lock().iter_mut().find(|seen| seen.node == node).map(look)
    }

    pub(super) fn mark(&self, at: Duration) {
        self.marks.lock().push(at);
    }

    /// An act begins: from here on latency says nothing of calm times, and the rate is left alone.
    pub(super) fn disturb(&self) {
        self.acting.store(true, Ordering::Relaxed);
        self.measured.lock().disturb();
        self.pace.lock().rest();
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

    /// No act is being played, all nodes are up, and everyone whose line holds is signed on.
    pub(super) fn all_back(&self) -> bool {
        !self.acting.load(Ordering::Relaxed)
            && self.nodes.lock().iter().all(|node| node.presence == Presence::Up)
            && self.all_signed_on_but_flaky()
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
