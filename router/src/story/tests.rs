//! The page of each state, as it lies in `tests/golden/story-*.txt`. A changed page is written anew with
//! `CROSSTIE_GOLDEN=write cargo test -p crosstie story`, and read before it is committed.

use std::path::PathBuf;
use std::time::Duration;

use actors::archive::Entry;
use actors::trace::{LeaderChange, Notice, Step, Trace};
use settlement::{
    Annotated, Book, Expired, Fact, Key, Payment, PositionMoved, Recipient, Rejected, Reserved, Rules, Settled, Stage,
    Standing, notices,
};
use wire::{BusinessDate, Currency, MessageId, Reason, Reasons, Status, Timestamp, Uetr};

use super::Story;
use super::known::Known;
use super::page::page;
use super::tell::{self, Links};

const START: Timestamp = Timestamp(1_795_442_531_000_310_000);

fn after(us: u64) -> Timestamp {
    START.plus(Duration::from_micros(us))
}

fn payment(number: u8, debtor: u32, creditor: u32, amount_minor: i64) -> Payment {
    let message_id = MessageId::compose(START.date(), format!("BANK-000{debtor}").parse().unwrap(), u64::from(number));
    Payment {
        debtor: Key(debtor),
        creditor: Key(creditor),
        uetr: Uetr::from_random([number; 16]),
        amount_minor,
        currency: Currency::EUR,
        message_id,
        original: None,
    }
}

/// A log of one fact per entry, and what a book makes of it.
struct Log {
    book: Book,
    index: u64,
    numbers: [u64; 2],
    steps: Vec<Step>,
}

impl Log {
    fn new() -> Log {
        let mut log = Log { book: Book::default(), index: 40, numbers: [6, 900], steps: Vec::new() };
        log.add(Fact::DayRolled { at: Timestamp(0), date: BusinessDate::new(2026, 11, 23).unwrap() });
        for (place, id) in ["BANK-A", "BANK-F"].into_iter().enumerate() {
            let (key, at, currency) = (Key(place as u32), Timestamp(0), Currency::EUR);
            log.add(Fact::Registered { at, key, id: id.parse().unwrap(), currency });
            let standing = Standing { at, participant: key, direction: settlement::Direction::Both, note: "" };
            log.add(Fact::SignedOn(standing));
            let position = settlement::Position::default();
            log.add(Fact::Funded(PositionMoved {
                at,
                participant: key,
                currency,
                amount_minor: 1 << 40,
                position,
                note: "",
            }));
        }
        log
    }

    fn add(&mut self, fact: Fact<'static>) {
        self.book.apply(&fact, &mut ());
        self.index += 3;
        let mut told = Vec::new();
        notices(&fact, self.book.scheme(), |to, _| {
            if let Recipient::Participant(key) = to {
                self.numbers[key.place()] += 1;
                told.push(Notice { to: key, number: Some(self.numbers[key.place()]) });
            }
        });
        if fact.payment().is_some() {
            let created_at = matches!(fact, Fact::Reserved(_)).then(|| fact.at().minus(Duration::from_micros(4_210)));
            let (index, addressed_to) = (self.index, None);
            self.steps.push(Step { index, term: 7, fact, created_at, addressed_to, notices: told });
        }
    }

    fn reserve(&mut self, payment: Payment, at: Timestamp) {
        let deadline = at.minus(Duration::from_micros(4_210)).plus(Duration::from_secs(10));
        self.add(Fact::Reserved(Reserved { at, payment, content: 1, deadline, horizon: Timestamp(0), body: &[] }));
    }

    fn settle(&mut self, payment: Payment, at: Timestamp, status: Status) {
        let settled = Settled { at, payment, status, settlement_date: self.book.scheme().business_date() };
        self.add(if payment.original.is_some() { Fact::Returned(settled) } else { Fact::Settled(settled) });
    }

    fn reject(&mut self, payment: Payment, at: Timestamp, stage: Stage, reason: Reason) {
        let (content, horizon, reasons) = (1, Timestamp(0), Reasons::one(reason));
        let additional_information = None;
        self.add(Fact::Rejected(Rejected { at, payment, content, horizon, stage, reasons, additional_information }));
    }

    fn known(&self, payment: Payment) -> Known {
        Known::all_in_book(&self.book, payment.uetr, [payment.debtor].into_iter())[0].clone()
    }

    fn trace(&self, payment: Payment) -> Trace {
        let is_ours = |step: &&Step| step.fact.payment().is_some_and(|own| own.uetr == payment.uetr);
        Trace { steps: self.steps.iter().filter(is_ours).cloned().collect(), ..Trace::default() }
    }

    fn story(&self, payment: Payment, now: Timestamp) -> Story {
        tell(&self.known(payment), Ok(&self.trace(payment)), Links::default(), now)
    }
}

fn tell(known: &Known, trace: Result<&Trace, String>, links: Links, now: Timestamp) -> Story {
    tell::tell(known, trace, links, &Rules::default(), now)
}

#[track_caller]
fn check(name: &str, story: &Story) {
    let text = page(story);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/story-{name}.txt"));
    if std::env::var("CROSSTIE_GOLDEN").is_ok_and(|wish| wish == "write") {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, expected, "the page of {name} is another than {}", golden.display());
    let json = serde_json::to_string(story).unwrap();
    assert_eq!(serde_json::from_str::<Story>(&json).unwrap(), *story, "it comes back from JSON as it was");
}

const LATER: Timestamp = Timestamp(START.0 + 3_600_000_000_000);

#[test]
fn in_process() {
    let (mut log, own) = (Log::new(), payment(1, 0, 1, 12_000));
    log.reserve(own, START);
    check("in-process", &log.story(own, after(2_750_000)));
}

#[test]
fn settled() {
    let (mut log, own) = (Log::new(), payment(2, 0, 1, 12_000));
    log.reserve(own, START);
    log.settle(own, after(3_120), Status::ACSC);
    check("settled", &log.story(own, LATER));
}

#[test]
fn settled_without_posting_and_what_was_said_afterwards() {
    let (mut log, own) = (Log::new(), payment(3, 0, 1, 12_000));
    log.reserve(own, START);
    log.settle(own, after(3_120), Status::ACWP);
    log.add(Fact::Annotated(Annotated { at: after(61_000_000), payment: own, status: Status::PDNG }));
    let mut trace = log.trace(own);
    trace.annotated_up_to = Some(90_000);
    check("settled-without-posting", &tell(&log.known(own), Ok(&trace), Links::default(), LATER));
    log.add(Fact::Annotated(Annotated { at: after(62_000_000), payment: own, status: Status::ACCC }));
    check("posted-later", &log.story(own, LATER));
}

#[test]
fn rejected() {
    let (mut log, own) = (Log::new(), payment(4, 0, 1, 12_000));
    log.reject(own, START, Stage::Submit, Reason::AM04);
    check("rejected-on-submit", &log.story(own, LATER));
    let own = payment(5, 0, 1, 12_000);
    log.reserve(own, after(10));
    log.reject(own, after(900_010), Stage::Answer, Reason::AC04);
    check("rejected-by-creditor", &log.story(own, LATER));
    let own = payment(6, 0, 1, 12_000);
    log.reserve(own, after(1_000_000));
    log.reject(own, after(1_000_040), Stage::Arrival, Reason::AB08);
    check("rejected-on-arrival", &log.story(own, LATER));
}

#[test]
fn timed_out() {
    let (mut log, own) = (Log::new(), payment(7, 0, 1, 12_000));
    log.reserve(own, START);
    log.add(Fact::Expired(Expired { at: after(9_995_790), payment: own, reasons: Reasons::one(Reason::AB05) }));
    check("timed-out", &log.story(own, LATER));
}

/// The time in which the switch could not decide is not the creditor agent's.
#[test]
fn expired_while_nobody_led() {
    let (mut log, own) = (Log::new(), payment(11, 0, 1, 12_000));
    log.reserve(own, START);
    log.add(Fact::Expired(Expired { at: after(35_555_000), payment: own, reasons: Reasons::one(Reason::AB05) }));
    let (known, mut trace) = (log.known(own), log.trace(own));
    check("timed-out-late", &tell(&known, Ok(&trace), Links::default(), LATER));
    trace.steps[1].term = 9;
    let long_ago = LeaderChange { terms: (6, 7), between: (after(0), START) };
    let change = LeaderChange { terms: (7, 9), between: (after(420_000), after(35_554_000)) };
    trace.leader_changes = vec![long_ago, change];
    let story = tell(&known, Ok(&trace), Links::default(), LATER);
    assert_eq!(story.payment.must_act, "the operator of the switch");
    check("timed-out-without-leader", &story);
    // Not read through, and decided in time: the terms tell all the same.
    trace.leader_changes.clear();
    let (mut log, own) = (Log::new(), payment(12, 0, 1, 12_000));
    log.reserve(own, START);
    log.add(Fact::Expired(Expired { at: after(9_995_790), payment: own, reasons: Reasons::one(Reason::AB05) }));
    trace.steps = log.trace(own).steps;
    trace.steps[1].term = 9;
    let story = tell(&log.known(own), Ok(&trace), Links::default(), LATER);
    assert!(story.payment.summary.contains("Before that, the leader changed or started anew (term 7 to 9)."));
    assert_eq!(
        (story.payment.must_act.as_str(), story.budget.unwrap().is_shared),
        ("the operator of the switch", true)
    );
    // Nobody has read the log: what is not known is left open.
    let story = tell(&log.known(own), Err("it is away".into()), Links::default(), LATER);
    assert_eq!(story.payment.must_act, "BANK-F, unless the switch held it up");
}

#[test]
fn in_process_longer_than_it_may_be() {
    let (mut log, own) = (Log::new(), payment(13, 0, 1, 12_000));
    log.reserve(own, START);
    let story = log.story(own, after(35_000_000));
    assert!(story.payment.summary.contains("its deadline was over 25.004 s ago without a decision: nobody leads"));
    assert_eq!(story.payment.must_act, "the operator of the switch");
    assert_eq!(log.story(own, after(10_500_000)).payment.must_act, "BANK-F", "a timer may be late");
}

#[test]
fn refused_for_its_clock() {
    let (mut log, own) = (Log::new(), payment(14, 0, 1, 12_000));
    log.reject(own, START, Stage::Submit, Reason::AB03);
    check("clock-had-run-out", &log.story(own, LATER));
    let own = payment(15, 0, 1, 12_000);
    log.reject(own, after(100), Stage::Submit, Reason::E996);
    assert_eq!(log.story(own, LATER).payment.must_act, "BANK-A");
    let mut trace = log.trace(own);
    trace.leader_changes =
        vec![LeaderChange { terms: (6, 7), between: (after(0).minus(Duration::from_secs(35)), after(50)) }];
    check("clock-had-run-out-without-leader", &tell(&log.known(own), Ok(&trace), Links::default(), LATER));
}

#[test]
fn an_agent_that_is_not_registered_is_named() {
    let mut log = Log::new();
    let own = Payment { creditor: Key::NONE, ..payment(16, 0, 1, 10) };
    log.reject(own, START, Stage::Submit, Reason::CNOR);
    let mut trace = log.trace(own);
    let told = |trace: &Trace| tell(&log.known(own), Ok(trace), Links::default(), LATER).payment.summary;
    assert!(
        told(&trace).starts_with("The payment of 0.10 EUR from BANK-A to an agent that is not registered here was")
    );
    trace.steps[0].addressed_to = Some("BANK-Z".parse().unwrap());
    assert!(
        told(&trace).starts_with("The payment of 0.10 EUR from BANK-A to BANK-Z, which is not registered here, was")
    );
}

#[test]
fn a_return_of_too_much_and_one_of_nothing_known() {
    let (mut log, own) = (Log::new(), payment(17, 0, 1, 12_000));
    let back = Payment { original: Some(own.uetr), ..payment(18, 1, 0, 13_000) };
    log.reserve(own, START);
    log.settle(own, after(3_120), Status::ACSC);
    log.reserve(back, after(5_000_000));
    log.reject(back, after(5_000_040), Stage::Arrival, Reason::AM09);
    let story = log.story(back, LATER);
    assert_eq!(story.payment.must_act, "BANK-F", "who returns too much corrects it");
    let original = super::desk::unseen(own.uetr, &log.known(back));
    let page = page(&tell(
        &log.known(back),
        Ok(&log.trace(back)),
        Links { original: Some(original), ..Links::default() },
        LATER,
    ));
    assert!(page.contains("  no such payment of BANK-A is known\n"), "{page}");
}

#[test]
fn a_payment_and_its_return() {
    let (mut log, own) = (Log::new(), payment(8, 0, 1, 12_000));
    let back = Payment { original: Some(own.uetr), ..payment(9, 1, 0, 5_000) };
    log.reserve(own, START);
    log.settle(own, after(3_120), Status::ACSC);
    log.reserve(back, after(5_000_000));
    log.settle(back, after(5_002_000), Status::ACSC);
    let links = Links { returns: vec![log.known(back).link()], returned: Some((5_000, 0)), ..Links::default() };
    check("returned", &tell(&log.known(own), Ok(&log.trace(own)), links, LATER));
    let links = Links { original: Some(log.known(own).link()), ..Links::default() };
    check("return", &tell(&log.known(back), Ok(&log.trace(back)), links, LATER));
}

#[test]
fn what_the_log_no_longer_has_is_not_made_up() {
    let (mut log, own) = (Log::new(), payment(10, 0, 1, 12_000));
    log.reserve(own, START);
    log.settle(own, after(3_120), Status::ACSC);
    let record = log.known(own).record;
    let entry = Entry {
        uetr: own.uetr,
        debtor: own.debtor,
        creditor: own.creditor,
        amount_minor: own.amount_minor,
        currency: own.currency,
        state: record.state,
        reasons: record.reasons,
        settlement_date: record.settlement_date,
        decided_at: record.at,
        ended_at: record.ended_at,
        original: None,
        index: log.index,
    };
    let archived = Known::in_archive(log.book.scheme(), &entry);
    let trace = Trace { log_begins: Some((812_000, LATER)), ..Trace::default() };
    check("older-than-the-log", &tell(&archived, Ok(&trace), Links::default(), LATER));

    let half = Known::in_archive(log.book.scheme(), &Entry { decided_at: Timestamp(0), ..entry });
    let trace = Trace { steps: log.trace(own).steps[1..].to_vec(), ..Trace::default() };
    check("beginning-unknown", &tell(&half, Ok(&trace), Links::default(), LATER));

    let failure = "the disk gave no answer";
    check("log-unreadable", &tell(&archived, Err(failure.into()), Links::default(), LATER));
}
