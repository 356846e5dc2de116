//! The ledger: folds committed entries into the book, writes the feeds, hands over what travelled with a batch.
//!
//! It lives on the journal's thread. Everything participants and operators are told comes from here, on every node from
//! the node's own.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use persistence::{Entry, Fold, Freeze, Index, Standing};
use settlement::{Book, Expired, Fact, Facts, Inquiry, Key, Purpose, Recipient, Reply, Scheme, Sink, notices};
use wire::message::Refused;
use wire::{Kind, Message, Reason, Uetr};

use crate::archive::{self, Gatherer, Question};
use crate::bell::{Bell, Rung};
use crate::clock::Clock;
use crate::feed::{Feed, Marks};
use crate::figures::{Figures, Known};
use crate::line::Line;
use crate::relay::stale;
use crate::throne::Throne;
use crate::trail::Tracker;

/// Every feed of the node, by participant, and the shared one.
pub struct Feeds {
    participants: RwLock<Vec<Arc<Feed>>>,
    pub everyone: Arc<Feed>,
    tail_bytes_max: usize,
}

impl Feeds {
    pub(crate) fn new(tail_bytes_max: usize) -> Self {
        let everyone = Arc::new(Feed::new(0, Vec::new(), tail_bytes_max));
        Feeds { participants: RwLock::default(), everyone, tail_bytes_max }
    }

    /// Without a ledger that writes them.
    #[cfg(test)]
    pub(crate) fn of_participants(feeds: Vec<Arc<Feed>>) -> Self {
        Feeds { participants: RwLock::new(feeds), ..Feeds::new(0) }
    }

    pub fn of(&self, key: Key) -> Option<Arc<Feed>> {
        self.participants.read().get(key.place()).cloned()
    }
}

/// In-memory company of a batch: looked after when the batch is committed.
pub enum Passenger {
    /// So many instructions of this connection are decided and committed; those that made no fact are answered.
    Done { line: Arc<Line>, instructions: u32, replies: Vec<Answered> },
    /// Somebody wants to read the book as it is now.
    Query(ReadBook),
    /// Somebody wants to read the book behind everything that was proposed before, and before everything that was
    /// proposed after, though it may share a batch with both: `at` bytes of its facts come first. Read once.
    Barrier { at: usize, read: Option<ReadBook> },
}

/// The answer to an instruction that made no fact.
pub struct Answered {
    /// Which of the instructions that are done with it, from 0.
    pub(crate) at: u32,
    pub(crate) kind: Kind,
    pub(crate) uetr: Option<Uetr>,
    pub(crate) reply: Reply,
}

pub type ReadBook = Box<dyn FnOnce(&Book) + Send>;

impl Passenger {
    fn take_barrier(&mut self) -> Option<(usize, ReadBook)> {
        match self {
            Passenger::Barrier { at, read } => Some((*at, read.take()?)),
            _ => None,
        }
    }
}

/// Frames of one feed made by the entry at hand.
#[derive(Default)]
struct Staged {
    first: u64,
    last: u64,
    frames: Vec<u8>,
}

/// See the file's head.
pub(crate) struct Ledger {
    book: Book,
    feeds: Arc<Feeds>,
    bell: Arc<Bell>,
    /// The participants' feeds again, without their lock.
    by_place: Vec<Arc<Feed>>,
    staged: Vec<Staged>,
    staged_everyone: Staged,
    /// What the entry at hand gives the sessions to write.
    rung: Rung,
    /// Replies of the instructions at hand.
    replies: Vec<u8>,
    archive: Gatherer,
    tracker: Tracker,
    figures: Arc<Figures>,
    known: Known,
    throne: Throne,
    clock: Arc<Clock>,
}

/// Replies to another node's connection that go out before more of the batch is looked at.
const REPLY_BYTES: usize = 256 << 10;

impl Ledger {
    pub(crate) fn new(
        feeds: Arc<Feeds>,
        bell: Arc<Bell>,
        archive: Gatherer,
        tracker: Tracker,
        figures: Arc<Figures>,
        throne: Throne,
        clock: Arc<Clock>,
    ) -> Self {
        Ledger {
            book: Book::default(),
            feeds,
            bell,
            by_place: Vec::new(),
            staged: Vec::new(),
            staged_everyone: Staged::default(),
            rung: Rung::default(),
            replies: Vec::new(),
            archive,
            tracker,
            known: Known::new(figures.pulse.clone()),
            figures,
            throne,
            clock,
        }
    }

    fn add_feed(&mut self, last: u64, marks: Vec<(u64, Index)>) {
        let feed = Arc::new(Feed::new(last, marks, self.feeds.tail_bytes_max));
        self.feeds.participants.write().push(feed.clone());
        self.by_place.push(feed);
        self.staged.push(Staged::default());
    }

    fn fold(&mut self, entry: &Entry<'_>, passengers: &mut [Passenger]) {
        let (mut folded, began) = (0, Instant::now());
        self.known.begin(entry.term, self.throne.leads_in(entry.term));
        for (at, read) in passengers.iter_mut().filter_map(Passenger::take_barrier) {
            self.fold_facts(entry, &entry.payload[folded..at]);
            read(&self.book);
            folded = at;
        }
        self.fold_facts(entry, &entry.payload[folded..]);
        if !entry.replay {
            self.archive.folded(entry.index, self.book.scheme().last_at());
            self.tracker.folded(entry.index, self.throne.leads());
            self.known.folded(|| self.clock.now());
            if !entry.payload.is_empty() {
                self.figures.tally.lock().apply.record(began.elapsed());
            }
        }
    }

    fn fold_facts(&mut self, entry: &Entry<'_>, facts: &[u8]) {
        let figures = self.figures.clone();
        let mut tally = figures.tally.lock();
        for fact in Facts::new(facts) {
            // Entries are checksummed: what cannot be read was never written by us, and to go on would be to guess.
            let fact = fact.unwrap_or_else(|error| panic!("entry {}: {error}", entry.index));
            if let Fact::Registered { .. } = fact {
                self.add_feed(0, Vec::new());
            }
            if let Some(news) = fact.news() {
                self.throne.note(&news);
            }
            let Ledger { book, staged, staged_everyone, rung, archive, tracker, known, throne, .. } = self;
            let decided_at = book.apply(&fact, &mut Staging { staged, staged_everyone, changed: &mut rung.feeds });
            // What is replayed the archive reads from the log, if it lacks it.
            if !entry.replay {
                archive.note(&fact, entry.index, decided_at);
                tracker.note(&fact, book, decided_at);
                tally.note(&fact, book, decided_at, known);
                if let Fact::Expired(expired) = &fact
                    && throne.leads()
                {
                    tell_expired(expired, book);
                }
            }
        }
    }

    fn publish(&mut self, index: Index) {
        for key in &self.rung.feeds {
            let staged = &mut self.staged[key.place()];
            self.by_place[key.place()].append(staged.first, staged.last, index, &staged.frames);
            staged.frames.clear();
        }
        self.rung.everyone = !self.staged_everyone.frames.is_empty();
        if self.rung.everyone {
            let staged = &mut self.staged_everyone;
            self.feeds.everyone.append(staged.first, staged.last, index, &staged.frames);
            staged.frames.clear();
        }
    }

    fn attend(&mut self, passengers: &mut Vec<Passenger>) {
        for passenger in passengers.drain(..) {
            match passenger {
                Passenger::Done { line, instructions, replies } => self.finish(line, instructions, replies),
                Passenger::Query(read) | Passenger::Barrier { read: Some(read), .. } => {
                    // Whoever reads the book may ask the archive next for what is not in it.
                    self.archive.hand_over();
                    read(&self.book);
                }
                Passenger::Barrier { read: None, .. } => {}
            }
        }
        if !self.rung.is_empty() {
            self.bell.ring(&mut self.rung);
        }
    }

    fn finish(&mut self, line: Arc<Line>, instructions: u32, replies: Vec<Answered>) {
        self.replies.clear();
        let mut finished = 0;
        for Answered { at, kind, uetr, reply } in replies {
            if let Reply::Inquire(inquiry) = &reply
                && inquiry.purpose == Purpose::Request
                && self.book.answer(line.key(), inquiry).is_none()
            {
                self.finish_some(&line, at - finished);
                finished = at + 1;
                self.ask_archive(line.clone(), inquiry);
            } else {
                self.reply(&line, kind, uetr, reply);
            }
        }
        self.finish_some(&line, instructions - finished);
    }

    /// The next instructions are done, and the replies at hand are those to them.
    fn finish_some(&mut self, line: &Arc<Line>, instructions: u32) {
        let waiting = line.finish(instructions, &self.replies);
        if line.remote.is_some() || !self.replies.is_empty() {
            self.rung.add(line.clone());
        }
        self.replies.clear();
        if waiting > REPLY_BYTES {
            self.bell.ring(&mut self.rung);
        }
    }

    fn reply(&mut self, to: &Arc<Line>, kind: Kind, uetr: Option<Uetr>, reply: Reply) {
        let reason = match reply {
            Reply::Refused(reason) => reason,
            Reply::Inquire(inquiry) => match self.book.answer(to.key(), &inquiry) {
                // True only until the outcome: it must not wait for what the archive owes, and asked again it is only told
                // again. A connection of another node hears it as that node's own book has it.
                Some(message) if stale::is_in_process(&message) && to.remote.is_none() => {
                    to.say(|out| message.encode(out));
                    return self.rung.add(to.clone());
                }
                Some(message) => return message.encode(&mut self.replies),
                None => Reason::AG09,
            },
        };
        let text = reason.explanation().map_or("", |explanation| explanation.meaning);
        refuse(&mut self.replies, kind, uetr, reason, text);
    }

    /// The book does not know the payment, or not this party of it: perhaps it has forgotten. The archive answers on its
    /// own thread, after everything that ended before. The inquiry is done only then.
    fn ask_archive(&mut self, line: Arc<Line>, inquiry: &Inquiry) {
        let Inquiry { debtor, uetr, .. } = *inquiry;
        let (bell, debtor_agent) = (self.bell.clone(), self.book.scheme().id(debtor));
        let mut debt = Debt { number: line.owe(1), line, bell, uetr, reply: Vec::new() };
        let answer = move |found: Result<archive::Found, archive::Error>| {
            let Ok(found) = found else { return };
            let entry = found.entries.iter().find(|entry| entry.concerns(debt.line.key()));
            let reply = &mut debt.reply;
            match entry {
                Some(entry) => Message::StatusReport(entry.report(debtor_agent)).encode(reply),
                None if found.is_whole => refuse(reply, Kind::StatusRequest, Some(uetr), Reason::AG09, UNKNOWN),
                None => refuse(reply, Kind::StatusRequest, Some(uetr), Reason::FULL, NOT_SO_FAR_BACK),
            }
        };
        if let Err(question) = self.archive.ask(Question { uetr, debtor, answer: Box::new(answer) }) {
            (question.answer)(Err(archive::Error::Behind));
        }
    }
}

/// The archive's answer that a connection waits for, paid when this is dropped: whatever becomes of the archive, the
/// connection goes on.
struct Debt {
    line: Arc<Line>,
    number: u64,
    bell: Arc<Bell>,
    uetr: Uetr,
    reply: Vec<u8>,
}

impl Drop for Debt {
    fn drop(&mut self) {
        if self.reply.is_empty() {
            refuse(&mut self.reply, Kind::StatusRequest, Some(self.uetr), Reason::FULL, ASK_AGAIN);
        }
        self.line.pay(self.number, &self.reply);
        self.bell.ring_for(self.line.clone());
    }
}

const UNKNOWN: &str = "No such payment is known.";
const ASK_AGAIN: &str = "The archive cannot be searched just now; ask again.";
/// A gap in the archive of the node that leads: it says nothing of what another node may have told before.
const NOT_SO_FAR_BACK: &str = "Not known within the duplicate window, and the archive of the node that leads does not go \
     back to the beginning: whether this payment ended longer ago, the operator finds at another node.";

fn refuse(out: &mut Vec<u8>, kind: Kind, uetr: Option<Uetr>, reason: Reason, text: &str) {
    let uetr = uetr.map_or([0; 16], |uetr| *uetr.bytes());
    Message::Refused(Refused { kind: kind as u16, uetr, reason, text }).encode(out);
}

/// For those who look why payments fail.
fn tell_expired(expired: &Expired, book: &Book) {
    let Expired { at, payment, reasons } = expired;
    let began = book.participant(payment.debtor).and_then(|debtor| debtor.payment(payment.uetr));
    let took_ms = began.map(|record| at.since(record.at).as_millis() as u64);
    let (participant, reason) = (book.scheme().id(payment.creditor), reasons.first());
    tracing::info!(event = "payment_timed_out", uetr = %payment.uetr, %participant, code = reason.as_str(), took_ms);
}

/// Collects the notices of one entry, feed by feed.
struct Staging<'a> {
    staged: &'a mut [Staged],
    staged_everyone: &'a mut Staged,
    changed: &'a mut Vec<Key>,
}

impl Sink for Staging<'_> {
    fn notice(&mut self, to: Recipient, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let staged = match to {
            Recipient::Participant(key) => {
                let staged = &mut self.staged[key.place()];
                if staged.frames.is_empty() {
                    self.changed.push(key);
                }
                staged
            }
            Recipient::Everyone => &mut *self.staged_everyone,
        };
        if staged.frames.is_empty() {
            staged.first = number;
        }
        staged.last = number;
        write(&mut staged.frames);
    }
}

impl Fold for Ledger {
    type Passenger = Passenger;

    const CHECKPOINT_VERSION: u32 = settlement::DIGEST_VERSION;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.archive.skipped();
        self.tracker.skipped();
        self.book = settlement::restore(snapshot)?;
        let everyone = read_marks(snapshot)?;
        self.feeds.everyone.resume(self.book.last_system_notice(), everyone);
        for place in 0..self.book.participants().len() {
            let (last, marks) = (self.book.last_notice(Key(place as u32)), read_marks(snapshot)?);
            // Known before when the snapshot is another node's, ahead of what was folded here.
            match self.by_place.get(place) {
                Some(feed) => {
                    feed.resume(last, marks);
                    self.rung.feeds.push(Key(place as u32));
                }
                None => self.add_feed(last, marks),
            }
        }
        self.throne.restored(self.book.scheme());
        if !self.rung.is_empty() {
            self.rung.everyone = true;
            self.bell.ring(&mut self.rung);
        }
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<Passenger>) {
        self.fold(&entry, passengers);
        self.rung.index = entry.index;
        self.publish(entry.index);
        if entry.replay {
            self.rung.clear();
        } else {
            self.attend(passengers);
        }
    }

    fn delivered(&mut self, passengers: &mut Vec<Passenger>) {
        self.attend(passengers);
    }

    fn standing(&mut self, standing: Standing) {
        self.throne.standing(standing, &self.book);
    }

    fn checkpoint(&mut self, _: Index) -> Option<u64> {
        Some(self.book.digest())
    }

    fn freeze(&mut self) -> Freeze {
        let book = self.book.freeze();
        let marks: Vec<_> =
            std::iter::once(&self.feeds.everyone).chain(&self.by_place).map(|feed| feed.marks()).collect();
        Box::new(move |out| {
            book.write(out)?;
            marks.iter().try_for_each(|marks| write_marks(marks, out))
        })
    }
}

fn write_marks(marks: &Marks, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&(marks.len() as u64).to_le_bytes())?;
    marks.iter().try_for_each(|(number, index)| {
        out.write_all(&number.to_le_bytes())?;
        out.write_all(&index.to_le_bytes())
    })
}

fn read_marks(from: &mut dyn Read) -> Result<Vec<(u64, Index)>, String> {
    let mut number = || {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes).map_err(|error| format!("the feeds in the snapshot end early: {error}"))?;
        Ok::<u64, String>(u64::from_le_bytes(bytes))
    };
    let count = number()?;
    if count > 1 << 24 {
        return Err(format!("a feed in the snapshot claims {count} marks"));
    }
    (0..count).map(|_| Ok((number()?, number()?))).collect()
}

/// Reads a part of a feed again from the log: the frames of notices `wanted..` of one recipient, about `bytes_max` of
/// them, and the number of the last. `first` is the number of the first notice that entry `index` made for it; from
/// `until` on memory has them.
///
/// Blocks on the disk. `up_to` is the last committed entry.
pub fn replay_feed(
    directory: &Path,
    scheme: &Scheme,
    recipient: Recipient,
    (wanted, first, until, index): (u64, u64, u64, Index),
    up_to: Index,
    bytes_max: usize,
) -> Result<(Vec<u8>, u64), persistence::Error> {
    let mut reader = persistence::Reader::open(directory, index)?;
    let (mut out, mut number) = (Vec::new(), first - 1);
    while let Some(entry) = reader.next(up_to)? {
        for fact in Facts::new(entry.payload).flatten() {
            notices(&fact, scheme, |to, write| {
                if to == recipient {
                    number += 1;
                    if number >= wanted {
                        write(number, &mut out);
                    }
                }
            });
        }
        if out.len() >= bytes_max || number + 1 >= until {
            break;
        }
    }
    Ok((out, number))
}
