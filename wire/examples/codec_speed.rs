//! What the codec costs, in nanoseconds per message: `cargo run --release -p wire --example codec_speed`
//!
//! Decoding includes every check. The best of several rounds is printed, for the machine may be busy with other things.

use std::hint::black_box;
use std::time::Instant;

use wire::frame::{Frames, decode};
use wire::message::{Answer, CreditTransfer, Party, StatusNotice};
use wire::{Currency, Message, MessageId, Reason, Reasons, Status, Timestamp, Uetr};

const ROUNDS: usize = 30;
const MESSAGES: u64 = 10_000;

fn main() {
    let now = Timestamp(1_795_442_531_000_310_000);
    let north = "NORTHBANK".parse().expect("a participant");
    let south = "021000021".parse().expect("a participant");
    let message_id = MessageId::compose(now.date(), north, 4711);
    let uetr = Uetr::from_random(*b"0123456789abcdef");
    let transfer = CreditTransfer {
        message_id: message_id.as_str(),
        created_at: now,
        uetr,
        debtor_agent: north,
        creditor_agent: south,
        amount_minor: 1204,
        currency: "GBP".parse().expect("a currency"),
        end_to_end_id: "INVOICE-2026-000471",
        instruction_id: None,
        debtor: Party { name: "Ada Adler", account: "DE02100100100006820101" },
        creditor: Party { name: "Zoë Brückner", account: "GB33BUKB20201555555555" },
        remittance_information: Some("Invoice 4711 of 2026-11-23"),
    };
    let answer = Answer {
        message_id: message_id.as_str(),
        created_at: now,
        uetr,
        debtor_agent: north,
        status: Status::ACTC,
        reason: Reason::NONE,
        additional_information: None,
    };
    let notice = StatusNotice {
        number: 1207,
        at: now,
        uetr,
        debtor_agent: north,
        creditor_agent: south,
        amount_minor: 1204,
        currency: Currency::EUR,
        status: Status::ACSC,
        reasons: Reasons::NONE,
        settlement_date: now.date(),
        original_message_id: message_id.as_str(),
        additional_information: None,
    };
    println!("{:16} {:>6} {:>10} {:>10}", "message", "bytes", "encode ns", "decode ns");
    measure("CreditTransfer", &Message::CreditTransfer(transfer));
    measure("Answer", &Message::Answer(answer));
    measure("StatusNotice", &Message::StatusNotice(notice));
}

fn measure(name: &str, message: &Message<'_>) {
    let mut bytes = Vec::with_capacity(8 << 20);
    let encode_ns = best(|| {
        bytes.clear();
        for _ in 0..MESSAGES {
            black_box(message).encode(&mut bytes);
        }
    });
    let decode_ns = best(|| {
        for frame in Frames::new(black_box(&bytes)) {
            let frame = frame.expect("our own frame");
            black_box(decode(frame.kind, frame.body).expect("our own message"));
        }
    });
    println!("{name:16} {:6} {encode_ns:10.1} {decode_ns:10.1}", bytes.len() as u64 / MESSAGES);
}

fn best(mut round: impl FnMut()) -> f64 {
    let one = |round: &mut dyn FnMut()| {
        let started = Instant::now();
        round();
        started.elapsed().as_nanos() as f64 / MESSAGES as f64
    };
    (0..ROUNDS).map(|_| one(&mut round)).fold(f64::INFINITY, f64::min)
}
