//! Takes the snapshot, each second.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime};

use ::actors::Switch;
use parking_lot::RwLock;
use settlement::Book;
use tokio::sync::watch::Sender;
use tokio::time::MissedTickBehavior;
use watch::{History, Moment, Participant, Snapshot};
use wire::Timestamp;

use super::reading::{self, Reading};
use super::totals::{Second, Totals};
use super::{Measured, Watcher, kinds, node, process};
use crate::admin::Logbook;
use crate::cluster::Lines;
use crate::config::Config;
use crate::courier::Outlets;
use crate::door::Door;
use crate::exit::{Exit, Failure};
use crate::outlet::Outlet;
use crate::session::Opened;

const EVERY: Duration = Duration::from_secs(1);
/// Without an answer from the journal's thread the book is told as it was: that the log stands still must be seen.
const BOOK_PATIENCE: Duration = Duration::from_millis(500);

/// After a start or another leader's end, participants are connected again by then, or are missed.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(30);

/// What a snapshot is taken of.
pub(crate) struct Sources {
    pub(crate) switch: Arc<Switch>,
    pub(crate) door: Arc<Door>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) measured: Arc<Measured>,
    pub(crate) lines: Lines,
    pub(crate) logbook: Arc<Logbook>,
    pub(crate) config: Config,
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
}

/// Takes snapshots until the journal has ended.
pub(crate) fn start(from: Sources) -> Result<Watcher, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::No, format!("snapshots cannot be taken: {error}"));
    let (publish, latest) = tokio::sync::watch::channel(Arc::<Snapshot>::default());
    let history = Arc::<RwLock<History>>::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let collector = Collector::new(from, publish, history.clone());
    Builder::new().name("watch".into()).spawn(move || runtime.block_on(collector.live())).map_err(failed)?;
    Ok(Watcher { latest, history })
}

struct Collector {
    from: Sources,
    second: Second,
    totals: Totals,
    book: Vec<Reading>,
    /// Of what is in flight by the book; looked for while no leader is known, whose actors know it.
    earliest_deadline: Option<Timestamp>,
    certificate_expires_ms: Option<u64>,
    before: Arc<Snapshot>,
    publish: Sender<Arc<Snapshot>>,
    history: Arc<RwLock<History>>,
}

impl Collector {
    fn new(from: Sources, publish: Sender<Arc<Snapshot>>, history: Arc<RwLock<History>>) -> Collector {
        let certificate_expires_ms = node::certificate_expires_ms(&from);
        let (second, totals, book, before) = (Second::default(), Totals::new(), Vec::new(), Arc::default());
        let earliest_deadline = None;
        Collector { from, second, totals, book, earliest_deadline, certificate_expires_ms, before, publish, history }
    }

    async fn live(mut self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let has_no_leader = self.before.node.leader.is_none();
            let read = move |book: &Book| {
                (reading::read(book), has_no_leader.then(|| reading::earliest_deadline(book)).flatten())
            };
            match tokio::time::timeout(BOOK_PATIENCE, self.from.switch.read(read)).await {
                Ok(Ok((book, earliest))) => (self.book, self.earliest_deadline) = (book, earliest),
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            // A snapshot that fails is told and the next one taken: nobody should go blind for good.
            let Ok(now) = catch_unwind(AssertUnwindSafe(|| Arc::new(self.take()))) else { continue };
            if self.before.number > 0 {
                self.history.write().add(Moment::between(&self.before, &now));
            }
            self.before = now.clone();
            self.publish.send_replace(now);
        }
    }

    fn take(&mut self) -> Snapshot {
        self.second.take(&self.from.switch, &self.from.measured);
        self.totals.turn(&self.second);
        let (from, totals, book) = (&self.from, &self.totals, &self.book);
        let outlets = from.outlets.all();
        let cluster = crate::admin::cluster(&from.switch, &from.door, &from.config);
        let names: Vec<String> = book.iter().map(Reading::id).collect();
        let mut now = Snapshot {
            number: self.before.number + 1,
            at_ms: process::since_1970_ms(SystemTime::now()),
            node: node::node(from, &cluster, outlets.len() as u64),
            payments: totals.payments(),
            stages: totals.stages(),
            participants: self.participants(),
            actors: kinds::kinds(&from.switch, &names, totals, &outlets, from.config.listen.window),
            peers: node::peers(&cluster, &from.lines.clock_offsets()),
            log: node::log(from, totals, self.certificate_expires_ms),
            archive: node::archive(&from.switch),
            telemetry: node::telemetry(),
            checks: from.logbook.checks(),
            actions: from.logbook.actions(),
            ..Snapshot::default()
        };
        now.node.imbalance_minor = reading::imbalance(book);
        now.payments.in_flight = reading::in_flight(book);
        now.payments.oldest_in_flight_us = match &now.node.leader {
            None => Some(oldest_in_flight_us(&from.switch, self.earliest_deadline)),
            Some(_) => from.switch.reign().map(|_| {
                let deadlines = from.switch.gauges();
                oldest_in_flight_us(&from.switch, deadlines.iter().filter_map(|gauge| gauge.earliest_deadline()).min())
            }),
        };
        if self.before.number > 0 {
            let moment = Moment::between(&self.before, &now);
            now.payments.started_per_second = moment.started_per_second;
            now.payments.settled_per_second = moment.settled_per_second;
            now.payments.budget = self.history.read().budget(&moment);
        }
        watch::judge(&mut now, &self.before);
        now
    }

    /// By name.
    fn participants(&self) -> Vec<Participant> {
        let now_ms = process::since_1970_ms(SystemTime::now());
        let mut all: Vec<Participant> = self.book.iter().map(Reading::participant).collect();
        for (place, own) in all.iter_mut().enumerate() {
            self.totals.fill(place, own);
            own.messages = self.from.measured.messages.told(place);
        }
        for outlet in self.from.outlets.all() {
            let Some(own) = all.get_mut(outlet.line().key().place()) else { continue };
            own.sessions = 1;
            own.last_heard_ms = now_ms.saturating_sub(outlet.silent().as_millis() as u64);
            own.send_buffer_bytes = outlet.unsent_bytes() as u64;
            own.session = Some(session(&outlet, self.from.config.listen.window, now_ms));
        }
        let reign = self.from.switch.reign();
        let connected = reign.map(|post| (post.connected(), post.age() >= COMES_BACK_WITHIN));
        for (place, own) in all.iter_mut().enumerate() {
            let before = &self.before.participants;
            let before = before.binary_search_by(|earlier| earlier.id.cmp(&own.id)).ok().map(|place| &before[place]);
            // Who has gone was heard of before.
            if own.sessions == 0 {
                own.last_heard_ms = before.map_or(0, |before| before.last_heard_ms);
            }
            own.is_connected = connected.as_ref().and_then(|(connected, all_are_back)| {
                let is_connected = connected.get(place).copied().unwrap_or(false);
                let is_known = is_connected || *all_are_back || before.is_some_and(|own| own.is_connected.is_some());
                is_known.then_some(is_connected)
            });
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }
}

fn session(outlet: &Outlet, window: u64, now_ms: u64) -> watch::Session {
    let Opened { session, address, software, protocol } = &outlet.opened;
    let (notice_sent, notice_last) = outlet.notices();
    let before = |length: Duration| now_ms.saturating_sub(length.as_millis() as u64);
    watch::Session {
        number: *session,
        address: address.clone(),
        software: software.clone(),
        protocol: *protocol,
        // Sessions have no TLS yet.
        is_encrypted: false,
        since_ms: before(outlet.age()),
        last_heard_ms: before(outlet.silent()),
        outstanding: u64::from(outlet.line().outstanding()),
        window,
        notice_sent,
        notice_last,
        unsent_bytes: outlet.unsent_bytes() as u64,
    }
}

/// By the payments' own clock: how long before now the one was sent that runs out first.
fn oldest_in_flight_us(switch: &Switch, earliest: Option<Timestamp>) -> u64 {
    let sent = earliest.map(|deadline| deadline.minus(switch.rules().payment_timeout));
    sent.map_or(0, |sent| switch.clock().now().since(sent).as_micros() as u64)
}
