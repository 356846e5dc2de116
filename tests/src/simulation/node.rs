//! One life of the switch: actors with their mailboxes, the post office, and the scheme that all of them read.

use std::collections::VecDeque;

use settlement::{
    Answer, Book, Command, Deadlines, Decision, Direction, Fact, Key, Limits, Operation, Participant, Reply, Rules,
    Scheme, Submit, View,
};
use wire::{Currency, Kind, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::log::Append;

/// What is asked of an actor, with everything it borrows.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Submit { submit: Submit, body: Vec<u8> },
    Answer { debtor_agent: ParticipantId, uetr: Uetr, status: Status, reason: Reason },
    Inquire { debtor: Key, uetr: Uetr },
    SignOn,
    SignOff,
    Suspend(Direction),
    Resume(Direction),
    Fund { currency: Currency, amount_minor: i64 },
    Defund { currency: Currency, amount_minor: i64 },
    Limit { currency: Currency, limits: Limits },
}

impl Ask {
    fn command(&self) -> Command<'_> {
        let note = "simulated";
        match self {
            Ask::Submit { submit, body } => Command::Submit { submit, body },
            Ask::Answer { debtor_agent, uetr, status, reason } => Command::Answer(Answer {
                debtor_agent: *debtor_agent,
                uetr: *uetr,
                status: *status,
                reason: *reason,
                additional_information: (*status == Status::RJCT).then_some("as the creditor wished"),
            }),
            Ask::Inquire { debtor, uetr } => Command::Inquire { debtor: *debtor, uetr: *uetr },
            Ask::SignOn => Command::Operate(Operation::SignOn),
            Ask::SignOff => Command::Operate(Operation::SignOff),
            Ask::Suspend(direction) => Command::Operate(Operation::Suspend { direction: *direction, note }),
            Ask::Resume(direction) => Command::Operate(Operation::Resume { direction: *direction, note }),
            Ask::Fund { currency, amount_minor } => {
                Command::Operate(Operation::Fund { currency: *currency, amount_minor: *amount_minor, note })
            }
            Ask::Defund { currency, amount_minor } => {
                Command::Operate(Operation::Defund { currency: *currency, amount_minor: *amount_minor, note })
            }
            Ask::Limit { currency, limits } => {
                Command::Operate(Operation::Limit { currency: *currency, limits: *limits, note })
            }
        }
    }

    /// What a refusal of it speaks of.
    pub(crate) fn subject(&self) -> (Kind, Option<Uetr>) {
        match self {
            Ask::Submit { submit, .. } => (Kind::CreditTransfer, Some(submit.uetr)),
            Ask::Answer { uetr, .. } => (Kind::Answer, Some(*uetr)),
            Ask::Inquire { uetr, .. } => (Kind::StatusRequest, Some(*uetr)),
            _ => (Kind::SignOn, None),
        }
    }
}

/// Whose instruction it is, in which of its sessions, which one of all that it ever said. Operators' have none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Asker {
    pub(crate) key: Key,
    pub(crate) session: u32,
    pub(crate) number: u64,
}

pub(crate) enum Mail {
    Letter { position: usize, to: Key, fact: Fact<'static> },
    Ask { to: Key, asker: Option<Asker>, ask: Ask },
}

/// A participant that lives in an actor.
pub(crate) struct Hosted {
    pub(crate) participant: Participant,
    pub(crate) deadlines: Deadlines,
}

/// One mailbox and whom it serves.
pub(crate) struct Actor {
    pub(crate) hosted: Vec<Hosted>,
    pub(crate) mailbox: VecDeque<Mail>,
    /// Facts before this were in the book it was built from: letters about them are old news.
    pub(crate) built_at: usize,
    pub(crate) life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Alive,
    /// Crashed; what it had handed over is still on its way to the log.
    Dead,
    /// Crashed; rebuilt once the book holds so many facts.
    Waiting(usize),
}

impl Actor {
    pub(crate) fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }
}

/// An instruction is done, and replied to if it made no fact: that leaves once the book holds so many facts.
pub(crate) struct Pending {
    pub(crate) position: usize,
    pub(crate) asker: Asker,
    pub(crate) subject: (Kind, Option<Uetr>),
    pub(crate) reply: Option<Reply>,
}

enum Parcel {
    Fact {
        bytes: Vec<u8>,
        letter: Option<(Key, Fact<'static>)>,
        news: Option<Fact<'static>>,
    },
    Done {
        asker: Asker,
        subject: (Kind, Option<Uetr>),
        reply: Option<Reply>,
    },
    /// Everything that this actor handed over before it died is now appended.
    Barrier {
        actor: usize,
    },
}

impl Parcel {
    fn of(fact: &Fact<'_>) -> Parcel {
        let mut bytes = Vec::with_capacity(256);
        fact.encode(&mut bytes);
        Parcel::Fact { bytes, letter: fact.letter(), news: fact.news() }
    }
}

/// See the file's head.
pub(crate) struct Node {
    pub(crate) scheme: Scheme,
    pub(crate) actors: Vec<Actor>,
    hosted_together: usize,
    parcels: VecDeque<Parcel>,
    /// Letters on their way, by actor.
    letters: Vec<VecDeque<Mail>>,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) refusing: Option<Reason>,
    last: Timestamp,
}

impl Node {
    /// From the book, as after a restart or a change of leader.
    pub(crate) fn new(book: &Book, position: usize, hosted_together: usize) -> Node {
        let actor = |participants: &[Participant]| Actor {
            hosted: participants.iter().map(Hosted::new).collect(),
            mailbox: VecDeque::new(),
            built_at: position,
            life: Life::Alive,
        };
        let actors: Vec<Actor> = book.participants().chunks(hosted_together).map(actor).collect();
        Node {
            scheme: book.scheme().clone(),
            letters: actors.iter().map(|_| VecDeque::new()).collect(),
            actors,
            hosted_together,
            parcels: VecDeque::new(),
            pending: VecDeque::new(),
            refusing: None,
            last: book.scheme().last_at(),
        }
    }

    pub(crate) fn actor_of(&self, key: Key) -> usize {
        key.place() / self.hosted_together
    }

    fn hosted(&mut self, key: Key) -> &mut Hosted {
        let actor = self.actor_of(key);
        &mut self.actors[actor].hosted[key.place() % self.hosted_together]
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Hosted> {
        self.actors.iter().flat_map(|actor| &actor.hosted)
    }

    /// What time it is here: never earlier than the last stamp.
    pub(crate) fn now(&mut self, clock: u64) -> Timestamp {
        self.last = self.last.max(Timestamp(clock));
        self.last
    }

    /// The latest stamp given so far.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    pub(crate) fn ask(&mut self, to: Key, asker: Option<Asker>, ask: Ask) {
        let actor = self.actor_of(to);
        self.actors[actor].mailbox.push_back(Mail::Ask { to, asker, ask });
    }

    /// An actor handles the first of its mailbox.
    pub(crate) fn turn(&mut self, actor: usize, clock: u64, rules: &Rules) {
        if self.actors[actor].life != Life::Alive {
            return;
        }
        match self.actors[actor].mailbox.pop_front() {
            None => {}
            Some(Mail::Letter { position, to, fact }) => {
                if position < self.actors[actor].built_at {
                    return;
                }
                let hosted = self.hosted(to);
                hosted.participant.apply(&fact);
                if let Fact::Reserved(reserved) = &fact {
                    hosted.deadlines.arm(&fact);
                    let (debtor, uetr) = (reserved.payment.debtor, reserved.payment.uetr);
                    self.decide(to, None, (Kind::Answer, None), Command::Arrive { debtor, uetr }, clock, rules);
                }
            }
            Some(Mail::Ask { to, asker, ask }) => {
                self.decide(to, asker, ask.subject(), ask.command(), clock, rules);
            }
        }
    }

    /// A timer fires: everything that is due ends.
    pub(crate) fn fire(&mut self, actor: usize, clock: u64, rules: &Rules) {
        if self.actors[actor].life != Life::Alive {
            return;
        }
        let now = self.now(clock);
        for place in 0..self.actors[actor].hosted.len() {
            let key = self.actors[actor].hosted[place].participant.key();
            while let Some((debtor, uetr)) = self.actors[actor].hosted[place].deadlines.take_due(now) {
                self.decide(key, None, (Kind::Answer, None), Command::Expire { debtor, uetr }, clock, rules);
            }
        }
    }

    /// After they were built: what is offered may never have been judged. In an order that is the same every time.
    pub(crate) fn judge_arrivals(&mut self, clock: u64, rules: &Rules) {
        for place in 0..self.actors.iter().map(|actor| actor.hosted.len()).sum() {
            let key = Key(place as u32);
            if !self.actors[self.actor_of(key)].is_alive() {
                continue;
            }
            let participant = &self.hosted(key).participant;
            let mut offered: Vec<(Key, Uetr)> =
                participant.incoming().map(|(payment, _)| (payment.debtor, payment.uetr)).collect();
            offered.sort_unstable_by_key(|(debtor, uetr)| (*debtor, uetr.number()));
            for (debtor, uetr) in offered {
                self.decide(key, None, (Kind::Answer, None), Command::Arrive { debtor, uetr }, clock, rules);
            }
        }
    }

    /// When the first of everything that is offered runs out.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        let alive = self.actors.iter().filter(|actor| actor.is_alive());
        alive.flat_map(|actor| &actor.hosted).filter_map(|hosted| hosted.deadlines.earliest()).min()
    }

    /// A timer fires although nothing may be due: what is offered first is asked whether it is over.
    pub(crate) fn fire_early(&mut self, actor: usize, clock: u64, rules: &Rules) {
        if self.actors[actor].life != Life::Alive {
            return;
        }
        for place in 0..self.actors[actor].hosted.len() {
            let participant = &self.actors[actor].hosted[place].participant;
            let key = participant.key();
            let offered = participant.incoming().map(|(payment, deadline)| (deadline, payment.debtor, payment.uetr));
            if let Some((_, debtor, uetr)) = offered.min() {
                self.decide(key, None, (Kind::Answer, None), Command::Expire { debtor, uetr }, clock, rules);
            }
        }
    }

    fn decide(
        &mut self,
        key: Key,
        asker: Option<Asker>,
        subject: (Kind, Option<Uetr>),
        command: Command<'_>,
        clock: u64,
        rules: &Rules,
    ) {
        let now = self.now(clock);
        let (actor, place) = (self.actor_of(key), key.place() % self.hosted_together);
        let Hosted { participant, deadlines } = &mut self.actors[actor].hosted[place];
        let view = View { now, rules, scheme: &self.scheme, refusing: self.refusing };
        let Decision { fact, reply } = participant.decide(command, &view);
        if let Some(fact) = fact {
            if let Some(payment) = fact.payment().filter(|payment| payment.creditor == key)
                && let Some(deadline) = participant.deadline(payment.debtor, payment.uetr)
            {
                deadlines.disarm(deadline, payment.debtor, payment.uetr);
            }
            participant.apply(&fact);
            self.parcels.push_back(Parcel::of(&fact));
        }
        if let Some(asker) = asker {
            self.parcels.push_back(Parcel::Done { asker, subject, reply });
        }
    }

    /// Hands a decided fact to the post office.
    pub(crate) fn post(&mut self, fact: &Fact<'_>) {
        self.parcels.push_back(Parcel::of(fact));
    }

    /// The post office appends the first parcel it has. False when there is none.
    pub(crate) fn append(&mut self, log: &mut impl Append) -> bool {
        match self.parcels.pop_front() {
            None => return false,
            Some(Parcel::Fact { bytes, letter, news }) => {
                let position = log.append(&bytes);
                if let Some((to, fact)) = letter {
                    let actor = self.actor_of(to);
                    self.letters[actor].push_back(Mail::Letter { position, to, fact });
                }
                if let Some(news) = news {
                    self.scheme.apply(&news);
                }
            }
            Some(Parcel::Done { asker, subject, reply }) => {
                self.pending.push_back(Pending { position: log.len(), asker, subject, reply });
            }
            Some(Parcel::Barrier { actor }) => self.actors[actor].life = Life::Waiting(log.len()),
        }
        true
    }

    /// Puts the first letter for an actor into its mailbox. False when there is none.
    pub(crate) fn deliver(&mut self, actor: usize) -> bool {
        let letter = self.letters[actor].pop_front();
        let any = letter.is_some();
        self.actors[actor].mailbox.extend(letter);
        any
    }

    /// An actor dies alone: what it knew and what it had been asked is lost, what it handed over is not.
    pub(crate) fn crash_actor(&mut self, actor: usize) {
        if self.actors[actor].life != Life::Alive {
            return;
        }
        self.actors[actor].life = Life::Dead;
        self.actors[actor].mailbox.retain(|mail| matches!(mail, Mail::Letter { .. }));
        self.parcels.push_back(Parcel::Barrier { actor });
    }

    /// Rebuilds an actor if the book holds everything it had appended.
    pub(crate) fn rebuild(&mut self, actor: usize, book: &Book, position: usize) -> bool {
        let Life::Waiting(barrier) = self.actors[actor].life else { return false };
        if position < barrier {
            return false;
        }
        let own = &mut self.actors[actor];
        own.hosted.iter_mut().for_each(|hosted| {
            let key = hosted.participant.key();
            *hosted = Hosted::new(book.participant(key).expect("the book knows everyone who was ever hosted"));
        });
        own.built_at = position;
        own.life = Life::Alive;
        true
    }

    /// Rebuilds those that wait; true when any is alive again.
    pub(crate) fn rebuild_all(&mut self, book: &Book, position: usize) -> bool {
        let mut any = false;
        for actor in 0..self.actors.len() {
            any |= self.rebuild(actor, book, position);
        }
        any
    }

    /// True when nothing is under way any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.parcels.is_empty()
            && self.letters.iter().all(VecDeque::is_empty)
            && self.actors.iter().all(|actor| actor.mailbox.is_empty() && actor.life == Life::Alive)
    }
}

impl Hosted {
    fn new(participant: &Participant) -> Hosted {
        Hosted { deadlines: Deadlines::of(participant), participant: participant.clone() }
    }
}
