//! One bank: a participant with the client library, its own book, and a character.
//!
//! In reading order: here (its connection and its tasks), `notices` (what it hears), `deeds` (what it does), `endings`
//! (what it tells of payments that ended).

mod deeds;
mod endings;
mod notices;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use wire::Timestamp;
use wire::client::{Backoff, Client, Error, Feed, Notices, Options, Outcomes, Stamp, State, Submitter};

use super::book::{Book, Ending, Sent};
use super::characters::{CAST, Character, Part};
use super::draw::Texts;
use super::figures::count;
use super::news::{Often, Tone};
use super::stage::{Scheduled, Stage};
use crate::exit::{Exit, Failure};
use endings::{short, times};

const NOTICES_AT_ONCE: usize = 1024;
/// Far beyond the demo's end: what is sent has an outcome or the proof fails.
const CALL_TIMEOUT: Duration = Duration::from_secs(3600);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(10);

/// See the file's head.
pub(super) struct Bank {
    pub(super) place: usize,
    pub(super) book: Mutex<Book>,
    pub(super) reconnects: AtomicU64,
    lost: AtomicU64,
    /// The node that it is signed on at, or was last.
    node: AtomicU64,
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
impl Bank {
    /// Its client goes through the addresses in turn whenever it loses its connection.
    pub(super) async fn connect(
        place: usize,
        addresses: Vec<String>,
        stage: Arc<Stage>,
    ) -> Result<(Bank, Ears), Failure> {
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
            addresses,
            ..Options::new("", part.id())
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
            lost: AtomicU64::new(0),
            node: AtomicU64::new(0),
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

    /// Where it is signed on.
    pub(super) fn node(&self) -> Option<u64> {
        let node = self.node.load(Ordering::Relaxed);
        (self.is_signed_on() && node > 0).then_some(node)
    }

    /// How often its connection was lost.
    pub(super) fn lines_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// It is signed on, at a node of this name; it was away since `lost_at`, if it was.
    fn back(&self, node: &str, lost_at: Option<Duration>) {
        let node: u64 = node.trim_start_matches('n').parse().unwrap_or(0);
        let before = self.node.swap(node, Ordering::Relaxed);
        self.signed_on.store(true, Ordering::Relaxed);
        let Some(lost_at) = lost_at else { return };
        let times = self.reconnects.fetch_add(1, Ordering::Relaxed) + 1;
        let away_ms = (self.stage.elapsed() - lost_at).as_millis();
        let (name, notice) = (self.part().name, count(self.client.position().last_notice));
        let moved =
            if node == before { format!("at node {node}") } else { format!("at node {node} instead of {before}") };
        let (kind, ending) = match self.part().character {
            Character::Flaky => (Often::Line, format!(" · break {times}")),
            _ => (Often::Moved, String::new()),
        };
        self.stage.example(kind, |_| {
            format!("{name} is back after {away_ms} ms, {moved}: its feed goes on after notice {notice}{ending}")
        });
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
/// Outcomes come as notices, too, and are entered from there. Only a refusal comes nowhere else.
async fn hear_refusals(banks: Arc<[Bank]>, place: usize, mut outcomes: Outcomes) {
    let bank = &banks[place];
    let mut batch = Vec::new();
    while outcomes.next_batch(&mut batch, NOTICES_AT_ONCE).await > 0 {
        for (uetr, result) in batch.drain(..) {
            let Err(Error::Refused { reason, text }) = result else { continue };
            bank.book.lock().refused(uetr, reason);
            bank.stage.measured.lock().ended(Ending::Refused(reason), false, (0, 0), false);
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
        match state {
            State::SignedOn { node, .. } => bank.back(&node, lost_at.take()),
            State::Ended { .. } => {
                bank.signed_on.store(false, Ordering::Relaxed);
                return;
            }
            State::Connecting { .. } | State::Waiting { .. } => {
                bank.signed_on.store(false, Ordering::Relaxed);
                if lost_at.is_none() {
                    lost_at = Some(bank.stage.elapsed());
                    bank.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
