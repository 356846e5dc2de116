//! The supervisor: registers participants, rolls the business date, and rebuilds an actor that died from the book. It
//! lives as long as its node's reign, and so do its actors.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use settlement::{Fact, Key, Participant};
use tokio::sync::oneshot;
use wire::{BusinessDate, Currency, ParticipantId};

use crate::draft::Draft;
use crate::host::{self, Host};
use crate::post::{Outbox, PostOffice};
use crate::premises::Death;

pub(crate) enum Message {
    Register {
        id: ParticipantId,
        currency: Currency,
        draft: Option<Draft>,
        done: oneshot::Sender<Result<Key, String>>,
    },
    /// Rolls to `date`, or to the day after the present business date.
    Roll {
        date: Option<BusinessDate>,
        draft: Option<Draft>,
        done: oneshot::Sender<Result<BusinessDate, String>>,
    },
    /// The participants of a vacant seat, as the book has them behind the barrier.
    Rebuilt {
        seat: usize,
        participants: Vec<Participant>,
    },
}

pub(crate) struct Supervisor {
    pub(crate) post: Arc<PostOffice>,
}

/// The live actors, by seat.
pub(crate) type State = Vec<ActorRef<host::Posted>>;

impl Supervisor {
    async fn place(
        &self,
        seat: usize,
        participants: Vec<Participant>,
        myself: &ActorRef<Message>,
        actors: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let arguments = (self.post.hosted(seat).start, participants);
        let host = Host { post: self.post.clone() };
        let (actor, _) = Actor::spawn_linked(None, host, arguments, myself.get_cell()).await?;
        self.post.take_seat(seat, actor.clone());
        if seat == actors.len() {
            actors.push(actor)
        } else {
            actors[seat] = actor
        }
        Ok(())
    }

    async fn register(
        &self,
        (id, currency, draft): (ParticipantId, Currency, Option<Draft>),
        done: oneshot::Sender<Result<Key, String>>,
        myself: &ActorRef<Message>,
        actors: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (key, known) = {
            let scheme = self.post.scheme();
            (scheme.next_key(), scheme.key(id))
        };
        if known.is_some() {
            drop(done.send(Err(format!("{id} is registered already"))));
            return Ok(());
        }
        let fact = Fact::Registered { at: self.post.premises.clock.now(), key, id, currency };
        self.append(&fact, draft).await?;
        let listing = self.post.scheme().listing(key).cloned();
        if let Some(listing) = listing {
            let participant = Participant::new(key, listing);
            let seat = self.post.seat(key);
            if seat == actors.len() {
                self.place(seat, vec![participant], myself, actors).await?;
            } else {
                self.post.send(seat, host::Message::Adopt(Box::new(participant)));
            }
        }
        self.post.ask_book(move |_| drop(done.send(Ok(key))))?;
        Ok(())
    }

    async fn work(
        &self,
        myself: &ActorRef<Message>,
        message: Message,
        actors: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Register { id, currency, draft, done } => {
                self.register((id, currency, draft), done, myself, actors).await
            }
            Message::Roll { date, draft, done } => {
                let today = self.post.scheme().business_date();
                let date =
                    date.unwrap_or(if today.is_none() { self.post.premises.clock.now().date() } else { today.next() });
                if date <= today {
                    drop(done.send(Err(format!("the business date is {today} already and cannot become {date}"))));
                    return Ok(());
                }
                self.append(&Fact::DayRolled { at: self.post.premises.clock.now(), date }, draft).await?;
                self.post.ask_book(move |_| drop(done.send(Ok(date))))?;
                Ok(())
            }
            Message::Rebuilt { seat, participants } => self.place(seat, participants, myself, actors).await,
        }
    }

    /// What fails because the reign has ended is no failure: the supervisor ends, and all actors with it.
    fn unless_over(
        &self,
        myself: &ActorRef<Message>,
        done: Result<(), ActorProcessingErr>,
    ) -> Result<(), ActorProcessingErr> {
        if done.is_err() && self.post.is_over() {
            myself.stop(None);
            return Ok(());
        }
        done
    }

    /// A fact and, if an operator asked for it, the entry of the audit trail.
    async fn append(&self, fact: &Fact<'static>, draft: Option<Draft>) -> Result<(), ActorProcessingErr> {
        let mut outbox = Outbox::default();
        fact.encode(&mut outbox.facts);
        if let Some(draft) = draft {
            draft.done(fact.at(), &mut outbox.facts);
        }
        outbox.news.push(*fact);
        Ok(self.post.deposit(&mut outbox).await?)
    }
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Vec<Participant>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        participants: Vec<Participant>,
    ) -> Result<State, ActorProcessingErr> {
        let mut actors = State::new();
        let mut participants = participants.into_iter().peekable();
        while participants.peek().is_some() {
            let seat = actors.len();
            let hosted = participants.by_ref().take(self.post.hosted(seat).len()).collect();
            self.place(seat, hosted, &myself, &mut actors).await?;
        }
        Ok(actors)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        actors: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let done = self.work(&myself, message, actors).await;
        self.unless_over(&myself, done)
    }

    /// A dead actor is rebuilt from the book once everything it appended is committed there. Others notice nothing.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        actors: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, death, why) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, Death::Failed, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => (cell, Death::Stopped, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        let Some(seat) = actors.iter().position(|actor| actor.get_id() == cell.get_id()) else { return Ok(()) };
        if self.post.is_over() {
            return Ok(());
        }
        tracing::error!(event = "actor_restarted", actor = seat, why, "an actor died and is rebuilt from the book");
        let hosted = self.post.hosted(seat);
        let rebuilt = myself.clone();
        let vacated = self.post.vacate(seat, death, move |book| {
            let participants = hosted.filter_map(|place| book.participant(Key(place as u32)).cloned()).collect();
            drop(rebuilt.cast(Message::Rebuilt { seat, participants }));
        });
        self.unless_over(&myself, vacated.map_err(ActorProcessingErr::from))
    }
}
