//! Old logs and snapshots stay readable: facts and books as each version wrote them lie in `golden/`, in hexadecimal.
//!
//! A changed format gets a new version and a new file; these are never written again. A new one is begun with
//! `CROSSTIE_GOLDEN=write cargo test -p tests --test golden`, which writes only files that are missing.

#![allow(clippy::unwrap_used)] // a test may panic, its helpers too

use std::fmt::Write;
use std::path::PathBuf;

use settlement::{
    Annotated, Approver, Audited, Book, Direction, Expired, Fact, Facts, Key, LimitChanged, Limits, Origin, Outcome,
    Payment, Position, PositionMoved, Rejected, Reserved, Settled, Stage, Standing, restore,
};
use wire::{BusinessDate, Currency, MessageId, Reason, Reasons, Status, Timestamp, Uetr};

const START: u64 = 1_795_442_531_000_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp(START + second * 1_000_000_000)
}

fn payment(number: u8, debtor: u32, creditor: u32, amount_minor: i64, original: Option<u8>) -> Payment {
    let uetr = |number: u8| Uetr::from_random([number; 16]);
    let date = BusinessDate::new(2026, 11, 23).unwrap();
    let message_id = MessageId::compose(date, "PROMPT-BANK".parse().unwrap(), u64::from(number));
    let (debtor, creditor) = (Key(debtor), Key(creditor));
    let (currency, original) = (Currency::EUR, original.map(uetr));
    Payment { debtor, creditor, uetr: uetr(number), amount_minor, currency, message_id, original }
}

/// A short day: every kind of fact, every kind of end.
fn day() -> Vec<Fact<'static>> {
    let date = BusinessDate::new(2026, 11, 23).unwrap();
    let note = "maker ada, checker grace";
    let (direction, participant) = (Direction::Both, Key(0));
    let standing = |second: u64, key: u32, direction: Direction, note: &'static str| Standing {
        at: at(second),
        participant: Key(key),
        direction,
        note,
    };
    let funded = |funded: i64, net: i64, limits: Limits| Position { funded, net, reserved: 0, limits };
    let capped = Limits { net_debit_cap: 5_000, payment_max: -1 };
    let reserved = |second: u64, payment: Payment| {
        let (content, horizon) = (0x1122_3344_5566_7788, at(0));
        Fact::Reserved(Reserved { at: at(second), payment, content, deadline: at(second + 10), horizon, body: b"body" })
    };
    let settled = |second: u64, payment: Payment, status: Status| Settled {
        at: at(second),
        payment,
        status,
        settlement_date: date,
    };
    let mut two = Reasons::one(Reason::AM13);
    two.add(Reason::AB08);
    let id = |name: &str| name.parse().unwrap();
    vec![
        Fact::DayRolled { at: at(0), date },
        Fact::Registered { at: at(0), key: Key(0), id: id("PROMPT-BANK"), currency: Currency::EUR },
        Fact::Registered { at: at(0), key: Key(1), id: id("021000021"), currency: Currency::EUR },
        Fact::SignedOn(standing(1, 0, direction, "")),
        Fact::SignedOn(standing(1, 1, direction, "")),
        Fact::Funded(PositionMoved {
            at: at(2),
            participant,
            currency: Currency::EUR,
            amount_minor: 10_000,
            position: funded(10_000, 0, Limits::default()),
            note,
        }),
        Fact::LimitChanged(LimitChanged {
            at: at(3),
            participant,
            currency: Currency::EUR,
            position: funded(10_000, 0, capped),
            note,
        }),
        reserved(4, payment(1, 0, 1, 700, None)),
        Fact::Settled(settled(5, payment(1, 0, 1, 700, None), Status::ACWP)),
        Fact::Annotated(Annotated { at: at(6), payment: payment(1, 0, 1, 700, None), status: Status::PDNG }),
        reserved(7, payment(2, 1, 0, 200, Some(1))),
        Fact::Returned(settled(8, payment(2, 1, 0, 200, Some(1)), Status::ACSC)),
        Fact::Rejected(Rejected {
            at: at(9),
            payment: payment(3, 0, 1, 2_000_000_000, None),
            content: 3,
            horizon: at(0),
            stage: Stage::Submit,
            reasons: two,
            additional_information: None,
        }),
        reserved(10, payment(4, 0, 1, 40, None)),
        Fact::Rejected(Rejected {
            at: at(11),
            payment: payment(4, 0, 1, 40, None),
            content: 0,
            horizon: Timestamp(0),
            stage: Stage::Answer,
            reasons: Reasons::one(Reason::AC04),
            additional_information: Some("closed in spring"),
        }),
        reserved(12, payment(5, 0, 1, 50, None)),
        Fact::Expired(Expired { at: at(22), payment: payment(5, 0, 1, 50, None), reasons: Reasons::one(Reason::AB05) }),
        reserved(23, payment(6, 0, 1, 60, None)),
        Fact::Defunded(PositionMoved {
            at: at(24),
            participant,
            currency: Currency::EUR,
            amount_minor: 1_000,
            position: funded(9_000, -500, capped),
            note,
        }),
        Fact::Suspended(standing(25, 1, Direction::Receive, note)),
        Fact::Resumed(standing(26, 1, Direction::Receive, note)),
        Fact::SignedOff(standing(27, 0, direction, "")),
    ]
}

/// What operators did that day: asked, approved by another one; refused; nobody knows.
fn audited() -> Vec<Fact<'static>> {
    let entry = |second: u64, action: &'static str, outcome: Outcome, why: &'static str| Audited {
        at: at(second),
        asked_at: at(second - 1),
        node: 2,
        origin: Origin::Cli,
        operator: "ada",
        uid: 1000,
        action,
        parameters: r#"{"amount":"1.00","currency":"EUR","id":"PROMPT-BANK"}"#,
        reason: "statement 4",
        task: None,
        approver: None,
        outcome,
        why,
    };
    let approver = Some(Approver { operator: "grace", uid: 1001 });
    [
        entry(30, "fund", Outcome::Proposed { until: at(60) }, ""),
        Audited { origin: Origin::Console, task: Some(1), approver, ..entry(31, "fund", Outcome::Done, "") },
        entry(32, "defund", Outcome::Refused, "AM04"),
        entry(33, "member_add", Outcome::Unknown, "not committed in time"),
        entry(34, "limit", Outcome::Proposed { until: at(90) }, ""),
    ]
    .map(Fact::Audited)
    .to_vec()
}

/// And what a node did of its own accord.
fn audited_of_a_node() -> Vec<Fact<'static>> {
    let of_a_node = |fact| match fact {
        Fact::Audited(entry) => {
            Fact::Audited(Audited { origin: Origin::Node, operator: "node 2", outcome: Outcome::Done, ..entry })
        }
        other => other,
    };
    audited().into_iter().take(1).map(of_a_node).collect()
}

fn written(facts: &[Fact<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    facts.iter().for_each(|fact| fact.encode(&mut bytes));
    bytes
}

fn fold(facts: &[u8]) -> Book {
    let mut book = Book::default();
    Facts::new(facts).for_each(|fact| {
        book.apply(&fact.unwrap(), &mut ());
    });
    book
}

fn golden(name: &str, fresh: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if !path.exists() && std::env::var("CROSSTIE_GOLDEN").is_ok_and(|value| value == "write") {
        let mut text = String::new();
        for line in fresh().chunks(32) {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn facts_stay_readable() {
    for (name, facts) in [
        ("facts-1.hex", day()),
        ("facts-audited-1.hex", audited()),
        ("facts-audited-of-a-node-2.hex", audited_of_a_node()),
    ] {
        let written = written(&facts);
        let old = golden(name, || written.clone());
        let read: Vec<Fact<'_>> = Facts::new(&old).map(|fact| fact.expect("it stays readable")).collect();
        assert_eq!(read, facts);
        assert_eq!(written, old, "the same facts are written in other bytes: a new version is needed");
    }
}

/// It had no audit trail, and did not know what moved on which date.
#[test]
fn a_book_of_version_1_stays_readable() {
    let old = golden("book-1.hex", || panic!("version 1 is no longer written"));
    let (read, book) = (restore(&mut old.as_slice()).expect("version 1 stays readable"), fold(&written(&day())));
    assert_eq!((read.scheme(), read.participants()), (book.scheme(), book.participants()));
    let notices = |book: &Book| ([0, 1].map(|key| book.last_notice(Key(key))), book.last_system_notice());
    assert_eq!((notices(&read), read.trail()), (notices(&book), book.trail()));
}

#[test]
fn a_book_of_version_2_stays_readable() {
    let book = fold(&written(&[day(), audited()].concat()));
    let written = || {
        let mut bytes = Vec::new();
        book.freeze().write(&mut bytes).unwrap();
        bytes
    };
    let old = golden("book-2.hex", written);
    let read = restore(&mut old.as_slice()).expect("version 2 stays readable");
    assert_eq!(read, book);
    // One payment is in process, one waits for its creditor agent's word: nothing depends on a map's order.
    assert_eq!(written(), old, "the same book is written in other bytes: a new version is needed");
}
