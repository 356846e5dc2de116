//! The calls of a [`Client`]: pay, answer, ask, sign off. Each has a deadline and says what it waits for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::desk::{Key, Matter, Pending, Waiter};
use super::{Client, Error, Instruction, Outcome, Reply, Report, Result, Return, Shared, State};
use crate::frame::{Kind, encode};
use crate::message::StatusRequest;
use crate::{ParticipantId, Uetr};

/// How long a no is sent again after a reconnect when the rules of the session are not known.
const UNCONFIRMED_KEPT: Duration = Duration::from_secs(10);

impl Client {
    /// Pays, and waits for the final outcome.
    ///
    /// [`Error::Deadline`] does not mean "not paid": ask with [`Client::status`], or pay again with the same UETR.
    pub async fn pay(&self, instruction: &impl Instruction) -> Result<Outcome> {
        self.submit(instruction).await?.outcome().await
    }

    /// Gives money back, and waits for the final outcome.
    pub async fn return_payment(&self, instruction: &Return) -> Result<Outcome> {
        self.pay(instruction).await
    }

    /// Sends a payment and returns as soon as there is a place for it. Outcome by the handle; it is a notice too, so
    /// the handle may be dropped: the payment goes on.
    pub async fn submit(&self, instruction: &impl Instruction) -> Result<PaymentHandle> {
        let deadline = Instant::now() + self.timeout;
        let place = self.place(&self.shared().payments, self.shared().options.payments_max, deadline).await?;
        self.submit_at(instruction, place, deadline)
    }

    /// [`Client::submit`] that does not wait: [`Error::WindowFull`] when there is no place.
    pub fn try_submit(&self, instruction: &impl Instruction) -> Result<PaymentHandle> {
        let place = self.place_now(&self.shared().payments, self.shared().options.payments_max)?;
        self.submit_at(instruction, place, Instant::now() + self.timeout)
    }

    fn submit_at(
        &self,
        instruction: &impl Instruction,
        place: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<PaymentHandle> {
        let (sender, receiver) = oneshot::channel();
        let key = self.send_payment(instruction, Waiter::Handle(sender), place, deadline)?;
        Ok(PaymentHandle(Awaited { client: self.clone(), key, deadline, receiver }))
    }

    fn send_payment(
        &self,
        instruction: &impl Instruction,
        waiter: Waiter,
        place: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Key> {
        let stamp = self.shared().stamp();
        let mut frame = Vec::with_capacity(384);
        instruction.write(&stamp, &mut frame).map_err(Error::Invalid)?;
        let key = Key { matter: Matter::Payment, uetr: instruction.uetr(), debtor_agent: stamp.participant };
        self.put(key, Pending { frame: frame.into(), deadline, timeout: self.timeout, waiter, place })?;
        Ok(key)
    }

    fn put(&self, key: Key, pending: Pending) -> Result<()> {
        if self.shared().desk.lock().put(key, pending)? {
            self.shared().wake.notify_one();
        }
        Ok(())
    }

    /// For volume: a [`Submitter`] whose outcomes come together in one queue.
    pub fn volume(&self) -> (Submitter, Outcomes) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Submitter { client: self.clone(), sender }, Outcomes { receiver })
    }

    /// Answers a payment that was offered. Returns as soon as there is a place for the answer.
    ///
    /// After a yes the outcome comes by the handle and as a notice: post to the customer only then.
    pub async fn answer(&self, reply: &Reply) -> Result<AnswerHandle> {
        let deadline = Instant::now() + self.timeout;
        let place = self.place(&self.shared().answers, self.shared().options.answers_max, deadline).await?;
        let stamp = self.shared().stamp();
        let mut frame = Vec::with_capacity(256);
        reply.write(&stamp, &mut frame).map_err(Error::Invalid)?;
        if !reply.is_yes() {
            let until = Instant::now() + self.unconfirmed_kept();
            if self.shared().desk.lock().put_unconfirmed(frame.into(), until, place)? {
                self.shared().wake.notify_one();
            }
            return Ok(AnswerHandle(None));
        }
        let (sender, receiver) = oneshot::channel();
        let key = Key { matter: Matter::Answer, uetr: reply.uetr, debtor_agent: reply.debtor_agent };
        let waiter = Waiter::Handle(sender);
        self.put(key, Pending { frame: frame.into(), deadline, timeout: self.timeout, waiter, place })?;
        Ok(AnswerHandle(Some(Awaited { client: self.clone(), key, deadline, receiver })))
    }

    fn unconfirmed_kept(&self) -> Duration {
        match &*self.shared().state.borrow() {
            State::SignedOn { rules, .. } => rules.payment_timeout,
            _ => UNCONFIRMED_KEPT,
        }
    }

    /// What became of this payment? [`Error::Refused`] with AG09 when the switch does not know it.
    pub async fn status(&self, debtor_agent: ParticipantId, uetr: Uetr) -> Result<Report> {
        let deadline = Instant::now() + self.timeout;
        let place = self.place(&self.shared().enquiries, super::ENQUIRIES_MAX, deadline).await?;
        let mut frame = Vec::with_capacity(64);
        encode(Kind::StatusRequest, &StatusRequest { uetr, debtor_agent }, &mut frame);
        let (sender, receiver) = oneshot::channel();
        let key = Key { matter: Matter::Enquiry, uetr, debtor_agent };
        let waiter = Waiter::Handle(sender);
        self.put(key, Pending { frame: frame.into(), deadline, timeout: self.timeout, waiter, place })?;
        Awaited { client: self.clone(), key, deadline, receiver }.report().await
    }

    /// Signs off: from here on payments to this participant are rejected. Returns when the switch has said goodbye;
    /// the client has ended then. Outcomes still due are told at the next sign-on.
    pub async fn sign_off(&self) -> Result<()> {
        if self.shared().desk.lock().sign_off()? {
            self.shared().wake.notify_one();
        }
        match tokio::time::timeout(self.timeout, self.ended()).await {
            Ok(Error::SignedOff) => Ok(()),
            Ok(why) => Err(why),
            Err(_) => Err(Error::Deadline { uetr: None, after: self.timeout, standing: self.shared().standing() }),
        }
    }

    async fn place(&self, places: &Arc<Semaphore>, most: usize, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        match timeout_at(deadline, places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(self.shared().desk.lock().ended()),
            Err(_) => Err(Error::WindowFull { places: most }),
        }
    }

    fn place_now(&self, places: &Arc<Semaphore>, most: usize) -> Result<OwnedSemaphorePermit> {
        places.clone().try_acquire_owned().map_err(|error| match error {
            tokio::sync::TryAcquireError::NoPermits => Error::WindowFull { places: most },
            tokio::sync::TryAcquireError::Closed => self.shared().desk.lock().ended(),
        })
    }
}

/// An instruction whose outcome is awaited.
struct Awaited {
    client: Client,
    key: Key,
    deadline: Instant,
    receiver: oneshot::Receiver<Result<Report>>,
}

impl Awaited {
    async fn report(self) -> Result<Report> {
        let shared: &Shared = self.client.shared();
        match timeout_at(self.deadline, self.receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(shared.desk.lock().ended()),
            Err(_) => {
                shared.desk.lock().forget(&self.key);
                let (uetr, after) = (Some(self.key.uetr), self.client.timeout);
                Err(Error::Deadline { uetr, after, standing: shared.standing() })
            }
        }
    }

    async fn outcome(self) -> Result<Outcome> {
        match self.report().await? {
            Report::Final(outcome) => Ok(outcome),
            Report::InProcess { .. } => unreachable!("the desk finishes payments and answers only by a final status"),
        }
    }
}

/// A payment on its way. Dropping it changes nothing for the payment.
pub struct PaymentHandle(Awaited);

impl PaymentHandle {
    pub fn uetr(&self) -> Uetr {
        self.0.key.uetr
    }

    /// Waits for the final outcome, at most until the deadline that began with the submission.
    pub async fn outcome(self) -> Result<Outcome> {
        self.0.outcome().await
    }
}

/// An answer on its way. Dropping it changes nothing for the answer.
pub struct AnswerHandle(Option<Awaited>);

impl AnswerHandle {
    /// After a yes: waits for the final outcome of the payment. After a no, or a word after settlement: `None`, for the
    /// switch tells no outcome of those.
    pub async fn outcome(self) -> Result<Option<Outcome>> {
        match self.0 {
            None => Ok(None),
            Some(awaited) => awaited.outcome().await.map(Some),
        }
    }
}

/// Submits payments in volume; their outcomes come by [`Outcomes`].
#[derive(Clone)]
pub struct Submitter {
    client: Client,
    sender: mpsc::UnboundedSender<Finished>,
}

impl Submitter {
    /// Returns as soon as there is a place: outcomes that were not taken from [`Outcomes`] keep theirs.
    pub async fn submit(&self, instruction: &impl Instruction) -> Result<()> {
        let (client, deadline) = (&self.client, Instant::now() + self.client.timeout);
        let place = client.place(&client.shared().payments, client.shared().options.payments_max, deadline).await?;
        client.send_payment(instruction, Waiter::Queue(self.sender.clone()), place, deadline).map(drop)
    }

    /// Like [`Submitter::submit`], but [`Error::WindowFull`] when there is no place.
    pub fn try_submit(&self, instruction: &impl Instruction) -> Result<()> {
        let client = &self.client;
        let place = client.place_now(&client.shared().payments, client.shared().options.payments_max)?;
        let deadline = Instant::now() + client.timeout;
        client.send_payment(instruction, Waiter::Queue(self.sender.clone()), place, deadline).map(drop)
    }
}

/// How one submitted payment ended.
#[derive(Debug)]
pub struct Finished {
    pub uetr: Uetr,
    pub result: Result<Outcome>,
    /// Its place in the window, free when this is dropped.
    pub(super) place: OwnedSemaphorePermit,
}

/// The outcomes of a [`Submitter`], in the order in which they became known.
pub struct Outcomes {
    receiver: mpsc::UnboundedReceiver<Finished>,
}

impl Outcomes {
    /// The next one; `None` when all submitters are gone and every payment has ended.
    pub async fn next(&mut self) -> Option<(Uetr, Result<Outcome>)> {
        self.receiver.recv().await.map(Finished::split)
    }

    /// Waits for one, then takes what is there, at most `most`. Returns how many were added; 0 when no more will come.
    pub async fn next_batch(&mut self, into: &mut Vec<(Uetr, Result<Outcome>)>, most: usize) -> usize {
        let mut finished = Vec::new();
        let taken = self.receiver.recv_many(&mut finished, most).await;
        into.extend(finished.into_iter().map(Finished::split));
        taken
    }
}

impl Finished {
    fn split(self) -> (Uetr, Result<Outcome>) {
        drop(self.place);
        (self.uetr, self.result)
    }
}
