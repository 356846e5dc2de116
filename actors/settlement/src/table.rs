//! Tables that a banker could read, run against the core. Only for tests.
//!
//! One step a line: what is asked, `->`, what comes of it, and if it matters `|` and the positions afterwards, balance
//! and reserved. To begin with, A, B and C are signed on, D is not; A holds 100 EUR, B, C and D hold an empty position.
//!
//! ```text
//!     submit P1 A B 70          -> reserved             | A 100/70
//!     submit P2 A B 40          -> rejected AM04        | A 100/70
//!     answer P1 yes             -> settled              | A 30/0  B 70/0
//! ```
//!
//! | step | options |
//! |---|---|
//! | `submit NAME FROM TO AMOUNT` | `USD`, `created=-3s`, `content=other`, `returns=NAME` |
//! | `answer NAME yes, acwp, no, accc, pdng, blck` | `by=B` |
//! | `expire NAME`, `arrive NAME`, `ask WHO NAME` | |
//! | `fund WHO AMOUNT`, `defund WHO AMOUNT` | `USD` |
//! | `limit WHO` | `cap=50`, `max=40` |
//! | `suspend WHO`, `resume WHO` | `send`, `receive` |
//! | `sign-on WHO`, `sign-off WHO`, `roll`, `audit`, `wait 3s`, `drain` | |

use std::collections::HashMap;
use std::time::Duration;

use wire::{BusinessDate, Currency, Message, MessageId, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

use crate::{
    Answer, Audited, Book, Command, Decision, Direction, Fact, Key, Limits, Operation, Origin, Outcome, Reply, Rules,
    Stage, Submit, View,
};

pub(crate) const START: Timestamp = Timestamp(1_795_442_531_000_000_000);
const NAMES: [&str; 4] = ["A", "B", "C", "D"];

/// The world of one table.
pub(crate) struct Table {
    pub(crate) book: Book,
    pub(crate) facts: Vec<u8>,
    pub(crate) rules: Rules,
    now: Timestamp,
    refusing: Option<Reason>,
    /// By name: the debtor agent, the creditor agent.
    payments: HashMap<String, (Key, Option<Key>)>,
}

/// Runs a table under `rules`.
pub(crate) fn run(rules: Rules, script: &str) -> Table {
    let mut table = Table::new(rules);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, rest) = line.split_once("->").unwrap_or((line, ""));
        let (expected, positions) = rest.split_once('|').unwrap_or((rest, ""));
        let came = table.step(step.trim());
        if !expected.trim().is_empty() {
            assert_eq!(came, expected.trim(), "{line}");
        }
        table.check_positions(positions, line);
    }
    table
}

/// An entry of the audit trail.
pub(crate) fn audited() -> Audited<'static> {
    Audited {
        at: START,
        asked_at: START,
        node: 1,
        origin: Origin::Cli,
        operator: "ada",
        uid: 1000,
        action: "fund",
        parameters: r#"{"id":"A"}"#,
        reason: "statement 4",
        task: None,
        approver: None,
        outcome: Outcome::Done,
        why: "",
    }
}

pub(crate) fn uetr(name: &str) -> Uetr {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    Uetr::from_random(bytes)
}

fn key(name: &str) -> Option<Key> {
    NAMES.iter().position(|own| *own == name).map(|place| Key(place as u32))
}

impl Table {
    fn new(rules: Rules) -> Table {
        let (book, facts, payments) = (Book::default(), Vec::new(), HashMap::new());
        let mut table = Table { book, facts, rules, now: START, refusing: None, payments };
        table.add(&Fact::DayRolled { at: START, date: BusinessDate::new(2026, 11, 23).unwrap() });
        for (place, name) in NAMES.iter().enumerate() {
            let (key, id) = (Key(place as u32), name.parse().unwrap());
            table.add(&Fact::Registered { at: START, key, id, currency: Currency::EUR });
        }
        ["fund A 100", "sign-on A", "sign-on B", "sign-on C"].iter().for_each(|step| drop(table.step(step)));
        table
    }

    pub(crate) fn add(&mut self, fact: &Fact<'_>) {
        fact.encode(&mut self.facts);
        self.book.apply(fact, &mut ());
    }

    fn check_positions(&self, positions: &str, line: &str) {
        let mut words = positions.split_ascii_whitespace();
        while let (Some(name), Some(expected)) = (words.next(), words.next()) {
            let own = self.book.participant(key(name).unwrap()).unwrap();
            let position = own.position(Currency::EUR).unwrap();
            assert_eq!(format!("{}/{}", position.balance(), position.reserved), expected, "{name} after {line}");
        }
        assert_eq!(self.book.imbalance(Currency::EUR), 0, "money is conserved: {line}");
    }

    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split_ascii_whitespace().collect();
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let currency = if words.contains(&"USD") { Currency::USD } else { Currency::EUR };
        let direction = match words.last() {
            Some(&"send") => Direction::Send,
            Some(&"receive") => Direction::Receive,
            _ => Direction::Both,
        };
        let amount = |place: usize| words[place].parse::<i64>().unwrap();
        let note = "by the operator";
        match words[0] {
            "submit" => self.submit(&words, currency),
            "answer" => self.answer(&words, option("by")),
            "expire" | "arrive" => {
                let (debtor, creditor) = self.payments[words[1]];
                let uetr = uetr(words[1]);
                let command = match words[0] {
                    "expire" => Command::Expire { debtor, uetr },
                    _ => Command::Arrive { debtor, uetr },
                };
                self.decide(creditor.unwrap(), command)
            }
            "ask" => {
                let debtor = self.payments.get(words[2]).map_or(Key(0), |(debtor, _)| *debtor);
                self.decide(key(words[1]).unwrap(), Command::Inquire { debtor, uetr: uetr(words[2]) })
            }
            "fund" => self.operate(words[1], Operation::Fund { currency, amount_minor: amount(2), note }),
            "defund" => self.operate(words[1], Operation::Defund { currency, amount_minor: amount(2), note }),
            "limit" => {
                let number = |name: &str| option(name).map_or(-1, |text| text.parse().unwrap());
                let limits = Limits { net_debit_cap: number("cap"), payment_max: number("max") };
                self.operate(words[1], Operation::Limit { currency, limits, note })
            }
            "suspend" => self.operate(words[1], Operation::Suspend { direction, note }),
            "resume" => self.operate(words[1], Operation::Resume { direction, note }),
            "sign-on" => self.operate(words[1], Operation::SignOn),
            "sign-off" => self.operate(words[1], Operation::SignOff),
            "audit" => {
                self.add(&Fact::Audited(audited()));
                "audited".into()
            }
            "roll" => {
                let date = self.book.scheme().business_date().next();
                self.add(&Fact::DayRolled { at: self.now, date });
                date.to_string()
            }
            "wait" => {
                self.now = Timestamp((self.now.nanoseconds() as i64 + nanoseconds(words[1])) as u64);
                String::new()
            }
            "drain" => {
                self.refusing = Some(Reason::DRAN);
                String::new()
            }
            other => panic!("no step is called {other}"),
        }
    }

    fn submit(&mut self, words: &[&str], currency: Currency) -> String {
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let (debtor, creditor) = (key(words[2]).unwrap(), key(words[3]));
        let submit = Submit {
            message_id: MessageId::compose(BusinessDate::new(2026, 11, 23).unwrap(), words[2].parse().unwrap(), 7),
            created_at: Timestamp((self.now.nanoseconds() as i64 + option("created").map_or(0, nanoseconds)) as u64),
            uetr: uetr(words[1]),
            creditor_agent: words[3].parse().unwrap(),
            amount_minor: words[4].parse().unwrap(),
            currency,
            content: option("content").map_or(0, |text| text.len() as u64),
            original: option("returns").map(uetr),
        };
        self.payments.entry(words[1].to_string()).or_insert((debtor, creditor));
        self.decide(debtor, Command::Submit { submit: &submit, body: b"as it came" })
    }

    fn answer(&mut self, words: &[&str], by: Option<&str>) -> String {
        let (debtor, creditor) = self.payments.get(words[1]).copied().unwrap_or((Key(0), Some(Key(1))));
        let (status, reason) = match words[2] {
            "yes" => (Status::ACTC, Reason::NONE),
            "acwp" => (Status::ACWP, Reason::NONE),
            "no" => (Status::RJCT, Reason::AC04),
            "accc" => (Status::ACCC, Reason::NONE),
            "pdng" => (Status::PDNG, Reason::NONE),
            "blck" => (Status::BLCK, Reason::NONE),
            other => panic!("no answer is called {other}"),
        };
        let debtor_agent: ParticipantId = self.book.scheme().id(debtor);
        let answer = Answer { debtor_agent, uetr: uetr(words[1]), status, reason, additional_information: None };
        self.decide(by.map_or(creditor, key).unwrap(), Command::Answer(answer))
    }

    fn operate(&mut self, who: &str, operation: Operation<'_>) -> String {
        self.decide(key(who).unwrap(), Command::Operate(operation))
    }

    fn decide(&mut self, own: Key, command: Command<'_>) -> String {
        let (book, rules) = (self.book.clone(), self.rules.clone());
        let view = View { now: self.now, rules: &rules, scheme: book.scheme(), refusing: self.refusing };
        let Decision { fact, reply } = book.participant(own).unwrap().decide(command, &view);
        if let Some(fact) = &fact {
            self.add(fact);
        }
        let said = reply.map(|reply| match reply {
            Reply::Refused(reason) => format!("refused {reason}"),
            Reply::Inquire(inquiry) => match self.book.answer(own, &inquiry) {
                None => "refused AG09".into(),
                Some(Message::Refused(refused)) => format!("refused {}", refused.reason),
                Some(Message::StatusReport(report)) => with_reasons("told", report.status.as_str(), report.reasons),
                Some(other) => panic!("told {other:?}"),
            },
        });
        let came: Vec<String> = fact.as_ref().map(happened).into_iter().chain(said).collect();
        if came.is_empty() { "nothing".into() } else { came.join(", ") }
    }
}

fn happened(fact: &Fact<'_>) -> String {
    match fact {
        Fact::Reserved(_) => "reserved".into(),
        Fact::Rejected(rejected) => {
            let at = if rejected.stage == Stage::Arrival { "rejected on arrival" } else { "rejected" };
            with_reasons(at, "", rejected.reasons)
        }
        Fact::Settled(settled) if settled.status == Status::ACWP => "settled without posting".into(),
        Fact::Settled(settled) => format!("settled {}", settled.settlement_date),
        Fact::Returned(_) => "returned".into(),
        Fact::Expired(expired) => with_reasons("expired", "", expired.reasons),
        Fact::Annotated(annotated) => format!("noted {}", annotated.status),
        Fact::SignedOn(_) => "signed on".into(),
        Fact::SignedOff(_) => "signed off".into(),
        Fact::Suspended(_) => "suspended".into(),
        Fact::Resumed(_) => "resumed".into(),
        Fact::Funded(moved) | Fact::Defunded(moved) => format!("position {}", moved.position.balance()),
        Fact::LimitChanged(_) => "limited".into(),
        other => format!("{other:?}"),
    }
}

fn with_reasons(what: &str, status: &str, reasons: Reasons) -> String {
    let reasons = if reasons.is_empty() { String::new() } else { reasons.to_string() };
    [what, status, &reasons].iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// `3s`, `-10ms`, `1ns`, `48h`.
fn nanoseconds(text: &str) -> i64 {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    let number: i64 = text.trim_end_matches(unit).parse().unwrap();
    let length = match unit {
        "ns" => Duration::from_nanos(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        other => panic!("no unit is called {other}"),
    };
    number * length.as_nanos() as i64
}
