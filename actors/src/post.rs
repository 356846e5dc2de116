//! The post office: where decisions of all actors meet. Facts go to the journal, letters to their recipients,
//! regrouped, one mailbox message per recipient and round.
//!
//! A letter may leave before its fact is synced: the fact stands in the log before anything that follows from the
//! letter, and the log is cut only at its end.
//!
//! A post office stands as long as its node leads: one reign, one term. All it proposes carries that term, so that what
//! is left of it later can do nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use persistence::{Refused, Term};
use ractor::ActorRef;
use settlement::{Book, Fact, Key, Outcome, Scheme};
use tokio::sync::{Notify, oneshot};
use wire::{BusinessDate, Currency, ParticipantId, Reason};

use crate::draft::Draft;
use crate::figures::{Gauge, now_us};
use crate::host::{self, Letter, Posted};
use crate::instruction::Instructions;
use crate::ledger::Passenger;
use crate::line::{Ending, Line};
use crate::premises::{Death, Premises};
use crate::relay::Inbound;
use crate::supervisor;
use crate::switch::Error;

/// A message between nodes is on its way for less, or its connection ends and everything goes again.
const ON_THE_WAY_MAX: Duration = Duration::from_secs(1);

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
    Taken(ActorRef<Posted>, Arc<Gauge>),
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

/// See the file's head.
pub struct PostOffice {
    pub(crate) premises: Arc<Premises>,
    term: Term,
    scheme: RwLock<Scheme>,
    mail: Mutex<Mail>,
    mail_waits: Notify,
    /// The connection of each participant, on whatever node it is.
    claims: Mutex<Vec<Option<Arc<Line>>>>,
    /// Connections of other nodes.
    pub(crate) inbound: Inbound,
    pub(crate) supervisor: OnceLock<ActorRef<supervisor::Message>>,
    is_closed: AtomicBool,
    began: Instant,
}

impl PostOffice {
    /// For the reign of `term`; `scheme` is as the book has it with everything of earlier terms.
    pub(crate) fn new(premises: Arc<Premises>, term: Term, scheme: Scheme) -> Self {
        premises.clock.reach(scheme.last_at());
        PostOffice {
            premises,
            term,
            scheme: RwLock::new(scheme),
            mail: Mutex::default(),
            mail_waits: Notify::new(),
            claims: Mutex::default(),
            inbound: Inbound::default(),
            supervisor: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            began: Instant::now(),
        }
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// True when the reign has ended: nothing is proposed any more, and its actors may end.
    pub fn is_over(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) || self.premises.leading.load(Ordering::Acquire) != self.term
    }

    /// Ends the reign ahead of the journal's word.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// What the actors know of each other, with what is not committed yet.
    pub fn scheme(&self) -> RwLockReadGuard<'_, Scheme> {
        self.scheme.read()
    }

    /// Why new payments are refused just now, if they are.
    pub fn refusing(&self) -> Option<Reason> {
        if self.premises.draining.load(Ordering::Relaxed) {
            return Some(Reason::DRAN);
        }
        (!self.premises.journal.has_room()).then_some(Reason::FULL)
    }

    pub(crate) fn seat(&self, key: Key) -> usize {
        key.place() / self.premises.participants_per_actor
    }

    /// Hands instructions to the actor of their participant.
    pub(crate) fn instruct(&self, instructions: Instructions) {
        let count = instructions.batch.items.len() - instructions.from;
        self.premises.traffic.instructions.fetch_add(count as u64, Ordering::Relaxed);
        let seat = self.seat(instructions.line.key());
        self.send(seat, host::Message::Instructions(instructions));
    }

    /// Asks the actor of a participant for an operation.
    pub(crate) fn operate(&self, request: host::Operate) {
        self.send(self.seat(request.key), host::Message::Operate(request));
    }

    pub(crate) fn send(&self, seat: usize, message: host::Message) {
        let mut mail = self.mail.lock();
        self.cast(&mut mail, seat, message, now_us());
    }

    fn cast(&self, mail: &mut Mail, seat: usize, message: host::Message, now_us: u64) {
        self.premises.traffic.messages.fetch_add(1, Ordering::Relaxed);
        let is_taken = match mail.seats.get_mut(seat) {
            // An actor that has just ended no longer takes messages; its supervisor is about to rebuild it.
            Some(Seat::Taken(actor, gauge)) => actor.cast(Posted::new(message, gauge, now_us)).is_ok(),
            Some(Seat::Waiting(waiting)) => {
                waiting.push(message);
                true
            }
            None => true,
        };
        if !is_taken {
            self.premises.figures.work.lock().dropped += 1;
        }
    }

    /// Facts to the journal, then letters to their places; refused when the reign has ended. Waits only when the journal's open batch is full.
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
        if self.is_over() {
            return Err(Refused::NotLeading);
        }
        let mut mail = self.mail.lock();
        let Outbox { facts, letters, news, passengers } = outbox;
        self.premises
            .journal
            .propose(self.term, |bytes, company| {
                bytes.extend_from_slice(facts);
                company.append(passengers);
            })
            .inspect_err(|refused| self.note(*refused))?;
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

    fn note(&self, refused: Refused) {
        if refused == Refused::NotLeading {
            self.close();
        }
    }

    /// Delivers the letters that lie here. Whoever writes to participants calls it before, so that no answer overtakes the letter
    /// about its payment.
    pub fn deliver(&self) {
        let mut mail = self.mail.lock();
        if mail.due.is_empty() {
            return;
        }
        let now_us = now_us();
        while let Some(seat) = mail.due.pop() {
            let letters = std::mem::take(&mut mail.letters[seat]);
            self.premises.traffic.letters.fetch_add(letters.len() as u64, Ordering::Relaxed);
            self.cast(&mut mail, seat, host::Message::Letters(letters), now_us);
        }
    }

    /// Delivers letters whenever there are some.
    pub(crate) async fn deliver_for_ever(self: Arc<Self>) {
        loop {
            self.mail_waits.notified().await;
            self.deliver();
        }
    }

    /// Takes in a participant with a position in `currency`.
    pub(crate) async fn register(
        &self,
        id: ParticipantId,
        currency: Currency,
        draft: Option<Draft>,
    ) -> Result<Key, Error> {
        self.ask_supervisor(|done| supervisor::Message::Register { id, currency, draft, done }).await
    }

    /// Rolls the business date: to `date`, or by a day.
    pub(crate) async fn roll(&self, date: Option<BusinessDate>, draft: Option<Draft>) -> Result<BusinessDate, Error> {
        self.ask_supervisor(|done| supervisor::Message::Roll { date, draft, done }).await
    }

    /// Writes an entry of the audit trail about what leaves no other fact; returns once it is committed.
    pub(crate) async fn record(&self, draft: &Draft, outcome: Outcome, why: &str) -> Result<(), Error> {
        let mut outbox = Outbox::default();
        draft.ended(self.premises.clock.now(), outcome, why, &mut outbox.facts);
        let (sender, committed) = oneshot::channel();
        outbox.passengers.push(Passenger::Query(Box::new(move |_| _ = sender.send(()))));
        self.deposit(&mut outbox).await?;
        committed.await.map_err(|_| Error::Restarted)
    }

    async fn ask_supervisor<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, String>>) -> supervisor::Message,
    ) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        let supervisor = self.supervisor.get().ok_or(Error::NotLeading)?;
        supervisor.cast(message(done)).map_err(|_| Error::NotLeading)?;
        answer.await.map_err(|_| Error::Restarted)?.map_err(Error::Refused)
    }

    /// Reads the book after everything that was handed over so far is committed, if this node leads until then.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Book) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (sender, receiver) = oneshot::channel();
        self.ask_book(move |book| drop(sender.send(read(book))))?;
        receiver.await.map_err(|_| Refused::NotLeading)
    }

    pub(crate) fn ask_book(&self, read: impl FnOnce(&Book) + Send + 'static) -> Result<(), Refused> {
        self.accompany(|_| Passenger::Query(Box::new(read)))
    }

    fn accompany(&self, passenger: impl FnOnce(usize) -> Passenger) -> Result<(), Refused> {
        if self.is_over() {
            return Err(Refused::NotLeading);
        }
        self.premises.journal.accompany(self.term, passenger).inspect_err(|refused| self.note(*refused))
    }

    /// Takes a place for an actor, or gives a place back to a rebuilt one together with what waited for it.
    pub(crate) fn take_seat(&self, seat: usize, actor: ActorRef<Posted>) {
        let taken = Seat::Taken(actor, self.premises.figures.gauge(seat));
        let mut mail = self.mail.lock();
        if seat == mail.seats.len() {
            mail.seats.push(taken);
            mail.letters.push(Vec::new());
            return;
        }
        if let Seat::Waiting(waiting) = std::mem::replace(&mut mail.seats[seat], taken) {
            let now_us = now_us();
            waiting.into_iter().for_each(|message| self.cast(&mut mail, seat, message, now_us));
        }
    }

    /// An actor died. What was appended so far, and nothing else, will be in the book that `rebuild` reads; letters
    /// about it are dropped, later ones wait. Its participants' connections end: their clients come back and send again
    /// what they have no answer to.
    pub(crate) fn vacate(
        &self,
        seat: usize,
        death: Death,
        rebuild: impl FnOnce(&Book) + Send + 'static,
    ) -> Result<(), Refused> {
        self.premises.traffic.restarts.count(death);
        self.premises.figures.gauge(seat).restarted();
        let mut mail = self.mail.lock();
        mail.letters[seat].clear();
        mail.due.retain(|due| *due != seat);
        mail.seats[seat] = Seat::Waiting(Vec::new());
        // Whoever deposits next may share this batch; its letters wait for the rebuilt actor, so its facts must not be in
        // the book that it is built from.
        self.accompany(|at| Passenger::Barrier { at, read: Some(Box::new(rebuild)) })?;
        drop(mail);
        for key in self.hosted(seat) {
            let line = self.claims.lock().get(key).cloned().flatten();
            if let Some(line) = line {
                let text =
                    "the switch restarts this participant's actor; connect again and send again what has no outcome";
                self.end(&line, Ending::new(Reason::DRAN, 50, text));
            }
        }
        Ok(())
    }

    /// Participants that one actor hosts.
    pub(crate) fn hosted(&self, seat: usize) -> std::ops::Range<usize> {
        let each = self.premises.participants_per_actor;
        seat * each..(seat + 1) * each
    }

    /// Makes `line` the connection of its participant, and the older one ends, wherever either is. Of two that had signed on
    /// before this reign, their ages tell which is newer. One that signs on is, unless its node has held its sign-on back for
    /// long, cut off from the others: its client has gone elsewhere meanwhile.
    pub(crate) fn claim(&self, line: &Arc<Line>, signs_on: bool) {
        let mut claims = self.claims.lock();
        let place = line.key().place();
        if claims.len() <= place {
            claims.resize_with(place + 1, || None);
        }
        let own = &mut claims[place];
        let give_or_take = if signs_on { ON_THE_WAY_MAX } else { Duration::ZERO };
        let is_late = |other: &Arc<Line>| other.is_newer(line, give_or_take) && !other.is_same_connection(line);
        let loser = if own.as_ref().is_some_and(is_late) { Some(line.clone()) } else { own.replace(line.clone()) };
        drop(claims);
        if let Some(loser) = loser.filter(|loser| Arc::ptr_eq(loser, line) || !loser.is_same_connection(line)) {
            self.end(&loser, Ending::superseded());
        }
    }

    /// Who is connected, to whatever node, by the places of their keys.
    pub fn connected(&self) -> Vec<bool> {
        self.claims.lock().iter().map(Option::is_some).collect()
    }

    /// How long this reign has been.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Forgets `line`, unless a newer connection has taken its place.
    pub(crate) fn release(&self, line: &Arc<Line>) {
        if let Some(own) = self.claims.lock().get_mut(line.key().place()) {
            own.take_if(|own| Arc::ptr_eq(own, line));
        }
    }

    /// Ends a connection, wherever it is.
    pub(crate) fn end(&self, line: &Arc<Line>, ending: Ending) {
        line.end(ending);
        if line.remote.is_some() {
            self.premises.bell.ring_for(line.clone());
        }
    }
}
