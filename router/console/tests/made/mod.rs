//! A switch that is made up: eight banks, one of them late, three nodes, some history. It does what it is told by noting it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::{Order, Page, Problem, ProblemKind, Subject, Switch, Tap, Waiting};
use parking_lot::Mutex;
use watch::tap::{By, Ended, Filter, Tapped};
use watch::{
    ActorKind, BusiestActor, Exemplar, History, Latency, Moment, Outcome, Outcomes, Participant, Peer, Position,
    Readiness, Severity, Snapshot, Stage, StageName, Verdict, Warning,
};

/// Text of somebody who means ill.
pub(crate) const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\">";

pub(crate) struct Made {
    environment: &'static str,
    pub(crate) orders: Mutex<Vec<Order>>,
    pub(crate) forbidden: Mutex<Vec<(Order, String)>>,
    history: Mutex<History>,
    last: Mutex<Option<Snapshot>>,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Made {
    pub(crate) fn new(environment: &'static str) -> Made {
        let (orders, forbidden, history, last) = Default::default();
        let made = Made { environment, orders, forbidden, history, last };
        let start = now_ms() - 900_000;
        (1..900).for_each(|number| made.take(number, start + number * 1000));
        made
    }

    fn take(&self, number: u64, at_ms: u64) {
        let mut snapshot = snapshot(number, at_ms, self.environment);
        let mut last = self.last.lock();
        if let Some(before) = &*last {
            let (mut history, moment) = (self.history.lock(), Moment::between(before, &snapshot));
            snapshot.payments.budget = history.budget(&moment);
            history.add(moment);
        }
        *last = Some(snapshot);
    }
}

impl Switch for Made {
    fn next(&self) -> Waiting<'_, Option<Arc<Snapshot>>> {
        Box::pin(async {
            let number = self.last.lock().as_ref().map_or(0, |last| last.number);
            if number >= 900 {
                tokio::time::sleep(Duration::from_millis(1000)).await;
            }
            self.take(number + 1, now_ms());
            self.last.lock().clone().map(Arc::new)
        })
    }

    fn history(&self) -> Vec<Moment> {
        self.history.lock().moments().cloned().collect()
    }

    fn act(&self, order: Order) -> Waiting<'_, Result<String, Problem>> {
        Box::pin(async move {
            let done = format!("{:?} by {}", order.action, order.operator);
            self.orders.lock().push(order);
            Ok(done)
        })
    }

    fn forbidden(&self, order: Order, why: String) -> Waiting<'_, ()> {
        Box::pin(async move { self.forbidden.lock().push((order, why)) })
    }

    fn page(&self, subject: Subject) -> Waiting<'_, Result<Page, Problem>> {
        Box::pin(async move {
            match subject {
                Subject::Payments { words } if words.contains("wrong") => Err(Problem {
                    kind: ProblemKind::Usage,
                    message: format!("{words:?} is no search"),
                    next: Some("a UETR".into()),
                }),
                subject => Ok(Page {
                    title: "Payments".into(),
                    body: maud::html! { h1 { "Payments" } p { (format!("{subject:?}")) } },
                    json: serde_json::json!({ "subject": format!("{subject:?}") }),
                }),
            }
        })
    }

    fn check_tap(&self, filter: &Filter) -> Result<(), Problem> {
        wanted(filter).map(drop)
    }

    fn tap(&self, filter: &Filter) -> Result<Box<dyn Tap>, Problem> {
        Ok(Box::new(MadeTap { wanted: wanted(filter)?, number: 0 }))
    }

    /// That of BANK-H is on another node.
    fn actor(&self, participant: &str) -> Result<watch::Actor, Problem> {
        if participant == "BANK-H" {
            let message = "only the node that leads has actors".into();
            return Err(Problem { kind: ProblemKind::Refused, message, next: None });
        }
        let deed = |number: u64| watch::Deed {
            at_ms: now_ms() - number * 40,
            what: ["settled", "reserved", "rejected"][number as usize % 3].into(),
            uetr: Some(ended(number).uetr),
        };
        Ok(watch::Actor {
            kind: "participant".into(),
            name: participant.into(),
            participants: vec![participant.into()],
            queued: 3,
            oldest_us: 900,
            handled: 450_000,
            in_flight: 28,
            next_deadline_ms: Some(now_ms() + 4_000),
            restarts: 0,
            deeds: (0..16).map(deed).collect(),
        })
    }
}

fn wanted(filter: &Filter) -> Result<Option<Outcome>, Problem> {
    let wrong = |message: String| Problem { kind: ProblemKind::Usage, message, next: None };
    (!filter.outcome.is_empty()).then(|| filter.outcome.parse().map_err(wrong)).transpose()
}

/// Half of the payments are rejected, and every tenth times out.
struct MadeTap {
    wanted: Option<Outcome>,
    number: u64,
}

impl Tap for MadeTap {
    fn next(&mut self) -> Waiting<'_, Result<Tapped, String>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let numbers = self.number..self.number + 3;
            self.number = numbers.end;
            let lines: Vec<Ended> = numbers.map(ended).collect();
            let lines: Vec<Ended> =
                lines.into_iter().filter(|own| self.wanted.is_none_or(|wanted| wanted == own.outcome)).collect();
            Ok(Tapped { matched: lines.len() as u64 * 70, lines, not_followed: self.number / 100, ..Tapped::default() })
        })
    }
}

fn ended(number: u64) -> Ended {
    let (outcome, reason, by) = match number % 10 {
        0 => (Outcome::TimedOut, Some("AB05"), Some(By::Creditor)),
        1 | 3 | 5 => (Outcome::Rejected, Some("AC04"), Some(By::Creditor)),
        7 => (Outcome::Rejected, Some("AM04"), Some(By::Switch)),
        _ => (Outcome::Settled, None, None),
    };
    let of_day = now_ms() % 86_400_000;
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    Ended {
        at: format!("2031-03-01T{:02}:{:02}:{:02}.{ms:03}000Z", seconds / 3600, seconds / 60 % 60, seconds % 60),
        uetr: format!("7b0e0d4c-52f3-4a3e-9c7e-{number:012x}"),
        is_return: false,
        debtor_agent: "BANK-A".into(),
        creditor_agent: Some(if number.is_multiple_of(10) { "BANK-F" } else { "BANK-C" }.into()),
        amount: format!("{}.{:02}", number * 37 % 1000, number % 100),
        currency: "EUR".into(),
        outcome,
        reason: reason.map(Into::into),
        by,
        took_us: if outcome == Outcome::TimedOut { 10_000_000 } else { 41_000 + number % 1000 * 10 },
    }
}

/// Repeats itself, so that what is counted grows alike.
fn wave(number: u64, around: u64, by: u64) -> u64 {
    let phase = number % 60;
    around + by * phase.min(60 - phase) / 30
}

fn counted(number: u64, around: u64, by: u64) -> u64 {
    let whole: u64 = (0..60).map(|second| wave(second, around, by)).sum();
    number / 60 * whole + (0..number % 60).map(|second| wave(second, around, by)).sum::<u64>()
}

fn latency(number: u64, us: u64) -> Latency {
    let p50_us = wave(number, us, us / 5);
    Latency {
        count: number * 4000,
        recent: 40_000,
        p50_us,
        p99_us: p50_us * 2,
        p999_us: p50_us * 40,
        max_us: p50_us * 50,
        ..Latency::default()
    }
}

fn ready(check: &str) -> Readiness {
    Readiness { check: check.into(), failure: None }
}

/// Those that settled by the band of their time: a body, a thin tail, and a minute in which the disk is slow.
fn settled_by_band(number: u64, settled: u64) -> Vec<(u64, u64)> {
    let slow_disk = number.saturating_sub(500).min(60);
    let tail = [(8, counted(number, 900, 700)), (9, counted(number, 90, 60) + 300 * slow_disk)];
    let tail = tail.into_iter().chain([
        (10, number * 6 + 40 * slow_disk),
        (11, number / 3),
        (12, number / 25),
        (13, number / 90),
    ]);
    let mut own = [0; meter::BANDS];
    tail.for_each(|(band, count)| own[band] = count);
    own[6] = counted(number, 300, 200);
    own[7] = settled - own.iter().sum::<u64>();
    let mut below = 0;
    let bucket = |(edge, count): (u64, u64)| {
        below += count;
        (edge, below)
    };
    meter::EDGES_US.into_iter().zip(own).map(bucket).collect()
}

/// The slowest of a few bands, each second others.
fn exemplars(number: u64, at_ms: u64) -> Vec<Exemplar> {
    let ended = |place: u64, outcome, took_us: u64| {
        let bytes = [number.to_be_bytes(), (place + number * 7).to_le_bytes()].concat();
        let uetr =
            wire::Uetr::from_random(std::array::from_fn(|at| bytes[at].wrapping_mul(151).wrapping_add(at as u8)));
        Exemplar { uetr, outcome, took_us, at_ms: at_ms - wave(number * 17, 20, 700) }
    };
    let mut all =
        vec![ended(1, Outcome::Settled, 48_000 - number % 7_000), ended(2, Outcome::Settled, 90_000 - number % 30_000)];
    let rare = [(3, 480_000, 3), (4, 910_000, 25), (5, 2_300_000, 90)];
    let rare = rare.into_iter().filter(|(_, _, every)| number.is_multiple_of(*every));
    all.extend(rare.map(|(place, us, _)| ended(place, Outcome::Settled, us - number * 977 % (us / 3))));
    all.push(ended(6, Outcome::TimedOut, 9_990_000 - number % 40 * 1_000));
    all
}

fn snapshot(number: u64, at_ms: u64, environment: &str) -> Snapshot {
    let mut now = Snapshot { number, at_ms, ..Snapshot::default() };
    now.verdict = Verdict {
        severity: Severity::Degraded,
        sentence: "BANK-F answers late. 3 nodes of 3 are heard, money adds up.".into(),
    };
    let warning = |code: &str, severity, subject: &str, sentence: &str, advice: &str| Warning {
        code: code.into(),
        severity,
        subject: subject.into(),
        sentence: sentence.into(),
        advice: advice.into(),
        since_ms: at_ms - 240_000,
    };
    now.warnings = vec![
        warning(
            "creditor_slow",
            Severity::Degraded,
            "BANK-F",
            "answers in 9.6 s (p99, limit 8 s), 693 time-outs",
            "Call BANK-F; suspend receiving if it goes on.",
        ),
        warning("headroom_low", Severity::Degraded, "BANK-C", "7 % of what it may use is free", "Ask BANK-C to fund."),
    ];
    now.node.id = 1;
    now.node.name = "n1".into();
    now.node.region = "north".into();
    now.node.environment = environment.into();
    now.node.version = "0.1.0".into();
    now.node.address = "127.0.0.1:7801".into();
    now.node.role = "leader".into();
    now.node.readiness = ["serving", "leader", "journal", "caught-up"].map(ready).into();
    now.node.leader = Some(if number % 1800 < 500 { "n2" } else { "n1" }.into());
    now.node.term = 7;
    now.node.business_date = "2031-03-01".into();
    now.node.up_seconds = number;
    now.node.sessions = 32;
    now.node.resident_bytes = 412 << 20;
    let settled = counted(number, 4000, 900);
    let (rejected, timed_out) = (counted(number, 40, 80), counted(number, 2, 6));
    now.payments.started = settled + rejected + timed_out + 281;
    now.payments.outcomes = Outcomes { settled, rejected, timed_out, returned: number * 3 };
    now.payments.settled_per_second = wave(number, 4000, 900) as f64;
    now.payments.within_objective = settled + rejected;
    now.payments.beyond_objective = timed_out / 10;
    now.payments.in_flight = wave(number, 281, 30);
    now.payments.oldest_in_flight_us = Some(9_800_000);
    let buckets = settled_by_band(number, settled);
    now.payments.settled = Latency { count: settled, buckets, ..latency(number, 14_000) };
    let buckets = meter::EDGES_US.map(|edge| (edge, if edge == 10_000_000 { timed_out } else { 0 }));
    now.payments.failed = Latency { count: timed_out, buckets: buckets.into(), ..Latency::default() };
    now.payments.exemplars = exemplars(number, at_ms);
    let stages = [
        (StageName::Decode, 90),
        (StageName::Wait, 210),
        (StageName::Decide, 60),
        (StageName::Append, 140),
        (StageName::Sync, 900),
        (StageName::Replicate, 2_100),
        (StageName::Commit, 2_600),
        (StageName::Apply, 80),
        (StageName::Write, 120),
        (StageName::CreditorWait, 82_000),
    ];
    now.stages = stages.map(|(name, us)| Stage { name, latency: latency(number, us / 2) }).into();
    now.participants = ["BANK-A", "BANK-B", "BANK-C", "BANK-D", "BANK-E", "BANK-F", "BANK-G", "BANK-H", HOSTILE]
        .iter()
        .enumerate()
        .map(|(place, id)| participant(number, at_ms, place as u64, id))
        .collect();
    now.actors = [("participant", 64, 34, 3, 281), ("session", 1024, 102, 41, 32), ("journal", 0, 12, 12, 1)]
        .map(|(kind, capacity, queued, longest, instances)| ActorKind {
            kind: kind.into(),
            instances,
            queued,
            queued_longest: longest,
            capacity,
            wait: latency(number, 500),
            handle: [("submit".to_string(), latency(number, 30)), ("answer".to_string(), latency(number, 20))].into(),
            handled: [("submit".to_string(), number * 4000), ("answer".to_string(), number * 3900)].into(),
            busy_us: number * 310_000,
            busiest: ["BANK-A", "BANK-F"]
                .map(|name| BusiestActor {
                    name: name.into(),
                    queued: 3,
                    oldest_us: Some(900),
                    handled: number * 500,
                    in_flight: Some(28),
                    restarts: Some(0),
                })
                .into(),
            ..ActorKind::default()
        })
        .into();
    now.peers = [(1, "north", None), (2, "south", Some((12, 3))), (3, "west", Some((15, 4)))]
        .map(|(id, region, lag)| Peer {
            id,
            name: format!("n{id}"),
            region: region.into(),
            address: format!("127.0.0.1:790{id}"),
            role: if id == 1 { "leader" } else { "follower" }.into(),
            is_heard: true,
            error: None,
            silent_ms: None,
            lag_entries: lag.map(|(entries, _)| entries),
            lag_ms: lag.map(|(_, ms)| ms),
            round_trip_us: (id > 1).then_some(30_400 * id),
            clock_offset_us: (id > 1).then_some(-300 * id as i64),
            clock_uncertainty_us: (id > 1).then_some(15_200 * id),
            agreed_index: Some(9_812_004 + number),
            serves: true,
        })
        .into();
    now.log.committed_index = 9_812_004 + number;
    now.log.sync = latency(number, 400);
    now.log.free_bytes = 71 << 30;
    now
}

fn participant(number: u64, at_ms: u64, place: u64, id: &str) -> Participant {
    let settled = counted(number, 500 + place * 20, 100);
    let outcomes = Outcomes {
        settled,
        rejected: number * place,
        timed_out: if id == "BANK-F" { number * 3 } else { 0 },
        returned: 0,
    };
    let headroom = if id == "BANK-C" { 0.07 } else { 0.3 + place as f64 * 0.07 };
    let available_minor = (headroom * 500_000_000.0) as i64;
    Participant {
        id: id.into(),
        state: if id == "BANK-H" { "suspended_sending" } else { "signed_on" }.into(),
        sessions: 4,
        last_heard_ms: at_ms - 300,
        session: Some(watch::Session {
            number: 17 + place,
            address: format!("10.2.0.{place}:41532"),
            software: "bank-gateway 4.1".into(),
            protocol: 1,
            is_encrypted: false,
            since_ms: at_ms - 1_800_000,
            last_heard_ms: at_ms - 300,
            outstanding: 3,
            window: 1024,
            notice_sent: 88_214 + number,
            notice_last: 88_214 + number,
            unsent_bytes: 0,
        }),
        started: settled + number * place + 28,
        started_in: [("EUR".into(), settled + number * place + 28)].into(),
        outcomes,
        received: settled,
        answered: outcomes,
        answer: latency(number, if id == "BANK-F" { 4_800_000 } else { 31_000 }),
        in_flight_out: 28,
        in_flight_in: if id == "BANK-F" { 85 } else { 12 },
        positions: vec![Position {
            currency: "EUR".into(),
            decimals: 2,
            balance_minor: available_minor + 40_000_000,
            reserved_minor: 40_000_000,
            available_minor,
            net_debit_cap_minor: None,
            payment_max_minor: Some(10_000_000),
            headroom,
        }],
        ..Participant::default()
    }
}
