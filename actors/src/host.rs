//! The actor of one or several participants: takes their instructions and letters, lets the pure core decide, applies
//! what was decided and hands it to the post office.

use std::sync::Arc;
use std::time::{Duration, Instant};

use persistence::Refused;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use settlement::{
    Book, Command, Deadlines, Decision, Direction, Fact, Key, Limits, Operation, Participant, Reply, Scheme, View,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wire::{Currency, Reason, Timestamp, Uetr};

use crate::draft::Draft;
use crate::figures::{Deed, Deeds, Gauge, MessageKind, Told, now_us};
use crate::instruction::Instructions;
use crate::ledger::{Answered, Passenger};
use crate::post::{Outbox, PostOffice};

/// Facts that one proposal to the journal may have, about.
const FACTS_BYTES_MAX: usize = 32 << 10;
/// Instructions that are decided before their facts are proposed.
const INSTRUCTIONS_MAX: usize = 64;

/// A fact that another participant's actor decided, and whose leg of it is meant.
pub(crate) type Letter = (Key, Fact<'static>);

/// What an operator asks of one participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedOperation {
    SignOff,
    Suspend { direction: Direction, note: String },
    Resume { direction: Direction, note: String },
    Fund { currency: Currency, amount_minor: i64, note: String },
    Defund { currency: Currency, amount_minor: i64, note: String },
    Limit { currency: Currency, limits: Limits, note: String },
}

impl OwnedOperation {
    fn borrowed(&self) -> Operation<'_> {
        match self {
            OwnedOperation::SignOff => Operation::SignOff,
            OwnedOperation::Suspend { direction, note } => Operation::Suspend { direction: *direction, note },
            OwnedOperation::Resume { direction, note } => Operation::Resume { direction: *direction, note },
            OwnedOperation::Fund { currency, amount_minor, note } => {
                Operation::Fund { currency: *currency, amount_minor: *amount_minor, note }
            }
            OwnedOperation::Defund { currency, amount_minor, note } => {
                Operation::Defund { currency: *currency, amount_minor: *amount_minor, note }
            }
            OwnedOperation::Limit { currency, limits, note } => {
                Operation::Limit { currency: *currency, limits: *limits, note }
            }
        }
    }
}

/// An operation and who waits for it: told once it is committed, with a read of the book, or why not. What is done goes
/// into the audit trail together with its draft.
pub(crate) struct Operate {
    pub key: Key,
    pub operation: OwnedOperation,
    pub draft: Option<Draft>,
    pub done: oneshot::Sender<Result<(), Reason>>,
}

/// A message in a mailbox.
pub(crate) struct Posted {
    /// By [`now_us`].
    sent_us: u64,
    message: Message,
}

impl Posted {
    /// To an actor with this gauge.
    pub(crate) fn new(message: Message, gauge: &Gauge, now_us: u64) -> Posted {
        gauge.sent(now_us);
        Posted { sent_us: now_us, message }
    }
}

pub(crate) enum Message {
    Instructions(Instructions),
    Letters(Vec<Letter>),
    /// After a rebuild: judge the arrival of everything that is offered, as nobody may have done so.
    Arrived,
    Operate(Operate),
    /// A participant joins.
    Adopt(Box<Participant>),
    /// The deadline that a timer was set for is over.
    Due(Timestamp),
}

pub(crate) struct Host {
    pub(crate) post: Arc<PostOffice>,
}

/// A participant and what its live actor waits for.
struct Hosted {
    participant: Participant,
    deadlines: Deadlines,
}

pub(crate) struct State {
    post: Arc<PostOffice>,
    hosted: Vec<Hosted>,
    first: usize,
    outbox: Outbox,
    gauge: Arc<Gauge>,
    deeds: Deeds,
    has_new_deeds: bool,
    /// The timer that is set, and for when.
    timer: Option<(Timestamp, JoinHandle<()>)>,
}

impl Drop for State {
    /// An actor takes its timer with it, however it ends.
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
    }
}

impl State {
    fn hosted(&mut self, key: Key) -> Option<&mut Hosted> {
        let place = key.place().checked_sub(self.first)?;
        self.hosted.get_mut(place)
    }

    fn instruct(&mut self, instructions: &Instructions, items: std::ops::Range<usize>) {
        let post = self.post.clone();
        let scheme = post.scheme();
        let view = view(&post, &scheme);
        let Instructions { line, batch, .. } = instructions;
        let mut replies = Vec::new();
        let (began, count) = (Instant::now(), items.len());
        let mut told = Told::default();
        for (at, instruction) in (0..).zip(&batch.items[items]) {
            let reply = match instruction.command(&batch.bytes, &scheme) {
                Ok(command) => self.decide(line.key(), command, &view),
                Err(reason) => Some(Reply::Refused(reason)),
            };
            if let Some(reply) = reply {
                told.count(&reply);
                let (kind, uetr) = instruction.subject();
                replies.push(Answered { at, kind, uetr, reply });
            }
        }
        let done = Passenger::Done { line: line.clone(), instructions: count as u32, replies };
        self.outbox.passengers.push(done);
        let mut work = post.premises.figures.work.lock();
        work.decide.record_many(began.elapsed(), count);
        work.tell(line.key(), &told);
    }

    /// Decides, applies, keeps the fact and its letter for the post office; gives back what the asker is to hear.
    fn decide(&mut self, key: Key, command: Command<'_>, view: &View<'_>) -> Option<Reply> {
        let place = key.place().checked_sub(self.first)?;
        let Hosted { participant, deadlines } = self.hosted.get_mut(place)?;
        let Decision { fact, reply } = participant.decide(command, view);
        if let Some(fact) = &fact {
            if let Some(payment) = fact.payment().filter(|payment| payment.creditor == key)
                && let Some(deadline) = participant.deadline(payment.debtor, payment.uetr)
            {
                deadlines.disarm(deadline, payment.debtor, payment.uetr);
            }
            participant.apply(fact);
            self.deeds.add(Deed::of(fact));
            self.has_new_deeds = true;
            fact.encode(&mut self.outbox.facts);
            self.outbox.letters.extend(fact.letter());
            self.outbox.news.extend(fact.news());
        }
        reply
    }

    /// A message is handled.
    fn note(&mut self, kind: MessageKind, sent_us: u64, began_us: u64) {
        self.post.premises.figures.work.lock().note(kind, [sent_us, began_us, now_us()]);
        self.gauge.done(std::mem::take(&mut self.has_new_deeds).then_some(&self.deeds));
    }

    fn receive(&mut self, letters: &[Letter]) {
        let post = self.post.clone();
        let scheme = post.scheme();
        let view = view(&post, &scheme);
        for (to, fact) in letters {
            let Some(hosted) = self.hosted(*to) else { continue };
            hosted.participant.apply(fact);
            if let Fact::Reserved(reserved) = fact {
                hosted.deadlines.arm(fact);
                let (debtor, uetr) = (reserved.payment.debtor, reserved.payment.uetr);
                self.decide(*to, Command::Arrive { debtor, uetr }, &view);
            }
        }
    }

    /// True when not everything could be judged in one go.
    fn judge_arrivals(&mut self) -> bool {
        let post = self.post.clone();
        let scheme = post.scheme();
        let view = view(&post, &scheme);
        for place in 0..self.hosted.len() {
            let participant = &self.hosted[place].participant;
            let key = participant.key();
            let offered: Vec<(Key, Uetr)> =
                participant.incoming().map(|(payment, _)| (payment.debtor, payment.uetr)).collect();
            for (debtor, uetr) in offered {
                if self.outbox.facts.len() > FACTS_BYTES_MAX {
                    return true;
                }
                self.decide(key, Command::Arrive { debtor, uetr }, &view);
            }
        }
        false
    }

    fn operate(&mut self, request: Operate) {
        let post = self.post.clone();
        let scheme = post.scheme();
        let view = view(&post, &scheme);
        let reply = self.decide(request.key, Command::Operate(request.operation.borrowed()), &view);
        let result = match reply {
            Some(Reply::Refused(reason)) => Err(reason),
            _ => {
                if let Some(draft) = &request.draft {
                    draft.done(view.now, &mut self.outbox.facts);
                }
                Ok(())
            }
        };
        let tell = move |_: &Book| _ = request.done.send(result);
        self.outbox.passengers.push(Passenger::Query(Box::new(tell)));
    }

    /// What is not done in one go is still due, and its timer fires at once.
    fn expire(&mut self) {
        let post = self.post.clone();
        let scheme = post.scheme();
        let view = view(&post, &scheme);
        for place in 0..self.hosted.len() {
            let key = self.hosted[place].participant.key();
            while self.outbox.facts.len() <= FACTS_BYTES_MAX
                && let Some((debtor, uetr)) = self.hosted[place].deadlines.take_due(view.now)
            {
                self.decide(key, Command::Expire { debtor, uetr }, &view);
            }
        }
    }

    /// Sets a timer for the earliest deadline, unless one is set that fires no later; one that fires later ends. Deadlines
    /// mostly pass unused: the timer finds nothing due and is set again for the earliest then.
    fn arm(&mut self, myself: &ActorRef<Posted>) {
        let earliest = self.hosted.iter().filter_map(|hosted| hosted.deadlines.earliest()).min();
        self.gauge.load(self.hosted.iter().map(|hosted| hosted.participant.incoming_count()).sum(), earliest);
        let is_earlier = |earliest: &Timestamp| self.timer.as_ref().is_none_or(|(armed, _)| earliest < armed);
        let Some(earliest) = earliest.filter(is_earlier) else { return };
        let wait = earliest.since(self.post.premises.clock.now()) + Duration::from_micros(100);
        let (myself, gauge) = (myself.clone(), self.gauge.clone());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // An actor that ended meanwhile needs no timer.
            drop(myself.cast(Posted::new(Message::Due(earliest), &gauge, now_us())));
        });
        if let Some((_, later)) = self.timer.replace((earliest, timer)) {
            later.abort();
        }
    }
}

fn view<'a>(post: &'a PostOffice, scheme: &'a Scheme) -> View<'a> {
    View { now: post.premises.clock.now(), rules: &post.premises.rules, scheme, refusing: post.refusing() }
}

impl Actor for Host {
    type Msg = Posted;
    type State = State;
    /// The participants to begin with, in the order of their keys, and the key of the first.
    type Arguments = (usize, Vec<Participant>);

    async fn pre_start(
        &self,
        myself: ActorRef<Posted>,
        (first, participants): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let adopt = |participant: Participant| Hosted { deadlines: Deadlines::of(&participant), participant };
        let hosted = participants.into_iter().map(adopt).collect();
        let post = self.post.clone();
        let gauge = post.premises.figures.gauge(first / post.premises.participants_per_actor);
        gauge.begin();
        let (outbox, deeds) = <(Outbox, Deeds)>::default();
        let mut state = State { post, hosted, first, outbox, gauge, deeds, has_new_deeds: false, timer: None };
        state.arm(&myself);
        if state.hosted.iter().any(|hosted| hosted.participant.incoming_count() > 0) {
            myself.cast(Posted::new(Message::Arrived, &state.gauge, now_us()))?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Posted>,
        Posted { sent_us, message }: Posted,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (kind, began_us) = (message.kind(), now_us());
        state.gauge.taken_up(sent_us);
        let worked = self.work(&myself, message, state).await;
        state.note(kind, sent_us, began_us);
        match worked {
            // The reign has ended; what was decided here then never happened, and whoever asked asks the next leader.
            Err(Refused::NotLeading) => myself.stop(None),
            // A journal that has stopped ends the node.
            other => other?,
        }
        Ok(())
    }
}

impl Host {
    async fn work(&self, myself: &ActorRef<Posted>, message: Message, state: &mut State) -> Result<(), Refused> {
        match message {
            Message::Instructions(instructions) => {
                // In parts, so that no proposal comes near the bound of a log entry.
                let (mut done, count) = (instructions.from, instructions.batch.items.len());
                // What is asked again anyway would only be decided twice, and a connection between nodes that comes and goes
                // must not pile up work.
                while done < count && !instructions.line.is_void() {
                    let part = done..count.min(done + INSTRUCTIONS_MAX);
                    done = part.end;
                    state.instruct(&instructions, part);
                    self.post.deposit(&mut state.outbox).await?;
                }
                instructions.line.take_back(instructions.batch);
            }
            Message::Letters(letters) => state.receive(&letters),
            Message::Arrived => {
                if state.judge_arrivals() {
                    // It is being stopped when it takes no message.
                    drop(myself.cast(Posted::new(Message::Arrived, &state.gauge, now_us())));
                }
            }
            Message::Operate(request) => state.operate(request),
            Message::Adopt(participant) => {
                let next = state.first + state.hosted.len();
                assert_eq!(participant.key().place(), next, "participants come in the order of their keys");
                state.hosted.push(Hosted { deadlines: Deadlines::default(), participant: *participant });
            }
            Message::Due(armed) => {
                // A timer that was replaced as it fired has nothing to say.
                state.timer.take_if(|(own, _)| *own == armed);
                state.expire();
            }
        }
        self.post.deposit(&mut state.outbox).await?;
        state.arm(myself);
        Ok(())
    }
}
