//! A party asks about a payment that the book has forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use settlement::{Fact, Inquiry, Key, Purpose, Reply};
use wire::frame::decode;
use wire::{Frames, Kind, Message, Reason, Status, Timestamp, Uetr};

use super::world::{payment, registered, reserved, settled, until};
use crate::archive::{Config, LogEnd, prepare};
use crate::bell::Bell;
use crate::ledger::{Answered, Feeds, Ledger, Passenger};
use crate::line::Line;
use crate::throne::Throne;
use crate::trail::Tracker;

#[test]
fn the_archive_answers_for_the_book() {
    let directory = tempfile::tempdir().unwrap();
    let log = persistence::Config {
        free_bytes_min: 0,
        segment_bytes: 32 << 20,
        ..persistence::Config::new(directory.path())
    };
    let (gatherer, prepared) = prepare();
    let (changes, _told) = tokio::sync::mpsc::unbounded_channel();
    let leading = Arc::<AtomicU64>::default();
    let throne = Throne { known: Arc::default(), leading: leading.clone(), dispatch: std::sync::Weak::new(), changes };
    let ledger = Ledger::new(
        Arc::new(Feeds::new(1 << 20)),
        Arc::<Bell>::default(),
        gatherer,
        Tracker::new(Arc::default()),
        Arc::default(),
        throne,
        Arc::new(crate::Clock::starting_at(Timestamp(0))),
    );
    let (journal, recovery) = persistence::open(log, ledger, persistence::Nobody).unwrap();
    until("the node leads", || leading.load(Ordering::Acquire) > 0);
    let term = leading.load(Ordering::Acquire);
    let config = Config { free_bytes_min: 0, ..Config::default() };
    let archive = prepared.start(config, directory.path().into(), LogEnd::At(recovery.last_index)).unwrap();

    let commit = |facts: &[Fact<'_>]| {
        journal.propose(term, |bytes, _| facts.iter().for_each(|fact| fact.encode(bytes))).unwrap();
    };
    let at = Timestamp(1_795_442_531_000_000_000);
    let later = Timestamp(at.nanoseconds() + 1_000_000_000);
    for key in 0..3 {
        commit(&registered(key, at));
    }
    let (old, new) = (Uetr::from_random([1; 16]), Uetr::from_random([2; 16]));
    commit(&[reserved(payment(0, 1, old, 70), at, Timestamp(0))]);
    commit(&[settled(payment(0, 1, old, 70), at, Status::ACSC)]);
    // Its horizon lies behind the first payment: the book may forget that one.
    commit(&[reserved(payment(0, 1, new, 30), later, later)]);

    let ask = |asker: u32, uetr: Uetr| {
        let line = Arc::new(Line::new(Key(asker), format!("BANK-{asker:04}").parse().unwrap(), 8));
        line.take(1);
        let inquiry = Inquiry { debtor: Key(0), uetr, purpose: Purpose::Request };
        let reply = Answered { at: 0, kind: Kind::StatusRequest, uetr: Some(uetr), reply: Reply::Inquire(inquiry) };
        let passenger = Passenger::Done { line: line.clone(), instructions: 1, replies: vec![reply] };
        journal.propose(term, |_, company| company.push(passenger)).unwrap();
        let mut bytes = Vec::new();
        until("the line has an answer", || {
            line.take_direct(&mut bytes);
            !bytes.is_empty()
        });
        let frame = Frames::new(&bytes).next().unwrap().unwrap();
        match decode(frame.kind, frame.body).unwrap() {
            Message::StatusReport(report) => {
                assert_eq!((report.uetr, report.debtor_agent.as_str()), (uetr, "BANK-0000"));
                Ok((report.status, report.amount_minor))
            }
            Message::Refused(refused) => {
                assert_eq!((refused.kind, refused.uetr), (Kind::StatusRequest as u16, *uetr.bytes()));
                Err(refused.reason)
            }
            other => panic!("{other:?}"),
        }
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
