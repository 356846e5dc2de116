//! One bank: a participant with the client library, its own book, and a character.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wire::client::{
    Backoff, Client, Error, Feed, Notice, Notices, Options, Outcomes, Reply, Return, Stamp, State, Submitter,
};
use wire::{Message, Money, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::book::{Book, Ending, Heard, Offered, Said, Sent};
use super::characters::{CAST, Character, Choice, Part, SecondWord, choose, currency, currency_place, place_of};
use super::draw::Texts;
use super::figures::{amount, count};
use super::measured::Measured;
use super::news::{Often, Tone};
use super::stage::{Scheduled, Stage};
use crate::exit::{Exit, Failure};

const NOTICES_AT_ONCE: usize = 1024;
/// Far beyond the demo's end: what is sent has an outcome or the proof fails.
const CALL_TIMEOUT: Duration = Duration::from_secs(3600);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(10);

/// See the file's head.
pub(super) struct Bank {
    pub(super) place: usize,
    pub(super) book: Mutex<Book>,
    pub(super) reconnects: AtomicU64,
    stage: Arc<Stage>,
    client: Client,
    payments: Submitter,
    repeats: Submitter,
    message_number: AtomicU64,
    signed_on: AtomicBool,
}

/// The ends of a bank that its tasks read from.
pub(super) struct Ears {
    notices: Notices,
    outcomes: Outcomes,
    answers_to_repeats: Outcomes,
}

/// What follows from a notice, done when the book is closed again.
enum Deed {
    Answer(Reply),
    Later(Duration, Reply),
    TooLate(Duration, Reply),
    Posted(Duration, Reply),
    GiveBack(Duration, Box<Return>),
    /// Send this payment of its own once more.
    Again(u32),
}

impl Bank {
    pub(super) async fn connect(place: usize, address: String, stage: Arc<Stage>) -> Result<(Bank, Ears), Failure> {
        let part = &CAST[place];
        let options = Options {
            software: concat!("crosstie-demo ", env!("CARGO_PKG_VERSION")).into(),
            payments_max: 20_000,
            // Nobody waits for a place for an answer: who waits there does not take notices.
            answers_max: 500_000,
            notices_max: 65_536,
            timeout: CALL_TIMEOUT,
            connect_timeout: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(3),
            backoff: Backoff { first: Duration::from_millis(20), most: Duration::from_millis(250) },
            ..Options::new(address, part.id())
        };
        let (client, notices) = Client::connect(options)
            .await
            .map_err(|error| Failure::new(Exit::Unreachable, format!("{} cannot sign on: {error}", part.name)))?;
        let (payments, outcomes) = client.volume();
        let (repeats, answers_to_repeats) = client.volume();
        let bank = Bank {
            place,
            book: Mutex::new(Book::new(part.funded_minor)),
            reconnects: AtomicU64::new(0),
            stage,
            client,
            payments,
            repeats,
            message_number: AtomicU64::new(0),
            signed_on: AtomicBool::new(true),
        };
        Ok((bank, Ears { notices, outcomes, answers_to_repeats }))
    }

    pub(super) fn part(&self) -> &'static Part {
        &CAST[self.place]
    }

    pub(super) fn is_signed_on(&self) -> bool {
        self.signed_on.load(Ordering::Relaxed)
    }

    /// Sends its payment `number`, due since the beginning; false when its window is full.
    pub(super) fn pay(&self, number: u64, due: Duration, texts: &mut Texts) -> bool {
        let drawn = self.stage.draw.payment(self.place, number);
        let sent = Sent {
            to: drawn.creditor as u8,
            currency: drawn.currency as u8,
            is_return: false,
            amount_minor: drawn.amount_minor,
            number: number as u32,
            due_us: due.as_micros() as u64,
            ending: None,
            times_told: 0,
            posted: false,
        };
        self.book.lock().pay(drawn.uetr, sent);
        let message_id = self.message_id();
        let handed_over = self.payments.try_submit(&drawn.message(self.place, message_id.as_str(), texts));
        if let Err(error) = &handed_over {
            self.book.lock().unpay(drawn.uetr);
            if !matches!(error, Error::WindowFull { .. }) {
                self.stage.example(Often::Refused, |_| format!("{} could not send: {error}", self.part().name));
            }
        }
        handed_over.is_ok()
    }

    fn message_id(&self) -> wire::MessageId {
        let number = self.message_number.fetch_add(1, Ordering::Relaxed);
        Stamp::new(self.part().id(), Timestamp::now(), number).message_id
    }

    /// Says goodbye; what was committed before has been told then.
    pub(super) async fn sign_off(&self) -> Result<(), Error> {
        self.client.within(GOODBYE_TIMEOUT).sign_off().await
    }
}

/// Starts the tasks of a bank. The one that is given back ends when the bank has signed off and every notice is entered.
pub(super) fn play(banks: &Arc<[Bank]>, place: usize, ears: Ears) -> JoinHandle<()> {
    let Ears { notices, outcomes, answers_to_repeats } = ears;
    tokio::spawn(hear_refusals(banks.clone(), place, outcomes));
    tokio::spawn(compare_repeats(banks.clone(), place, answers_to_repeats));
    tokio::spawn(watch_line(banks.clone(), place));
    tokio::spawn(listen(banks.clone(), place, notices))
}

async fn listen(banks: Arc<[Bank]>, place: usize, mut notices: Notices) {
    let bank = &banks[place];
    let (mut batch, mut deeds) = (Vec::new(), Vec::new());
    let mut texts = Texts::default();
    loop {
        batch.clear();
        match notices.next_batch(&mut batch, NOTICES_AT_ONCE).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                bank.stage.tell(Tone::Alarm, format!("{} can go on no longer: {error}", bank.part().name));
                return;
            }
        }
        bank.read(&batch, &mut deeds);
        for (deed, scheduled) in deeds.drain(..) {
            bank.act(&banks, deed, scheduled, &mut texts).await;
        }
        for feed in [Feed::Own, Feed::System] {
            if let Some(last) = batch.iter().rev().find(|notice| notice.feed == feed) {
                notices.processed(last);
            }
        }
    }
}

impl Bank {
    fn read(&self, batch: &[Notice], deeds: &mut Vec<(Deed, Scheduled)>) {
        let now_us = self.stage.elapsed().as_micros() as u64;
        let mut deeds = |deed: Deed| deeds.push((deed, Scheduled::new(&self.stage)));
        let mut book = self.book.lock();
        let mut measured = self.stage.measured.lock();
        for notice in batch {
            match notice.feed {
                Feed::Own => book.number(notice.number),
                Feed::System => book.system_number(notice.number),
            }
            match notice.view() {
                Message::TransferNotice(offer) => {
                    let transfer = &offer.transfer;
                    let offer = Offer {
                        debtor_agent: transfer.debtor_agent,
                        uetr: transfer.uetr,
                        money: transfer.money(),
                        deadline: offer.deadline,
                        is_return: false,
                    };
                    self.decide(&mut book, &offer, &mut deeds);
                }
                Message::ReturnNotice(offer) => {
                    let back = &offer.payment_return;
                    let offer = Offer {
                        debtor_agent: back.debtor_agent,
                        uetr: back.uetr,
                        money: Money::new(back.amount_minor, back.currency),
                        deadline: offer.deadline,
                        is_return: true,
                    };
                    self.decide(&mut book, &offer, &mut deeds);
                }
                Message::StatusNotice(status) => match book.told(self.place, &status) {
                    Heard::OutcomeOfSent(sent) => {
                        self.ended(&mut measured, status.uetr, &sent, now_us);
                        if self.part().character == Character::Anxious && sent.times_told == 1 && !sent.is_return {
                            deeds(Deed::Again(sent.number));
                        }
                    }
                    Heard::OutcomeOfOffered(offered) => {
                        self.second_word(status.debtor_agent, status.uetr, &offered).map(&mut deeds);
                    }
                    Heard::SecondWord => measured.outcomes.posted += 1,
                    Heard::Unknown => {}
                },
                _ => {}
            }
        }
    }

    /// It is offered a payment: its character decides.
    fn decide(&self, book: &mut Book, offer: &Offer, deeds: &mut impl FnMut(Deed)) {
        let Offer { debtor_agent, uetr, money, deadline, is_return } = *offer;
        let (Some(from), Some(currency)) = (place_of(debtor_agent), currency_place(money.currency)) else { return };
        book.offer(uetr, from, currency, money.minor);
        let yes = Reply::yes(debtor_agent, uetr);
        match choose(self.part().character, self.stage.draw.seed, uetr, money.minor, is_return) {
            Choice::Yes => {
                book.said(uetr, Said::Yes);
                deeds(Deed::Answer(yes));
            }
            Choice::YesAfter(after) => deeds(Deed::Later(after, yes)),
            Choice::No(reason) => {
                book.said(uetr, Said::No(reason));
                deeds(Deed::Answer(Reply::no(debtor_agent, uetr, reason)));
            }
            Choice::Never => {}
            Choice::TooLate(by) => {
                deeds(Deed::TooLate(deadline.plus(by).since(Timestamp::now()), yes));
            }
            Choice::WithoutPosting(..) => {
                book.said(uetr, Said::Yes);
                deeds(Deed::Answer(Reply::yes_without_posting(debtor_agent, uetr)));
            }
        }
    }

    /// After an accept without posting has settled.
    fn second_word(&self, debtor_agent: ParticipantId, uetr: Uetr, offered: &Offered) -> Option<Deed> {
        if offered.ending != Some(Ending::WithoutPosting) || offered.times_told > 1 {
            return None;
        }
        match choose(self.part().character, self.stage.draw.seed, uetr, offered.amount_minor, false) {
            Choice::WithoutPosting(after, SecondWord::Posted) => {
                Some(Deed::Posted(after, Reply::new(debtor_agent, uetr, Status::ACCC)))
            }
            Choice::WithoutPosting(after, SecondWord::GivenBack(reason)) => {
                let back = Return {
                    uetr: self.stage.draw.return_of(uetr),
                    original_uetr: uetr,
                    creditor_agent: debtor_agent,
                    amount: Money::new(offered.amount_minor, currency(usize::from(offered.currency))),
                    reason,
                    additional_information: None,
                    created_at: None,
                };
                Some(Deed::GiveBack(after, Box::new(back)))
            }
            _ => None,
        }
    }

    async fn act(&self, banks: &Arc<[Bank]>, deed: Deed, scheduled: Scheduled, texts: &mut Texts) {
        let (banks, place) = (banks.clone(), self.place);
        match deed {
            Deed::Answer(reply) => self.answer(&reply).await,
            Deed::Later(after, reply) => spawn(async move {
                sleep(after).await;
                let bank = &banks[place];
                bank.book.lock().said(reply.uetr, Said::Yes);
                bank.answer(&reply).await;
                drop(scheduled);
            }),
            Deed::Posted(after, reply) => spawn(async move {
                sleep(after).await;
                banks[place].answer(&reply).await;
                drop(scheduled);
            }),
            Deed::TooLate(after, reply) => spawn(async move {
                sleep(after).await;
                banks[place].answer_too_late(&reply).await;
                drop(scheduled);
            }),
            Deed::GiveBack(after, back) => spawn(async move {
                sleep(after).await;
                banks[place].give_back(&back).await;
                drop(scheduled);
            }),
            Deed::Again(number) => {
                let drawn = self.stage.draw.payment(place, u64::from(number));
                let message_id = self.message_id();
                // When there is no place for it, it is not repeated; nothing depends on that.
                if self.repeats.try_submit(&drawn.message(place, message_id.as_str(), texts)).is_ok() {
                    scheduled.until_it_is_answered();
                }
            }
        }
    }

    async fn answer(&self, reply: &Reply) {
        if let Err(error) = self.client.answer(reply).await {
            let name = self.part().name;
            self.stage.example(Often::Refused, |_| format!("{name} could not answer {}: {error}", reply.uetr));
        }
    }

    async fn answer_too_late(&self, reply: &Reply) {
        self.book.lock().said(reply.uetr, Said::Yes);
        let Ok(handle) = self.client.answer(reply).await else { return };
        if let Err(Error::Refused { reason: Reason::LATE, .. }) = handle.outcome().await {
            self.stage.measured.lock().outcomes.late_answers += 1;
            let (name, uetr) = (self.part().name, short(reply.uetr));
            self.stage.example(Often::TooLate, |so_far| {
                let so_far = times(so_far);
                format!("{name} said yes to {uetr} after its deadline: refused (LATE), no money moved{so_far}")
            });
        }
    }

    async fn give_back(&self, back: &Return) {
        let (Some(to), Some(currency)) = (place_of(back.creditor_agent), currency_place(back.amount.currency)) else {
            return;
        };
        let sent = Sent {
            to: to as u8,
            currency: currency as u8,
            is_return: true,
            amount_minor: back.amount.minor,
            number: 0,
            due_us: self.stage.elapsed().as_micros() as u64,
            ending: None,
            times_told: 0,
            posted: false,
        };
        self.book.lock().pay(back.uetr, sent);
        if let Err(error) = self.payments.submit(back).await {
            self.book.lock().unpay(back.uetr);
            let name = self.part().name;
            self.stage.example(Often::Refused, |_| format!("{name} could not give back {}: {error}", back.uetr));
        }
    }

    /// A payment of its own ended: measure it, and tell why if it is worth it.
    fn ended(&self, measured: &mut Measured, uetr: Uetr, sent: &Sent, now_us: u64) {
        let Some(ending) = sent.ending else { return };
        let (own, other) = (self.part().name, &CAST[usize::from(sent.to)]);
        let prompt = other.answers_at_once() && self.part().character != Character::Flaky;
        measured.ended(ending, sent.is_return, now_us.saturating_sub(sent.due_us), prompt);

        let money = || {
            let code = super::characters::CURRENCIES[usize::from(sent.currency)];
            format!("{} {code}", amount(i128::from(sent.amount_minor)))
        };
        let (other, uetr) = (other.name, short(uetr));
        match ending {
            Ending::Rejected(reasons) => {
                let reason = reasons.first();
                let kind = match reason {
                    Reason::AB05 => Often::NoAnswer,
                    Reason::AM04 => Often::NoFunds,
                    Reason::E996 | Reason::AB03 => Often::Clock,
                    _ => Often::Rule,
                };
                self.stage.example(kind, |so_far| {
                    let so_far = times(so_far);
                    match kind {
                        Often::NoAnswer => format!(
                            "{other} did not answer {uetr} in time: {} released, {own} told AB05{so_far}",
                            money()
                        ),
                        Often::NoFunds => format!(
                            "{own} tried to send {} that it does not have: AM04 at once, {other} was not asked{so_far}",
                            money()
                        ),
                        Often::Clock => format!(
                            "{uetr} of {own} waited too long for the switch: {reason}, its clock left {other} too little{so_far}"
                        ),
                        _ => {
                            let meaning = reason.explanation().map_or("", |explanation| explanation.meaning);
                            format!("{other} said no to {} of {own}: {reason} {meaning}{so_far}", money())
                        }
                    }
                });
            }
            ending if sent.is_return && ending.is_settled() => self.stage.example(Often::GivenBack, |so_far| {
                let so_far = times(so_far);
                format!("{own} could not post {} after all: returned, {other} has it back{so_far}", money())
            }),
            _ => {}
        }
    }
}

/// What is offered.
struct Offer {
    debtor_agent: ParticipantId,
    uetr: Uetr,
    money: Money,
    deadline: Timestamp,
    is_return: bool,
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// How often it happened, once it is more than once.
fn times(so_far: u64) -> String {
    if so_far < 2 { String::new() } else { format!(" · {} so far", count(so_far)) }
}

/// The beginning of a UETR, enough to tell it from others on the screen.
fn short(uetr: Uetr) -> String {
    let mut text = uetr.to_string();
    text.truncate(8);
    text
}

/// Outcomes come as notices, too, and are entered from there. Only a refusal comes nowhere else.
async fn hear_refusals(banks: Arc<[Bank]>, place: usize, mut outcomes: Outcomes) {
    let bank = &banks[place];
    let mut batch = Vec::new();
    while outcomes.next_batch(&mut batch, NOTICES_AT_ONCE).await > 0 {
        for (uetr, result) in batch.drain(..) {
            let Err(Error::Refused { reason, text }) = result else { continue };
            bank.book.lock().refused(uetr, reason);
            bank.stage.measured.lock().ended(Ending::Refused(reason), false, 0, false);
            let name = bank.part().name;
            bank.stage.example(Often::Refused, |so_far| {
                format!("a payment of {name} was refused, nothing recorded: {reason} {text}{}", times(so_far))
            });
        }
    }
}

async fn compare_repeats(banks: Arc<[Bank]>, place: usize, mut answers: Outcomes) {
    let bank = &banks[place];
    while let Some((uetr, result)) = answers.next().await {
        let answer = result.ok().and_then(|outcome| Ending::of(outcome.status.code(), outcome.reasons));
        bank.book.lock().repeated(uetr, answer);
        Scheduled::is_answered(&bank.stage);
    }
}

/// Sees the connection break and come back.
async fn watch_line(banks: Arc<[Bank]>, place: usize) {
    let bank = &banks[place];
    let mut states = bank.client.state();
    let mut lost_at: Option<Duration> = None;
    loop {
        let state = states.borrow_and_update().clone();
        let now = bank.stage.elapsed();
        match state {
            State::SignedOn { .. } => {
                bank.signed_on.store(true, Ordering::Relaxed);
                if let Some(lost_at) = lost_at.take() {
                    let times = bank.reconnects.fetch_add(1, Ordering::Relaxed) + 1;
                    if bank.part().character == Character::Flaky {
                        let (name, notice) = (bank.part().name, count(bank.client.position().last_notice));
                        bank.stage.example(Often::Line, |_| {
                            let away_ms = (now - lost_at).as_millis();
                            format!(
                                "{name} lost its line and is back after {away_ms} ms: its feed goes on after notice {notice} · break {times}"
                            )
                        });
                    }
                }
            }
            State::Ended { .. } => {
                bank.signed_on.store(false, Ordering::Relaxed);
                return;
            }
            State::Connecting { .. } | State::Waiting { .. } => {
                bank.signed_on.store(false, Ordering::Relaxed);
                lost_at.get_or_insert(now);
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
