//! The post office: where decisions of all actors meet. Facts go to the journal, letters to their recipients,
//! regrouped, one mailbox message per recipient and round.
//!
//! A letter may leave before its fact is synced: the fact stands in the log before anything that follows from the
//! letter, and the log is cut only at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use persistence::{Journal, Refused};
use ractor::ActorRef;
use settlement::{Book, Fact, Key, Rules, Scheme};
use tokio::sync::{Notify, oneshot};
use wire::Reason;

use crate::clock::Clock;
use crate::host::{self, Letter};
use crate::instruction::Instructions;
use crate::ledger::{Feeds, Passenger};
use crate::line::{Ending, Line};

/// What one mailbox message led to, not yet handed over.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) facts: Vec<u8>,
    pub(crate) letters: Vec<(Key, Fact<'static>)>,
    /// Facts that everyone may know of, noted once they are appended.
    pub(crate) news: Vec<Fact<'static>>,
    pub(crate) passengers: Vec<Passenger>,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.letters.is_empty() && self.passengers.is_empty()
    }
}

/// An actor's place: where its messages go, also while it is being rebuilt.
enum Seat {
    Taken(ActorRef<host::Message>),
    /// Its actor is being rebuilt from the book; letters about facts behind the barrier wait here.
    Waiting(Vec<host::Message>),
}

#[derive(Default)]
struct Mail {
    seats: Vec<Seat>,
    /// Letters by seat, and which seats have some.
    letters: Vec<Vec<Letter>>,
    due: Vec<usize>,
}

/// How much went through, since start.
#[derive(Debug, Default)]
pub struct Traffic {
    pub instructions: AtomicU64,
    pub letters: AtomicU64,
    pub messages: AtomicU64,
    pub restarts: AtomicU64,
}

/// See the file's head.
pub struct PostOffice {
    journal: Journal<Passenger>,
    scheme: RwLock<Scheme>,
    pub rules: Rules,
    pub clock: Clock,
    pub feeds: Arc<Feeds>,
    pub traffic: Traffic,
    draining: AtomicBool,
    participants_per_actor: usize,
    mail: Mutex<Mail>,
    mail_waits: Notify,
    lines: Mutex<Vec<Option<Arc<Line>>>>,
}

impl PostOffice {
    pub(crate) fn new(
        journal: Journal<Passenger>,
        scheme: Scheme,
        rules: Rules,
        feeds: Arc<Feeds>,
        participants_per_actor: usize,
    ) -> Self {
        PostOffice {
            journal,
            clock: Clock::starting_at(scheme.last_at()),
            scheme: RwLock::new(scheme),
            rules,
            feeds,
            traffic: Traffic::default(),
            draining: AtomicBool::new(false),
            participants_per_actor,
            mail: Mutex::default(),
            mail_waits: Notify::new(),
            lines: Mutex::default(),
        }
    }

    pub fn scheme(&self) -> RwLockReadGuard<'_, Scheme> {
        self.scheme.read()
    }

    /// Why new payments are refused just now, if they are.
    pub fn refusing(&self) -> Option<Reason> {
        if self.draining.load(Ordering::Relaxed) {
            return Some(Reason::DRAN);
        }
        (!self.journal.has_room()).then_some(Reason::FULL)
    }

    /// From now on new payments are refused; what is in process goes on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn seat(&self, key: Key) -> usize {
        key.place() / self.participants_per_actor
    }

    /// Hands the instructions of one socket read to the actor of their participant.
    pub fn instruct(&self, instructions: Instructions) {
        instructions.line.take(instructions.items.len() as u32);
        self.traffic.instructions.fetch_add(instructions.items.len() as u64, Ordering::Relaxed);
        let seat = self.seat(instructions.line.key());
        self.send(seat, host::Message::Instructions(instructions));
    }

    /// Asks the actor of a participant for an operation.
    pub fn operate(&self, request: host::Operate) {
        self.send(self.seat(request.key), host::Message::Operate(request));
    }

    pub(crate) fn send(&self, seat: usize, message: host::Message) {
        let mut mail = self.mail.lock();
        self.cast(&mut mail, seat, message);
    }

    fn cast(&self, mail: &mut Mail, seat: usize, message: host::Message) {
        self.traffic.messages.fetch_add(1, Ordering::Relaxed);
        match mail.seats.get_mut(seat) {
            // An actor that has just ended no longer takes messages; its supervisor is about to rebuild it.
            Some(Seat::Taken(actor)) => drop(actor.cast(message)),
            Some(Seat::Waiting(waiting)) => waiting.push(message),
            None => {}
        }
    }

    /// Facts to the journal, then letters to their places. Waits only when the journal's open batch is full.
    pub(crate) async fn deposit(&self, outbox: &mut Outbox) -> Result<(), Refused> {
        while !outbox.is_empty() {
            match self.try_deposit(outbox) {
                Err(Refused::Full) => tokio::time::sleep(Duration::from_millis(1)).await,
                other => return other,
            }
        }
        Ok(())
    }

    fn try_deposit(&self, outbox: &mut Outbox) -> Result<(), Refused> {
        let mut mail = self.mail.lock();
        let Outbox { facts, letters, news, passengers } = outbox;
        self.journal.propose(|bytes, company| {
            bytes.extend_from_slice(facts);
            company.append(passengers);
        })?;
        facts.clear();
        if !news.is_empty() {
            let mut scheme = self.scheme.write();
            news.drain(..).for_each(|fact| scheme.apply(&fact));
        }
        let nothing_was_due = mail.due.is_empty();
        for (to, letter) in letters.drain(..) {
            let seat = self.seat(to);
            if mail.letters[seat].is_empty() {
                mail.due.push(seat);
            }
            mail.letters[seat].push((to, letter));
        }
        if nothing_was_due && !mail.due.is_empty() {
            self.mail_waits.notify_one();
        }
        Ok(())
    }

    /// Delivers the letters that lie here. Whoever writes to participants calls it before, so that no answer overtakes the letter
    /// about its payment.
    pub fn deliver(&self) {
        let mut mail = self.mail.lock();
        while let Some(seat) = mail.due.pop() {
            let letters = std::mem::take(&mut mail.letters[seat]);
            self.traffic.letters.fetch_add(letters.len() as u64, Ordering::Relaxed);
            self.cast(&mut mail, seat, host::Message::Letters(letters));
        }
    }

    /// Delivers letters whenever there are some.
    pub(crate) async fn deliver_for_ever(self: Arc<Self>) {
        loop {
            self.mail_waits.notified().await;
            self.deliver();
        }
    }

    /// Reads the book after everything that was handed over so far is committed.
    pub async fn query<T: Send + 'static>(&self, read: impl FnOnce(&Book) -> T + Send + 'static) -> Result<T, Refused> {
        let (sender, receiver) = oneshot::channel();
        self.ask_book(move |book| drop(sender.send(read(book))))?;
        receiver.await.map_err(|_| Refused::Stopped)
    }

    pub(crate) fn ask_book(&self, read: impl FnOnce(&Book) + Send + 'static) -> Result<(), Refused> {
        self.journal.accompany(|_| Passenger::Query(Box::new(read)))
    }

    /// Takes a place for an actor, or gives a place back to a rebuilt one together with what waited for it.
    pub(crate) fn take_seat(&self, seat: usize, actor: ActorRef<host::Message>) {
        let mut mail = self.mail.lock();
        if seat == mail.seats.len() {
            mail.seats.push(Seat::Taken(actor));
            mail.letters.push(Vec::new());
            return;
        }
        if let Seat::Waiting(waiting) = std::mem::replace(&mut mail.seats[seat], Seat::Taken(actor)) {
            waiting.into_iter().for_each(|message| self.cast(&mut mail, seat, message));
        }
    }

    /// An actor died. What was appended so far, and nothing else, will be in the book that `rebuild` reads; letters
    /// about it are dropped, later ones wait. Its participants' connections end: their clients come back and send again
    /// what they have no answer to.
    pub(crate) fn vacate(&self, seat: usize, rebuild: impl FnOnce(&Book) + Send + 'static) -> Result<(), Refused> {
        self.traffic.restarts.fetch_add(1, Ordering::Relaxed);
        let mut mail = self.mail.lock();
        mail.letters[seat].clear();
        mail.due.retain(|due| *due != seat);
        mail.seats[seat] = Seat::Waiting(Vec::new());
        // Whoever deposits next may share this batch; its letters wait for the rebuilt actor, so its facts must not be in
        // the book that it is built from.
        self.journal.accompany(|at| Passenger::Barrier { at, read: Some(Box::new(rebuild)) })?;
        drop(mail);
        for key in self.hosted(seat) {
            if let Some(line) = self.line(Key(key as u32)) {
                let text =
                    "the switch restarts this participant's actor; connect again and send again what has no outcome"
                        .into();
                line.end(Ending { reason: Reason::DRAN, retry_after_ms: 50, text });
            }
        }
        Ok(())
    }

    /// Participants that one actor hosts.
    pub(crate) fn hosted(&self, seat: usize) -> std::ops::Range<usize> {
        seat * self.participants_per_actor..(seat + 1) * self.participants_per_actor
    }

    /// Makes `line` the connection of its participant; an older one ends.
    pub fn connect(&self, line: Arc<Line>) {
        let mut lines = self.lines.lock();
        let place = line.key().place();
        if lines.len() <= place {
            lines.resize_with(place + 1, || None);
        }
        if let Some(older) = lines[place].replace(line) {
            let text = "superseded: this participant has signed on over a newer connection".into();
            older.end(Ending { reason: Reason::SUPR, retry_after_ms: u32::MAX, text });
        }
    }

    /// Forgets `line`, unless a newer connection has taken its place.
    pub fn disconnect(&self, line: &Arc<Line>) {
        let mut lines = self.lines.lock();
        if let Some(own) = lines.get_mut(line.key().place()) {
            own.take_if(|own| Arc::ptr_eq(own, line));
        }
    }

    pub fn line(&self, key: Key) -> Option<Arc<Line>> {
        self.lines.lock().get(key.place()).cloned().flatten()
    }

    /// All connections that are signed on.
    pub fn connected(&self) -> Vec<Arc<Line>> {
        self.lines.lock().iter().flatten().cloned().collect()
    }

    pub fn committed_index(&self) -> u64 {
        self.journal.committed_index()
    }

    pub fn journal_statistics(&self) -> persistence::Statistics {
        self.journal.statistics()
    }

    pub(crate) fn journal(&self) -> &Journal<Passenger> {
        &self.journal
    }
}
