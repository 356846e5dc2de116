//! What one payment costs in the pure core: decide and apply at both ends, the fact's bytes, the book.
//!
//!     cargo run --release -p settlement --example decide_speed

use std::hint::black_box;
use std::time::Instant;

use settlement::{Answer, Book, Command, Fact, Facts, Key, Participant, Recipient, Rules, Scheme, Sink, Submit, View};
use wire::{Currency, Reason, Status, Timestamp, Uetr};

const PAYMENTS: usize = 200_000;
const IN_FLIGHT: usize = 1_000;
const IN_PROCESS: u64 = 50_000;

/// Writes every notice into one buffer that is emptied when it is large.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Sink for Buffer {
    fn notice(&mut self, _: Recipient, _: u64, write: impl FnOnce(&mut Vec<u8>)) {
        if self.0.len() > 1 << 16 {
            self.0.clear();
        }
        write(&mut self.0);
    }
}

fn main() {
    let start = Timestamp(1_800_000_000_000_000_000);
    let mut scheme = Scheme::default();
    let mut book = Book::default();
    let mut add = |fact: Fact<'_>| {
        scheme.apply(&fact);
        book.apply(&fact, &mut ());
    };
    for (place, id) in ["BANK-A", "BANK-B"].into_iter().enumerate() {
        let id = id.parse().expect("a valid id");
        add(Fact::Registered { at: start, key: Key(place as u32), id, currency: Currency::EUR });
    }
    let mut live: Vec<Participant> = book.participants().to_vec();
    let rules = Rules::default();
    let prepare = [
        (0, settlement::Operation::Fund { currency: Currency::EUR, amount_minor: 1 << 50, note: "" }),
        (1, settlement::Operation::SignOn),
    ];
    for (place, operation) in prepare {
        let view = View { now: start, rules: &rules, scheme: &scheme.clone(), refusing: None };
        let fact = live[place].decide(Command::Operate(operation), &view).fact.expect("a fact");
        live[place].apply(&fact);
        scheme.apply(&fact);
        book.apply(&fact, &mut ());
    }

    let body = [7u8; 280];
    let submits: Vec<Submit> = (0..PAYMENTS as u64).map(|number| submit(number, start)).collect();
    let (mut log, mut spent) = (Vec::new(), [0u128; 5]);
    for batch in submits.chunks(IN_FLIGHT) {
        let view = View { now: start, rules: &rules, scheme: &scheme, refusing: None };
        let mut letters = Vec::with_capacity(IN_FLIGHT);
        log.clear();
        let began = Instant::now();
        for submit in batch {
            let fact = live[0].decide(Command::Submit { submit, body: &body }, &view).fact.expect("a fact");
            live[0].apply(&fact);
            fact.encode(&mut log);
            letters.extend(fact.letter());
        }
        spent[0] += began.elapsed().as_nanos();
        let began = Instant::now();
        letters.iter().for_each(|(_, letter)| {
            live[1].apply(letter);
        });
        spent[1] += began.elapsed().as_nanos();
        letters.clear();
        let debtor_agent = scheme.id(Key(0));
        let began = Instant::now();
        for submit in batch {
            let (status, reason) = (Status::ACTC, Reason::NONE);
            let answer = Answer { debtor_agent, uetr: submit.uetr, status, reason, additional_information: None };
            let fact = live[1].decide(Command::Answer(answer), &view).fact.expect("a fact");
            live[1].apply(&fact);
            fact.encode(&mut log);
            letters.extend(fact.letter());
        }
        spent[2] += began.elapsed().as_nanos();
        let began = Instant::now();
        letters.iter().for_each(|(_, letter)| {
            live[0].apply(letter);
        });
        spent[3] += began.elapsed().as_nanos();
        let mut notices = Buffer::default();
        let began = Instant::now();
        for fact in Facts::new(&log) {
            book.apply(&fact.expect("a fact"), &mut notices);
        }
        spent[4] += began.elapsed().as_nanos();
        black_box(&notices.0);
    }
    let steps = [
        "debtor's actor: decide, apply, encode",
        "letter to the creditor's actor",
        "creditor's actor: decide, apply, encode",
        "letter to the debtor's actor",
        "book: decode and apply both facts, write three notices",
    ];
    for (step, nanoseconds) in steps.iter().zip(spent) {
        println!("{:7.1} ns a payment  {step}", nanoseconds as f64 / PAYMENTS as f64);
    }
    println!("{:7} bytes for each remembered payment and copy", settlement::Payments::bytes_per_record());
    measure_digest(&mut book, &mut live[0], &View { now: start, rules: &rules, scheme: &scheme, refusing: None });
    assert_eq!(book.imbalance(Currency::EUR), 0, "money only moves");
}

/// What it costs to compare books, with nothing in process and with much.
fn measure_digest(book: &mut Book, debtor: &mut Participant, view: &View<'_>) {
    let nanoseconds = |book: &Book| {
        let began = Instant::now();
        black_box(book.digest());
        began.elapsed().as_nanos() as f64
    };
    println!("{:7.1} µs a digest of the book, nothing in process", nanoseconds(book) / 1e3);
    for number in 0..IN_PROCESS {
        let submit = submit(PAYMENTS as u64 + number, view.now);
        let fact = debtor.decide(Command::Submit { submit: &submit, body: &[] }, view).fact.expect("a fact");
        debtor.apply(&fact);
        book.apply(&fact, &mut ());
    }
    println!("{:7.1} ns more for each payment in process", nanoseconds(book) / IN_PROCESS as f64);
}

fn submit(number: u64, created_at: Timestamp) -> Submit {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Submit {
        message_id: "20261123BANKA00000000000000001".parse().expect("a valid message id"),
        created_at,
        uetr: Uetr::from_random(bytes),
        creditor_agent: "BANK-B".parse().expect("a valid id"),
        amount_minor: 1 + (number % 10_000) as i64,
        currency: Currency::EUR,
        content: number,
        original: None,
    }
}
