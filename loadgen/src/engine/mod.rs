//! The generator itself: one thread that keeps a schedule, plays every bank and reads every notice.
//!
//! ```text
//!     what is due -> into the debtors' buffers -> one write per connection -> poll -> read all -> answers and
//!     outcomes -> one write per connection -> what is due ...
//! ```
//!
//! It never waits for the switch: a payment's due time is fixed, and a connection that takes no more bytes delays its own
//! payments only. In reading order: `mod.rs` the loop, `send.rs` out, `receive.rs` in, `sessions.rs` connections,
//! `timer.rs` the alarm clock, `journal.rs` every event in
//! a file.

mod journal;
mod receive;
mod send;
mod sessions;
mod timer;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use wire::Timestamp;

use crate::audit::{Audit, Check};
use crate::draw::Draw;
use crate::options::Options;
use crate::progress::{Report, STOP_NOW, Watch};
use crate::schedule::{Phase, Schedule};
use crate::stats::{Counts, Latencies, RawInterval, Step};
use crate::template::Templates;
use crate::uetr::{Uetrs, mix};
use crate::{Error, Result};

use journal::Journal;
use sessions::Connection;
use timer::Alarm;

const READ_BYTES: usize = 256 * 1024;
const INTERVAL_NS: u64 = 1_000_000_000;
/// Connections are looked after this often.
const CARE_NS: u64 = 20_000_000;
/// Going to sleep and waking takes longer than this.
const SLEEP_MIN: Duration = Duration::from_micros(5);
const ALARM: Token = Token(usize::MAX);
/// Two phases this close follow each other on one schedule.
const SAME_SCHEDULE_NS: u64 = 100_000_000;

pub(crate) struct Engine<'a> {
    options: &'a Options,
    stop: &'a AtomicU8,
    reports: mpsc::Sender<Report>,
    began: Instant,
    began_at: Timestamp,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    journal: Option<Journal>,
    addresses: Vec<std::net::SocketAddr>,
    connections: Vec<Connection>,
    dirty: Vec<usize>,
    read: Vec<u8>,
    pub(crate) audit: Audit,
    draw: Draw,
    templates: Templates,
    schedule_rng: SmallRng,
    think_rng: SmallRng,
    timers: BinaryHeap<Reverse<(u64, u64, Timer)>>,
    pub(crate) steps: Vec<Step>,
    interval: RawInterval,
    ended: u64,
    in_flight: u64,
    /// New payments replace ended ones.
    closed_loop: bool,
    resend_due: bool,
    pub(crate) reconnects: u64,
    next_churn_ns: u64,
    next_care_ns: u64,
    /// When the turn began or its last bytes came: one clock reading for all that it does.
    turn_ns: u64,
    /// Time without anything to do, by which the thread's load is judged.
    idle_ns: u64,
    worked: bool,
    turn_end_ns: u64,
    last_notice_ns: u64,
    /// Cleared histograms that come back from whoever watches.
    spare_latencies: mpsc::Receiver<Latencies>,
}

/// What becomes due for a payment that was made before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Answer,
    SendAgain,
}

impl<'a> Engine<'a> {
    /// Connects and signs on every bank, and lets notices of earlier runs pass.
    pub(crate) fn connect(options: &'a Options, stop: &'a AtomicU8, watch: Watch) -> Result<Self> {
        let Watch { reports, spare_latencies } = watch;
        let began_at = Timestamp::now();
        let uetrs =
            Uetrs::new(options.run.unwrap_or_else(|| mix(began_at.nanoseconds()) ^ u64::from(std::process::id())));
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let mut engine = Engine {
            options,
            stop,
            reports,
            began: Instant::now(),
            began_at,
            poll,
            alarm,
            journal: options.journal.as_deref().map(Journal::create).transpose()?,
            events: Events::with_capacity(1024),
            addresses: sessions::resolve(&options.targets)?,
            connections: options.banks.iter().map(|bank| Connection::new(bank.id)).collect(),
            dirty: Vec::new(),
            read: vec![0; READ_BYTES],
            audit: Audit::new(uetrs, &options.banks),
            draw: Draw::new(options),
            templates: Templates::new(options.currency, options.seed),
            schedule_rng: SmallRng::seed_from_u64(options.seed),
            think_rng: SmallRng::seed_from_u64(mix(options.seed)),
            timers: BinaryHeap::new(),
            steps: Vec::new(),
            interval: RawInterval {
                start_ns: 0,
                end_ns: INTERVAL_NS,
                step: 0,
                counts: Counts::default(),
                latencies: Latencies::default(),
                in_flight: 0,
                connected: 0,
                reconnects: 0,
                idle_ns: 0,
            },
            ended: 0,
            in_flight: 0,
            closed_loop: false,
            resend_due: false,
            reconnects: 0,
            next_churn_ns: u64::MAX,
            next_care_ns: 0,
            turn_ns: 0,
            idle_ns: 0,
            worked: false,
            turn_end_ns: 0,
            last_notice_ns: 0,
            spare_latencies,
        };
        engine.connect_all()?;
        Ok(engine)
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn timestamp(&self, now_ns: u64) -> Timestamp {
        Timestamp(self.began_at.nanoseconds() + now_ns)
    }

    pub(crate) fn began_at(&self) -> Timestamp {
        self.began_at
    }

    pub(crate) fn idle_ns(&self) -> u64 {
        self.idle_ns
    }

    pub(crate) fn connected(&self) -> usize {
        self.connections.iter().filter(|connection| connection.is_ready()).count()
    }

    fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn was_aborted(&self) -> bool {
        self.stop.load(Ordering::Relaxed) == STOP_NOW
    }

    /// Offers one phase's payments when they are due, from its start to its end. Returns the step's number.
    pub(crate) fn run_phase(&mut self, phase: &Phase) -> Result<usize> {
        let now = self.now_ns();
        let former_end = self.steps.last().map_or(0, |step| step.end_ns);
        let start_ns = if now.saturating_sub(former_end) < SAME_SCHEDULE_NS { former_end.max(1) } else { now };
        let end_ns = start_ns + phase.length.as_nanos() as u64;
        let number = self.begin_step(phase, start_ns, end_ns);
        let mut schedule = Schedule::new(phase, self.options.arrivals, start_ns, &mut self.schedule_rng);
        self.closed_loop = phase.closed_loop;
        if self.closed_loop {
            self.fill_up(now);
        }
        let ended_before = self.ended;
        while !self.stop_asked() {
            let now = self.now_ns();
            self.turn_ns = now;
            while let Some(due_ns) = schedule.next().filter(|due_ns| *due_ns <= now) {
                self.offer(due_ns, None);
                schedule.advance(&mut self.schedule_rng);
            }
            if now >= end_ns {
                break;
            }
            self.turn(now, schedule.next().unwrap_or(end_ns).min(end_ns))?;
        }
        self.closed_loop = false;
        let end_ns = self.now_ns().min(end_ns);
        let step = &mut self.steps[number];
        step.end_ns = end_ns;
        step.ended_within = self.ended - ended_before;
        Ok(number)
    }

    fn begin_step(&mut self, phase: &Phase, start_ns: u64, end_ns: u64) -> usize {
        let number = self.steps.len();
        let (counts, latencies) = (Counts::default(), Latencies::default());
        self.steps.push(Step { phase: phase.clone(), start_ns, end_ns, counts, latencies, ended_within: 0 });
        self.interval.step = number;
        let _ = self.reports.send(Report::Phase { number, phase: phase.clone(), start_ns });
        number
    }

    /// Goes on without new payments until every one has its outcome, at most so long. True: none is left.
    pub(crate) fn drain(&mut self, at_most: Duration) -> Result<bool> {
        let until = self.now_ns() + at_most.as_nanos() as u64;
        loop {
            let now = self.now_ns();
            let done = self.in_flight == 0 && self.audit.ledger.open().next().is_none();
            if done || now >= until || self.was_aborted() {
                return Ok(done);
            }
            self.turn(now, until.min(now + 10_000_000))?;
        }
    }

    /// The money check and the last interval.
    pub(crate) fn finish(&mut self) -> Check {
        let now = self.now_ns();
        self.end_interval(now);
        self.audit.finish()
    }

    /// One round: fire timers, write, wait for sockets no longer than until `next_ns`, read, write.
    fn turn(&mut self, now: u64, next_ns: u64) -> Result<()> {
        self.turn_ns = now;
        self.fire_timers(now);
        if now >= self.interval.end_ns {
            self.end_interval(now);
        }
        if now >= self.next_care_ns {
            self.next_care_ns = now + CARE_NS;
            self.every_while(now)?;
        }
        self.worked |= !self.dirty.is_empty();
        self.flush();
        let mut next_ns = next_ns.min(self.interval.end_ns).min(self.next_care_ns);
        if let Some(Reverse((timer_ns, ..))) = self.timers.peek() {
            next_ns = next_ns.min(*timer_ns);
        }
        self.wait(next_ns)?;
        if self.resend_due {
            self.resend(now);
        }
        self.flush();
        Ok(())
    }

    fn wait(&mut self, next_ns: u64) -> Result<()> {
        let before = self.now_ns();
        let left = Duration::from_nanos(next_ns.saturating_sub(before));
        let sleeps = left > self.options.spin.max(SLEEP_MIN);
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let timeout = if sleeps { self.alarm.set(before, next_ns, left)? } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(Error::Io(error)),
            _ => {}
        }
        let after = self.now_ns();
        if sleeps {
            self.idle_ns += after - before;
        } else if events.is_empty() && !self.worked {
            self.idle_ns += after - self.turn_end_ns;
        }
        self.turn_end_ns = after;
        self.worked = false;
        for event in events.iter().filter(|event| event.token() != ALARM) {
            self.handle_event(event, after)?;
        }
        self.events = events;
        Ok(())
    }

    fn end_interval(&mut self, now: u64) {
        if let Some(journal) = &mut self.journal {
            journal.flush();
        }
        let latencies = self.spare_latencies.try_recv().unwrap_or_default();
        let connected = self.connected();
        let next = RawInterval {
            start_ns: now,
            end_ns: (now / INTERVAL_NS + 1) * INTERVAL_NS,
            step: self.interval.step,
            counts: Counts::default(),
            latencies,
            in_flight: 0,
            connected: 0,
            reconnects: 0,
            idle_ns: 0,
        };
        let mut done = std::mem::replace(&mut self.interval, next);
        done.end_ns = now;
        done.in_flight = self.in_flight;
        done.connected = connected;
        done.reconnects = self.reconnects;
        done.idle_ns = self.idle_ns;
        let _ = self.reports.send(Report::Interval(Box::new(done)));
    }

    fn event(&self, text: String) {
        let _ = self.reports.send(Report::Event { at_ns: self.now_ns(), text });
    }
}
