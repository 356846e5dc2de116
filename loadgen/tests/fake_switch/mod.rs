//! A switch of a page: right in everything the money check looks at, except for the one fault it is told to plant.
//!
//! A thread per connection, one lock, nothing on disk. Feeds are kept, so that a bank can come back.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wire::frame::{self, Frames, HEADER_BYTES, Kind};
use wire::message::{Answer, CreditTransfer, HeartbeatReply, Refused, SignOn, SignedOn, StatusNotice, StatusReport};
use wire::{BusinessDate, Message, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

/// Longer than a test machine that compiles beside the test lets an answer wait.
const EXPIRY: Duration = Duration::from_millis(1500);

/// What goes wrong, once, with the hundredth payment that is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// The debtor agent is never told.
    OutcomeLost,
    OutcomeTwice,
    CreditorUntold,
    NumberSkipped,
    NumberRepeated,
    WrongAmount,
    SettledWithoutYes,
    BanksToldDifferently,
    ToldToAStranger,
    AskedTwice,
}

pub(crate) struct FakeSwitch {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    answered: usize,
    /// Encoded notices of each bank, from number 1 on.
    feeds: HashMap<ParticipantId, Vec<Vec<u8>>>,
    numbers: HashMap<ParticipantId, u64>,
    sessions: HashMap<ParticipantId, TcpStream>,
    payments: HashMap<Uetr, Payment>,
    /// Refuse so many transfers with BUSY.
    busy: usize,
    pub(crate) repeats_seen: usize,
}

struct Payment {
    debtor: ParticipantId,
    creditor: ParticipantId,
    amount_minor: i64,
    currency: wire::Currency,
    message_id: String,
    outcome: Option<(Status, Reason)>,
}

impl FakeSwitch {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { fault: Some(fault), ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopping) = (state.clone(), stop.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        FakeSwitch { address, state, stop }
    }

    pub(crate) fn busy(self, count: usize) -> Self {
        self.state.lock().unwrap().busy = count;
        self
    }

    /// Cuts every connection; the banks may come back at once.
    pub(crate) fn cut(&self) {
        for (_, stream) in self.state.lock().unwrap().sessions.drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection with a last message, both in one segment. What the banks still send is read and handled.
    pub(crate) fn hang_up(&self) {
        for (_, mut stream) in self.state.lock().unwrap().sessions.drain() {
            let mut bytes = Vec::new();
            let last_words = HeartbeatReply { echo: Timestamp::now(), sent_at: Timestamp::now() };
            frame::encode(Kind::HeartbeatReply, &last_words, &mut bytes);
            rustix::net::sockopt::set_tcp_cork(&stream, true).unwrap();
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    pub(crate) fn repeats_seen(&self) -> usize {
        self.state.lock().unwrap().repeats_seen
    }
}

impl Drop for FakeSwitch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, state: &Arc<Mutex<State>>) {
    stream.set_nodelay(true).unwrap();
    let (mut bytes, mut buffer, mut bank) = (Vec::new(), vec![0; 64 * 1024], None);
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&buffer[..count]);
        let mut frames = Frames::new(&bytes);
        for frame in frames.by_ref() {
            let frame = frame.expect("the generator frames well");
            let message = frame::decode(frame.kind, frame.body).expect("the generator sends valid messages");
            let mut locked = state.lock().unwrap();
            match message {
                Message::SignOn(sign_on) => {
                    bank = Some(sign_on.participant);
                    locked.sign_on(&sign_on, stream.try_clone().unwrap());
                }
                Message::CreditTransfer(transfer) => locked.transfer(&transfer, frame.body, state),
                Message::Answer(answer) => locked.answer(&answer, bank.unwrap()),
                _ => {}
            }
        }
        let taken = frames.taken();
        bytes.drain(..taken);
    }
}

impl State {
    fn send(&mut self, bank: ParticipantId, bytes: &[u8]) {
        if let Some(stream) = self.sessions.get_mut(&bank) {
            let _ = stream.write_all(bytes);
        }
    }

    fn sign_on(&mut self, sign_on: &SignOn<'_>, stream: TcpStream) {
        let signed_on = SignedOn {
            protocol: 1,
            node: "fake",
            next_notice: sign_on.last_notice + 1,
            next_system_notice: 1,
            window: 1000,
            frame_bytes_max: 4096,
            silence_max_ms: 30_000,
            payment_timeout_ms: 10_000,
            creditor_share_ms: 5_000,
            skew_max_ms: 1_000,
            business_date: BusinessDate::NONE,
            sent_at: Timestamp::now(),
        };
        // A newer session supersedes the older one.
        if let Some(older) = self.sessions.insert(sign_on.participant, stream) {
            let _ = older.shutdown(Shutdown::Both);
        }
        let mut bytes = Vec::new();
        frame::encode(Kind::SignedOn, &signed_on, &mut bytes);
        let feed = self.feeds.entry(sign_on.participant).or_default();
        feed.iter().skip(sign_on.last_notice as usize).for_each(|notice| bytes.extend_from_slice(notice));
        self.send(sign_on.participant, &bytes);
    }

    /// Gives the notice its number, keeps it and sends it.
    fn notify(&mut self, bank: ParticipantId, mut notice: Vec<u8>) {
        let number = self.numbers.entry(bank).or_default();
        *number += 1;
        notice[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&number.to_le_bytes());
        self.feeds.entry(bank).or_default().push(notice.clone());
        self.send(bank, &notice);
    }

    fn transfer(&mut self, transfer: &CreditTransfer<'_>, body: &[u8], state: &Arc<Mutex<State>>) {
        if let Some(payment) = self.payments.get(&transfer.uetr) {
            let (status, reason) = payment.outcome.unwrap_or((Status::ACSP, Reason::NONE));
            let report = StatusReport {
                uetr: transfer.uetr,
                debtor_agent: payment.debtor,
                status,
                reasons: if reason.is_none() { Reasons::NONE } else { Reasons::one(reason) },
                amount_minor: payment.amount_minor,
                currency: payment.currency,
                settlement_date: BusinessDate::NONE,
                at: Timestamp::now(),
            };
            let mut bytes = Vec::new();
            frame::encode(Kind::StatusReport, &report, &mut bytes);
            self.repeats_seen += 1;
            return self.send(transfer.debtor_agent, &bytes);
        }
        if self.busy > 0 {
            self.busy -= 1;
            let kind = Kind::CreditTransfer as u16;
            let refused = Refused { kind, uetr: *transfer.uetr.bytes(), reason: Reason::BUSY, text: "busy" };
            let mut bytes = Vec::new();
            frame::encode(Kind::Refused, &refused, &mut bytes);
            return self.send(transfer.debtor_agent, &bytes);
        }
        let payment = Payment {
            debtor: transfer.debtor_agent,
            creditor: transfer.creditor_agent,
            amount_minor: transfer.amount_minor,
            currency: transfer.currency,
            message_id: transfer.message_id.to_string(),
            outcome: None,
        };
        self.payments.insert(transfer.uetr, payment);
        let mut notice = Vec::new();
        let start = frame::begin(Kind::TransferNotice, &mut notice);
        notice.extend_from_slice(&[0; 24]);
        notice.extend_from_slice(body);
        frame::finish(start, &mut notice);
        self.notify(transfer.creditor_agent, notice.clone());
        if self.payments.len() == 100 && self.fault == Some(Fault::AskedTwice) {
            self.notify(transfer.creditor_agent, notice);
        }
        let (state, uetr) = (state.clone(), transfer.uetr);
        std::thread::spawn(move || {
            std::thread::sleep(EXPIRY);
            state.lock().unwrap().end(uetr, Status::RJCT, Reason::AB05);
        });
    }

    fn answer(&mut self, answer: &Answer<'_>, bank: ParticipantId) {
        assert_eq!(self.payments[&answer.uetr].creditor, bank, "a bank answers for itself");
        match answer.status {
            Status::ACTC => self.end(answer.uetr, Status::ACSC, Reason::NONE),
            Status::ACWP => self.end(answer.uetr, Status::ACWP, Reason::NONE),
            _ if self.fault == Some(Fault::SettledWithoutYes) => self.end(answer.uetr, Status::ACSC, Reason::NONE),
            _ => self.end(answer.uetr, Status::RJCT, answer.reason),
        }
    }

    fn end(&mut self, uetr: Uetr, status: Status, reason: Reason) {
        let Some(payment) = self.payments.get_mut(&uetr).filter(|payment| payment.outcome.is_none()) else { return };
        payment.outcome = Some((status, reason));
        let (debtor, creditor) = (payment.debtor, payment.creditor);
        let notice = StatusNotice {
            number: 0,
            at: Timestamp::now(),
            uetr,
            debtor_agent: debtor,
            creditor_agent: creditor,
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            status,
            reasons: if reason.is_none() { Reasons::NONE } else { Reasons::one(reason) },
            settlement_date: BusinessDate::NONE,
            original_message_id: &payment.message_id,
            additional_information: None,
        };
        let encode = |notice: &StatusNotice<'_>| {
            let mut bytes = Vec::new();
            frame::encode(Kind::StatusNotice, notice, &mut bytes);
            bytes
        };
        let right = encode(&notice);
        let wrong_amount = encode(&StatusNotice { amount_minor: notice.amount_minor + 1, ..notice });
        let rejected = encode(&StatusNotice { status: Status::RJCT, reasons: Reasons::one(Reason::AC04), ..notice });
        self.answered += 1;
        let fault = if self.answered == 100 { self.fault.unwrap_or(Fault::None) } else { Fault::None };
        match fault {
            Fault::OutcomeLost => {}
            Fault::WrongAmount => self.notify(debtor, wrong_amount),
            Fault::NumberSkipped => {
                *self.numbers.entry(debtor).or_default() += 1;
                self.notify(debtor, right.clone());
            }
            Fault::NumberRepeated => {
                *self.numbers.entry(debtor).or_default() -= 1;
                self.notify(debtor, right.clone());
            }
            Fault::OutcomeTwice => {
                self.notify(debtor, right.clone());
                self.notify(debtor, right.clone());
            }
            _ => self.notify(debtor, right.clone()),
        }
        let told_creditor = status != Status::RJCT || reason == Reason::AB05;
        match fault {
            Fault::CreditorUntold => {}
            Fault::BanksToldDifferently => self.notify(creditor, rejected),
            Fault::ToldToAStranger => {
                let stranger = *self.sessions.keys().find(|bank| **bank != debtor && **bank != creditor).unwrap();
                self.notify(stranger, right.clone());
                self.notify(creditor, right);
            }
            _ if told_creditor => self.notify(creditor, right),
            _ => {}
        }
    }
}
