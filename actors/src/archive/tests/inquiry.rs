//! A party asks about a payment that the book has forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use persistence::{Journal, Term};
use settlement::{Fact, Inquiry, Key, Purpose, Reply};
use tempfile::TempDir;
use wire::frame::{Frame, decode};
use wire::{Frames, Kind, Message, Reason, Status, Timestamp, Uetr};

use super::world::{payment, registered, reserved, settled, until};
use crate::archive::{Archive, Config, LogEnd, Prepared, prepare};
use crate::bell::Bell;
use crate::ledger::{Answered, Feeds, Ledger, Passenger};
use crate::line::Line;
use crate::throne::Throne;
use crate::trail::Tracker;

/// A journal with its ledger and no archive yet.
struct World {
    journal: Journal<Passenger>,
    term: Term,
    prepared: Prepared,
    directory: TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let log = persistence::Config {
            free_bytes_min: 0,
            segment_bytes: 32 << 20,
            ..persistence::Config::new(directory.path())
        };
        let (gatherer, prepared) = prepare();
        let (changes, _told) = tokio::sync::mpsc::unbounded_channel();
        let leading = Arc::<AtomicU64>::default();
        let throne =
            Throne { known: Arc::default(), leading: leading.clone(), dispatch: std::sync::Weak::new(), changes };
        let ledger = Ledger::new(
            Arc::new(Feeds::new(1 << 20)),
            Arc::<Bell>::default(),
            gatherer,
            Tracker::new(Arc::default()),
            Arc::default(),
            throne,
            Arc::new(crate::Clock::starting_at(Timestamp(0))),
        );
        let (journal, _) = persistence::open(log, ledger, persistence::Nobody).unwrap();
        until("the node leads", || leading.load(Ordering::Acquire) > 0);
        let term = leading.load(Ordering::Acquire);
        World { journal, term, prepared, directory }
    }

    fn commit(&self, facts: &[Fact<'_>]) {
        let write = |bytes: &mut Vec<u8>, _: &mut Vec<Passenger>| facts.iter().for_each(|fact| fact.encode(bytes));
        self.journal.propose(self.term, write).unwrap();
    }

    /// Three participants. A payment of 70 that settled, and that the book may have forgotten: the horizon of one of 30, in
    /// process, lies behind it.
    fn pay(&self) -> (Uetr, Uetr) {
        let at = Timestamp(1_795_442_531_000_000_000);
        let later = Timestamp(at.nanoseconds() + 1_000_000_000);
        (0..3).for_each(|key| self.commit(&registered(key, at)));
        let (old, new) = (Uetr::from_random([1; 16]), Uetr::from_random([2; 16]));
        self.commit(&[reserved(payment(0, 1, old, 70), at, Timestamp(0))]);
        self.commit(&[settled(payment(0, 1, old, 70), at, Status::ACSC)]);
        self.commit(&[reserved(payment(0, 1, new, 30), later, later)]);
        (old, new)
    }

    fn line(asker: u32) -> Arc<Line> {
        Arc::new(Line::new(Key(asker), format!("BANK-{asker:04}").parse().unwrap(), 8))
    }

    /// Inquiries of payments of the first participant, in one batch.
    fn inquire(journal: &Journal<Passenger>, term: Term, line: &Arc<Line>, uetrs: &[Uetr]) {
        line.take(uetrs.len() as u32);
        let mut replies = Vec::new();
        for (at, uetr) in (0..).zip(uetrs) {
            let reply = Reply::Inquire(Inquiry { debtor: Key(0), uetr: *uetr, purpose: Purpose::Request });
            replies.push(Answered { at, kind: Kind::StatusRequest, uetr: Some(*uetr), reply });
        }
        let passenger = Passenger::Done { line: line.clone(), instructions: uetrs.len() as u32, replies };
        journal.propose(term, |_, company| company.push(passenger)).unwrap();
    }

    fn start(self) -> (Journal<Passenger>, Term, Archive, TempDir) {
        let World { journal, term, prepared, directory } = self;
        let config = Config { free_bytes_min: 0, ..Config::default() };
        let archive = prepared.start(config, directory.path().into(), LogEnd::At(0)).unwrap();
        (journal, term, archive, directory)
    }
}

/// Status and amount, or the reason of a refusal.
type Told = Result<(Status, i64), Reason>;

/// What the connection is told next, and of which payments.
fn told(line: &Line) -> Vec<(Uetr, Told)> {
    let mut bytes = Vec::new();
    until("the line has an answer", || {
        line.take_direct(&mut bytes);
        !bytes.is_empty()
    });
    let told = |frame: Result<Frame<'_>, wire::Error>| {
        let frame = frame.unwrap();
        match decode(frame.kind, frame.body).unwrap() {
            Message::StatusReport(report) => {
                assert_eq!(report.debtor_agent.as_str(), "BANK-0000");
                (report.uetr, Ok((report.status, report.amount_minor)))
            }
            Message::Refused(refused) => {
                assert_eq!(refused.kind, Kind::StatusRequest as u16);
                (Uetr::from_bytes(refused.uetr).unwrap(), Err(refused.reason))
            }
            other => panic!("{other:?}"),
        }
    };
    Frames::new(&bytes).map(told).collect()
}

#[test]
fn the_archive_answers_for_the_book() {
    let world = World::new();
    let (old, new) = world.pay();
    let (journal, term, archive, _directory) = world.start();
    let ask = |asker: u32, uetr: Uetr| {
        let line = World::line(asker);
        World::inquire(&journal, term, &line, &[uetr]);
        let [(of, answer)] = told(&line)[..] else { panic!("one answer to one question") };
        assert_eq!(of, uetr);
        answer
    };
    let settled = Ok((Status::ACSC, 70));
    assert_eq!((ask(0, old), ask(1, old)), (settled, settled));
    assert_eq!(ask(2, old), Err(Reason::AG09), "a stranger is told nothing");
    assert_eq!(ask(0, Uetr::from_random([3; 16])), Err(Reason::AG09));
    assert_eq!((ask(0, new), ask(1, new)), (Ok((Status::ACSP, 30)), Ok((Status::ACSP, 30))));
    assert_eq!(ask(2, new), Err(Reason::AG09));
    assert_eq!(archive.figures().payments, 1);
    journal.stop();
    archive.stop();
}

/// "In process" is true until the outcome, which comes with the feed: it is told at once, and not behind what the archive owes.
#[test]
fn what_is_in_process_does_not_wait_for_the_archive() {
    let world = World::new();
    let (old, new) = world.pay();
    let (line, unknown) = (World::line(0), Uetr::from_random([3; 16]));
    World::inquire(&world.journal, world.term, &line, &[unknown, new, old, new]);
    let in_process = (new, Ok((Status::ACSP, 30)));
    let mut heard = told(&line);
    while heard.len() < 2 {
        heard.extend(told(&line));
    }
    assert_eq!((heard, line.outstanding()), (vec![in_process, in_process], 4));
    let (journal, _, archive, _directory) = world.start();
    until("all is done", || line.outstanding() == 0);
    assert_eq!(told(&line), [(unknown, Err(Reason::AG09)), (old, Ok((Status::ACSC, 70)))]);
    journal.stop();
    archive.stop();
}
